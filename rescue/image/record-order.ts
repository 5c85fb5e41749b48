import { RECORD_HEADER } from './layout.ts';
import { MAX_RECORD_LENGTH, type RecordHead } from './record.ts';

/** A record's head and where it stands. */
export interface FoundRecord {
  readonly head: RecordHead;
  readonly logOffset: number;
  /** Bytes of the whole record in the log. */
  readonly length: number;
}

/**
 * Place of a record in the order in which the writer lays them down: control, then data with its map pages between,
 * bitmap, properties, map index, control once more, extents. Data is ascending by address space and unit.
 */
export interface RecordKey {
  readonly rank: number;
  readonly space: number;
  readonly unit: number;
}

export const RANK = { data: 1, bitmap: 2, properties: 3, 'map index': 4, control: 5, extents: 6 } as const;

/** Undefined for records that stand between others without an order of their own. */
export const keyOf = ({ stream, sequence, space, runs, firstUnit }: RecordHead): RecordKey | undefined => {
  if (stream === 'map' || stream === 'audit') return undefined;
  if (stream === 'data') return { rank: RANK.data, space, unit: runs[0]?.start ?? firstUnit };
  return { rank: stream === 'control' && sequence === 0 ? 0 : RANK[stream], space: 0, unit: 0 };
};

export const isAfter = (a: RecordKey, b: RecordKey): boolean =>
  a.rank !== b.rank ? a.rank > b.rank : a.space !== b.space ? a.space > b.space : a.unit > b.unit;

/** The unit behind the last one of a data record. */
const endUnit = ({ runs, firstUnit }: RecordHead): number => {
  const last = runs.at(-1);
  return last === undefined ? firstUnit : last.start + last.length;
};

/** What a record is known to stand behind. */
export type Before = FoundRecord | 'start of the log';

/** Records of the same stream that are missing between two; undefined if their numbers do not say. */
const missingBetween = (before: Before, { head }: FoundRecord, rank: number): number | undefined => {
  const from = before === 'start of the log' ? undefined : before.head;
  if (from !== undefined && keyOf(from)?.rank === rank) return head.sequence - from.sequence - 1;
  return rank === RANK.data ? head.sequence : undefined;
};

/** A page of the map holds 4096 runs, a record 1024 at most. */
const RECORDS_PER_PAGE = 4;

/** Whether so many records fill so many bytes of the log; with data there are pages of the map, and one record of control. */
const canFill = (missing: number, length: number, rank: number): boolean => {
  if (missing * RECORD_HEADER.size > length) return false;
  if (rank !== RANK.data) return true;
  const others = 3 + Math.floor(missing / RECORDS_PER_PAGE);
  return length <= (missing + others) * MAX_RECORD_LENGTH;
};

/** Whether a record can stand behind another one, with what its number and units say is missing between them. */
export const canFollow = (record: FoundRecord, before: Before): boolean => {
  const key = keyOf(record.head);
  if (key === undefined) return false;
  const start = before === 'start of the log' ? 0 : before.logOffset + before.length;
  if (record.logOffset < start) return false;
  if (before !== 'start of the log') {
    const from = keyOf(before.head);
    if (from === undefined || from.rank > key.rank) return false;
    const sameSpace = key.rank === RANK.data && from.rank === RANK.data;
    if (sameSpace && isAfter({ ...from, unit: endUnit(before.head) }, key)) return false;
  }
  const missing = missingBetween(before, record, key.rank);
  return missing === undefined || (missing >= 0 && canFill(missing, record.logOffset - start, key.rank));
};
