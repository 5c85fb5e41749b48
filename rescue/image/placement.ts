import { intersect, subtract, totalLength } from '../bytes/runs.ts';
import { refused } from '../errors.ts';
import {
  type ByteLength,
  type ByteOffset,
  type Extent,
  formatBytes,
  MIB,
  type Run,
  roundDown,
  roundUp,
} from '../units.ts';
import { MAX_SLOT_SIZE, MIN_SLOT_SIZE } from './layout.ts';

/** Extents at least this long come first: a container of such is found by the quick scan. */
export const PREFERRED_EXTENT = MIB;

export interface Placement {
  readonly slotSize: ByteLength;
  /** Free extents in the order in which they are to be filled, each a multiple of the allocation unit. */
  readonly extents: readonly Extent[];
}

export interface PlacementRequest {
  /** Free clusters, ascending; read anew for each slot size that is tried. */
  free(): Iterable<Run>;
  /** Clusters that come last, ascending: see `FileSystem.reserved`. */
  reserved?(): Iterable<Run>;
  readonly clusterSize: ByteLength;
  readonly clusterBase: ByteOffset;
  /** Bytes that will do even if nothing can be compressed. */
  readonly wanted: ByteLength;
  /** Bytes without which it is not worth beginning. */
  readonly enough: ByteLength;
  /** Where slots have a size already; default: the largest that makes room enough. */
  readonly slotSize?: ByteLength;
}

/** Keeps the highest runs of a streamed ascending list, as many as are needed to hold `wanted` bytes. */
class Highest {
  readonly #wanted: ByteLength;
  readonly #kept: Extent[] = [];
  #first = 0;
  #total = 0;

  constructor(wanted: ByteLength) {
    this.#wanted = wanted;
  }

  add(extent: Extent): void {
    this.#kept.push(extent);
    this.#total += extent.length;
    while (this.#total - this.#kept[this.#first]!.length >= this.#wanted) {
      this.#total -= this.#kept[this.#first]!.length;
      this.#first += 1;
    }
    if (this.#first > 4096 && this.#first * 2 > this.#kept.length) {
      this.#kept.splice(0, this.#first);
      this.#first = 0;
    }
  }

  /**
   * Highest first. Of the lowest only the top is given, in whole units and at least `least` bytes of it: an empty volume is one
   * long run, whose low end is where its owner's next files go.
   */
  descending(unit: ByteLength, least: ByteLength): Extent[] {
    const extents = this.#kept.slice(this.#first).reverse();
    const lowest = extents.at(-1);
    if (lowest === undefined) return extents;
    const spare = Math.min(this.#total - this.#wanted, lowest.length - least);
    const cut = spare < unit ? 0 : roundDown(spare, unit);
    return [...extents.slice(0, -1), { start: lowest.start + cut, length: lowest.length - cut }];
  }
}

/**
 * Chooses where a container may lie: the highest free extents of at least 1 MiB, then the highest smaller ones, then what the file system
 * would rather keep. The slot size is the largest that makes room enough, and as much room as is wanted is taken if it is there.
 * Throws `refused` (`no-space`) when even the smallest does not.
 */
export const planPlacement = (request: PlacementRequest): Placement => {
  const { clusterSize, clusterBase, wanted, enough } = request;
  let found = 0;
  const { slotSize: largest = MAX_SLOT_SIZE, slotSize: smallest = MIN_SLOT_SIZE } = request;
  for (let slotSize = largest; slotSize >= smallest; slotSize /= 2) {
    const unit = Math.max(slotSize, clusterSize);
    const large = new Highest(wanted);
    const small = new Highest(wanted);
    const reserved = [...(request.reserved?.() ?? [])];
    const add = (run: Run, last?: Highest): void => {
      const length = Math.floor((run.length * clusterSize) / unit) * unit;
      if (length === 0) return;
      const start = clusterBase + run.start * clusterSize;
      // What does not fill a unit stays free at the low end, so that the top is as high as it can be.
      const extent = { start: start + (run.length * clusterSize - length), length };
      if (last !== undefined) last.add(extent);
      else if (length >= PREFERRED_EXTENT) large.add(extent);
      else small.add(extent);
    };
    for (const run of subtract(request.free(), reserved)) add(run);
    const extents = [...large.descending(unit, PREFERRED_EXTENT), ...small.descending(unit, unit)];
    if (reserved.length > 0 && totalLength(extents) < wanted) {
      const last = new Highest(wanted - totalLength(extents));
      for (const run of intersect(request.free(), reserved)) add(run, last);
      extents.push(...last.descending(unit, unit).flatMap((each) => inPieces(each, unit)));
    }
    found = Math.max(found, totalLength(extents));
    if (totalLength(extents) >= Math.min(wanted, enough))
      return { slotSize, extents: topUnitFirst(extents, unit) };
  }
  throw refused('not enough free space for the image', {
    code: 'no-space',
    expected: `about ${formatBytes(Math.min(wanted, enough))} in pieces of at least ${formatBytes(smallest)}`,
    found: formatBytes(found),
    wayOut: 'Free some space, or use a stronger compression level.',
  });
};

/** Reserved extents are filled from above: they come in so many pieces at most. */
const MOST_PIECES = 16;

/** Pieces of an extent, the highest first, for an extent itself is filled from below. */
const inPieces = ({ start, length }: Extent, unit: ByteLength): Extent[] => {
  const size = roundUp(Math.max(PREFERRED_EXTENT, Math.ceil(length / MOST_PIECES)), unit);
  const pieces: Extent[] = [];
  for (let end = start + length; end > start; end -= size) {
    const from = Math.max(start, end - size);
    pieces.push({ start: from, length: end - from });
  }
  return pieces;
};

/**
 * The first anchor belongs at the very top, where the backward scan looks first: the top unit of the highest extent
 * becomes an extent of its own.
 */
const topUnitFirst = (extents: readonly Extent[], unit: ByteLength): Extent[] => {
  const [top, ...rest] = extents;
  if (top === undefined || top.length === unit) return [...extents];
  const below = top.length - unit;
  return [{ start: top.start + below, length: unit }, { start: top.start, length: below }, ...rest];
};
