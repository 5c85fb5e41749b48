import { coalesce } from '../../bytes/runs.ts';
import type { ReadableDevice } from '../../device/device.ts';
import { corrupt } from '../../errors.ts';
import { type ByteOffset, type Cluster, KIB, type Run } from '../../units.ts';
import type { FatBits, FatParameters } from './boot.ts';
import { ENTRY_VALUES, FIRST_DATA_ENTRY } from './layout.ts';

/** What an entry says of its cluster instead of naming the next one. */
export const FREE = -1;
/** Last cluster of a chain. */
export const END = -2;
export const BAD = -3;
/** A number that is neither a cluster of this volume nor one of the marks above. */
export const INVALID = -4;

/**
 * Bytes of the FAT read at a time: a multiple of three sectors of any size, so that no 12-bit entry lies across two pages.
 */
const PAGE = 48 * KIB;
const ZEROS = new Uint8Array(PAGE);
/** Pages held for chains, which jump about in a fragmented volume: 1.5 MiB. */
const CACHED_PAGES = 32;

const WORDS: Readonly<Record<number, string>> = {
  [FREE]: 'a cluster of the chain is marked as free',
  [BAD]: 'a cluster of the chain is marked as bad',
  [INVALID]: 'the chain goes on in a cluster that the volume does not have',
};

/** Entry `index` of the entries that `bytes` begins with, FAT32's upper four bits left out. */
const entryIn = (bytes: Uint8Array, index: number, bits: FatBits): number => {
  if (bits === 32) {
    const at = index * 4;
    return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | ((bytes[at + 3]! & 0x0f) << 24);
  }
  if (bits === 16) return bytes[index * 2]! | (bytes[index * 2 + 1]! << 8);
  // Two entries share three bytes, the even one has the lower bits (fatgen103 "FAT Data Structure").
  const at = Math.floor((index * 3) / 2);
  const pair = bytes[at]! | (bytes[at + 1]! << 8);
  return index % 2 === 0 ? pair & 0xfff : pair >>> 4;
};

/**
 * One FAT, read in pages. Clusters are given and taken as `Cluster` (0 is FAT entry 2); raw entries by their number in the FAT.
 */
export class FatTable {
  readonly bits: FatBits;
  readonly clusterCount: number;
  /** Where the FAT begins on the device. */
  readonly offset: ByteOffset;
  readonly #device: ReadableDevice;
  readonly #pages = new Map<number, Uint8Array>();
  /** Entries of a page. */
  readonly #perPage: number;
  #latest: { readonly index: number; readonly bytes: Uint8Array } | undefined;

  /** The active FAT, or the one of number `index`. */
  constructor(
    device: ReadableDevice,
    parameters: Pick<FatParameters, 'bits' | 'clusterCount' | 'tables' | 'activeTable'>,
    index = parameters.activeTable,
  ) {
    this.#device = device;
    this.bits = parameters.bits;
    this.clusterCount = parameters.clusterCount;
    this.offset = parameters.tables[index]!;
    this.#perPage = (PAGE * 8) / this.bits;
  }

  /** Forgets what was read: call it after a write to the FAT. */
  forget(): void {
    this.#pages.clear();
    this.#latest = undefined;
  }

  /** Byte position of the (first) byte that holds an entry. */
  positionOf(entry: number): ByteOffset {
    return this.offset + Math.floor((entry * this.bits) / 8);
  }

