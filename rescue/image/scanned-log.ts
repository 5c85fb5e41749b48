import { isLocalFailure } from '../device/bad-sectors.ts';
import { type HoldfastError, isHoldfastError } from '../errors.ts';
import { roundUp } from '../units.ts';
import { RECORD_ALIGNMENT, RECORD_HEADER, RECORD_MAGIC, SLOT_HEADER_SIZE } from './layout.ts';
import { LogReader, type SlotSource } from './log-reader.ts';
import { parseRecordHead, peekHeadLength, type RecordHead, recordLength } from './record.ts';
import { parseSlotHeader, payloadCapacity } from './slot.ts';
import { dataSlotIndex } from './slot-order.ts';

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
const keyOf = ({ stream, sequence, space, runs, firstUnit }: RecordHead): RecordKey | undefined => {
  if (stream === 'map' || stream === 'audit') return undefined;
  if (stream === 'data') return { rank: RANK.data, space, unit: runs[0]?.start ?? firstUnit };
  return { rank: stream === 'control' && sequence === 0 ? 0 : RANK[stream], space: 0, unit: 0 };
};

const isAfter = (a: RecordKey, b: RecordKey): boolean =>
  a.rank !== b.rank ? a.rank > b.rank : a.space !== b.space ? a.space > b.space : a.unit > b.unit;

/** Whether reading on behind the place makes sense: something there is lost or damaged. */
export const isLoss = (error: unknown): error is HoldfastError =>
  isHoldfastError(error, 'corrupt') || isLocalFailure(error);

interface Probe {
  /** Number of the data slot that answered; undefined: none from the one asked for to the end of the log. */
  readonly ordinal: number | undefined;
  /** Log position of the first record that starts in it. */
  readonly logOffset: number;
  readonly key: RecordKey | undefined;
}

/** Answers of the search that are kept: its upper levels. */
const CACHED_PROBES = 4096;

/** Bytes of the log before the next record that is known, in which others are looked for. */
const MOST_SEARCHED = 64 * 1024 * 1024;

/**
 * Finds records without any index. Slot headers say where in a slot the first record starts, and records are in
 * order, so any of them is found by bisection over the slots; a walk that comes to a lost slot goes on with the first
 * record after it: at the latest with the one of which a slot's header says where it starts, and before that with the first of an unbroken
 * row of records that leads exactly there. Takes no memory that grows with the log.
 */
export class ScannedLog {
  readonly log: LogReader;
  readonly #source: SlotSource;
  readonly #capacity: number;
  readonly #dataSlots: number;
  readonly #probes = new Map<number, Probe>();
  /** Where walks went on behind damage, by where it begins. */
  readonly #resumed = new Map<number, number | undefined>();

  constructor(source: SlotSource) {
    this.#source = source;
    this.log = new LogReader(source, 4);
    this.#capacity = payloadCapacity(source.homes.slotSize);
    this.#dataSlots = Math.ceil(source.logLength / this.#capacity);
  }

  /** Records from `logOffset` on, where one must start, over every gap. `onGap` is told where something is lost. */
  *walk(logOffset: number, onGap: (from: number, to: number) => void = () => {}): Generator<FoundRecord> {
    for (let at = logOffset; at < this.#source.logLength; ) {
      let record: FoundRecord | undefined;
      try {
        record = this.#recordAt(at);
      } catch (error) {
        if (!isLoss(error)) throw error;
      }
      if (record === undefined) {
        const next = this.#resume(at);
        onGap(at, next ?? this.#source.logLength);
        if (next === undefined) return;
        at = next;
        continue;
      }
      yield record;
      at += record.length;
    }
  }

  /** The position of a record at or before everything whose key is not below `key`: where to begin a walk for it. */
  positionBefore(key: RecordKey): number {
    let low = 0;
    let position = 0;
    let high = this.#dataSlots;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const probe = this.#probe(middle);
      if (probe.ordinal === undefined || probe.ordinal >= high || probe.key === undefined) high = middle;
      else if (isAfter(probe.key, key)) high = middle;
      else {
        low = probe.ordinal;
        position = probe.logOffset;
      }
    }
    return position;
  }

  /** The first record of `stream` at or after `logOffset`. */
  firstOf(stream: RecordHead['stream'], logOffset: number): FoundRecord | undefined {
    for (const record of this.walk(logOffset)) if (record.head.stream === stream) return record;
    return undefined;
  }

