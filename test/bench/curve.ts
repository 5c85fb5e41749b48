import { columns, wrap } from '../../rescue/cli/text.ts';
import { formatBytes, GIB } from '../../rescue/units.ts';
import { withCleanup } from '../support/cleanup.ts';
import { kindNamed } from './kinds.ts';
import { bytesMoved } from './measure.ts';
import type { Program } from './program.ts';
import { createRow } from './rows/create.ts';
import { restoreRows } from './rows/restore.ts';
import type { Outcome } from './rows/row.ts';
import { verifyRow } from './rows/verify.ts';
import { Stage } from './stage.ts';
import { makeSubject } from './subject.ts';
import { WIDTH } from './table.ts';

/** The same work on more and more data, and on much more disk: bytes of files, and of the volume if it is not just as large as it must be. */
const POINTS: readonly { readonly data: number; readonly volume?: number }[] = [
  { data: GIB },
  { data: 2 * GIB },
  { data: 4 * GIB },
  { data: 8 * GIB },
  { data: GIB, volume: 4096 * GIB },
];

/** The volume as it was, and ours with its image: in shares of the files' size. */
const AT_ONCE = 3;

export interface CurvePoint {
  readonly volumeBytes: number;
  readonly usedBytes: number;
  readonly jobs: readonly { readonly job: string; readonly outcome: Outcome }[];
}

const measurePoint = (
  program: Program,
  { data, volume }: (typeof POINTS)[number],
  say: (line: string) => void,
): Promise<CurvePoint> =>
  withCleanup(async (cleanup) => {
    const subject = makeSubject(cleanup, kindNamed('ext4'), data, { size: volume, atOnce: AT_ONCE });
    const stage = new Stage(subject, program);
    const rows = [createRow(stage, true), verifyRow(stage), restoreRows(stage)[0]!];
    const jobs = [];
    for (const { id, contestants } of rows) {
      const outcome = await contestants.ours.run('cold');
      say(`  ${id}: ${outcome.seconds.toFixed(1)} s, ${formatBytes(outcome.peak)}, checked`);
      jobs.push({ job: id, outcome });
    }
    return { volumeBytes: subject.size, usedBytes: subject.usedBytes, jobs };
  });

export const measureCurve = async (program: Program, say: (line: string) => void): Promise<CurvePoint[]> => {
  const points: CurvePoint[] = [];
  for (const point of POINTS) {
    say(`ext4 with ${formatBytes(point.data)} of files`);
    points.push(await measurePoint(program, point, say));
  }
  return points;
};

export const curveLines = (points: readonly CurvePoint[]): string[] => [
  ...columns([
    ['volume', 'in use', 'work', 'time', 'per GiB in use', 'memory', 'read', 'written'],
    ...points.flatMap(({ volumeBytes, usedBytes, jobs }) =>
      jobs.map(({ job, outcome }) => [
        formatBytes(volumeBytes),
        formatBytes(usedBytes),
        job,
        `${outcome.seconds.toFixed(1)} s`,
        `${(outcome.seconds / (usedBytes / GIB)).toFixed(2)} s`,
        formatBytes(outcome.peak),
        formatBytes(bytesMoved(outcome).read),
        formatBytes(bytesMoved(outcome).written),
      ]),
    ),
  ]),
  '',
  wrap(
    'One run each, page cache cold, checked. Time must follow the bytes in use, and memory must not grow.',
    {
      width: WIDTH,
    },
  ),
];
