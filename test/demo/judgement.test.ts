import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { withCleanup } from '../support/cleanup.ts';
import { duplicate } from '../support/duplicate.ts';
import { mountFile } from '../support/loop.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeDemoDisk } from './disk.ts';
import {
  judgeBytes,
  judgeDestroyed,
  judgeFileSystem,
  judgeFiles,
  judgeImage,
  judgeTable,
  lookForAnything,
  lookLines,
} from './judgement.ts';

const patch = (path: string, offset: number, bytes: Uint8Array): void => {
  const handle = openSync(path, 'r+');
  writeSync(handle, bytes, 0, bytes.length, offset);
  closeSync(handle);
};

test('the judges of the demo say yes to a disk as it was, and no to one that is not', async (t) => {
  const folder = temporaryFolder(t);
  const disk = makeDemoDisk(t, join(folder, 'disk'), { data: MIB, disk: 64 * MIB });
  const boot = digestOf(disk.path, disk.boot);
  const as = (name: string) => ({ ...disk, path: duplicate(disk.path, join(folder, name)) });

  t.true(judgeTable(disk).holds);
  t.true(judgeFileSystem(disk).holds);
  t.true((await judgeFiles(disk)).holds);
  t.true(judgeBytes(disk.path, disk.boot, boot).holds);
  t.false(judgeDestroyed(lookForAnything(disk)).holds);

  const changed = as('one file changed');
  await withCleanup((cleanup) => {
    const mount = mountFile(cleanup, changed.path, {
      offset: disk.partition.start,
      size: disk.partition.size,
    });
    writeFileSync(join(mount.path, 'tree', 'links', 'target'), 'target of lynks\n');
    mount.unmount();
  });
  const files = await judgeFiles(changed);
  t.false(files.holds);
  t.regex(files.seen, /hard-1": content was/);

  const loader = as('boot loader changed');
  patch(loader.path, disk.boot[1]!.start + 5, Buffer.from('x'));
  t.false(judgeBytes(loader.path, disk.boot, boot).holds);

  const table = as('an entry changed');
  mustRun('sfdisk', ['--quiet', '--part-label', table.path, '2', 'other']);
  t.false(judgeTable(table).holds);

  const unsound = as('a superblock changed');
  // s_free_blocks_count_lo, at 0x0C of the superblock.
  patch(unsound.path, disk.partition.start + 1024 + 0x0c, Buffer.from([1, 2]));
  t.false(judgeFileSystem(unsound).holds);
  t.false(judgeDestroyed(lookForAnything(unsound)).holds);

  const noise = as('noise');
  overwriteWithNoise(noise.path, []);
  const look = lookForAnything(noise);
  t.true(judgeDestroyed(look).holds, lookLines(noise, look).join('\n'));
  t.false(judgeTable(noise).holds);
});

test('the image must be the same one, in the same place, and committed', (t) => {
  const made = { id: 'ab', state: 'committed', extents: [[4096, 8192]] } as unknown as ImageSummary;
  t.true(judgeImage(made, [made]).holds);
  t.false(judgeImage(made, []).holds);
  t.false(judgeImage(made, [{ ...made, id: 'cd' }]).holds);
  t.false(judgeImage(made, [{ ...made, state: 'damaged' }]).holds);
  t.false(judgeImage(made, [{ ...made, extents: [[4096, 4096]] }] as unknown as ImageSummary[]).holds);
});
