import type { ImageSummary, Intent } from '../job/results.ts';
import type { DroppedEntry } from '../partition/merge.ts';
import type { Partition } from '../partition/model.ts';
import type { TablePlan } from '../partition/plan.ts';
import { formatBytes } from '../units.ts';
import { columns, cutTo, facts, formatTime, padTo, printable, wrap } from './text.ts';

/** What a job is about to do, for the person who must agree and for `--dry-run`. */

export const describeImage = (image: ImageSummary): string => {
  const name = image.name === '' ? '' : ` "${printable(image.name)}"`;
  return `${image.id.slice(0, 8)}${name}, ${image.kind} image of ${formatTime(image.created)}`;
};

export const describeTarget = ({ target }: Intent): string => {
  const parts = [
    target.path,
    target.model,
    target.serial === undefined ? undefined : `serial ${target.serial}`,
    formatBytes(target.size),
    target.label === undefined || target.label === '' ? undefined : `label "${target.label}"`,
  ];
  return parts
    .filter((part) => part !== undefined)
    .map((part) => printable(part))
    .join(', ');
};

const section = (title: string, lines: readonly string[], width: number): string[] =>
  lines.length === 0
    ? []
    : [title, ...lines.map((line) => wrap(printable(line), { width, first: '  - ', rest: '    ' }))];

const changes = (plan: TablePlan): boolean => plan.patch.phases.some((phase) => phase.length > 0);

const sameEntry = (a: Partition, b: Partition): boolean =>
  a.start === b.start && a.size === b.size && a.type === b.type && a.uuid === b.uuid;

/** Type GUIDs are longer than a column: their first part tells them apart, and may be cut off where it is narrow. */
const rowsOf = (own: readonly Partition[], others: readonly Partition[], mark: string): string[] =>
  own.length === 0
    ? ['(none)']
    : columns(
        own.map((each) => [
          others.some((other) => sameEntry(each, other)) ? ' ' : mark,
          String(each.number),
          `at ${formatBytes(each.start as number)}`,
          formatBytes(each.size),
          printable(each.name),
          each.type.split('-')[0]!,
        ]),
      );

export const describeDropped = (entry: DroppedEntry): string => {
  const number = entry.number === null ? '' : ` ${entry.number}`;
  const name = entry.name === '' ? '' : ` "${entry.name}"`;
  return printable(
    `not in the new table: partition${number}${name} of ${formatBytes(entry.size)} at byte ${entry.start}, named by ${entry.source}: ${entry.reason}`,
  );
};

const tableLines = (plan: TablePlan | undefined, width: number): string[] => {
  if (plan === undefined || plan.action === 'none') return [];
  const title = wrap(`Partition table: ${plan.action}; ${printable(plan.reason)}`, { width, rest: '  ' });
  const notes = [...plan.dropped.map(describeDropped), ...plan.notes.map((note) => printable(note))].map(
    (line) => wrap(line, { width, first: '  - ', rest: '    ' }),
  );
  if (!changes(plan)) return [title, ...notes];
  const before = ['before:', ...rowsOf(plan.before.partitions, plan.after.partitions, '-')];
  const after = ['after:', ...rowsOf(plan.after.partitions, plan.before.partitions, '+')];
  const half = Math.floor((width - 6) / 2);
  const rows = Array.from({ length: Math.max(before.length, after.length) }, (_, index) =>
    `  ${padTo(cutTo(before[index] ?? '', half), half)}  ${cutTo(after[index] ?? '', half)}`.trimEnd(),
  );
  return [title, ...rows, ...notes];
};

/** The whole plan as lines of text. */
export const intentLines = (intent: Intent, width: number): string[] => {
  const pairs: [string, string][] = [['on', describeTarget(intent)]];
  if (intent.image !== undefined) pairs.push(['image', describeImage(intent.image)]);
  return [
    `Plan: ${intent.action}`,
    ...facts(pairs, '  '),
    ...section('Will be written:', intent.writes, width),
    ...section('Will be kept:', intent.keeps, width),
    ...section('WILL BE LOST:', intent.loses, width),
    ...tableLines(intent.table, width),
  ];
};

/** The same for programs. */
export const intentDocument = (intent: Intent) => ({
  action: intent.action,
  target: intent.target,
  writes: intent.writes,
  keeps: intent.keeps,
  loses: intent.loses,
  ...(intent.table === undefined
    ? {}
    : {
        partitionTable: {
          action: intent.table.action,
          reason: intent.table.reason,
          changes: changes(intent.table),
          before: intent.table.before.partitions,
          after: intent.table.after.partitions,
          dropped: intent.table.dropped,
          notes: intent.table.notes,
        },
      }),
});
