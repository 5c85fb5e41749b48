import { corrupt } from '../errors.ts';
import type { ByteLength } from '../units.ts';
import { codecName } from './codec.ts';
import { type Codec, MAP_ENTRY, MAX_FRAME_SIZE, PAGE_REFERENCE } from './layout.ts';
import type { LogReader } from './log-reader.ts';

/** One run of units and where its content is. */
export interface MapEntry {
  readonly space: number;
  /** Units of the address space. */
  readonly start: number;
  readonly length: number;
  readonly codec: Codec;
  /** Record that holds the content (not for codec zero), and where in the decoded frame the run starts. */
  readonly logOffset: number;
  readonly recordLength: ByteLength;
  readonly rawOffset: ByteLength;
}

export interface PageReference {
  readonly space: number;
  readonly firstUnit: number;
  readonly entries: number;
  readonly logOffset: number;
  readonly recordLength: ByteLength;
}

/** Entries of a full page: 128 KiB raw. */
export const PAGE_ENTRIES = 4096;
/** References in one index record. */
export const INDEX_ENTRIES = MAX_FRAME_SIZE / PAGE_REFERENCE.size;

const CODES: Record<Codec, number> = { zero: 0, store: 1, zstd: 2, xz: 3 };

export const encodeMapEntries = (entries: readonly MapEntry[]): Uint8Array => {
  const bytes = new Uint8Array(entries.length * MAP_ENTRY.size);
  entries.forEach((entry, index) => {
    bytes.set(
      MAP_ENTRY.encode({
        start: entry.start,
        length: entry.length,
        codec: CODES[entry.codec],
        space: entry.space,
        record_length: entry.recordLength,
        raw_offset: entry.rawOffset,
        log_offset: entry.logOffset,
      }),
      index * MAP_ENTRY.size,
    );
  });
  return bytes;
};

export const encodePageReferences = (pages: readonly PageReference[]): Uint8Array => {
  const bytes = new Uint8Array(pages.length * PAGE_REFERENCE.size);
  pages.forEach((page, index) => {
    bytes.set(
      PAGE_REFERENCE.encode({
        first_unit: page.firstUnit,
        space: page.space,
        entries: page.entries,
        log_offset: page.logOffset,
        record_length: page.recordLength,
      }),
      index * PAGE_REFERENCE.size,
    );
  });
  return bytes;
};

const decodeEntry = (page: Uint8Array, index: number): MapEntry => {
  const field = MAP_ENTRY.decode(page, index * MAP_ENTRY.size);
  const codec = codecName(field.codec);
  const possible =
    codec !== undefined &&
    field.raw_offset < MAX_FRAME_SIZE &&
    field.length > 0 &&
    Number.isSafeInteger(field.start + field.length);
  if (!possible) {
    throw corrupt(`entry ${index} is impossible`, { code: 'map.entry', structure: 'map page' });
  }
  return {
    space: field.space,
    start: field.start,
    length: field.length,
    codec,
    logOffset: field.log_offset,
    recordLength: field.record_length,
    rawOffset: field.raw_offset,
  };
};

/** Where the content of every captured unit is. */
export interface ClusterMap {
  /** Entries that end after `unit` of `space`, ascending by address space and unit, over all later spaces too. */
  entriesFrom(space: number, unit: number): Iterable<MapEntry>;
}

const after = (aSpace: number, aUnit: number, bSpace: number, bUnit: number): boolean =>
  aSpace > bSpace || (aSpace === bSpace && aUnit > bUnit);

/** Decoded pages kept at hand. */
const CACHED_PAGES = 8;

/**
 * The map as the image stores it: pages of entries in the log, and references to them. Only the references (32 bytes for
 * 4096 runs) are held in memory.
 */
export class PagedMap implements ClusterMap {
  readonly #log: LogReader;
  /** Page references, encoded as on disk, one behind the other. */
  readonly #index: Uint8Array;
  readonly #pages = new Map<number, Uint8Array>();

  constructor(log: LogReader, index: Uint8Array) {
    this.#log = log;
    this.#index = index;
  }

  get pageCount(): number {
    return this.#index.length / PAGE_REFERENCE.size;
  }

  reference(page: number): PageReference {
    const field = PAGE_REFERENCE.decode(this.#index, page * PAGE_REFERENCE.size);
    return {
      space: field.space,
      firstUnit: field.first_unit,
      entries: field.entries,
      logOffset: field.log_offset,
      recordLength: field.record_length,
    };
  }

  #page(page: number): Uint8Array {
    const cached = this.#pages.get(page);
    if (cached !== undefined) return cached;
    const { logOffset, recordLength, entries } = this.reference(page);
    const record = this.#log.record(logOffset, recordLength);
    const bytes = this.#log.content(record, logOffset);
    if (record.head.stream !== 'map' || bytes.length !== entries * MAP_ENTRY.size) {
      throw corrupt(`page ${page} has another shape than its reference`, {
        code: 'map.page',
        structure: 'map page',
        expected: entries,
        found: bytes.length / MAP_ENTRY.size,
      });
    }
    if (this.#pages.size >= CACHED_PAGES) this.#pages.delete(this.#pages.keys().next().value!);
    this.#pages.set(page, bytes);
    return bytes;
  }

  *entriesFrom(space: number, unit: number): Generator<MapEntry> {
    let low = 0;
    let high = this.pageCount;
    // The last page that begins at or before the unit.
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const { space: pageSpace, firstUnit } = this.reference(middle);
      if (after(pageSpace, firstUnit, space, unit)) high = middle;
      else low = middle;
    }
    let begun = false;
    let last = { space: 0, end: 0 };
    for (let page = low; page < this.pageCount; page += 1) {
      const bytes = this.#page(page);
      const count = bytes.length / MAP_ENTRY.size;
      for (let index = begun ? 0 : firstEndingAfter(bytes, count, space, unit); index < count; index += 1) {
        begun = true;
        const entry = decodeEntry(bytes, index);
        if (entry.space < last.space || (entry.space === last.space && entry.start < last.end)) {
          throw corrupt(`entry ${index} of page ${page} covers units that came before`, {
            code: 'map.order',
            structure: 'map page',
            expected: `at least ${last.end}`,
            found: entry.start,
          });
        }
        last = { space: entry.space, end: entry.start + entry.length };
        yield entry;
      }
    }
  }
}

/** Index of the first entry of a page that ends after `unit` of `space`, by bisection. */
const firstEndingAfter = (page: Uint8Array, count: number, space: number, unit: number): number => {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * MAP_ENTRY.size;
    const end = MAP_ENTRY.get(page, 'start', at) + MAP_ENTRY.get(page, 'length', at);
    if (after(MAP_ENTRY.get(page, 'space', at), end, space, unit)) high = middle;
    else low = middle + 1;
  }
  return low;
};
