import { coalesce, endOf } from '../bytes/runs.ts';
import { type ByteLength, type ByteOffset, type Extent, roundDown, roundUp } from '../units.ts';

/**
 * Changes that are computed from a few numbers instead of being kept byte by byte: claiming hundreds of gigabytes on
 * FAT32 changes hundreds of megabytes of its tables, of which neither the before- nor the after-image is worth keeping.
 */

/** A stretch of consecutive entries: each points to the next one, the last to where the following run starts. */
export interface ChainRun {
  /** Number of the first entry, at least 2. */
  readonly start: number;
  readonly length: number;
  /** The chain ends behind this run; another one may follow in the same step. */
  readonly ends: boolean;
}

/**
 * Links entries of a table of 32-bit little-endian numbers into chains, or frees chains that stand there exactly so. Of each entry the
 * lower 28 bits are meant, the upper four are kept (FAT32, "FAT: General Overview on FAT32": reserved). Free is 0. What other entries of the
 * same sectors hold is not this step's business.
 */
export interface PatchChain {
  readonly kind: 'chain';
  /** `link`: the entries are free before and chained after. `free`: the other way round. */
  readonly direction: 'link' | 'free';
  /** Where the first copy of the table starts; a multiple of the patch's sector size. */
  readonly offset: ByteOffset;
  /** Bytes of one copy of the table; a multiple of the patch's sector size. */
  readonly length: ByteLength;
  /** How many copies stand one behind the other; all are changed. */
  readonly copies: number;
  /** What the last entry of a chain holds, `0x0ffffff8` to `0x0fffffff`. */
  readonly end: number;
  /** In chain order; the last one ends. No entry is in two. */
  readonly runs: readonly ChainRun[];
}

/** Fills a range with one byte. What was there before is not kept and does not matter, as with a scratch write. */
export interface PatchFill {
  readonly kind: 'fill';
  /** Multiple of the patch's sector size, as is the length. */
  readonly offset: ByteOffset;
  readonly length: ByteLength;
  readonly byte: number;
}

/**
 * Sets or clears all bits of a range of whole sectors, every one of which is the opposite before: the middle of a long run in a bitmap
 * (NTFS `$Bitmap`). A terabyte of 4 KiB clusters is 32 MiB of bits. What does not fill a sector is a write.
 */
export interface PatchBits {
  readonly kind: 'bits';
  readonly direction: 'set' | 'clear';
  /** Multiple of the patch's sector size, as is the length. */
  readonly offset: ByteOffset;
  /** Bytes of bits. */
  readonly length: ByteLength;
}

export type PatchOperation = PatchChain | PatchFill | PatchBits;

/** The byte of which a range is full once the operation is made. */
const fillingByte = (operation: PatchFill | PatchBits): number => {
  if (operation.kind === 'fill') return operation.byte;
  return operation.direction === 'set' ? 0xff : 0;
};

const ENTRY = 4;
/** Lower 28 bits of an entry. */
export const ENTRY_MASK = 0x0fff_ffff;
/** Smallest value that ends a chain. */
export const FIRST_END = 0x0fff_fff8;
/** Entries 0 and 1 belong to the table itself. */
export const FIRST_ENTRY = 2;
/** Runs of one chain step: they are held in memory. A file of 4 GiB whose every 4 KiB lie apart has fewer. */
export const MAX_CHAIN_RUNS = 1024 * 1024;
/** Longest piece of a device that is read or written at once. */
const PIECE = 1024 * 1024;

/** A run of a chain, with what its last entry holds while it is linked. */
interface LinkedRun {
  readonly start: number;
  readonly length: number;
  readonly next: number;
}

/** Runs by entry number; made once for each chain and kept as long as it is. */
const sortedRuns = new WeakMap<PatchChain, readonly LinkedRun[]>();

const linkedRuns = (chain: PatchChain): readonly LinkedRun[] => {
  const known = sortedRuns.get(chain);
  if (known !== undefined) return known;
  const { runs, end } = chain;
  const linked = runs.map(
    ({ start, length, ends }, index): LinkedRun => ({
      start,
      length,
      next: ends ? end : runs[index + 1]!.start,
    }),
  );
  linked.sort((a, b) => a.start - b.start);
  sortedRuns.set(chain, linked);
  return linked;
};

/** The first entry that two runs share, if there is one. */
export const sharedEntry = (chain: PatchChain): number | undefined => {
  const linked = linkedRuns(chain);
  return linked.find((run, index) => index > 0 && endOf(linked[index - 1]!) > run.start)?.start;
};

/** Index of the first run that ends behind `entry`. */
const firstEndingBehind = (linked: readonly LinkedRun[], entry: number): number => {
  let low = 0;
  let high = linked.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (endOf(linked[middle]!) > entry) high = middle;
    else low = middle + 1;
  }
  return low;
};

