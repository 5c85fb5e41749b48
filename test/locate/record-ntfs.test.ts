import { join } from 'node:path';
import test from 'ava';
import { parseLocatorRecord } from '../../rescue/image/locator-record.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { type MakeOptions, makeNtfs } from '../fs/ntfs/volumes.ts';
import { makeImage, removeImage, restoreImage } from '../job/requests.ts';
import { noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { climb, extentsOf, lift, readAt, SECTOR, wreckAllBut, writeAt } from './climbing.ts';

/** $Boot has 8 KiB (files/boot). */
const BOOT_FILE = 8 * KIB;

const VOLUMES: readonly (MakeOptions & { readonly what: string })[] = [
  { what: 'clusters of 512 bytes', size: 16 * MIB, clusterSize: 512 },
  { what: 'clusters of 4 KiB', size: 16 * MIB },
  { what: 'clusters of 64 KiB', size: 32 * MIB, clusterSize: 64 * KIB },
];

for (const { what, ...options } of VOLUMES)
  test.serial(
    `the end of $Boot holds the record, over zeros only; it is found without the file system, and gone with the image: ${what}`,
    async (t) => {
      const file = makeNtfs(join(temporaryFolder(t), 'volume'), options);
      const volume = new NtfsFileVolume(file);
      // Something that nobody knows in the best place, and in the second a single byte.
      const unknown = Buffer.from(noiseSource('unknown')(SECTOR));
      writeAt(file, BOOT_FILE - SECTOR, unknown);
      writeAt(file, BOOT_FILE - SECTOR - 1, Uint8Array.of(1));
      const before = readAt(file, 0, 16 * KIB);
      const { image } = await makeImage(file, { minFree: 0 });
      const place = BOOT_FILE - 3 * SECTOR;
      t.like(parseLocatorRecord(readAt(file, place)), { home: place, imageTotal: 1 });
      const after = readAt(file, 0, BOOT_FILE);
      after.fill(0, place, place + SECTOR);
      t.deepEqual(after, before.subarray(0, BOOT_FILE), 'nothing else in $Boot');
      t.deepEqual(volume.problems(), []);

      const wreck = wreckAllBut(lift(file), [...extentsOf(image), { start: place, length: SECTOR }]);
      t.deepEqual(
        climb(wreck).images.map((each) => [each.image.id, each.foundBy]),
        [[image.id, 'record']],
      );
      writeAt(file, 0, wreck.read(0, wreck.size));
      await restoreImage(file);
      t.deepEqual(volume.problems(), []);
      t.deepEqual(readAt(file, BOOT_FILE - SECTOR), unknown);
      const { images } = parseLocatorRecord(readAt(file, place))!;
      t.is(Buffer.from(images[0]!.imageId).toString('hex'), image.id);
      await removeImage(file, { image: image.id });
      t.deepEqual(readAt(file, 0, BOOT_FILE), before.subarray(0, BOOT_FILE));
      t.deepEqual(volume.problems(), []);
    },
  );

test.serial('a $Boot without a sector of zeros gets no record, which is said', async (t) => {
  const file = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 16 * MIB });
  writeAt(file, SECTOR, noiseSource('boot code')(BOOT_FILE - SECTOR));
  const before = readAt(file, 0, BOOT_FILE);
  const notes: string[] = [];
  const { image } = await makeImage(file, {}, (event) => {
    if ('note' in event) notes.push(event.note);
  });
  t.true(
    notes.some((note) => /No locator record/.test(note)),
    notes.join('\n'),
  );
  t.deepEqual(readAt(file, 0, BOOT_FILE), before);
  const found = climb(wreckAllBut(lift(file), extentsOf(image)));
  t.deepEqual(
    found.images.map(({ foundBy }) => foundBy),
    ['scan'],
  );
});
