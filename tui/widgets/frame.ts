import type { Look, Row, Size, Span } from '../cells.ts';
import { BLANK, cut, ends, paragraph, row, span } from '../cells.ts';
import { type Key, labelOf } from '../keymap.ts';

/** What surrounds every screen: the line at the top, a message, the keys at the bottom. */

export const LEAST_SIZE: Size = { columns: 80, rows: 24 };
/** Rows that the frame takes. */
export const FRAME_ROWS = 4;

export const header = (titles: readonly string[], right: string, columns: number, look: Look): Row => {
  const path = titles.join(` ${look.glyphs.pointer} `);
  return ends(
    [span(` ${cut(path, columns - right.length - 3, look)}`, 'header')],
    [span(`${right} `, 'header')],
    columns,
    'header',
  );
};

/** Keys that do something now, as many as there is room for; those at the end (Esc, F1) are never left out. */
export const footer = (keys: readonly Key[], columns: number): Row => {
  const shownKeys = keys.filter((key) => !key.quiet && key.disabled === undefined);
  const width = (key: Key): number => labelOf(key.names[0]!).length + key.title.length + 4;
  const kept = [...shownKeys];
  const total = (): number => kept.reduce((sum, key) => sum + width(key), 0);
  // The last column stays free: some terminals scroll when it is filled in the last row.
  while (total() > columns - 1 && kept.length > 3) kept.splice(kept.length - 3, 1);
  return row(
    ...kept.flatMap((key): Span[] => [span(` ${labelOf(key.names[0]!)} `, 'key'), span(` ${key.title} `)]),
  );
};

export const tooSmall = (size: Size): Row[] => [
  row(
    span(
      `This window has ${size.columns} x ${size.rows} characters; Holdfast needs ${LEAST_SIZE.columns} x ${LEAST_SIZE.rows}.`,
      'warning',
    ),
  ),
  row('Make it larger. Nothing stops meanwhile.'),
];

/** Body rows between header and footer, cut or filled to the size. */
export const framed = (parts: {
  readonly top: Row;
  readonly body: readonly Row[];
  readonly message: string;
  readonly bottom: Row;
  readonly size: Size;
}): Row[] => {
  const { top, body, message, bottom, size } = parts;
  const room = size.rows - FRAME_ROWS;
  // A long message covers the last rows of the body: reasons must be read to their end.
  const said =
    message === '' ? [BLANK] : paragraph(message, size.columns - 3, { style: 'warning', first: ' ' });
  const filled = Array.from({ length: room }, (_, index) => {
    const own = body[index];
    return own === undefined || own.length === 0 ? BLANK : [span(' '), ...own];
  });
  return [top, BLANK, ...filled.slice(0, room + 1 - said.length), ...said, bottom];
};
