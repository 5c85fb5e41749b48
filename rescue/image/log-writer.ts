import type { Device } from '../device/device.ts';
import { allocatePageAligned } from '../device/direct.ts';
import { allSettled, writeSoon } from '../device/soon.ts';
import { refused } from '../errors.ts';
import { type ByteOffset, MIB, roundUp } from '../units.ts';
import type { SlotHomes } from './extents.ts';
import { ANCHOR_INTERVAL, RECORD_ALIGNMENT, SLOT_HEADER_SIZE } from './layout.ts';
import { payloadCapacity, type SlotPlace, sealSlot } from './slot.ts';
import { dataSlotIndex } from './slot-order.ts';

/** Bytes whose writes may be under way while more of the log is made. */
const MOST_UNDER_WAY = 4 * MIB;

/** Slots that lie one behind the other are written together, this many bytes at most. */
const WRITE_SIZE = MIB;

export interface LogWriterOptions {
  /** The partition. */
  readonly device: Device;
  readonly homes: SlotHomes;
  readonly template: Uint8Array;
}

/** Home of the nearest anchor at or before slot `index`. */
export const anchorHomeOf = (homes: SlotHomes, index: number): ByteOffset =>
  homes.homeOf(index - (index % ANCHOR_INTERVAL));

/** Place of a slot that has a successor. Throws `refused` (`no-space`) when the planned extents are used up. */
export const placeOf = (
  homes: SlotHomes,
  index: number,
  rest: Pick<SlotPlace, 'kind' | 'logOffset' | 'firstRecord'>,
): SlotPlace => {
  if (index + 1 >= homes.slotCount) {
    throw refused('the image does not fit into the free space', {
      code: 'no-space',
      found: `${homes.slotCount} slots of ${homes.slotSize} bytes`,
      wayOut: 'Free some space, or use a stronger compression level.',
    });
  }
  return {
    ...rest,
    index,
    home: homes.homeOf(index),
    nextHome: homes.homeOf(index + 1),
    anchorHome: anchorHomeOf(homes, index),
  };
};

/**
 * Cuts the log into data slots and writes them in order. Holds at most `WRITE_SIZE` bytes, and between `beginBulk` and `endBulk`
 * at most twice the bytes of the writes that are under way, which `roomForMore` bounds.
 */
export class LogWriter {
  readonly #device: Device;
  readonly #homes: SlotHomes;
  readonly #template: Uint8Array;
  readonly #capacity: number;
  #chunk: Uint8Array;
  /** Chunks that no write needs any more. */
  readonly #spare: Uint8Array[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #bytesUnderWay = 0;
  #inBulk = false;
  /** Slot index of the first slot in the chunk, and how many complete slots it holds. */
  #chunkFirst: number;
  #chunkSlots = 0;
  /** Data slots completed. */
  #slots = 0;
  /** Payload bytes in the open slot, and where its first record starts. */
  #filled = 0;
  #firstRecord: number | undefined;

  constructor(options: LogWriterOptions) {
    this.#device = options.device;
    this.#homes = options.homes;
    this.#template = options.template;
    this.#capacity = payloadCapacity(options.homes.slotSize);
    this.#chunk = allocatePageAligned(WRITE_SIZE);
    this.#chunkFirst = dataSlotIndex(0);
  }

  /** Log position of the next record. */
  get position(): number {
    return this.#slots * this.#capacity + this.#filled;
  }

  /** Data slots begun so far. */
  get slots(): number {
    return this.#slots + (this.#filled > 0 ? 1 : 0);
  }

  /** Appends one record, padded to the alignment; returns its position in the log. */
  append(...parts: readonly Uint8Array[]): number {
    const position = this.position;
    this.#firstRecord ??= this.#filled;
    let length = 0;
    for (const part of parts) {
      this.#push(part);
      length += part.length;
    }
    this.#push(new Uint8Array(roundUp(length, RECORD_ALIGNMENT) - length));
    return position;
  }

