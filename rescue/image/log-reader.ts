import { isLocalFailure } from '../device/bad-sectors.ts';
import type { ReadableDevice } from '../device/device.ts';
import { allocatePageAligned } from '../device/direct.ts';
import { readSoon, readUncachedSoon } from '../device/soon.ts';
import { corrupt } from '../errors.ts';
import type { ByteLength } from '../units.ts';
import { decodeFrame } from './codec.ts';
import type { SlotHomes } from './extents.ts';
import { RECORD_HEADER, SLOT_HEADER, SLOT_HEADER_SIZE } from './layout.ts';
import {
  headLength,
  MAX_RECORD_LENGTH,
  parseRecordHead,
  peekHeadLength,
  type RecordHead,
  recordLength,
  sha256,
} from './record.ts';
import { hasSlotMagic, headerIntact, payloadCapacity } from './slot.ts';
import { dataSlotIndex } from './slot-order.ts';

/** Where the slots of one container can be read. */
export interface SlotSource {
  /** The partition, or the container's files one behind the other: homes count from its start. */
  readonly device: ReadableDevice;
  readonly homes: SlotHomes;
  /** 16 bytes: a slot of another image in our place means that ours was overwritten. */
  readonly imageId: Uint8Array;
  /** Slots of different generations are never mixed. */
  readonly generation: number;
  /** Slots are placed by their order in a file: a repair that was cut off leaves two neighbouring generations in it. */
  readonly byIndex?: boolean;
  /** Bytes of the log. */
  readonly logLength: number;
}

export interface Record {
  readonly head: RecordHead;
  /** As stored; a view that stays valid. */
  readonly stored: Uint8Array;
  /** Bytes of the whole record in the log. */
  readonly length: ByteLength;
}

/** Stretches that are being read while others are worked on: a disk that is asked for one at a time is idle in between. */
const STRETCHES_AHEAD = 3;

/** Slots that lie one behind the other and are read, or being read, before they are asked for. */
interface Ahead {
  readonly first: number;
  readonly slots: number;
  readonly bytes: Uint8Array;
  /** Never rejects. */
  readonly settled: Promise<void>;
  loaded: boolean;
}

const holds = ({ first, slots }: Pick<Ahead, 'first' | 'slots'>, index: number): boolean =>
  first <= index && index < first + slots;

/** Reads the log through the slots. `readAhead` (in slots) is 1 for scattered reading, more for sequential. */
export class LogReader {
  readonly #source: SlotSource;
  readonly #capacity: number;
  readonly #readAhead: number;
  #cacheFirst = -1;
  #cacheSlots = 0;
  /** Grows to what is read at once, then stays. */
  #cache: Uint8Array = new Uint8Array(0);
  /** The latest stretch that could not be read as a whole. */
  #failed = { first: 0, slots: 0 };
  #ahead: Ahead[] = [];
  /** Arrays of `#readAhead` slots that are free again. */
  readonly #spare: Uint8Array[] = [];
  /** Those that nobody will ask for any more included. */
  readonly #underWay = new Set<Promise<void>>();
  /** Slots before this one are not read ahead any more: it failed there. */
  #aheadFrom = 0;

  constructor(source: SlotSource, readAhead = 16) {
    this.#source = source;
    this.#capacity = payloadCapacity(source.homes.slotSize);
    this.#readAhead = readAhead;
  }

  get length(): number {
    return this.#source.logLength;
  }

