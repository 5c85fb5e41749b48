import { join } from 'node:path';
import test from 'ava';
import { openFile } from '../../rescue/device/file.ts';
import { openFat } from '../../rescue/fs/fat/filesystem.ts';
import { parseLocatorRecord } from '../../rescue/image/locator-record.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { fsckFat } from '../fs/fat/fsck.ts';
import { type FatOptions, makeFat } from '../fs/fat/volumes.ts';
import { makeImage, removeImage, restoreImage } from '../job/requests.ts';
import { mustBeClean } from '../support/judges.ts';
import { noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { climb, extentsOf, lift, readAt, SECTOR, wreckAllBut, writeAt } from './climbing.ts';

/** Sectors (of the file system) that may hold a record, as the specification leaves them. */
const PLACES: readonly (FatOptions & { readonly what: string; readonly sectors: readonly number[] })[] = [
  {
    what: 'FAT32 as mkfs.fat makes it',
    size: 40 * MIB,
    bits: 32,
    sectorsPerCluster: 1,
    // Not 0 to 2, 6 to 8 (boot record and its copy), and 12 (more boot code of Windows).
    sectors: [...Array(32).keys()].reverse().filter((sector) => ![0, 1, 2, 6, 7, 8, 12].includes(sector)),
  },
  {
    what: 'FAT32 with its backup elsewhere and many reserved sectors',
    size: 40 * MIB,
    bits: 32,
    sectorsPerCluster: 1,
    reserved: 500,
    backup: 29,
    sectors: [...Array(29).keys()].reverse().filter((sector) => ![0, 1, 2, 12].includes(sector)),
  },
  {
    what: 'FAT32 with sectors of 4096 bytes',
    size: 300 * MIB,
    bits: 32,
    sectorSize: 4096,
    sectorsPerCluster: 1,
    sectors: [3],
  },
  {
    what: 'FAT16 with one reserved sector',
    size: 16 * MIB,
    bits: 16,
    reserved: 1,
    aligned: false,
    sectors: [],
  },
  { what: 'FAT16 with eight', size: 16 * MIB, bits: 16, reserved: 8, sectors: [7, 6, 5, 4, 3] },
  { what: 'FAT12 with four', size: 4 * MIB, bits: 12, reserved: 4, aligned: false, sectors: [3] },
];

for (const { what, sectors, ...options } of PLACES) {
  test.serial(`${what}: sectors to spare`, (t) => {
    const file = makeFat(join(temporaryFolder(t), 'volume'), options);
    const device = openFile(file);
    const { sectorSize = 512 } = options;
    t.deepEqual(
      openFat(device)
        .unusedBootSectors()
        .map(({ start, length }) => [start / sectorSize, length]),
      sectors.map((sector) => [sector, 512]),
    );
    device.close();
  });
}

const clean = (t: Parameters<typeof fsckFat>[0] & { notThrows(body: () => void): unknown }, file: string) =>
  t.notThrows(() => mustBeClean(fsckFat(t, file)));

test.serial(
  'FAT32: written over zeros only, found without the file system, and gone with the last image',
  async (t) => {
    const [fat32] = PLACES;
    const file = makeFat(join(temporaryFolder(t), 'volume'), fat32!);
    // Boot code where Windows has it, and something that nobody knows in the best place.
    const code = new Map(
      [2, 12, 31].map((sector) => [sector, Buffer.from(noiseSource(`${sector}`)(SECTOR))]),
    );
    for (const [sector, bytes] of code) writeAt(file, sector * SECTOR, bytes);
    const before = readAt(file, 0, 16 * KIB);
    const { image } = await makeImage(file, { minFree: 0 });
    t.like(parseLocatorRecord(readAt(file, 30 * SECTOR)), {
      home: 30 * SECTOR,
      imageTotal: 1,
      fileSystem: 6,
    });
    clean(t, file);
    for (const [sector, bytes] of code) t.deepEqual(readAt(file, sector * SECTOR), bytes);
    const wreck = wreckAllBut(lift(file), [...extentsOf(image), { start: 10 * SECTOR, length: 22 * SECTOR }]);
    t.deepEqual(
      climb(wreck).images.map((each) => [each.image.id, each.foundBy]),
      [[image.id, 'record']],
    );
    writeAt(file, 0, wreck.read(0, wreck.size));
    await restoreImage(file);
    clean(t, file);
    t.deepEqual(
      Buffer.from(parseLocatorRecord(readAt(file, 30 * SECTOR))!.images[0]!.imageId).toString('hex'),
      image.id,
    );
    await removeImage(file, { image: image.id });
    clean(t, file);
    // All but FSInfo, whose counts are of now.
    const after = readAt(file, 0, 16 * KIB);
    const sectorsOf = (bytes: Buffer) =>
      Array.from({ length: 32 }, (_, sector) => bytes.subarray(sector * SECTOR, (sector + 1) * SECTOR))
        .filter((_, sector) => sector !== 1 && sector !== 7)
        .map((each) => each.toString('hex'));
    t.deepEqual(sectorsOf(after), sectorsOf(before));
  },
);

test.serial('FAT16 with one reserved sector has no place, which is said; with more it has', async (t) => {
  for (const options of PLACES.filter(({ bits }) => bits === 16)) {
    const file = makeFat(join(temporaryFolder(t), 'volume'), options);
    const before = readAt(file, 0, SECTOR);
    const notes: string[] = [];
    const { image } = await makeImage(file, { minFree: 0 }, (event) => {
      if ('note' in event) notes.push(event.note);
    });
    t.is(
      notes.some((note) => /No locator record.*no sector to spare/.test(note)),
      options.sectors.length === 0,
    );
    if (options.sectors.length > 0) t.not(parseLocatorRecord(readAt(file, 7 * SECTOR)), undefined);
    t.deepEqual(readAt(file, 0, SECTOR), before);
    clean(t, file);
    const held = [...extentsOf(image), { start: SECTOR, length: (options.reserved! - 1) * SECTOR }];
    const found = climb(
      wreckAllBut(
        lift(file),
        held.filter(({ length }) => length > 0),
      ),
    );
    t.deepEqual(
      found.images.map(({ foundBy }) => foundBy),
      [options.sectors.length > 0 ? 'record' : 'scan'],
    );
  }
});
