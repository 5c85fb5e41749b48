import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { makeDisk, partitionsOf } from './disk.ts';
import { duplicate } from './duplicate.ts';
import { e2fsckClean, e2fsckPreen, mustBeClean, partitionTableSound } from './judges.ts';
import { attachLoop, mountFile } from './loop.ts';
import { digestOf, firstDifference, overwriteWithNoise, sameBytes } from './noise.ts';
import { mustRun } from './run.ts';
import { temporaryFolder } from './temporary.ts';
import { makeVolume } from './volume.ts';

const MIB = 1024 * 1024;

const overwrite = (path: string, offset: number, ...bytes: number[]): void => {
  const handle = openSync(path, 'r+');
  writeSync(handle, Uint8Array.from(bytes), 0, bytes.length, offset);
  closeSync(handle);
};

test('e2fsck -fn can say yes and no', (t) => {
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size: 4 * MIB });
  t.true(e2fsckClean(file).clean);
  // s_free_blocks_count_lo (kernel documentation, "The Super Block", offset 0xC) of the superblock at 1024.
  overwrite(file, 1024 + 0xc, 1);
  const verdict = e2fsckClean(file);
  t.false(verdict.clean);
  t.regex(verdict.output, /e2fsck/);
  t.throws(() => mustBeClean(verdict), { message: /not clean/ });
  overwriteWithNoise(file, []);
  t.false(e2fsckClean(file).clean);
});

test('a journal that waits to be replayed is not clean, though e2fsck -fn ends with 0', (t) => {
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size: 8 * MIB });
  mustRun('debugfs', ['-w', '-R', 'feature needs_recovery', file]);
  const verdict = e2fsckClean(file);
  t.false(verdict.clean, verdict.output);
  t.regex(verdict.output, /exit code 0[\s\S]*skipping journal recovery/);
});

test('e2fsck -fp mends a count and gives up on a wreck', (t) => {
  const folder = temporaryFolder(t);
  const file = makeVolume(join(folder, 'volume'), { size: 4 * MIB, features: ['^metadata_csum'] });
  t.like(e2fsckPreen(duplicate(file, join(folder, 'sound'))), { clean: true, changed: false });
  const wreck = duplicate(file, join(folder, 'wreck'));
  overwrite(file, 1024 + 0xc, 1);
  t.like(e2fsckPreen(file), { clean: true, changed: true });
  t.true(e2fsckClean(file).clean);
  overwriteWithNoise(wreck, [{ start: 1024, length: 1024 }]);
  t.false(e2fsckPreen(wreck).clean);
});

for (const table of ['gpt', 'mbr'] as const)
  for (const sectorSize of [512, 4096] as const)
    test(`a ${table} disk of ${sectorSize}-byte sectors with a volume in it`, (t) => {
      const disk = join(temporaryFolder(t), 'disk');
      const [first, second] = makeDisk(t, disk, {
        size: 64 * MIB,
        table,
        sectorSize,
        partitions: [{ size: 8 * MIB }, { size: 40 * MIB }],
      });
      t.like(first, { number: 1, start: MIB, size: 8 * MIB });
      t.like(second, { number: 2, start: 9 * MIB, size: 40 * MIB });
      // The kernel mounts no blocks that are smaller than a sector.
      makeVolume(disk, { offset: second!.start, size: second!.size, blockSize: 4096 });
      t.true(e2fsckClean(disk, { offset: second!.start }).clean);
      t.false(e2fsckClean(disk, { offset: first!.start }).clean);
      const loop = attachLoop(t, disk, { sectorSize, partitions: true });
      t.deepEqual(partitionsOf(loop.device), [first!, second!]);
      const size = mustRun('blockdev', ['--getsize64', loop.partition(2)]).stdout.trim();
      t.is(Number(size), second!.size);
      mustBeClean(partitionTableSound(loop.device));
      loop.detach();
      const mount = mountFile(t, disk, { offset: second!.start, size: second!.size, sectorSize });
      mount.unmount();
      overwriteWithNoise(disk, [{ start: second!.start, length: second!.size }]);
      t.false(partitionTableSound(attachLoop(t, disk, { sectorSize }).device).clean);
      t.true(e2fsckClean(disk, { offset: second!.start }).clean);
    });

test('an MBR entry that runs past the end of the disk, and a changed GPT entry, are not sound', (t) => {
  const folder = temporaryFolder(t);
  const mbr = join(folder, 'mbr');
  makeDisk(t, mbr, { size: 16 * MIB, table: 'mbr', partitions: [{}] });
  t.true(partitionTableSound(mbr).clean);
  // Sector count of the first entry: 446 + 12.
  overwrite(mbr, 446 + 12, 0xff, 0xff, 0xff, 0x00);
  t.false(partitionTableSound(mbr).clean);
  const gpt = join(folder, 'gpt');
  makeDisk(t, gpt, { size: 16 * MIB, table: 'gpt', partitions: [{}] });
  overwrite(gpt, 1024 + 32, 1);
  t.false(partitionTableSound(gpt).clean);
});

test('noise changes everything but what is kept, and the same seed makes the same noise', (t) => {
  const folder = temporaryFolder(t);
  const before = makeVolume(join(folder, 'before'), { size: 12 * MIB });
  const after = duplicate(before, join(folder, 'after'));
  t.true(sameBytes(before, after));
  const keep = [
    { start: 9 * MIB + 7, length: 100 },
    { start: 4096, length: 8192 },
  ];
  const kept = digestOf(after, keep);
  t.is(overwriteWithNoise(after, keep, 'one'), 12 * MIB - 100 - 8192);
  t.is(digestOf(after, keep), kept);
  t.true(sameBytes(before, after, keep));
  t.is(firstDifference(before, after), 0);
  t.is(firstDifference(before, after, [{ start: 4096, length: 8193 }]), 4096 + 8192);
  const same = duplicate(before, join(folder, 'same'));
  overwriteWithNoise(same, keep, 'one');
  t.true(sameBytes(after, same));
  const other = duplicate(before, join(folder, 'other'));
  overwriteWithNoise(other, keep, 'two');
  t.false(sameBytes(after, other));
});

test('files of different length are not the same', (t) => {
  const folder = temporaryFolder(t);
  const short = makeVolume(join(folder, 'short'), { size: 4 * MIB });
  const long = duplicate(short, join(folder, 'long'));
  mustRun('truncate', ['--size', `+${MIB}`, long]);
  t.is(firstDifference(short, long), 4 * MIB);
});

test('noise on a block device', (t) => {
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size: 5 * MIB });
  const loop = attachLoop(t, file);
  t.is(overwriteWithNoise(loop.device, [{ start: MIB, length: MIB }]), 4 * MIB);
  loop.detach();
  t.false(e2fsckClean(file).clean);
});
