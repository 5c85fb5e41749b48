import type { Figure, Table } from './part.ts';
import type { Proof } from './runner.ts';

/**
 * RELIABILITY.md is written by people but for what stands between `<!-- figures: NAME -->` and `<!-- end -->`, which is written by
 * `npm run prove -- --write`.
 */

const cells = (row: readonly string[]): string => `| ${row.join(' | ')} |`;

const markdown = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  cells(head),
  cells(head.map(() => '---')),
  ...rows.map(cells),
];

const grouped = (value: number): string =>
  Number.isInteger(value) ? String(value).replace(/\B(?=(\d{3})+$)/g, ' ') : String(value);

const wanted = ({ least, most }: Figure): string => {
  if (least !== undefined && least === most) return grouped(least);
  return [
    ...(least === undefined ? [] : [`at least ${grouped(least)}`]),
    ...(most === undefined ? [] : [`at most ${grouped(most)}`]),
  ].join(', ');
};

const tableLines = ({ title, head, rows }: Table): string[] => ['', `${title}:`, '', ...markdown(head, rows)];

/** The lines of one proof, for its section. `on` says when and with what: a date and a commit. */
export const sectionLines = ({ report, seconds, failures }: Proof, on: string): string[] => [
  `${on}: ${failures.length === 0 ? 'holds' : `DOES NOT HOLD, ${failures.length} failures`}, ${Math.ceil(seconds / 60)} min.`,
  '',
  ...markdown(
    ['figure', 'seen', 'has to be'],
    report.figures.map((figure) => [
      figure.what,
      `${grouped(figure.value)}${figure.unit === undefined ? '' : ` ${figure.unit}`}`,
      wanted(figure),
    ]),
  ),
  ...report.tables.flatMap(tableLines),
];

/** The document with the section of this proof replaced. Throws if it has no such section, or no end of it. */
export const withSection = (text: string, name: string, lines: readonly string[]): string => {
  const begin = `<!-- figures: ${name} -->\n`;
  const end = '<!-- end -->';
  const from = text.indexOf(begin);
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`the document has no section "figures: ${name}"`);
  return `${text.slice(0, from + begin.length)}${lines.join('\n')}\n${text.slice(to)}`;
};
