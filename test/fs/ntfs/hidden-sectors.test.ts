import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../../rescue/units.ts';
import { extentsOf } from '../../job/cycle.ts';
import { makeImage, restoreImage } from '../../job/requests.ts';
import { makeDisk } from '../../support/disk.ts';
import { noiseSource, overwriteWithNoise } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { patchBytes } from '../fat/patching.ts';
import { complaints, makeNtfs, mountNtfs } from './volumes.ts';

const SIZE = 16 * MIB;
const SECTOR = 512;

/** BPB_HiddSec at 28 (files/boot) of the boot sector and of its backup in the last sector, read without the program's tables. */
const hiddenSectors = (disk: string, start: number): number[] => {
  const bytes = readFileSync(disk).subarray(start, start + SIZE);
  return [bytes.readUInt32LE(28), bytes.readUInt32LE(SIZE - SECTOR + 28)];
};

const diskAt = (t: ExecutionContext, path: string, start: number): number => {
  const [place] = makeDisk(t, path, {
    size: 48 * MIB,
    table: 'mbr',
    partitions: [{ start, size: SIZE, type: '7' }],
  });
  return place!.start;
};

const bootSectors = (path: string, start: number): Buffer[] => {
  const bytes = readFileSync(path).subarray(start, start + SIZE);
  return [bytes.subarray(0, SECTOR), bytes.subarray(SIZE - SECTOR)];
};

/** The programs of ntfs-3g, which take no offset, on what lies in the partition; and its mount. */
const judged = (t: ExecutionContext, disk: string, start: number): void => {
  const path = join(temporaryFolder(t), 'partition');
  writeFileSync(path, readFileSync(disk).subarray(start, start + SIZE));
  t.deepEqual(complaints(path), []);
  const mount = mountNtfs(t, path, { readOnly: true });
  t.is(readFileSync(join(mount.path, 'kelp'), 'utf8'), 'kelp');
  mount.unmount();
};

for (const { what, was, elsewhere } of [
  { what: 'right', was: 2048, elsewhere: false },
  { what: 'right, and goes elsewhere', was: 2048, elsewhere: true },
  { what: 'wrong', was: 63, elsewhere: false },
  { what: 'as mkntfs leaves it in a file', was: 0, elsewhere: true },
])
  test(`boot sector and backup come back, and say where the volume lies: a number of hidden sectors that is ${what}`, async (t) => {
    const folder = temporaryFolder(t);
    const disk = join(folder, 'disk');
    const start = diskAt(t, disk, MIB);
    const volume = makeNtfs(join(folder, 'volume'), { size: SIZE, hidden: was });
    const mount = mountNtfs(t, volume);
    writeFileSync(join(mount.path, 'kelp'), 'kelp');
    mkdirSync(join(mount.path, 'more'));
    writeFileSync(join(mount.path, 'more', 'noise'), noiseSource('more')(MIB));
    mount.unmount();
    patchBytes(disk, start, readFileSync(volume));
    const before = bootSectors(disk, start);
    t.deepEqual(before[0], before[1]);
    t.deepEqual(hiddenSectors(disk, start), [was, was]);

    const { image } = await makeImage(disk, { partition: 1 });
    t.deepEqual(bootSectors(disk, start), before, 'create leaves them alone');
    let target = disk;
    let place = start;
    if (elsewhere) {
      target = join(folder, 'other');
      place = diskAt(t, target, 3 * MIB);
      patchBytes(target, place, readFileSync(disk).subarray(start, start + SIZE));
    }
    const shift = place - start;
    overwriteWithNoise(target, [
      { start: 0, length: MIB },
      ...extentsOf(image.extents).map((each) => ({ ...each, start: each.start + shift })),
    ]);
    await restoreImage(target, { partition: 1 });
    t.deepEqual(hiddenSectors(target, place), [place / SECTOR, place / SECTOR]);
    const after = bootSectors(target, place);
    for (const each of after) each.writeUInt32LE(was, 28);
    t.deepEqual(after, before, 'nothing else in them has changed');
    judged(t, target, place);
  });

test('a volume in a file keeps its number: nobody knows what would be right', async (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: SIZE, hidden: 2048 });
  const { image } = await makeImage(path);
  overwriteWithNoise(path, extentsOf(image.extents));
  await restoreImage(path);
  t.deepEqual(hiddenSectors(path, 0), [2048, 2048]);
});
