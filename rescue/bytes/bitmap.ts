import type { Span } from './runs.ts';

/** Sets bits [from, to). Bit n is bit n % 8 of byte n / 8 (ext: bitmaps.rst; NTFS: $Bitmap). */
export const setBits = (bitmap: Uint8Array, from: number, to: number): void => {
  for (let bit = from; bit < to; ) {
    if (bit % 8 === 0 && bit + 8 <= to) {
      const end = to - (to % 8);
      bitmap.fill(0xff, bit / 8, end / 8);
      bit = end;
    } else {
      bitmap[bit >>> 3]! |= 1 << (bit & 7);
      bit += 1;
    }
  }
};

export const isSet = (bitmap: Uint8Array, bit: number): boolean =>
  (bitmap[bit >>> 3]! & (1 << (bit & 7))) !== 0;

/** First bit in [from, to) whose value is `value`, or `to`. */
export const nextBit = (bitmap: Uint8Array, value: boolean, from: number, to: number): number => {
  const skip = value ? 0 : 0xff;
  let bit = from;
  while (bit < to) {
    if ((bit & 7) === 0 && bitmap[bit >>> 3] === skip) {
      let byte = bit >>> 3;
      while (byte < to >>> 3 && bitmap[byte] === skip) byte += 1;
      if (byte * 8 > bit) {
        bit = byte * 8;
        continue;
      }
    }
    if (isSet(bitmap, bit) === value) return bit;
    bit += 1;
  }
  return to;
};

/** Runs of set bits among the first `count`. */
export function* setRuns(bitmap: Uint8Array, count: number): Generator<Span> {
  for (let start = nextBit(bitmap, true, 0, count); start < count; ) {
    const end = nextBit(bitmap, false, start, count);
    yield { start, length: end - start };
    start = nextBit(bitmap, true, end, count);
  }
}

/** Set bits among the first `count`. */
export const countSet = (bitmap: Uint8Array, count: number): number => {
  let sum = 0;
  for (let start = nextBit(bitmap, true, 0, count); start < count; ) {
    const end = nextBit(bitmap, false, start, count);
    sum += end - start;
    start = nextBit(bitmap, true, end, count);
  }
  return sum;
};
