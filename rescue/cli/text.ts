import { formatBytes, formatSeconds } from '../units.ts';

/** Plain text for terminals: nothing that comes from a disk may move the cursor or change a line that stands. */

/** Columns below which nothing is squeezed. */
export const MINIMUM_WIDTH = 80;

const hex = (character: string): string => {
  const code = character.codePointAt(0)!;
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
};

/** Control characters, line separators, marks that turn the direction of text, halves of characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const NOT_ASCII = /[^\x20-\x7e]/gu;

/** `text` in one line that is safe to show; `unicode`: whether the terminal can be trusted with more than ASCII. */
export const printable = (text: string, unicode = true): string =>
  text.replace(UNPRINTABLE, hex).replace(unicode ? /(?!)/g : NOT_ASCII, hex);

/** Whether the environment says that text is UTF-8. */
export const isUnicode = (env: Readonly<Record<string, string | undefined>>): boolean =>
  /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '');

/** Length in characters as a person counts them, more or less. */
const lengthOf = (text: string): number => [...text].length;

export const padTo = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - lengthOf(text)));

export const cutTo = (text: string, width: number): string =>
  lengthOf(text) <= width ? text : `${[...text].slice(0, Math.max(0, width - 2)).join('')}..`;

/** Breaks `text` at blanks into lines of at most `width` columns, the first and the others indented as given. */
export const wrap = (
  text: string,
  options: { readonly width: number; readonly first?: string; readonly rest?: string },
): string => {
  const { width, first = '', rest = '' } = options;
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && lengthOf(line) + 1 + lengthOf(word) > width) {
      lines.push(line);
      line = rest + word;
    } else line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line].join('\n');
};

/** Rows of cells in columns that are two blanks apart; nothing behind the last cell. */
export const columns = (rows: readonly (readonly string[])[]): string[] => {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, lengthOf(cell));
    });
  return rows.map((row) =>
    row
      .map((cell, index) => padTo(cell, widths[index]!))
      .join('  ')
      .trimEnd(),
  );
};

/** Names and values below one another. */
export const facts = (pairs: readonly (readonly [string, string])[], indent = ''): string[] =>
  columns(pairs.map(([name, value]) => [`${indent}${name}`, value]));

const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');

/** `0:07`, `12:30`, `1:02:03`. */
export const formatClock = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
};

/** `0.4 s`, `12 s`, `2 min 5 s`, `1 h 2 min`. */
export const formatDuration = (seconds: number): string => {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${whole % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

/** An ISO time: `2026-11-22 14:03 UTC`. Other text stays as it is. */
export const formatTime = (iso: string): string => {
  const time = Date.parse(iso);
  return Number.isNaN(time) ? iso : formatSeconds(time / 1000);
};

/** `1 image`, `2 images`. */
export const count = (amount: number, noun: string): string => `${amount} ${noun}${amount === 1 ? '' : 's'}`;

/** `4.0 MiB (4194304 bytes)`: for values that somebody may copy. */
export const exactBytes = (bytes: number): string =>
  bytes < 1024 ? formatBytes(bytes) : `${formatBytes(bytes)} (${bytes} bytes)`;