  /** Where the walk goes on if no record can be told at `at`. */
  #resume(at: number): number | undefined {
    if (this.#resumed.has(at)) return this.#resumed.get(at);
    const known = this.#firstRecordFrom(Math.floor(at / this.#capacity) + 1)?.logOffset;
    const found = this.#rowThatEndsAt(known ?? this.#source.logLength, at) ?? known;
    if (this.#resumed.size >= CACHED_PROBES) this.#resumed.delete(this.#resumed.keys().next().value!);
    this.#resumed.set(at, found);
    return found;
  }

  /**
   * The first record behind `from` from which one record leads to the next up to exactly `end`. Without that, what looks like a
   * record may be the content of one: a copy of another container that was among the files.
   */
  #rowThatEndsAt(end: number, from: number): number | undefined {
    const astray = new Set<number>();
    const leadsToEnd = (start: number): boolean => {
      for (let at = start; at < end && !astray.has(at); ) {
        astray.add(at);
        try {
          at += this.#recordAt(at).length;
        } catch (error) {
          if (!isLoss(error)) throw error;
          return false;
        }
        // The log ends with its last record's last byte; zeros that fill it up to the next do not count.
        if (at >= end) return at - end < RECORD_ALIGNMENT;
      }
      return false;
    };
    const first = Math.max(from + RECORD_ALIGNMENT, roundUp(end - MOST_SEARCHED, RECORD_ALIGNMENT));
    for (let at = first; at < end; ) {
      const inSlot = Math.min(this.#capacity - (at % this.#capacity), end - at);
      let bytes: Uint8Array | undefined;
      try {
        bytes = this.log.read(at, inSlot);
      } catch (error) {
        if (!isLoss(error)) throw error;
      }
      if (bytes !== undefined) {
        const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        for (let place = 0; place + 4 <= inSlot; place += RECORD_ALIGNMENT)
          if (words.getUint32(place, true) === RECORD_MAGIC && leadsToEnd(at + place)) return at + place;
      }
      at += inSlot;
    }
    return undefined;
  }

  #recordAt(logOffset: number): FoundRecord {
    const available = this.#source.logLength - logOffset;
    const first = this.log.read(logOffset, Math.min(RECORD_HEADER.size, available));
    const head = parseRecordHead(this.log.read(logOffset, peekHeadLength(first, logOffset)), logOffset);
    return { head, logOffset, length: recordLength(head.runs.length, head.storedLength) };
  }

  #probe(ordinal: number): Probe {
    const cached = this.#probes.get(ordinal);
    if (cached !== undefined) return cached;
    const start = this.#firstRecordFrom(ordinal);
    let key: RecordKey | undefined;
    if (start !== undefined) {
      for (const { head } of this.walk(start.logOffset)) {
        key = keyOf(head);
        if (key !== undefined) break;
      }
    }
    const probe = { ordinal: start?.ordinal, logOffset: start?.logOffset ?? 0, key };
    if (this.#probes.size >= CACHED_PROBES) this.#probes.delete(this.#probes.keys().next().value!);
    this.#probes.set(ordinal, probe);
    return probe;
  }

  /** The first data slot from number `ordinal` on in which a record starts. */
  #firstRecordFrom(ordinal: number): { readonly ordinal: number; readonly logOffset: number } | undefined {
    for (let at = ordinal; at < this.#dataSlots; ) {
      const index = dataSlotIndex(at);
      const firstRecord = this.#firstRecordIn(index);
      if (firstRecord !== undefined) return { ordinal: at, logOffset: at * this.#capacity + firstRecord };
      at = this.#nextToTry(at, index);
    }
    return undefined;
  }

  /** The data slot after number `at`; a run of slots that have no place is passed at once. */
  #nextToTry(at: number, index: number): number {
    const { homes, device } = this.#source;
    const extent = homes.extentOf(index);
    if (homes.extents[extent]!.start < device.size) return at + 1;
    const end = index + homes.contiguousFrom(index);
    let low = at + 1;
    let high = this.#dataSlots;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (dataSlotIndex(middle) >= end) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #firstRecordIn(index: number): number | undefined {
    const { homes, device, imageId } = this.#source;
    const home = homes.homeOf(index);
    if (home + SLOT_HEADER_SIZE > device.size) return undefined;
    try {
      const header = parseSlotHeader(device.read(home, SLOT_HEADER_SIZE), home);
      const ours = header.index === index && Buffer.compare(header.imageId, imageId) === 0;
      return ours && header.kind === 'data' ? header.firstRecord : undefined;
    } catch (error) {
      if (isLoss(error)) return undefined;
      throw error;
    }
  }
}