  /**
   * The whole slot with this index. One that carries another's header is lost; under a damaged header the payload may be whole,
   * which its records tell by their own checksums. Throws `corrupt` (`slot.lost`), `io`.
   */
  #slot(index: number, wanted: number): Uint8Array {
    const ahead = this.#ahead.find((each) => holds(each, index));
    if (ahead?.loaded === true) return this.#checked(index, ahead.bytes, index - ahead.first);
    if (!holds({ first: this.#cacheFirst, slots: this.#cacheSlots }, index)) {
      // Near a bad place, a disk tries for seconds: what failed as a whole is not tried as a whole again.
      const failed = ahead !== undefined || holds(this.#failed, index);
      this.#fill(index, failed ? 1 : Math.max(wanted, this.#readAhead));
    }
    return this.#checked(index, this.#cache, index - this.#cacheFirst);
  }

  #fill(index: number, most: number): void {
    const { device, homes } = this.#source;
    const slots = this.#stretch(index, most);
    if (slots < 1) throw this.#lost(index, 'outside the device');
    const load = (count: number): void => {
      const length = count * homes.slotSize;
      if (this.#cache.length < length) this.#cache = new Uint8Array(length);
      this.#cacheSlots = 0;
      device.readInto(homes.homeOf(index), this.#cache.subarray(0, length));
      this.#cacheFirst = index;
      this.#cacheSlots = count;
    };
    try {
      load(slots);
    } catch (error) {
      // A bad place further on must not take this slot with it.
      if (slots === 1 || !isLocalFailure(error)) throw error;
      this.#failed = { first: index, slots };
      load(1);
    }
  }

  /** How many slots from this one on can be read at once, `most` at most. */
  #stretch(index: number, most: number): number {
    const { homes, device } = this.#source;
    const inside = Math.floor((device.size - homes.homeOf(index)) / homes.slotSize);
    return Math.min(homes.contiguousFrom(index), most, inside);
  }

  /**
   * Reads these bytes of the log, and begins with what comes behind them, so that the calls below need not wait for the disk.
   * Never rejects: what cannot be read now is read, and fails, when it is asked for.
   */
  async prefetch(logOffset: number, length: ByteLength): Promise<void> {
    const end = Math.min(logOffset + length, this.#source.logLength);
    if (logOffset < 0 || end <= logOffset) return;
    const first = this.#slotAt(logOffset);
    const last = this.#slotAt(end - 1);
    const beyond = last + STRETCHES_AHEAD * this.#readAhead;
    this.#forget(({ first: from, slots }) => from + slots <= first || from > beyond);
    let next = Math.max(first, this.#aheadFrom);
    while (next <= last) next += this.#begin(next);
    const lastOfAll = this.#slotAt(this.#source.logLength - 1);
    for (let begun = 0; begun < STRETCHES_AHEAD && next <= lastOfAll; begun += 1) next += this.#begin(next);
    await Promise.all(this.#ahead.filter((each) => each.first <= last).map((each) => each.settled));
  }

  /** Resolves when no read is under way any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #slotAt(logOffset: number): number {
    return dataSlotIndex(Math.floor(logOffset / this.#capacity));
  }

  /** Begins to read from this slot on, unless that is done. Returns how many slots that is. */
  #begin(index: number): number {
    const known = this.#ahead.find((each) => holds(each, index));
    if (known !== undefined) return known.first + known.slots - index;
    const { device, homes } = this.#source;
    if (index >= homes.slotCount) return 1;
    const slots = this.#stretch(index, this.#readAhead);
    if (slots < 1) return 1;
    // Short stretches are many where slots lie scattered: those take no more memory than they fill.
    const spare = slots === this.#readAhead ? this.#spare.pop() : undefined;
    const bytes = spare ?? allocatePageAligned(slots * homes.slotSize);
    // A restore reads the log twice, and the second time between its writes.
    const read = device.rotational === true ? readSoon : readUncachedSoon;
    const settled = read(device, homes.homeOf(index), bytes).then(
      () => {
        ahead.loaded = true;
      },
      () => {
        this.#aheadFrom = Math.max(this.#aheadFrom, index + slots);
      },
    );
    const ahead: Ahead = { first: index, slots, bytes, settled, loaded: false };
    this.#ahead.push(ahead);
    this.#underWay.add(settled);
    void settled.then(() => this.#underWay.delete(settled));
    return slots;
  }

  #forget(isDone: (ahead: Ahead) => boolean): void {
    for (const each of this.#ahead.filter(isDone)) {
      each.loaded = false;
      if (each.slots === this.#readAhead) void each.settled.then(() => this.#spare.push(each.bytes));
    }
    this.#ahead = this.#ahead.filter((each) => !isDone(each));
  }

  #checked(index: number, bytes: Uint8Array, place: number): Uint8Array {
    const { slotSize } = this.#source.homes;
    const slot = bytes.subarray(place * slotSize, (place + 1) * slotSize);
    const same =
      hasSlotMagic(slot) &&
      SLOT_HEADER.get(slot, 'slot_index') === index &&
      this.#isGeneration(SLOT_HEADER.get(slot, 'generation')) &&
      Buffer.compare(SLOT_HEADER.get(slot, 'image_id'), this.#source.imageId) === 0;
    if (!same && hasSlotMagic(slot) && headerIntact(slot)) throw this.#lost(index, 'another slot');
    return slot;
  }

  #isGeneration(found: number): boolean {
    const { generation, byIndex = false } = this.#source;
    return found === generation || (byIndex && Math.abs(found - generation) === 1);
  }

  #lost(index: number, found: string) {
    const { homes } = this.#source;
    return corrupt(`slot ${index} of the image is lost`, {
      code: 'slot.lost',
      structure: 'slot',
      offset: homes.homeOf(index),
      found,
    });
  }

  /** Exactly `length` bytes of the log. Throws `corrupt` (`log.end`, `slot.lost`), `io`. */
  read(logOffset: number, length: ByteLength): Uint8Array {
    this.#requireInside(logOffset, length);
    const bytes = new Uint8Array(length);
    this.readInto(logOffset, bytes);
    return bytes;
  }

  /** Before memory is taken: a forged length must not cost any. */
  #requireInside(logOffset: number, length: ByteLength): void {
    if (logOffset < 0 || logOffset + length > this.#source.logLength) {
      throw corrupt('position outside the log', {
        code: 'log.end',
        structure: 'log',
        expected: `at most ${this.#source.logLength}`,
        found: logOffset + length,
      });
    }
  }

  /** The same into memory of the caller. */
  readInto(logOffset: number, target: Uint8Array): void {
    const { length } = target;
    this.#requireInside(logOffset, length);
    for (let at = 0; at < length; ) {
      const position = logOffset + at;
      const ordinal = Math.floor(position / this.#capacity);
      const inside = position % this.#capacity;
      const wanted = Math.ceil((inside + length - at) / this.#capacity);
      const slot = this.#slot(dataSlotIndex(ordinal), wanted);
      const piece = slot.subarray(
        SLOT_HEADER_SIZE + inside,
        SLOT_HEADER_SIZE + Math.min(this.#capacity, inside + length - at),
      );
      target.set(piece, at);
      at += piece.length;
    }
  }

  /** Header and run table of the record at `logOffset`. Throws `corrupt`, `io`. */
  head(logOffset: number): RecordHead {
    const fixed = this.read(logOffset, RECORD_HEADER.size);
    return parseRecordHead(this.read(logOffset, peekHeadLength(fixed, logOffset)), logOffset);
  }

  /** Reads a whole record of known length into `target`, which is that long; `stored` is a view of it. */
  recordInto(logOffset: number, target: Uint8Array): Record {
    this.readInto(logOffset, target);
    const head = parseRecordHead(target, logOffset);
    requireLength(logOffset, target.length, recordLength(head.runs.length, head.storedLength));
    const start = headLength(head.runs.length);
    return { head, stored: target.subarray(start, start + head.storedLength), length: target.length };
  }

  /** The record at `logOffset`. `length`, when it is known, saves a read. Throws `corrupt`, `io`. */
  record(logOffset: number, length?: ByteLength): Record {
    // Before memory is taken: references are as long as a forger likes.
    if (length !== undefined && length > MAX_RECORD_LENGTH) throw wrongLength(logOffset, length, 'no record');
    const first = this.read(logOffset, length ?? RECORD_HEADER.size);
    const headBytes = peekHeadLength(first, logOffset);
    const bytes = first.length >= headBytes ? first : this.read(logOffset, headBytes);
    const head = parseRecordHead(bytes, logOffset);
    const whole = recordLength(head.runs.length, head.storedLength);
    if (length !== undefined) requireLength(logOffset, length, whole);
    const start = headLength(head.runs.length);
    const stored =
      bytes.length >= whole
        ? bytes.subarray(start, start + head.storedLength)
        : this.read(logOffset + start, head.storedLength);
    return { head, stored, length: whole };
  }

  /** Decodes a record that is not xz, and checks its digest. Throws `corrupt` (`record.digest`, ...). */
  content(record: Record, logOffset: number): Uint8Array {
    const { head, stored } = record;
    if (head.codec === 'zero' || head.codec === 'xz') {
      throw corrupt(`index record in codec ${head.codec}`, {
        code: 'record.codec',
        structure: 'record header',
      });
    }
    const raw = decodeFrame(stored, head.codec, head.rawLength);
    if (Buffer.compare(sha256(raw), head.digest) !== 0) throw wrongDigest(logOffset);
    return raw;
  }
}

const requireLength = (logOffset: number, expected: ByteLength, found: ByteLength): void => {
  if (expected !== found) throw wrongLength(logOffset, expected, found);
};

const wrongLength = (logOffset: number, expected: ByteLength, found: ByteLength | string) =>
  corrupt(`record at log position ${logOffset} has another length than its reference`, {
    code: 'record.reference',
    structure: 'record header',
    expected,
    found,
  });

export const wrongDigest = (logOffset: number) =>
  corrupt(`the content of the record at log position ${logOffset} does not match its SHA-256`, {
    code: 'record.digest',
    structure: 'record',
  });
