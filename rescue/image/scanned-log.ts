import { SLOT_HEADER_SIZE } from './layout.ts';
import { LogReader, type SlotSource } from './log-reader.ts';
import { isLoss, islands, recordAt, rowThatLeadsToEnd, type Stretch } from './lost-stretch.ts';
import type { RecordHead } from './record.ts';
import { type Before, type FoundRecord, isAfter, keyOf, type RecordKey } from './record-order.ts';
import { parseSlotHeader, payloadCapacity } from './slot.ts';
import { dataSlotIndex } from './slot-order.ts';

interface Probe {
  /** Number of the data slot that answered; undefined: none from the one asked for to the end of the log. */
  readonly ordinal: number | undefined;
  /** The first record from there on that has a place in the order; undefined: there is none. */
  readonly logOffset: number;
  readonly key: RecordKey | undefined;
}

/** Where a walk goes on behind damage. */
interface Resumption {
  readonly stretch: Stretch;
  /** Where records are known again; undefined: not before the end of the log. */
  readonly known: number | undefined;
  /** Rows of records before that, to which nothing leads; undefined: not looked for yet. */
  islands: readonly number[] | undefined;
}

/** Not by a shift of bits, which cuts its operands to 32 of them: forged slots may claim any number of slots. */
const between = (low: number, high: number): number => Math.floor((low + high) / 2);

/** Answers of the search that are kept: its upper levels. */
const CACHED_PROBES = 4096;

/**
 * Finds records without any index. Slot headers say where in a slot the first record starts, and records are in
 * order, so any of them is found by bisection over the slots; a walk that comes to a lost slot goes on with the first
 * record after it: at the latest with the one of which a slot's header says where it starts, before that with the first of an unbroken
 * row of records that leads exactly there, and before that with one that fits between its neighbours. Takes no memory that grows
 * with the log.
 */
export class ScannedLog {
  readonly log: LogReader;
  readonly #source: SlotSource;
  readonly #capacity: number;
  readonly #dataSlots: number;
  readonly #probes = new Map<number, Probe>();
  /** Where walks went on behind damage, by the end of the stretch. */
  readonly #resumptions = new Map<number, Resumption>();
  /** The latest answer of `#firstInOrder`. */
  #inOrder: { readonly from: number; readonly found: FoundRecord | undefined } | undefined;

  constructor(source: SlotSource) {
    this.#source = source;
    this.log = new LogReader(source, 4);
    this.#capacity = payloadCapacity(source.homes.slotSize);
    this.#dataSlots = Math.ceil(source.logLength / this.#capacity);
  }

  /** Records from `logOffset` on, where one must start, over every gap. `onGap` is told where something is lost. */
  *walk(logOffset: number, onGap: (from: number, to: number) => void = () => {}): Generator<FoundRecord> {
    // What stands behind something unknown cannot be told from what is in a file.
    yield* this.#walk(logOffset, onGap, logOffset === 0 ? 'start of the log' : undefined);
  }

  /** `before`: what stands before `logOffset`; undefined: nobody knows. */
  *#walk(
    logOffset: number,
    onGap: (from: number, to: number) => void,
    before: Before | undefined,
  ): Generator<FoundRecord> {
    let last = before;
    for (let at = logOffset; at < this.#source.logLength; ) {
      let record: FoundRecord | undefined;
      try {
        record = recordAt(this.log, at);
      } catch (error) {
        if (!isLoss(error)) throw error;
      }
      if (record === undefined) {
        const next = this.#resume(at, last);
        onGap(at, next ?? this.#source.logLength);
        if (next === undefined) return;
        at = next;
        continue;
      }
      yield record;
      if (keyOf(record.head) !== undefined) last = record;
      at += record.length;
    }
  }

  /** The position of a record at or before everything whose key is not below `key`: where to begin a walk for it. */
  positionBefore(key: RecordKey): number {
    let low = 0;
    let position = 0;
    let high = this.#dataSlots;
    while (high - low > 1) {
      const middle = between(low, high);
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

  /** Where the walk goes on if no record can be told at `at`, and `before` was the last one before that. */
  #resume(at: number, before: Before | undefined): number | undefined {
    const resumption = this.#resumption(at);
    const { stretch, known } = resumption;
    if (resumption.islands === undefined && before !== undefined) {
      const lost = { from: stretch.from, end: known ?? stretch.end };
      const after = () => (known === undefined ? undefined : this.#firstInOrder(known));
      resumption.islands = islands(this.log, this.#capacity, lost, before, after);
    }
    return resumption.islands?.find((each) => each > at) ?? known;
  }

  #resumption(at: number): Resumption {
    const inSlot = this.#firstRecordFrom(Math.floor(at / this.#capacity));
    const named =
      inSlot === undefined || inSlot.logOffset > at
        ? inSlot?.logOffset
        : this.#firstRecordFrom(inSlot.ordinal + 1)?.logOffset;
    const stretch = { from: at, end: named ?? this.#source.logLength };
    const kept = this.#resumptions.get(stretch.end);
    if (kept !== undefined && kept.stretch.from <= at && at < (kept.known ?? stretch.end)) return kept;
    const known = rowThatLeadsToEnd(this.log, this.#capacity, stretch) ?? named;
    const made = { stretch, known, islands: undefined };
    if (this.#resumptions.size >= CACHED_PROBES)
      this.#resumptions.delete(this.#resumptions.keys().next().value!);
    this.#resumptions.set(stretch.end, made);
    return made;
  }

  /** The first record at or behind `logOffset` that has a place in the order; others may be lost before it. */
  #firstInOrder(logOffset: number): FoundRecord | undefined {
    const { from, found: kept } = this.#inOrder ?? { from: Number.POSITIVE_INFINITY };
    if (from <= logOffset && logOffset <= (kept?.logOffset ?? Number.POSITIVE_INFINITY)) return kept;
    let found: FoundRecord | undefined;
    for (const record of this.#walk(logOffset, () => {}, undefined)) {
      if (keyOf(record.head) === undefined) continue;
      found = record;
      break;
    }
    this.#inOrder = { from: logOffset, found };
    return found;
  }

  #probe(ordinal: number): Probe {
    const cached = this.#probes.get(ordinal);
    if (cached !== undefined) return cached;
    const start = this.#firstRecordFrom(ordinal);
    const first = start === undefined ? undefined : this.#firstInOrder(start.logOffset);
    const key = first === undefined ? undefined : keyOf(first.head);
    // Not where the slot says: a walk that begins with a record knows what it stands behind when it comes to damage.
    const probe = { ordinal: start?.ordinal, logOffset: first?.logOffset ?? 0, key };
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
      const middle = between(low, high);
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
