import { columns, wrap } from '../../rescue/cli/text.ts';
import { formatBytes } from '../../rescue/units.ts';
import type { CacheSpeed, ComputeSpeed, DiskSpeed, Machine } from './limits.ts';
import type { Role } from './rows/row.ts';
import type { Figures } from './summary.ts';
import { ROWS } from './targets.ts';
import { inWords, type RowSummary } from './verdict.ts';

/** Columns of the table: wider than a terminal of old, or it would be two tables. */
export const WIDTH = 110;

const paragraph = (text: string): string => wrap(text, { width: WIDTH });
const perSecond = (bytes: number): string => `${formatBytes(bytes)}/s`;

const cells = (label: string, figures: Figures, ours: Figures, role: Role): string[] => [
  label,
  `${figures.seconds.toFixed(2)} s`,
  `${figures.fastest.toFixed(1)}-${figures.slowest.toFixed(1)}`,
  `${figures.cpu.toFixed(1)} s`,
  formatBytes(figures.peak),
  formatBytes(figures.read),
  formatBytes(figures.written),
  figures.stored === undefined ? '' : formatBytes(figures.stored),
  role === 'ours' ? '' : (figures.seconds / ours.seconds).toFixed(2),
];

const HEADINGS = ['', 'median', 'range', 'cpu', 'memory', 'read', 'written', 'stored', 'ours faster'];

const titleOf = ({ id, cache }: RowSummary): string => `${ROWS[id].work} (page cache ${cache})`;

/** A block for each row: who took how long, moved and kept how much. */
export const figureLines = (rows: readonly RowSummary[]): string[] =>
  columns([
    HEADINGS,
    ...rows.flatMap((row) => {
      const ours = row.sides.find(({ role }) => role === 'ours')!.figures;
      return [
        // A title runs over the columns: it is put in below.
        [],
        ...row.sides.map(({ role, label, figures }) => cells(`  ${label}`, figures, ours, role)),
      ];
    }),
  ]).map(
    (
      (titles) => (line: string) =>
        line === '' ? (titles.shift() ?? '') : line
    )(rows.map(titleOf)),
  );

/** For every row what is to be reached, and whether it is, or by how much not. */
export const verdictLines = (rows: readonly RowSummary[]): string[] =>
  rows.flatMap((row) => {
    const labelOf = (role: Role): string => row.sides.find((side) => side.role === role)?.label ?? role;
    return [
      titleOf(row),
      ...row.verdicts.map((each) => {
        const { wanted, seen, verdict } = inWords(each, labelOf);
        return `  ${verdict}: ${seen}, to reach: ${wanted}`;
      }),
    ];
  });

export interface Limits {
  /** Before the first round and after the last one. */
  readonly disk: readonly [DiskSpeed, DiskSpeed];
  readonly compute?: ComputeSpeed;
  readonly cache?: CacheSpeed;
}

export const limitLines = ({ disk: [before, after], compute, cache }: Limits): string[] => [
  paragraph(
    `The disk, by dd, before and after: writes with fsync ${perSecond(before.write)} and ${perSecond(after.write)}, reads ${perSecond(before.read)} and ${perSecond(after.read)}.`,
  ),
  ...(compute === undefined
    ? []
    : [
        paragraph(
          `In memory: zstd -1 compresses ${perSecond(compute.compress)} on one processor, ${perSecond(compute.compressOnTwo)} on two, and decompresses ${perSecond(compute.decompress)}; SHA-256 ${perSecond(compute.sha256)}; copying ${perSecond(compute.copy)}.`,
        ),
      ]),
  ...(cache === undefined
    ? []
    : [
        paragraph(
          `The page cache, by dd in requests of 64 KiB, as the search makes them: ${perSecond(cache.one)} by one, ${perSecond(cache.two)} by two at once.`,
        ),
      ]),
];

export const isBusy = ({ load, cpus }: Machine): boolean => load > 0.5 * cpus;

export const machineLines = (machine: Machine, program: string): string[] => [
  paragraph(
    `Machine: ${machine.cpus} x ${machine.cpu}, ${formatBytes(machine.memory)}, Linux ${machine.kernel}, ${machine.fileSystem}; node ${machine.node}, partclone ${machine.partclone}, zstd ${machine.zstd}. Load before: ${machine.load}. Measured: ${program}.`,
  ),
  ...(isBusy(machine) ? ['CAREFUL: this machine was busy with other things; times mean little.'] : []),
];
