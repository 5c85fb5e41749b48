import { corrupt } from '../errors.ts';
import type { ClusterMap, MapEntry } from './map.ts';
import { type FoundRecord, RANK } from './record-order.ts';
import type { ScannedLog } from './scanned-log.ts';

/** A unit of an address space. */
export interface UnitPlace {
  readonly space: number;
  readonly unit: number;
}

/** A part of the log from which no record can be told, and data was in it. */
export interface LogGap {
  readonly from: number;
  readonly to: number;
  /** What it held lies from here on ... */
  readonly after: UnitPlace;
  /** ... and before this; undefined: up to the end of the last address space. */
  readonly before: UnitPlace | undefined;
}

/** Gaps that are kept apart; what comes behind is added to the last. */
const MAX_GAPS = 1024;

/**
 * The cluster map of a container whose index is lost, read from the data records themselves. What a lost slot held is
 * not in it: see `gaps`, which is filled while entries are read.
 */
export class ScannedMap implements ClusterMap {
  readonly #log: ScannedLog;
  readonly #records: number | undefined;
  readonly #gaps = new Map<number, LogGap>();
  #last: LogGap | undefined;

  /** `records`: how many data records there are, if that is known. */
  constructor(log: ScannedLog, records?: number) {
    this.#log = log;
    this.#records = records;
  }

  /** Where data is missing from what was read so far, each once. */
  get gaps(): readonly LogGap[] {
    return [...this.#gaps.values()];
  }

  #keep(gap: LogGap): void {
    if (this.#gaps.has(gap.from) || gap.from < (this.#last?.to ?? 0)) return;
    let kept = gap;
    if (this.#gaps.size >= MAX_GAPS && this.#last !== undefined) {
      kept = { ...gap, from: this.#last.from, after: this.#last.after };
    }
    this.#gaps.set(kept.from, kept);
    this.#last = kept;
  }

  *entriesFrom(space: number, unit: number): Generator<MapEntry> {
    let lost: { from: number; to: number } | undefined;
    const onGap = (from: number, to: number): void => {
      lost = { from: lost?.from ?? from, to };
    };
    let last = { space: 0, end: 0 };
    const begin = this.#log.positionBefore({ rank: RANK.data, space, unit });
    // Data records are numbered: where no number is missing, a gap held something else.
    let next = begin === 0 ? 0 : undefined;
    let at = begin;
    const note = (sequence: number | undefined, to: number, before: UnitPlace | undefined): void => {
      const missing = next === undefined || sequence === undefined ? lost !== undefined : sequence !== next;
      const place = lost ?? { from: at, to };
      lost = undefined;
      // What lies before the units that were asked for is none of this walk's business, and may well be there.
      const asked = last.space < space || (last.space === space && last.end < unit);
      const after = asked ? { space, unit } : { space: last.space, unit: last.end };
      if (missing) this.#keep({ ...place, after, before });
    };
    for (const record of this.#log.walk(begin, onGap)) {
      const { stream, sequence } = record.head;
      // The data is over where the bitmap begins.
      if (stream !== 'data' && stream !== 'map' && stream !== 'audit' && record.logOffset > 0) break;
      if (stream !== 'data') continue;
      const { space: first, runs, firstUnit } = record.head;
      note(sequence, record.logOffset, { space: first, unit: runs[0]?.start ?? firstUnit });
      next = sequence + 1;
      at = record.logOffset + record.length;
      for (const entry of entriesOf(record)) {
        if (entry.space < last.space || (entry.space === last.space && entry.start < last.end)) {
          throw outOfOrder(record);
        }
        last = { space: entry.space, end: entry.start + entry.length };
        if (entry.space > space || (entry.space === space && last.end > unit)) yield entry;
      }
    }
    note(this.#records, at, undefined);
  }
}

const outOfOrder = ({ logOffset }: FoundRecord) =>
  corrupt(`the record at log position ${logOffset} covers units that came before`, {
    code: 'map.order',
    structure: 'data record',
  });

/** The map entries that stand for a data record: one per run. Throws `corrupt` (`map.entry`). */
function* entriesOf({ head, logOffset, length: recordLength }: FoundRecord): Generator<MapEntry> {
  let stored = 0;
  for (const run of head.runs) if (run.zero !== true) stored += run.length;
  const unit = stored === 0 ? 0 : head.rawLength / stored;
  if (!Number.isInteger(unit) || (stored === 0) !== (head.rawLength === 0)) {
    throw corrupt(`the runs of the record at log position ${logOffset} do not fit its content`, {
      code: 'map.entry',
      structure: 'data record',
      expected: head.rawLength,
      found: stored,
    });
  }
  let rawOffset = 0;
  for (const { start, length, zero } of head.runs) {
    if (zero === true) {
      yield { space: head.space, start, length, codec: 'zero', logOffset: 0, recordLength: 0, rawOffset: 0 };
      continue;
    }
    yield { space: head.space, start, length, codec: head.codec, logOffset, recordLength, rawOffset };
    rawOffset += length * unit;
  }
}
