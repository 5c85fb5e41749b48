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
