import type { Look, Row, Span, Style } from '../cells.ts';
import { row, span } from '../cells.ts';
import type { BucketState, TouchMap } from '../touch-map.ts';

/** Pictures of a disk or partition in which a cell stands for a stretch of bytes, as in the defragmenters of old. */

export interface Mark {
  readonly glyph: (look: Look) => string;
  readonly style: Style;
  readonly meaning: string;
}
export type Marks = Readonly<Partial<Record<BucketState, Mark>>> & { readonly untouched: Mark };

const MARK = {
  dot: (look: Look) => look.glyphs.dot,
  light: (look: Look) => look.glyphs.light,
  dark: (look: Look) => look.glyphs.dark,
  full: (look: Look) => look.glyphs.full,
};

/** A search: what was looked at, and where images are. */
export const SCAN_MARKS: Marks = {
  untouched: { glyph: MARK.dot, style: 'untouched', meaning: 'not looked at' },
  read: { glyph: MARK.light, style: 'read', meaning: 'sampled' },
  slot: { glyph: MARK.full, style: 'image', meaning: 'image found' },
  image: { glyph: MARK.full, style: 'image', meaning: 'image found' },
};

/** A restore. */
export const RESTORE_MARKS: Marks = {
  untouched: { glyph: MARK.dot, style: 'untouched', meaning: 'not written (yet)' },
  written: { glyph: MARK.light, style: 'written', meaning: 'written' },
  verified: { glyph: MARK.dark, style: 'verified', meaning: 'read back, right' },
  slot: { glyph: MARK.full, style: 'image', meaning: 'image: stays' },
  image: { glyph: MARK.full, style: 'image', meaning: 'image: stays' },
};

/** Making or checking an image. */
export const CREATE_MARKS: Marks = {
  untouched: { glyph: MARK.dot, style: 'untouched', meaning: 'free, or not yet read' },
  read: { glyph: MARK.light, style: 'written', meaning: 'in use, read into the image' },
  slot: { glyph: MARK.full, style: 'image', meaning: 'image' },
  image: { glyph: MARK.full, style: 'image', meaning: 'other image: stays' },
};

const markOf = (marks: Marks, state: BucketState): Mark => marks[state] ?? marks.untouched;

/** Joins neighbours of one style. */
const joined = (spans: readonly Span[]): Row => {
  const out: { text: string; style: Style }[] = [];
  for (const { text, style } of spans) {
    const last = out.at(-1);
    if (last !== undefined && last.style === style) last.text += text;
    else out.push({ text, style });
  }
  return out;
};

/** The place from its start at the top left to its end at the bottom right. */
export const cellMap = (
  map: TouchMap,
  options: { readonly columns: number; readonly rows: number; readonly marks: Marks; readonly look: Look },
): Row[] => {
  const { columns, rows, marks, look } = options;
  const states = map.cells(columns * rows);
  return Array.from({ length: rows }, (_, line) =>
    joined(
      states.slice(line * columns, (line + 1) * columns).map((state) => {
        const mark = markOf(marks, state);
        return span(mark.glyph(look), mark.style);
      }),
    ),
  );
};

export const legend = (marks: Marks, look: Look): Row => {
  const distinct = [...new Map(Object.values(marks).map((mark) => [mark.meaning, mark])).values()];
  return row(
    ...distinct.flatMap((mark, index) => [
      ...(index === 0 ? [] : ['   ']),
      span(mark.glyph(look), mark.style),
      ` ${mark.meaning}`,
    ]),
  );
};
