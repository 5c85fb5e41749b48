import { wrap } from '../../rescue/cli/text.ts';
import { formatBytes } from '../../rescue/units.ts';
import type { Machine } from './limits.ts';
import type { Played } from './play.ts';
import type { Role, Row } from './rows/row.ts';
import type { Limits } from './table.ts';
import { figureLines, limitLines, machineLines, verdictLines, WIDTH } from './table.ts';
import { MEMORY_LIMIT, ROWS } from './targets.ts';
import { summariseRow } from './verdict.ts';

/** Everything that one bench of one kind found. */
export interface Results {
  /** Name of the file system, or `disk` for the search. */
  readonly kind: string;
  /** What was worked on, for people. */
  readonly about: string;
  readonly machine: Machine;
  readonly limits: Limits;
  readonly program: string;
  readonly rows: readonly Row[];
  readonly played: Played;
}

const NOTES =
  '"ours faster": their time divided by ours, of medians. Everything is synced within its time and every result was checked. Memory: highest resident size, summed over a pipeline. Read and written, by the kernel\'s count: ours as the volume\'s device saw it, the others as their processes did.';

export const resultLines = (results: Results): string[] => {
  const { machine, limits, program, rows, played, about } = results;
  const summaries = rows.flatMap((row) => summariseRow(row, played));
  return [
    wrap(about, { width: WIDTH }),
    '',
    ...figureLines(summaries),
    '',
    wrap(NOTES, { width: WIDTH }),
    '',
    ...verdictLines(summaries),
    '',
    ...limitLines(limits),
    ...machineLines(machine, program),
  ];
};

/** Everything, for machines; what programs said is left out. */
export const toDocument = ({ rows, played, ...rest }: Results) => ({
  ...rest,
  memoryLimit: MEMORY_LIMIT,
  rows: rows.map((row) => ({
    id: row.id,
    work: ROWS[row.id].work,
    bytes: row.bytes,
    runs: Object.entries(row.contestants).map(([role, contestant]) => ({
      role: role as Role,
      label: contestant.label,
      played: [...(played.get(contestant) ?? [])].map(([cache, outcomes]) => ({
        cache,
        outcomes: outcomes.map((outcome) => ({ ...outcome, stdout: undefined })),
      })),
    })),
    summaries: summariseRow(row, played),
  })),
});

export const aboutVolume = (of: {
  readonly kind: string;
  readonly size: number;
  readonly files: number;
  readonly usedBytes: number;
  readonly judges: string;
  readonly runs: number;
}): string =>
  `${of.kind} of ${formatBytes(of.size)} with ${of.files} files from /usr, ${formatBytes(of.usedBytes)} in use, on a loop device. Runs of each: ${of.runs}, in turns. Every volume that came back was checked (${of.judges}).`;
