import { corrupt } from '../../errors.ts';
import { utf16 } from './attribute.ts';
import { requireContent } from './content.ts';
import { AT_DATA, FILE_NAME, FILE_UPCASE } from './layout.ts';
import { type FileReference, readReference } from './reference.ts';
import type { Place } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

/** A name of a file, as the file itself and as the folder keep it. */
export interface FileName {
  /** The folder. */
  readonly parent: FileReference;
  /** UTF-16, possibly with halves of pairs. */
  readonly name: string;
  /** NAMESPACE_*. */
  readonly namespace: number;
}

/** Reads a $FILE_NAME. Throws `corrupt` (`ntfs.file-name`). */
export const parseFileName = (bytes: Uint8Array, place: Place): FileName => {
  const units = bytes.length < FILE_NAME.size ? 0 : FILE_NAME.get(bytes, 'file_name_length');
  if (units === 0 || FILE_NAME.size + 2 * units > bytes.length) {
    throw corrupt('a name does not fit its attribute or entry', {
      code: 'ntfs.file-name',
      ...place,
      expected: `${FILE_NAME.size} bytes and the name`,
      found: `${bytes.length} bytes, ${units} UTF-16 units`,
    });
  }
  return {
    parent: readReference(FILE_NAME, bytes, 'parent_directory'),
    name: utf16(bytes, FILE_NAME.size, units),
    namespace: FILE_NAME.get(bytes, 'file_name_type'),
  };
};

/** The volume's own table of upper case: one UTF-16 unit for each. */
export type UpCase = Uint16Array;
const UPCASE_UNITS = 65536;
/** A to Z; their lower case is so much further. */
const ASCII_LETTERS = Array.from({ length: 26 }, (_, index) => 0x41 + index);
const LOWER_CASE = 0x20;

/** Reads $UpCase: 128 KiB. Throws `corrupt` (`ntfs.upcase`, ...), `io`. */
export const readUpCase = (volume: NtfsVolume): UpCase => {
  const file = volume.file(FILE_UPCASE);
  const content = requireContent(file, AT_DATA, '', 'content');
  if (content.size !== 2 * UPCASE_UNITS) {
    throw corrupt('$UpCase is of wrong size', {
      code: 'ntfs.upcase',
      ...file.record.place,
      expected: 2 * UPCASE_UNITS,
      found: content.size,
    });
  }
  const bytes = new Uint8Array(2 * UPCASE_UNITS);
  content.readInto(0, bytes);
  const table = new Uint16Array(UPCASE_UNITS);
  for (let unit = 0; unit < UPCASE_UNITS; unit += 1)
    table[unit] = bytes[2 * unit]! | (bytes[2 * unit + 1]! << 8);
  // A table of zeros, as damage leaves it, would make all names of one length the same.
  const sane = ASCII_LETTERS.every((unit) => table[unit] === unit && table[unit + LOWER_CASE] === unit);
  if (!sane)
    throw corrupt('$UpCase is no table of upper case', { code: 'ntfs.upcase', ...file.record.place });
  return table;
};

/** A name in the volume's upper case: names that NTFS takes for the same give the same. */
export const toUpperCase = (upCase: UpCase, name: string): string =>
  String.fromCharCode(...Array.from({ length: name.length }, (_, index) => upCase[name.charCodeAt(index)]!));

/**
 * Order of names in an index (COLLATION_FILE_NAME): by upper case, the shorter first; names that differ in case only, by the
 * first unit that differs. Negative if `a` comes first, 0 only for the same name.
 */
export const compareNames = (upCase: UpCase, a: string, b: string): number => {
  const length = Math.min(a.length, b.length);
  let tie = 0;
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left === right) continue;
    const upper = upCase[left]! - upCase[right]!;
    if (upper !== 0) return upper;
    if (tie === 0) tie = left - right;
  }
  return a.length === b.length ? tie : a.length - b.length;
};
