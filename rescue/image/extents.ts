import { corrupt } from '../errors.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';

/**
 * A container's extents in *slot order*: slot 0 starts at the first extent's start, and so on; on disk they may lie in
 * any order. Starts are bytes from the partition start (homes).
 *
 * Delta coding: for each extent two variable-length integers (7 bits a byte, low first, high bit: more follow),
 * both in units of 512 bytes: the start's difference from the end of the extent before, zigzag-coded (0, -1, 1, -2
 * ... -> 0, 1, 2, 3 ...), then the length.
 */
const UNIT = 512;
const MAX_VARINT_BYTES = 8;

const pushVarint = (bytes: number[], value: number): void => {
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
};

export const encodeExtents = (extents: readonly Extent[]): Uint8Array => {
  const bytes: number[] = [];
  let previousEnd = 0;
  for (const { start, length } of extents) {
    if (start % UNIT !== 0 || length % UNIT !== 0 || length <= 0)
      throw new RangeError('extent not in sectors');
    const delta = (start - previousEnd) / UNIT;
    pushVarint(bytes, delta < 0 ? -delta * 2 - 1 : delta * 2);
    pushVarint(bytes, length / UNIT);
    previousEnd = start + length;
  }
  return Uint8Array.from(bytes);
};

/** Number of an extent that begins before another one ends; undefined if none does. */
const overlapping = (extents: readonly Extent[]): number | undefined => {
  const ascending = extents.map((_, index) => index);
  ascending.sort((a, b) => extents[a]!.start - extents[b]!.start);
  return ascending.find((index, place) => {
    const before = extents[ascending[place - 1] ?? -1];
    return before !== undefined && before.start + before.length > extents[index]!.start;
  });
};

/**
 * Throws `corrupt` (`extents.*`) unless the bytes hold exactly `count` extents, each inside `within` bytes and a
 * multiple of the slot size long, none over another.
 */
export const decodeExtents = (
  bytes: Uint8Array,
  count: number,
  within: ByteLength,
  slotSize: ByteLength,
): Extent[] => {
  const fail = (code: string, message: string, found: number) =>
    corrupt(message, { code: `extents.${code}`, structure: 'extent table', found });
  let at = 0;
  const take = (): number => {
    let value = 0;
    for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
      const byte = bytes[at];
      if (byte === undefined) throw fail('cut-short', 'cut short', at);
      at += 1;
      value += (byte & 0x7f) * 0x80 ** index;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value * UNIT)) break;
        return value;
      }
    }
    throw fail('number', 'number too long', at);
  };
  // An extent takes at least two bytes, so a forged count cannot make this loop longer than the bytes are.
  if (count * 2 > bytes.length) throw fail('count', 'more extents than bytes', count);
  const extents: Extent[] = [];
  let previousEnd = 0;
  for (let index = 0; index < count; index += 1) {
    const zigzag = take();
    const delta = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    const start = previousEnd + delta * UNIT;
    const length = take() * UNIT;
    if (start < 0 || length === 0 || start + length > within) {
      throw fail('bounds', `extent ${index} outside the partition`, start);
    }
    if (length % slotSize !== 0)
      throw fail('length', `extent ${index} is no multiple of the slot size`, length);
    extents.push({ start, length });
    previousEnd = start + length;
  }
  if (at !== bytes.length) throw fail('excess', 'bytes behind the last extent', bytes.length - at);
  const over = overlapping(extents);
  if (over !== undefined) throw fail('overlap', `extent ${over} lies over another one`, extents[over]!.start);
  return extents;
};

/** Answers where slot `index` lies, in logarithmic time. */
export class SlotHomes {
  readonly extents: readonly Extent[];
  readonly slotSize: ByteLength;
  readonly slotCount: number;
  /** Slot index at which extent i starts. */
  readonly #firstSlots: number[] = [];

  constructor(extents: readonly Extent[], slotSize: ByteLength) {
    this.extents = extents;
    this.slotSize = slotSize;
    let slots = 0;
    for (const extent of extents) {
      this.#firstSlots.push(slots);
      slots += extent.length / slotSize;
    }
    this.slotCount = slots;
  }

  /** Number of the extent that holds slot `index`. */
  extentOf(index: number): number {
    if (index < 0 || index >= this.slotCount) throw new RangeError(`no slot ${index} in ${this.slotCount}`);
    let low = 0;
    let high = this.#firstSlots.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#firstSlots[middle]! <= index) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Slot index at which extent `extent` starts. */
  firstSlotOf(extent: number): number {
    return this.#firstSlots[extent]!;
  }

  homeOf(index: number): ByteOffset {
    const extent = this.extentOf(index);
    return this.extents[extent]!.start + (index - this.#firstSlots[extent]!) * this.slotSize;
  }

  /** How many slots from `index` on lie one behind the other on disk, `index` included. */
  contiguousFrom(index: number): number {
    const extent = this.extentOf(index);
    return this.#firstSlots[extent]! + this.extents[extent]!.length / this.slotSize - index;
  }
}
