import { join } from 'node:path';
import test from 'ava';
import { openFile } from '../../rescue/device/file.ts';
import { openExt } from '../../rescue/fs/ext/filesystem.ts';
import { MIB, type Run } from '../../rescue/units.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile, makeVolume, type VolumeOptions } from '../support/volume.ts';
import { extentsOf, treeMustBe } from './cycle.ts';
import { makeImage, restoreImage } from './requests.ts';
import { fillStage, stageMustBeClean, workOn } from './stage.ts';

const SIZE = 256 * MIB;
const INODE_SIZE = 256;

const each = (runs: Iterable<Run>): number[] =>
  [...runs].flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index));

/** Blocks that dumpe2fs calls never used: bitmaps of uninitialised groups, ends of inode tables. */
const blankByDumpe2fs = (path: string, blockSize: number): number[] => {
  const blocks: number[] = [];
  for (const text of mustRun('dumpe2fs', [path])
    .stdout.split(/\nGroup /)
    .slice(1)) {
    const numbers = (pattern: RegExp): number[] => pattern.exec(text)?.slice(1).map(Number) ?? [];
    const [from, to] = numbers(/Inode table at (\d+)-(\d+)/) as [number, number];
    const [unused = 0] = numbers(/(\d+) unused inodes/);
    const first = to + 1 - Math.floor((unused * INODE_SIZE) / blockSize);
    for (let block = Math.max(from, first); block <= to; block += 1) blocks.push(block);
    if (/INODE_UNINIT/.test(text)) blocks.push(...numbers(/Inode bitmap at (\d+)/));
    if (/BLOCK_UNINIT/.test(text)) blocks.push(...numbers(/Block bitmap at (\d+)/));
  }
  return blocks.sort((a, b) => a - b);
};

const VARIANTS: readonly [string, Partial<VolumeOptions>][] = [
  ['4 KiB blocks', { blockSize: 4096 }],
  ['1 KiB blocks', { blockSize: 1024 }],
  ['crc16', { blockSize: 4096, features: ['^metadata_csum', 'uninit_bg'] }],
  ['no checksums', { blockSize: 4096, features: ['^metadata_csum', '^uninit_bg'] }],
];

for (const [name, options] of VARIANTS)
  test.serial(
    `what was never used of the inode tables is not read, and comes back sound: ${name}`,
    async (t) => {
      const file = join(temporaryFolder(t), 'volume');
      makeFile(file, SIZE);
      // mke2fs leaves in the tables what it finds.
      overwriteWithNoise(file, []);
      const more = ['-N', '65536', '-I', String(INODE_SIZE)];
      makeVolume(file, { size: SIZE, extended: ['lazy_itable_init=1', 'nodiscard'], more, ...options });
      const stage = { file, start: 0, size: SIZE };
      const tree = fillStage(t, stage, { size: MIB, entries: 60 });
      const device = openFile(file);
      t.deepEqual(each(openExt(device).blank()), blankByDumpe2fs(file, options.blockSize!));
      device.close();
      const { image, stats } = await makeImage(file);
      const tables = 65536 * INODE_SIZE;
      // Without checksums nothing says what was used; mke2fs then writes zeros.
      t.true(stats.storedBytes < stats.rawBytes - tables / 2, `${stats.storedBytes} of ${stats.rawBytes}`);
      overwriteWithNoise(file, extentsOf(image.extents));
      await restoreImage(file);
      t.notThrows(() => stageMustBeClean(stage));
      treeMustBe(t, stage, tree, 'after restore');

      workOn(t, stage);
      t.notThrows(() => stageMustBeClean(stage), 'after inodes were taken from where nothing was');
    },
  );
