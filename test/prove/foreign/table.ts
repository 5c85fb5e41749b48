import type { Table } from '../part.ts';
import type { Examined } from './examine.ts';

/** What was examined, and of which class of damage it is; '' for images of a collection. */
export interface Row extends Examined {
  readonly kind: string;
}

/** One row per volume. */
export const imageTable = (rows: readonly Row[]): Table => ({
  title: 'Volumes',
  head: ['volume', 'file system', 'its judge before', 'create', 'outcome', 'its judge afterwards'],
  rows: rows.map((row) => [
    row.name,
    row.fileSystem,
    row.before,
    row.said,
    row.faults.length === 0 ? row.outcome : `${row.outcome}, ${row.faults.length} FAULTS`,
    row.after,
  ]),
});

/** One row per class of damage. */
export const classTable = (rows: readonly Row[]): Table => {
  const classes = new Map<string, Row[]>();
  for (const row of rows) classes.set(row.kind, [...(classes.get(row.kind) ?? []), row]);
  return {
    title: 'By class of damage',
    head: ['class', 'volumes', 'judge complains', 'restored', 'refused', 'why'],
    rows: [...classes].map(([kind, members]) => {
      const count = (test: (row: Row) => boolean): string => String(members.filter(test).length);
      const refused = members.filter(({ outcome }) => outcome === 'refused');
      return [
        kind,
        String(members.length),
        count(({ before }) => before === 'not clean'),
        count(({ outcome }) => outcome === 'restored'),
        String(refused.length),
        [...new Set(refused.map(({ said }) => said))].sort().join(', '),
      ];
    }),
  };
};

/** For a terminal: columns as wide as they must be. */
export const linesOf = ({ head, rows }: Table): string[] => {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
};
