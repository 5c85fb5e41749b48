import { crc32 } from 'node:zlib';
import { isLocalFailure } from '../device/bad-sectors.ts';
import { type HoldfastError, isHoldfastError } from '../errors.ts';
import { MIB, roundUp } from '../units.ts';
import { RECORD_ALIGNMENT, RECORD_HEADER, RECORD_MAGIC, SLOT_HEADER_SIZE, SLOT_MAGIC } from './layout.ts';
import type { LogReader } from './log-reader.ts';
import { parseRecordHead, peekHeadLength, recordLength } from './record.ts';
import { type Before, canFollow, type FoundRecord, keyOf } from './record-order.ts';
import { headerIntact } from './slot.ts';

/** Bytes of the log before the end of a stretch in which records are looked for. */
const MOST_SEARCHED = 64 * MIB;
/** Heads of a stretch that are kept: those nearest to its end. A real one has some hundred. */
const MOST_HEADS = 65536;
/** Bytes that are read to check what looks like records; only a forger makes so many. */
const MOST_CHECKED = 256 * MIB;
/** Islands of a stretch. */
const MOST_ISLANDS = 1024;

/** Whether reading on behind the place makes sense: something there is lost or damaged. */
export const isLoss = (error: unknown): error is HoldfastError =>
  isHoldfastError(error, 'corrupt') || isLocalFailure(error);

/** Head and length of the record at `logOffset`. Throws `corrupt`, `io`. */
export const recordAt = (log: LogReader, logOffset: number): FoundRecord => {
  const available = log.length - logOffset;
  const first = log.read(logOffset, Math.min(RECORD_HEADER.size, available));
  const head = parseRecordHead(log.read(logOffset, peekHeadLength(first, logOffset)), logOffset);
  return { head, logOffset, length: recordLength(head.runs.length, head.storedLength) };
};

const unlessLost = <T>(read: () => T): T | undefined => {
  try {
    return read();
  } catch (error) {
    if (isLoss(error)) return undefined;
    throw error;
  }
};

/** A part of the log that begins with damage, up to a place where a record is known to start, or the end of the log. */
export interface Stretch {
  readonly from: number;
  readonly end: number;
}

interface Searched {
  /** Where heads that check out stand, ascending; each may be a record's, or part of a file. */
  readonly heads: readonly { readonly at: number; readonly end: number }[];
  /** Whether there is the header of a slot in what records hold: one of the files was a container. */
  readonly holdsContainer: boolean;
}

const holdsSlotHeader = (log: LogReader, bytes: Uint8Array, start: number): boolean => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = buffer.indexOf(SLOT_MAGIC); at >= 0; at = buffer.indexOf(SLOT_MAGIC, at + 1)) {
    const header = unlessLost(() => log.read(start + at, SLOT_HEADER_SIZE));
    if (header !== undefined && headerIntact(header)) return true;
  }
  return false;
};

const search = (log: LogReader, capacity: number, { from, end }: Stretch): Searched => {
  let heads: { at: number; end: number }[] = [];
  let holdsContainer = false;
  let left = MOST_CHECKED;
  const first = Math.max(from + RECORD_ALIGNMENT, roundUp(end - MOST_SEARCHED, RECORD_ALIGNMENT));
  for (let at = first; at < end && left > 0; ) {
    const length = Math.min(capacity - (at % capacity), end - at);
    const bytes = unlessLost(() => log.read(at, length));
    if (bytes !== undefined) {
      holdsContainer ||= holdsSlotHeader(log, bytes, at);
      const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let place = 0; place + 4 <= length && left > 0; place += RECORD_ALIGNMENT) {
        if (words.getUint32(place, true) !== RECORD_MAGIC) continue;
        left -= 16 * RECORD_HEADER.size;
        const found = unlessLost(() => recordAt(log, at + place));
        if (found === undefined) continue;
        heads.push({ at: at + place, end: at + place + found.length });
        if (heads.length >= 2 * MOST_HEADS) heads = heads.slice(-MOST_HEADS);
      }
    }
    at += length;
  }
  return { heads, holdsContainer };
};

/**
 * The first record of a stretch from which one leads to the next up to exactly its end. Without that, what looks like a record may be
 * the content of one: a copy of another container that was among the files.
 */
export const rowThatLeadsToEnd = (log: LogReader, capacity: number, stretch: Stretch): number | undefined => {
  const leading = new Set<number>();
  let first: number | undefined;
  for (const { at, end } of search(log, capacity, stretch).heads.toReversed()) {
    // The log ends with its last record's last byte; zeros that fill it up to the next do not count.
    const atEnd = end >= stretch.end && end - stretch.end < RECORD_ALIGNMENT;
    if (!atEnd && !leading.has(end)) continue;
    leading.add(at);
    first = at;
  }
  return first;
};

/** Whether the stored content of a record is there, byte for byte. */
const isWhole = (log: LogReader, { logOffset, length, head }: FoundRecord): boolean =>
  unlessLost(() => crc32(log.record(logOffset, length).stored)) === head.storedCrc;

/**
 * Records of a stretch to which nothing leads: between two that are damaged. Such a one counts if its own checksums hold, those of its
 * content as well, and if it, and all to which it leads, can stand between the records around the stretch by number, by units and by what
 * is missing then. A file that is a copy of a container holds records, too, and some might even fit: where any slot header is
 * among what was searched, none counts. Gives where each row of them begins; `stretch` ends where records are known again.
 */
export const islands = (
  log: LogReader,
  capacity: number,
  stretch: Stretch,
  before: Before,
  afterwards: () => FoundRecord | undefined,
): readonly number[] => {
  const { heads, holdsContainer } = search(log, capacity, stretch);
  if (holdsContainer || heads.length === 0) return [];
  const after = afterwards();
  const fits = (record: FoundRecord, previous: Before): boolean =>
    canFollow(record, previous) && (after === undefined || canFollow(after, record));
  /** Where the row that begins with a record ends, and its last record that has an order; undefined: it is none. */
  const follow = (first: FoundRecord, previous: Before) => {
    let last = previous;
    let end = first.logOffset;
    for (let next: FoundRecord | undefined = first; next !== undefined; ) {
      if (end + next.length - stretch.end >= RECORD_ALIGNMENT) {
        // Over the end of a log that was cut off: it is lost with what is behind it. Over another record: it is none.
        if (after === undefined) break;
        return undefined;
      }
      end += next.length;
      if (keyOf(next.head) !== undefined) {
        if (!fits(next, last)) return undefined;
        last = next;
      }
      next = end < stretch.end ? unlessLost(() => recordAt(log, end)) : undefined;
    }
    return { end, last };
  };
  const found: number[] = [];
  let previous = before;
  let free = stretch.from;
  let left = MOST_CHECKED;
  for (const { at, end } of heads) {
    if (at < free || end > stretch.end) continue;
    const record = unlessLost(() => recordAt(log, at));
    if (record === undefined || !fits(record, previous)) continue;
    const row = follow(record, previous);
    left -= (row?.end ?? end) - at;
    if (left < 0 || found.length >= MOST_ISLANDS) break;
    if (row === undefined || !isWhole(log, record)) continue;
    found.push(at);
    previous = row.last;
    free = row.end;
  }
  return found;
};
