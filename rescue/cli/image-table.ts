import type { ImageSummary, LadderStep, ListResult, ProposedTable } from '../job/results.ts';
import { formatBytes } from '../units.ts';
import { describeDropped } from './intent.ts';
import { columns, count, cutTo, facts, formatTime, printable, wrap } from './text.ts';

/** `holdfast list` for people. */

interface Column {
  readonly title: string;
  readonly of: (image: ImageSummary) => string;
  /** Shown in the table on narrow terminals too; the others then go below each image. */
  readonly essential: boolean;
  readonly most?: number;
}

const placeOf = ({ partition }: ImageSummary): string => {
  const number = partition.number === null ? '' : `partition ${partition.number}, `;
  return `${number}at byte ${partition.offset}`;
};

const COLUMNS: readonly Column[] = [
  { title: 'ID', of: (image) => image.id.slice(0, 8), essential: true },
  { title: 'NAME', of: (image) => printable(image.name), essential: true, most: 18 },
  { title: 'KIND', of: (image) => image.kind, essential: true },
  { title: 'CREATED', of: (image) => formatTime(image.created), essential: true },
  { title: 'FS', of: (image) => image.filesystem, essential: false },
  { title: 'LABEL', of: (image) => printable(image.label) || '-', essential: false, most: 16 },
  { title: 'SIZE', of: (image) => formatBytes(image.partition.size), essential: false },
  { title: 'USED', of: (image) => formatBytes(image.usedBytes), essential: false },
  { title: 'STORED', of: (image) => formatBytes(image.storedBytes), essential: true },
  { title: 'STATE', of: (image) => image.state, essential: true },
  { title: 'FOUND BY', of: (image) => image.foundBy, essential: false },
  { title: 'WHERE', of: placeOf, essential: false },
];

const cell = (column: Column, image: ImageSummary): string =>
  cutTo(column.of(image), column.most ?? Number.POSITIVE_INFINITY);

const tableOf = (shown: readonly Column[], images: readonly ImageSummary[]): string[] =>
  columns([
    shown.map((column) => column.title),
    ...images.map((image) => shown.map((column) => cell(column, image))),
  ]);

/** What does not fit into the row. */
const below = (image: ImageSummary, hidden: readonly Column[]): string[] => [
  ...(hidden.length === 0
    ? []
    : [`    ${hidden.map((column) => `${column.title.toLowerCase()} ${cell(column, image)}`).join(', ')}`]),
  ...(image.reason === undefined ? [] : [`    ${image.state}: ${printable(image.reason)}`]),
];

/** One row per image, in as many columns as `width` has room for. */
export const imageTable = (images: readonly ImageSummary[], width: number): string[] => {
  const full = tableOf(COLUMNS, images);
  const fits = full.every((line) => line.length <= width);
  const [head, ...rows] = fits
    ? full
    : tableOf(
        COLUMNS.filter((column) => column.essential),
        images,
      );
  const hidden = fits ? [] : COLUMNS.filter((column) => !column.essential);
  return [head!, ...rows.flatMap((row, index) => [row, ...below(images[index]!, hidden)])];
};

const STEPS: Record<LadderStep['step'], string> = {
  filesystem: 'through the file system',
  record: 'locator record in the boot area',
  aid: 'recovery aid file',
  scan: 'backward scan',
  reassembly: 'reassembly from single slots',
};

/** What a file system says of a place where no image was found must not read as if it spoke of those that were. */
const about = (step: LadderStep['step'], found: number): string =>
  step === 'filesystem' && found > 0 ? 'elsewhere: ' : '';

const stepLines = (steps: readonly LadderStep[]): string[] =>
  facts(
    steps.map(({ step, found, bytesRead, bytesCovered, note }) => [
      STEPS[step],
      `${count(found, 'image')} found, ${formatBytes(bytesRead)} read${bytesCovered === bytesRead ? '' : `, ${formatBytes(bytesCovered)} covered`}${note === undefined ? '' : `; ${about(step, found)}${printable(note)}`}`,
    ]),
    '  ',
  );

const proposalLines = (table: ProposedTable | undefined, width: number): string[] => {
  if (table === undefined) return [];
  const indented = (text: string): string => wrap(printable(text), { width, first: '  - ', rest: '    ' });
  return [
    '',
    wrap(`Proposed partition table: ${printable(table.reason)}.`, { width, rest: '  ' }),
    ...columns([
      ['NUMBER', 'AT BYTE', 'SIZE', 'NAME', 'TYPE', 'IMAGES'],
      ...table.partitions.map((each) => [
        String(each.number),
        String(each.offset),
        formatBytes(each.size),
        printable(each.name) || '-',
        each.type.split('-')[0]!,
        each.images.map((id) => id.slice(0, 8)).join(', ') || '-',
      ]),
    ]),
    ...table.dropped.map(({ offset: start, ...entry }) => indented(describeDropped({ ...entry, start }))),
    ...table.notes.map(indented),
    'A restore writes it; nothing was written now.',
  ];
};

export const listReport = (result: ListResult, width: number): string[] => [
  ...(result.images.length === 0
    ? [`No image found on ${printable(result.target)}.`]
    : imageTable(result.images, width)),
  ...proposalLines(result.proposedTable, width),
  ...(result.steps.length === 0 ? [] : ['', 'How it was looked for:', ...stepLines(result.steps)]),
  `${formatBytes(result.bytesRead)} read, ${formatBytes(result.bytesCovered)} covered, depth ${result.depth}.`,
];