/** A stretch of the chain's entries in one copy of the table. */
interface Stretch {
  /** First entry. */
  readonly from: number;
  /** Entry behind the last. */
  readonly to: number;
  /** Byte position of entry 0 in this copy. */
  readonly table: ByteOffset;
  readonly run: LinkedRun;
}

/** The entries of the chain any byte of which lies in the range, by position. */
function* stretches(chain: PatchChain, { start, length }: Extent): Generator<Stretch> {
  const linked = linkedRuns(chain);
  for (let copy = 0; copy < chain.copies; copy += 1) {
    const table = chain.offset + copy * chain.length;
    const first = Math.floor(Math.max(0, start - table) / ENTRY);
    const behind = Math.ceil(Math.min(chain.length, start + length - table) / ENTRY);
    if (first >= behind) continue;
    for (let index = firstEndingBehind(linked, first); index < linked.length; index += 1) {
      const run = linked[index]!;
      if (run.start >= behind) break;
      yield { from: Math.max(run.start, first), to: Math.min(endOf(run), behind), table, run };
    }
  }
}

/** What entry `entry` of the run holds while it is linked. */
const linkOf = (run: LinkedRun, entry: number): number => (entry + 1 < endOf(run) ? entry + 1 : run.next);

/** Sets the lower 28 bits of the entry at `at`, as far as its bytes lie in the array. */
const setEntry = (bytes: Uint8Array, at: number, value: number): void => {
  if (at >= 0 && at + ENTRY <= bytes.length) {
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = (bytes[at + 3]! & 0xf0) | (value >>> 24);
    return;
  }
  for (let byte = 0; byte < ENTRY; byte += 1) {
    const place = at + byte;
    if (place < 0 || place >= bytes.length) continue;
    const part = (value >>> (8 * byte)) & 0xff;
    bytes[place] = byte === 3 ? (bytes[place]! & 0xf0) | part : part;
  }
};

/** Lower 28 bits of the entry at `at`, all of which lies in the array. */
export const entryAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) & ENTRY_MASK;

/** Changes `bytes`, which stand at `offset` of the partition, to what the operation leaves there. */
export const applyOperation = (operation: PatchOperation, offset: ByteOffset, bytes: Uint8Array): void => {
  if (operation.kind !== 'chain') {
    const from = Math.max(0, operation.offset - offset);
    const to = Math.min(bytes.length, operation.offset + operation.length - offset);
    if (from < to) bytes.fill(fillingByte(operation), from, to);
    return;
  }
  const links = operation.direction === 'link';
  for (const { from, to, table, run } of stretches(operation, { start: offset, length: bytes.length })) {
    for (let entry = from; entry < to; entry += 1)
      setEntry(bytes, table + entry * ENTRY - offset, links ? linkOf(run, entry) : 0);
  }
};

export interface FoundEntry {
  /** Byte position in the partition. */
  readonly position: ByteOffset;
  /** Lower 28 bits of what is there. */
  readonly value: number;
}

/**
 * Entries of the chain in `bytes`, which stand at `offset` of the partition, that are neither free nor linked as the chain has them. Offset and
 * length are multiples of 4.
 */
export function* deviatingEntries(
  chain: PatchChain,
  offset: ByteOffset,
  bytes: Uint8Array,
): Generator<FoundEntry> {
  for (const { from, to, table, run } of stretches(chain, { start: offset, length: bytes.length })) {
    for (let entry = from; entry < to; entry += 1) {
      const position = table + entry * ENTRY;
      const value = entryAt(bytes, position - offset);
      if (value !== 0 && value !== linkOf(run, entry)) yield { position, value };
    }
  }
}

/** Whether the chain has the entry at this position, and may hold `value` there before or after. */
export const mayHold = (chain: PatchChain, { position, value }: FoundEntry): boolean => {
  for (const { from, run } of stretches(chain, { start: position, length: ENTRY }))
    if (value === 0 || value === linkOf(run, from)) return true;
  return false;
};

/** Bytes that the operation may change, in whole sectors; ascending, joined. */
export function* operationExtents(operation: PatchOperation, sectorSize: ByteLength): Generator<Extent> {
  if (operation.kind !== 'chain') {
    yield { start: operation.offset, length: operation.length };
    return;
  }
  yield* coalesce(sectorsOf(operation, sectorSize));
}

function* sectorsOf(chain: PatchChain, sectorSize: ByteLength): Generator<Extent> {
  for (let copy = 0; copy < chain.copies; copy += 1) {
    const table = chain.offset + copy * chain.length;
    for (const run of linkedRuns(chain)) {
      const start = roundDown(table + run.start * ENTRY, sectorSize);
      yield { start, length: roundUp(table + endOf(run) * ENTRY, sectorSize) - start };
    }
  }
}

/** Cuts extents into pieces of at most 1 MiB. */
export function* inPieces(extents: Iterable<Extent>): Generator<Extent> {
  for (const { start, length } of extents) {
    for (let done = 0; done < length; done += PIECE)
      yield { start: start + done, length: Math.min(PIECE, length - done) };
  }
}
