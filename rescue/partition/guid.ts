import { corrupt } from '../errors.ts';

/**
 * A GUID on disk has its first three groups little-endian and the rest in order (UEFI specification, appendix A).
 * Here text is always lower case, as Linux spells PARTUUID.
 */
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;
const PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const GUID_BYTES = 16;
export const NIL_GUID = '00000000-0000-0000-0000-000000000000';

/** Lower-case text of the 16 bytes at `at`. */
export const guidText = (bytes: Uint8Array, at = 0): string => {
  const hex = ORDER.map((index) => bytes[at + index]!.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
};

/** True for the text of a GUID, in either case. */
export const isGuid = (text: string): boolean => PATTERN.test(text.toLowerCase());

/** The 16 bytes as they stand on disk. Throws `corrupt` for text that is not a GUID. */
export const guidBytes = (text: string): Uint8Array => {
  if (!isGuid(text)) throw corrupt('not a GUID', { code: 'guid.syntax', found: text.slice(0, 64) });
  const plain = Buffer.from(text.replaceAll('-', ''), 'hex');
  return Uint8Array.from(ORDER, (index) => plain[index]!);
};