  /**
   * Goes on with what a data slot of another generation holds, or the first part of it: the log stays the same. Call while no slot
   * is open. `firstRecord` as that slot's header has it.
   */
  copySlot(payload: Uint8Array, firstRecord: number | undefined): void {
    if (this.#filled > 0) throw new RangeError('a slot is open');
    if (firstRecord !== undefined && firstRecord < payload.length) this.#firstRecord = firstRecord;
    this.#push(payload);
  }

  #push(part: Uint8Array): void {
    for (let at = 0; at < part.length; ) {
      const space = this.#capacity - this.#filled;
      const piece = part.subarray(at, at + space);
      this.#chunk.set(piece, this.#chunkSlots * this.#homes.slotSize + SLOT_HEADER_SIZE + this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled === this.#capacity) this.#completeSlot();
    }
  }

  #completeSlot(): void {
    const { slotSize } = this.#homes;
    const index = dataSlotIndex(this.#slots);
    const place = placeOf(this.#homes, index, {
      kind: 'data',
      logOffset: this.#slots * this.#capacity,
      firstRecord: this.#firstRecord,
    });
    const start = this.#chunkSlots * slotSize;
    // A chunk is used again and again.
    this.#chunk.fill(0, start + SLOT_HEADER_SIZE + this.#filled, start + slotSize);
    sealSlot(this.#chunk.subarray(start, start + slotSize), this.#template, place, this.#filled);
    this.#slots += 1;
    this.#chunkSlots += 1;
    this.#filled = 0;
    this.#firstRecord = undefined;
    const follows = dataSlotIndex(this.#slots) === index + 1 && place.nextHome === place.home + slotSize;
    if (!follows || (this.#chunkSlots + 1) * slotSize > WRITE_SIZE) this.#writeChunk();
  }

  /** From now on, writes are not waited for. */
  beginBulk(): void {
    this.#inBulk = true;
  }

  /** Resolves when few enough bytes are being written. Throws `io` for any write before. */
  async roomForMore(): Promise<void> {
    // One that failed is among them for good.
    while (this.#bytesUnderWay > MOST_UNDER_WAY) await Promise.race(this.#underWay);
  }

  /** Waits for all writes; from now on, each is waited for at once. Throws `io`. */
  async endBulk(): Promise<void> {
    this.#inBulk = false;
    await allSettled([...this.#underWay]);
  }

  #writeChunk(): void {
    if (this.#chunkSlots > 0) {
      const chunk = this.#chunk;
      const bytes = chunk.subarray(0, this.#chunkSlots * this.#homes.slotSize);
      const home = this.#homes.homeOf(this.#chunkFirst);
      if (!this.#inBulk) this.#device.write(home, bytes);
      else if (bytes.length <= WRITE_SIZE / 2) this.#begin(home, bytes.slice());
      else {
        this.#begin(home, bytes, chunk);
        this.#chunk = this.#spare.pop() ?? allocatePageAligned(WRITE_SIZE);
      }
    }
    this.#chunkSlots = 0;
    this.#chunkFirst = dataSlotIndex(this.#slots);
  }

  /** One that failed stays among those that are under way: whoever waits is told. */
  #begin(home: ByteOffset, bytes: Uint8Array, chunk?: Uint8Array): void {
    const write = writeSoon(this.#device, home, bytes);
    this.#underWay.add(write);
    this.#bytesUnderWay += bytes.length;
    write.then(
      () => {
        this.#underWay.delete(write);
        this.#bytesUnderWay -= bytes.length;
        if (chunk !== undefined) this.#spare.push(chunk);
      },
      () => {
        this.#bytesUnderWay = Number.POSITIVE_INFINITY;
      },
    );
  }

  /** Completes the last slot, adds empty ones up to `slots` in all, and writes what is held. */
  finish(slots: number): number {
    while (this.#filled > 0 || this.#slots < slots) this.#completeSlot();
    this.#writeChunk();
    return this.#slots;
  }
}
