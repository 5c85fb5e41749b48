import {
  CASE_LOWER_EXTENSION,
  CASE_LOWER_NAME,
  LONG_ENTRY,
  LONG_ENTRY_CHARACTERS,
  LONG_NAME_MOST,
  NAME_KANJI_E5,
} from './layout.ts';

/** Names of eight and three characters, and the parts of long ones. */

/**
 * Bytes from 0x80 on in code page 850. A volume does not say which code page its short names are in; this is the one that
 * mtools and mkfs.fat assume. Only names without a long one depend on it, and only on screen.
 */
const CP850 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤' +
  'ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0';

/** Text of an OEM code page; what is no character there appears as U+FFFD. */
export const decodeOem = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) {
    if (byte < 0x20) text += '\ufffd';
    else text += byte < 0x80 ? String.fromCharCode(byte) : CP850[byte - 0x80]!;
  }
  return text;
};

const trimmed = (text: string): string => text.replace(/ +$/, '');

/** Eleven bytes as a person writes them: `README.TXT`, in lower case where `DIR_NTRes` says so. */
export const shortNameText = (name: Uint8Array, caseBits = 0): string => {
  const bytes = Uint8Array.from(name);
  if (bytes[0] === NAME_KANJI_E5) bytes[0] = 0xe5;
  const base = trimmed(decodeOem(bytes.subarray(0, 8)));
  const extension = trimmed(decodeOem(bytes.subarray(8, 11)));
  const first = (caseBits & CASE_LOWER_NAME) === 0 ? base : base.toLowerCase();
  const second = (caseBits & CASE_LOWER_EXTENSION) === 0 ? extension : extension.toLowerCase();
  return second === '' ? first : `${first}.${second}`;
};

/** fatgen103 "Short Directory Entries": what no short name may hold beside control characters. */
const NOT_IN_SHORT = new Set(Buffer.from('"*+,./:;<=>?[\\]|'));

/**
 * Whether eleven bytes can be a file's name: no control characters or reserved ones, no blank in front; 0x05 in front stands
 * for 0xE5. Lower case and blanks in between are not good form, but exist and do no harm.
 */
export const isShortName = (name: Uint8Array): boolean =>
  name[0] !== 0x20 &&
  name.every((byte, at) => {
    if (at === 0 && byte === NAME_KANJI_E5) return true;
    return byte >= 0x20 && byte !== 0x7f && !NOT_IN_SHORT.has(byte);
  });

/** fatgen103 "ChkSum": ties a long name's parts to the short entry behind them. */
export const shortNameChecksum = (name: Uint8Array): number => {
  let sum = 0;
  for (let index = 0; index < 11; index += 1) sum = (((sum & 1) << 7) + (sum >>> 1) + name[index]!) & 0xff;
  return sum;
};

/** The 13 UTF-16 units of one part of a long name, as they stand there. */
export const longNameUnits = (entry: Uint8Array): number[] => {
  const units: number[] = [];
  for (const field of ['LDIR_Name1', 'LDIR_Name2', 'LDIR_Name3'] as const) {
    const bytes = LONG_ENTRY.get(entry, field);
    for (let at = 0; at < bytes.length; at += 2) units.push(bytes[at]! | (bytes[at + 1]! << 8));
  }
  return units;
};

/**
 * A long name from the units of all its parts in order: it ends at the first 0, behind which there is 0xFFFF only, or fills
 * the last part. Undefined if that is not so, or it is empty.
 */
export const longNameText = (units: readonly number[]): string | undefined => {
  const end = units.indexOf(0);
  const length = end < 0 ? units.length : end;
  if (length === 0 || length <= units.length - LONG_ENTRY_CHARACTERS) return undefined;
  if (end >= 0 && units.slice(end + 1).some((unit) => unit !== 0xffff)) return undefined;
  return String.fromCharCode(...units.slice(0, length)).toWellFormed();
};

/** fatgen103 "Long Directory Entries": what no long name may hold. */
const NOT_IN_LONG = new Set('"*/:<>?\\|');
export const isLongName = (name: string): boolean =>
  name.length <= LONG_NAME_MOST && ![...name].some((each) => each < ' ' || NOT_IN_LONG.has(each));
