import { printable, wrap } from '../rescue/cli/text.ts';

/** What every screen is made of: rows of text in named styles. Nothing here knows of a terminal. */

/** What a piece of text means; the theme says how that looks. */
export type Style =
  | 'normal'
  | 'strong'
  | 'dim'
  | 'header'
  | 'key'
  | 'good'
  | 'warning'
  | 'danger'
  | 'selected'
  | 'button'
  | 'focused'
  | 'disabled'
  | 'field'
  | 'image'
  | 'written'
  | 'verified'
  | 'read'
  | 'untouched';

export interface Span {
  /** Characters of one column each. */
  readonly text: string;
  readonly style: Style;
}
export type Row = readonly Span[];

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** How much the terminal can show. */
export interface Look {
  readonly unicode: boolean;
  readonly colour: boolean;
  readonly glyphs: Glyphs;
}

/** Only what the fonts of a PC's text console have: code page 437. */
const UNICODE_GLYPHS = {
  pointer: '►',
  line: '─',
  wall: '│',
  full: '█',
  dark: '▓',
  light: '░',
  dot: '·',
  ellipsis: '»',
  up: '▲',
  down: '▼',
};
export type Glyphs = Readonly<Record<keyof typeof UNICODE_GLYPHS, string>>;
const ASCII_GLYPHS: Glyphs = {
  pointer: '>',
  line: '-',
  wall: '|',
  full: '#',
  dark: '=',
  light: '+',
  dot: '.',
  ellipsis: '>',
  up: '^',
  down: 'v',
};

export const lookOf = (unicode: boolean, colour: boolean): Look => ({
  unicode,
  colour,
  glyphs: unicode ? UNICODE_GLYPHS : ASCII_GLYPHS,
});

/**
 * What takes no column or two, or has no place in the basic plane: terminals disagree about its width, and one
 * character of the wrong width shifts a whole screen. (Combining marks, Hangul, CJK, full width forms, emoji.)
 */
const ODD_WIDTH =
  /[\p{M}\p{Cf}\u1100-\u115f\u231a\u231b\u2329\u232a\u2600-\u27bf\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe10-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{10000}-\u{10ffff}]/gu;

const spellOut = (character: string): string => `\\u{${character.codePointAt(0)!.toString(16)}}`;

/** Text from outside (disks, devices, files) in a form that takes one column per character and moves no cursor. */
export const shown = (text: string, look: Look): string =>
  printable(text, look.unicode).replace(ODD_WIDTH, spellOut);

export const span = (text: string, style: Style = 'normal'): Span => ({ text, style });

export const row = (...parts: readonly (string | Span)[]): Row =>
  parts.map((part) => (typeof part === 'string' ? span(part) : part));

export const BLANK: Row = [];

export const textOf = (cells: Row): string => cells.map((each) => each.text).join('');

export const lengthOf = (cells: Row): number => cells.reduce((sum, { text }) => sum + text.length, 0);

/** `text` in at most `columns`, the last one a mark if something is missing. */
export const cut = (text: string, columns: number, look: Look): string =>
  text.length <= columns
    ? text
    : `${text.slice(0, Math.max(0, columns - 1))}${look.glyphs.ellipsis}`.slice(0, columns);

/** Exactly `columns` wide: cut, or padded in `style`. */
export const fitTo = (cells: Row, columns: number, style: Style = 'normal'): Row => {
  const fitted: Span[] = [];
  let left = columns;
  for (const { text, style: own } of cells) {
    if (left <= 0) break;
    fitted.push(span(text.slice(0, left), own));
    left -= text.length;
  }
  if (left > 0) fitted.push(span(' '.repeat(left), style));
  return fitted;
};

/** A row in one style throughout, e.g. the selected one of a list. */
export const restyle = (cells: Row, style: Style): Row => cells.map(({ text }) => span(text, style));

/** Text broken at blanks into rows. */
export const paragraph = (
  text: string,
  columns: number,
  options: { readonly style?: Style; readonly first?: string; readonly rest?: string } = {},
): Row[] => {
  const { style = 'normal', first = '', rest = first } = options;
  return wrap(text, { width: columns, first, rest })
    .split('\n')
    .map((line) => row(span(line.slice(0, columns), style)));
};

/** `left` and `right` at the two ends of a row. */
export const ends = (left: Row, right: Row, columns: number, style: Style = 'normal'): Row => {
  const room = columns - lengthOf(right);
  return room < lengthOf(left) + 1 ? fitTo(left, columns, style) : [...fitTo(left, room, style), ...right];
};

/** Names and values below one another; a value may take several rows. */
export const factRows = (
  pairs: readonly (readonly [name: string, value: string, style?: Style])[],
  columns: number,
): Row[] => {
  const width = Math.max(0, ...pairs.map(([name]) => name.length)) + 2;
  return pairs.flatMap(([name, value, style]) =>
    paragraph(value, columns - width).map((line, index) =>
      row(span((index === 0 ? name : '').padEnd(width), 'dim'), span(textOf(line), style ?? 'normal')),
    ),
  );
};