  /** Fills the beginning of `target`, which is as long as a page, and returns it: the last page is shorter. */
  #readPage(index: number, target: Uint8Array): Uint8Array {
    const total = Math.ceil(((this.clusterCount + FIRST_DATA_ENTRY) * this.bits) / 8);
    const bytes = target.subarray(0, Math.min(PAGE, total - index * PAGE));
    this.#device.readInto(this.offset + index * PAGE, bytes);
    return bytes;
  }

  #page(index: number): Uint8Array {
    if (this.#latest?.index === index) return this.#latest.bytes;
    let bytes = this.#pages.get(index);
    if (bytes === undefined) {
      bytes = this.#readPage(index, new Uint8Array(PAGE));
      if (this.#pages.size >= CACHED_PAGES) this.#pages.delete(this.#pages.keys().next().value!);
      this.#pages.set(index, bytes);
    }
    this.#latest = { index, bytes };
    return bytes;
  }

  /**
   * An entry by its number in the FAT, 0 and 1 included, as it stands there but for FAT32's upper four bits.
   * Throws `io`.
   */
  entry(number: number): number {
    if (number < 0 || number >= this.clusterCount + FIRST_DATA_ENTRY)
      throw new RangeError(`no FAT entry ${number}`);
    const page = Math.floor(number / this.#perPage);
    return entryIn(this.#page(page), number - page * this.#perPage, this.bits);
  }

  /** What a raw value means: a `Cluster`, or FREE, END, BAD, INVALID. */
  meaning(value: number): number {
    if (value === 0) return FREE;
    const cluster = value - FIRST_DATA_ENTRY;
    // Comes first: on a volume of the largest size a number may look like a mark that drivers do not use.
    if (cluster >= 0 && cluster < this.clusterCount) return cluster;
    const { bad, end } = ENTRY_VALUES[this.bits];
    return value >= end ? END : value === bad ? BAD : INVALID;
  }

  /** The cluster that follows in the chain, or FREE, END, BAD, INVALID. Throws `io`. */
  next(cluster: Cluster): number {
    return this.meaning(this.entry(cluster + FIRST_DATA_ENTRY));
  }

  /** All entries of clusters, page by page, not through the cache; `blank`: all of them are free, as most are of a large volume. */
  *#pagesOfEntries(): Generator<{
    first: Cluster;
    count: number;
    blank: boolean;
    at: (index: number) => number;
  }> {
    const entries = this.clusterCount + FIRST_DATA_ENTRY;
    const { bits } = this;
    // One for all pages: a new one each would be gigabytes of garbage.
    const buffer = new Uint8Array(PAGE);
    for (let page = 0; page * this.#perPage < entries; page += 1) {
      const bytes = this.#readPage(page, buffer);
      const skip = page === 0 ? FIRST_DATA_ENTRY : 0;
      const first = page * this.#perPage + skip - FIRST_DATA_ENTRY;
      const count = Math.min(this.#perPage - skip, this.clusterCount - first);
      const blank = Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
      yield { first, count, blank, at: (index) => entryIn(bytes, index + skip, bits) };
    }
  }

  /** Runs of clusters whose entries satisfy `wanted`; ascending, joined. One page in memory. */
  #runs(wanted: (value: number) => boolean): Iterable<Run> {
    const pages = () => this.#pagesOfEntries();
    function* pieces(): Generator<Run> {
      for (const { first, count, blank, at } of pages()) {
        if (blank) {
          if (wanted(0)) yield { start: first, length: count };
          continue;
        }
        let start = -1;
        for (let index = 0; index < count; index += 1) {
          if (wanted(at(index))) {
            if (start < 0) start = index;
          } else if (start >= 0) {
            yield { start: first + start, length: index - start };
            start = -1;
          }
        }
        if (start >= 0) yield { start: first + start, length: count - start };
      }
    }
    return { [Symbol.iterator]: () => coalesce(pieces()) };
  }

  /** Clusters that are not free, bad ones included. Each iteration reads the FAT once. Throws `io`. */
  usedRuns(): Iterable<Run> {
    return this.#runs((value) => value !== 0);
  }

  freeRuns(): Iterable<Run> {
    return this.#runs((value) => value === 0);
  }

  badRuns(): Iterable<Run> {
    return this.#runs((value) => this.meaning(value) === BAD);
  }

  /**
   * The clusters of a chain in file order. Proves progress in constant memory (Brent: a cluster seen before is met again
   * after at most three times the clusters of the chain).
   * Throws `corrupt` (`fat.chain-loop`, `fat.chain-broken` for free, bad or impossible clusters in it), `io`.
   */
  *chain(start: Cluster, structure = 'FAT chain'): Generator<Cluster> {
    let mark = start;
    let limit = 1;
    let steps = 0;
    for (let cluster: number = start; ; ) {
      this.#requireCluster(cluster, start, structure);
      const next = this.next(cluster);
      if (next === FREE || next === BAD || next === INVALID) this.#broken(cluster, next, structure);
      yield cluster;
      if (next === END) return;
      if (next === mark) {
        throw corrupt('the chain of clusters comes back to itself', {
          code: 'fat.chain-loop',
          structure,
          offset: this.positionOf(cluster + FIRST_DATA_ENTRY),
          found: `entry ${next + FIRST_DATA_ENTRY}`,
        });
      }
      steps += 1;
      if (steps === limit) {
        mark = next;
        limit *= 2;
        steps = 0;
      }
      cluster = next;
    }
  }

  /** `chain`, neighbours joined where the file goes on in the next cluster. */
  *chainRuns(start: Cluster, structure?: string): Generator<Run> {
    let open: { start: number; length: number } | undefined;
    for (const cluster of this.chain(start, structure)) {
      if (open !== undefined && open.start + open.length === cluster) {
        open.length += 1;
        continue;
      }
      if (open !== undefined) yield open;
      open = { start: cluster, length: 1 };
    }
    if (open !== undefined) yield open;
  }

  #requireCluster(cluster: Cluster, start: Cluster, structure: string): void {
    if (cluster >= 0 && cluster < this.clusterCount) return;
    throw corrupt('the chain of clusters begins outside of the volume', {
      code: 'fat.chain-broken',
      structure,
      expected: `entry ${FIRST_DATA_ENTRY} to ${this.clusterCount + FIRST_DATA_ENTRY - 1}`,
      found: `entry ${start + FIRST_DATA_ENTRY}`,
    });
  }

  #broken(cluster: Cluster, meaning: number, structure: string): never {
    throw corrupt(WORDS[meaning]!, {
      code: 'fat.chain-broken',
      structure,
      offset: this.positionOf(cluster + FIRST_DATA_ENTRY),
      expected: 'the next cluster or the end of the chain',
      found: this.entry(cluster + FIRST_DATA_ENTRY),
    });
  }
}
