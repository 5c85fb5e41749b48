import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../../rescue/units.ts';
import { makeImage, restoreImage } from '../../job/requests.ts';
import { makeDisk } from '../../support/disk.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { populateFat } from './content.ts';
import { fsckFat } from './fsck.ts';
import { patchBytes } from './patching.ts';
import { makeFat } from './volumes.ts';

const SIZE = 40 * MIB;

/** BPB_HiddSec of the boot sector and of its copy in sector 6, which mkfs.fat makes. */
const hiddenSectors = (disk: string, start: number): number[] => {
  const bytes = readFileSync(disk).subarray(start);
  return [bytes.readUInt32LE(28), bytes.readUInt32LE(6 * 512 + 28)];
};

for (const { was, becomes } of [
  { was: 2048, becomes: 6144 },
  { was: 63, becomes: 63 },
]) {
  test(`a volume of ${was} hidden sectors that is restored at another place says ${becomes}`, async (t) => {
    const folder = temporaryFolder(t);
    const here = join(folder, 'here');
    const there = join(folder, 'there');
    const [place] = makeDisk(t, here, { size: 48 * MIB, table: 'mbr', partitions: [{ size: SIZE }] });
    const [other] = makeDisk(t, there, {
      size: 48 * MIB,
      table: 'mbr',
      partitions: [{ start: 3 * MIB, size: SIZE }],
    });
    t.is(place!.start, MIB);
    makeFat(here, { size: SIZE, bits: 32, hidden: was, offset: place!.start });
    populateFat(t, here, { offset: place!.start });
    await makeImage(here, { partition: 1 });
    const volume = readFileSync(here).subarray(place!.start, place!.start + SIZE);
    patchBytes(there, other!.start, volume);

    await restoreImage(here, { partition: 1 });
    t.deepEqual(hiddenSectors(here, place!.start), [was, was], 'at its own place');
    await restoreImage(there, { partition: 1 });
    t.deepEqual(hiddenSectors(there, other!.start), [becomes, becomes], 'elsewhere');
    const verdict = fsckFat(t, there, { offset: other!.start, size: SIZE });
    t.true(verdict.clean, verdict.output);
  });
}
