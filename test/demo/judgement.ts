import { dirname } from 'node:path';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { type Extent, formatBytes } from '../../rescue/units.ts';
import { withCleanup } from '../support/cleanup.ts';
import { e2fsckClean, type Verdict } from '../support/judges.ts';
import { mountFile } from '../support/loop.ts';
import { digestOf } from '../support/noise.ts';
import { everythingSaid, type RunResult, run } from '../support/run.ts';
import { differences, snapshot } from '../support/tree.ts';
import { type DemoDisk, dumpTable } from './disk.ts';

export interface Judgement {
  readonly holds: boolean;
  /** What was seen; shown if it does not hold. */
  readonly seen: string;
}

/** All that must be true at the end, as a reader is told. */
export interface Judgements {
  readonly soundWithImage: Judgement;
  readonly destroyed: Judgement;
  readonly table: Judgement;
  readonly boot: Judgement;
  readonly clean: Judgement;
  readonly files: Judgement;
  readonly imageFound: Judgement;
  readonly sealed: Judgement;
}

const fromVerdict = ({ clean, output }: Verdict): Judgement => ({ holds: clean, seen: output });

const sameText = (expected: string, found: string): Judgement => ({
  holds: expected === found,
  seen: `expected:\n${expected.trimEnd()}\nfound:\n${found.trimEnd()}`,
});

export const judgeFileSystem = (disk: DemoDisk): Judgement =>
  fromVerdict(e2fsckClean(disk.path, { offset: disk.partition.start }));

/** What the usual programs say of a disk. */
export interface Look {
  /** None of them finds a partition table or a file system. */
  readonly nothing: boolean;
  readonly results: readonly RunResult[];
}

export const lookForAnything = (disk: DemoDisk): Look => {
  const start = String(disk.partition.start);
  const table = run('sfdisk', ['--dump', disk.path]);
  const wholeDisk = run('blkid', ['--probe', disk.path]);
  const partition = run('blkid', ['--probe', '--offset', start, disk.path]);
  const check = run('e2fsck', ['-f', '-n', `${disk.path}?offset=${start}`]);
  // blkid(8): 2 means that nothing was identified. e2fsck(8): 8 is an operational error, here: no superblock.
  const nothing = table.exit === 1 && wholeDisk.exit === 2 && partition.exit === 2 && check.exit === 8;
  return { nothing, results: [table, wholeDisk, partition, check] };
};

/** Each program's command and first complaint, in short. */
export const lookLines = (disk: DemoDisk, { results }: Look): string[] =>
  results.flatMap(({ command, stdout, stderr, exit }) => {
    const lines = `${stderr}\n${stdout}`.split('\n');
    // e2fsck begins with its version.
    const said = lines.find((line) => line !== '' && !/^e2fsck \d/.test(line));
    const folder = `${dirname(disk.path)}/`;
    return [`$ ${command}`, `${said ?? '(nothing)'} [exit code ${exit}]`].map((line) =>
      line.replaceAll(folder, ''),
    );
  });

export const judgeDestroyed = ({ nothing, results }: Look): Judgement => ({
  holds: nothing,
  seen: results.map(everythingSaid).join('\n'),
});

export const judgeTable = (disk: DemoDisk): Judgement => sameText(disk.table, dumpTable(disk.path));

export const judgeBytes = (path: string, extents: readonly Extent[], digest: string): Judgement =>
  sameText(digest, digestOf(path, extents));

/** Mounts the partition read-only and compares every file with what it was. */
export const judgeFiles = (disk: DemoDisk): Promise<Judgement> =>
  withCleanup((cleanup) => {
    const mount = mountFile(cleanup, disk.path, {
      offset: disk.partition.start,
      size: disk.partition.size,
      readOnly: true,
    });
    const lines = differences(disk.files, snapshot(mount.path), 20);
    return { holds: lines.length === 0, seen: lines.join('\n') };
  });

/** `images` as `holdfast list --json` gives them after the restore. */
export const judgeImage = (made: ImageSummary, images: readonly ImageSummary[]): Judgement => {
  const now = images.find((each) => each.id === made.id);
  const same = now?.state === 'committed' && JSON.stringify(now.extents) === JSON.stringify(made.extents);
  const seen = images.map((each) => `${each.id} ${each.state} ${JSON.stringify(each.extents)}`);
  return { holds: same, seen: seen.join('\n') || 'no image' };
};

export const toExtents = (pairs: ImageSummary['extents']): Extent[] =>
  pairs.map(([start, length]) => ({ start, length }));

export const lengthOf = (extents: readonly Extent[]): number =>
  extents.reduce((sum, { length }) => sum + length, 0);

export const describeExtents = (extents: readonly Extent[]): string =>
  `${formatBytes(lengthOf(extents))} in ${extents.length} ${extents.length === 1 ? 'piece' : 'pieces'}`;
