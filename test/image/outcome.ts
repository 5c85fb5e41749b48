import { crc32 } from 'node:zlib';
import type { FieldType, Struct } from '../../rescue/bytes/fields.ts';
import { isHoldfastError } from '../../rescue/errors.ts';

/** `ok`, or the code of the typed error that `body` throws; anything else that is thrown goes on. */
export const outcomeOf = (body: () => unknown): string => {
  try {
    body();
    return 'ok';
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return error.detail.code;
  }
};

/** Bytes as lines of 16, `offset: hex`; lines of zeros are left out. */
export const dump = (bytes: Uint8Array): string[] => {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const line = bytes.subarray(at, at + 16);
    if (line.every((byte) => byte === 0)) continue;
    const hex = Buffer.from(line)
      .toString('hex')
      .replace(/..(?=.)/g, '$& ');
    lines.push(`${at.toString(16).padStart(3, '0')}: ${hex}`);
  }
  return lines;
};

/** The bytes that a dump of `length` bytes shows; what stands behind two spaces is a remark. */
export const undump = (lines: readonly string[], length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  for (const line of lines) {
    const [at, hex] = line.split('  ')[0]!.split(': ');
    bytes.set(Buffer.from(hex!.replaceAll(' ', ''), 'hex'), Number.parseInt(at!, 16));
  }
  return bytes;
};

/** `bytes` with bits of one byte flipped. */
export const flipped = (bytes: Uint8Array, at: number, mask = 0xff): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[at] = copy[at]! ^ mask;
  return copy;
};

/** The CRC-32 of bytes `from` to `to` written to `at`: what a forger would do. */
export const resealed = (bytes: Uint8Array, at: number, from = 0, to = at): Uint8Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(at, crc32(bytes.subarray(from, to)), true);
  return bytes;
};

/**
 * What comes of changing each byte of each field in turn: one word if all its bytes agree, else one per byte, with
 * `word*n` for n in a row.
 */
export const outcomesByField = <F extends Record<string, readonly [number, FieldType, string?]>>(
  struct: Struct<F>,
  outcomeAt: (at: number) => string,
): Record<string, string> =>
  Object.fromEntries(
    Object.keys(struct.fields).map((name) => {
      const at = struct.offsetOf(name);
      const outcomes = Array.from({ length: struct.widthOf(name) }, (_, byte) => outcomeAt(at + byte));
      return [name, inRuns(outcomes)];
    }),
  );

const inRuns = (words: readonly string[]): string => {
  const runs: { word: string; count: number }[] = [];
  for (const word of words) {
    const last = runs.at(-1);
    if (last?.word === word) last.count += 1;
    else runs.push({ word, count: 1 });
  }
  if (runs.length === 1) return runs[0]!.word;
  return runs.map(({ word, count }) => (count === 1 ? word : `${word}*${count}`)).join(' ');
};

/** Bytes of a structure that no field covers. */
export const reservedBytes = <F extends Record<string, readonly [number, FieldType, string?]>>(
  struct: Struct<F>,
): number[] => {
  const covered = new Set<number>();
  for (const name of Object.keys(struct.fields)) {
    for (let byte = 0; byte < struct.widthOf(name); byte += 1) covered.add(struct.offsetOf(name) + byte);
  }
  return Array.from({ length: struct.size }, (_, at) => at).filter((at) => !covered.has(at));
};
