import type { Look, Row } from '../cells.ts';
import { cut, fitTo, row, span } from '../cells.ts';

/** A list in columns with a selected row, scrolled so that it is seen. */

export interface Column<Entry> {
  readonly title: string;
  readonly of: (entry: Entry) => string;
  /** Higher goes first where there is no room for all. */
  readonly dispensable?: number;
  readonly most?: number;
}

const GAP = 2;

/** The columns for which there is room, and their widths. */
const layOut = <Entry>(
  columns: readonly Column<Entry>[],
  entries: readonly Entry[],
  room: number,
): { readonly column: Column<Entry>; readonly width: number }[] => {
  const sized = columns.map((column) => ({
    column,
    width: Math.min(
      column.most ?? Number.POSITIVE_INFINITY,
      Math.max(column.title.length, ...entries.map((entry) => column.of(entry).length)),
    ),
  }));
  const needed = (): number => sized.reduce((sum, { width }) => sum + width + GAP, 0) - GAP;
  while (needed() > room) {
    const worst = Math.max(...sized.map(({ column }) => column.dispensable ?? 0));
    if (worst === 0) break;
    sized.splice(
      sized.findIndex(({ column }) => column.dispensable === worst),
      1,
    );
  }
  return sized;
};

/** First entry that is shown so that `selected` is among `count`. */
export const scrollTo = (selected: number, count: number, total: number): number =>
  Math.max(0, Math.min(selected - Math.floor(count / 2), total - count));

export const tableView = <Entry>(options: {
  readonly columns: readonly Column<Entry>[];
  readonly entries: readonly Entry[];
  readonly selected: number;
  readonly width: number;
  readonly height: number;
  readonly look: Look;
}): Row[] => {
  const { entries, selected, width, height, look } = options;
  const shape = layOut(options.columns, entries, width - 2);
  const line = (cells: readonly string[]): string =>
    shape.map(({ width: room }, index) => cut(cells[index]!, room, look).padEnd(room)).join(' '.repeat(GAP));
  const count = Math.max(1, height - 1);
  const first = scrollTo(selected, count, entries.length);
  const rows = entries.slice(first, first + count).map((entry, index) => {
    const chosen = first + index === selected;
    const text = `${chosen ? look.glyphs.pointer : ' '} ${line(shape.map(({ column }) => column.of(entry)))}`;
    return fitTo([span(text, chosen ? 'selected' : 'normal')], width, chosen ? 'selected' : 'normal');
  });
  const more =
    first + count < entries.length ? ` ${look.glyphs.down}` : first > 0 ? ` ${look.glyphs.up}` : '';
  return [row(span(`  ${line(shape.map(({ column }) => column.title))}${more}`, 'dim')), ...rows];
};
