import { corrupt } from '../../errors.ts';
import type { ByteOffset } from '../../units.ts';
import { RECORD_HEADER, STRIDE } from './layout.ts';

/** What a protected record is called in messages, and where it stands. */
export interface Place {
  readonly structure: string;
  /** Byte position on the device. */
  readonly offset: ByteOffset;
}

const fail = (place: Place, message: string, expected: string | number, found: string | number) =>
  corrupt(message, { code: 'ntfs.update-sequence', ...place, expected, found });

export const magicOf = (bytes: Uint8Array): string =>
  Buffer.from(RECORD_HEADER.get(bytes, 'magic')).toString('latin1');

/**
 * Checks the update sequence of a record and puts back the words that it replaced, in place. The record is whole strides.
 * The end of each stride repeats the update sequence number; where one does not, only a part of the record reached the disk.
 * Throws `corrupt` (`ntfs.update-sequence`).
 */
export const removeUpdateSequence = (bytes: Uint8Array, place: Place): void => {
  const start = RECORD_HEADER.get(bytes, 'usa_ofs');
  const count = RECORD_HEADER.get(bytes, 'usa_count');
  const strides = bytes.length / STRIDE;
  if (count !== strides + 1) throw fail(place, 'update sequence of wrong length', strides + 1, count);
  const end = start + 2 * count;
  // It ends before the first word that it replaces (layout of the record header).
  if (start < RECORD_HEADER.size || start % 2 !== 0 || end > STRIDE - 2)
    throw fail(
      place,
      'update sequence outside the first stride',
      `${RECORD_HEADER.size} to ${STRIDE - 2}`,
      start,
    );
  for (let stride = 0; stride < strides; stride += 1) {
    const at = (stride + 1) * STRIDE - 2;
    if (bytes[at] !== bytes[start] || bytes[at + 1] !== bytes[start + 1]) {
      const word = (position: number): number => bytes[position]! | (bytes[position + 1]! << 8);
      throw fail(place, `written in part: wrong update sequence number at ${at}`, word(start), word(at));
    }
  }
  for (let stride = 0; stride < strides; stride += 1) {
    const at = (stride + 1) * STRIDE - 2;
    const saved = start + 2 * (stride + 1);
    bytes[at] = bytes[saved]!;
    bytes[at + 1] = bytes[saved + 1]!;
  }
};

/** The record as it goes to the disk under this update sequence number: the last word of every stride moves into the array. A copy. */
const withUpdateSequence = (plain: Uint8Array, number: number): Uint8Array => {
  const bytes = Uint8Array.from(plain);
  const start = RECORD_HEADER.get(bytes, 'usa_ofs');
  const put = (at: number, value: number): void => {
    bytes[at] = value & 0xff;
    bytes[at + 1] = value >>> 8;
  };
  put(start, number);
  for (let stride = 0; stride < bytes.length / STRIDE; stride += 1) {
    const at = (stride + 1) * STRIDE - 2;
    put(start + 2 * (stride + 1), plain[at]! | (plain[at + 1]! << 8));
    put(at, number);
  }
  return bytes;
};

/** Never 0 or 0xffff, which chkdsk and unused records have a use for. */
const numberAfter = (number: number): number => (number + 1 >= 0xffff ? 1 : number + 1);

/**
 * Gives a changed record its update sequence. A change of one stride keeps the number, so that one stride reaches the disk, whole
 * or not at all; else the number is the next one, and a record that is written in part is found. `standing`: the record as it is on
 * the disk; undefined for a new one.
 */
export const protectRecord = (plain: Uint8Array, standing?: Uint8Array): Uint8Array => {
  if (standing === undefined) return withUpdateSequence(plain, 1);
  const start = RECORD_HEADER.get(standing, 'usa_ofs');
  const number = standing[start]! | (standing[start + 1]! << 8);
  const kept = withUpdateSequence(plain, number);
  let changed = 0;
  for (let at = 0; at < plain.length; at += STRIDE)
    if (Buffer.compare(kept.subarray(at, at + STRIDE), standing.subarray(at, at + STRIDE)) !== 0)
      changed += 1;
  return changed <= 1 ? kept : withUpdateSequence(plain, numberAfter(number));
};
