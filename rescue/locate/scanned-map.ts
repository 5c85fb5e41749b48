import { corrupt } from '../errors.ts';
import type { ClusterMap, MapEntry } from '../image/map.ts';
import { type FoundRecord, RANK, type ScannedLog } from './scanned-log.ts';

/** A part of the log from which no record can be told, and between which records it lies. */
export interface LogGap {
  readonly from: number;
  readonly to: number;
}

/** Gaps that are kept; more are only counted. */
const MAX_GAPS = 1024;

/**
 * The cluster map of a container whose index is lost, read from the data records themselves. What a lost slot held is
 * not in it: see `gaps`, which is filled while entries are read.
 */
export class ScannedMap implements ClusterMap {
  readonly #log: ScannedLog;
  readonly #gaps = new Map<number, LogGap>();

  constructor(log: ScannedLog) {
    this.#log = log;
  }

  /** What was passed over so far, each once. */
  get gaps(): readonly LogGap[] {
    return [...this.#gaps.values()];
  }

  *entriesFrom(space: number, unit: number): Generator<MapEntry> {
    const onGap = (from: number, to: number): void => {
      if (this.#gaps.size < MAX_GAPS) this.#gaps.set(from, { from, to });
    };
    let last = { space: 0, end: 0 };
    const begin = this.#log.positionBefore({ rank: RANK.data, space, unit });
    for (const record of this.#log.walk(begin, onGap)) {
      const { stream } = record.head;
      // The data is over where the bitmap begins.
      if (stream !== 'data' && stream !== 'map' && stream !== 'audit' && record.logOffset > 0) return;
      if (stream !== 'data') continue;
      for (const entry of entriesOf(record)) {
        if (entry.space < last.space || (entry.space === last.space && entry.start < last.end)) {
          throw outOfOrder(record);
        }
        last = { space: entry.space, end: entry.start + entry.length };
        if (entry.space > space || (entry.space === space && last.end > unit)) yield entry;
      }
    }
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
