import { describeDropped } from '../../rescue/cli/intent.ts';
import type { Partition } from '../../rescue/partition/model.ts';
import type { TablePlan } from '../../rescue/partition/plan.ts';
import { formatBytes } from '../../rescue/units.ts';
import {
  cut,
  fitTo,
  type Look,
  paragraph,
  type Row,
  row,
  type Span,
  type Style,
  shown,
  span,
} from '../cells.ts';

/** A partition table before and after, side by side. */

const same = (a: Partition, b: Partition): boolean =>
  a.start === b.start && a.size === b.size && a.type === b.type && a.uuid === b.uuid;

const describe = ({ number, start, size, name, type }: Partition, look: Look): string =>
  `${String(number).padStart(2)} ${formatBytes(size).padEnd(9)} at ${formatBytes(start as number).padEnd(9)} ${shown(name, look) || type.split('-')[0]}`;

const side = (
  own: readonly Partition[],
  others: readonly Partition[],
  changed: { readonly mark: string; readonly style: Style },
  room: number,
  look: Look,
): Span[] =>
  own.length === 0
    ? [span('  (no partitions)', 'dim')]
    : own.map((each) => {
        const kept = others.some((other) => same(each, other));
        const text = cut(`${kept ? ' ' : changed.mark} ${describe(each, look)}`, room, look);
        return span(text, kept ? 'normal' : changed.style);
      });

/** Empty where there is no table to care for. */
export const tableChange = (plan: TablePlan | undefined, columns: number, look: Look): Row[] => {
  if (plan === undefined || plan.action === 'none') return [];
  const title = paragraph(`Partition table: ${plan.action}; ${shown(plan.reason, look)}`, columns, {
    style: 'strong',
    first: '',
    rest: '  ',
  });
  const notes = [...plan.dropped.map(describeDropped), ...plan.notes].flatMap((note) =>
    paragraph(shown(note, look), columns, { style: 'warning', first: '  - ', rest: '    ' }),
  );
  if (plan.patch.phases.every((phase) => phase.length === 0)) return [...title, ...notes];
  const half = Math.floor((columns - 3) / 2);
  const before = [
    span('Before', 'dim'),
    ...side(plan.before.partitions, plan.after.partitions, { mark: '-', style: 'danger' }, half, look),
  ];
  const after = [
    span('After', 'dim'),
    ...side(plan.after.partitions, plan.before.partitions, { mark: '+', style: 'good' }, half, look),
  ];
  const rows = Array.from({ length: Math.max(before.length, after.length) }, (_, index) =>
    row(
      ...fitTo([before[index] ?? span('')], half),
      span(` ${look.glyphs.wall} `, 'dim'),
      ...[after[index] ?? span('')],
    ),
  );
  return [...title, ...rows, ...notes];
};
