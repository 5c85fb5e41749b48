import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { MemoryDevice } from '../../rescue/device/memory.ts';
import { LOCATED_IMAGE, LOCATOR_RECORD } from '../../rescue/image/layout.ts';
import {
  encodeLocatorRecord,
  type LocatorRecord,
  parseLocatorRecord,
} from '../../rescue/image/locator-record.ts';
import { MIB } from '../../rescue/units.ts';
import { makeImage, removeImage, restoreImage } from '../job/requests.ts';
import { makeDisk } from '../support/disk.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { noiseSource } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import {
  answerOf,
  climb,
  extentsOf,
  imagedVolume,
  lift,
  RECORD_AT,
  readAt,
  SECTOR,
  smallVolume,
  wreckAllBut,
  writeAt,
} from './climbing.ts';

const BOOT: { readonly start: number; readonly length: number } = { start: 0, length: 1024 };

const recordIn = (file: string, at = RECORD_AT): LocatorRecord | undefined =>
  parseLocatorRecord(readAt(file, at));
const idsIn = (file: string, at = RECORD_AT): string[] =>
  (recordIn(file, at)?.images ?? []).map(({ imageId }) => Buffer.from(imageId).toString('hex'));

/** Job events that are notes. */
const noting = () => {
  const notes: string[] = [];
  const onEvent = (event: object): void => {
    if ('note' in event) notes.push(String(event.note));
  };
  return { notes, onEvent };
};
const REFUSAL = /No locator record could be written \((.*)\)/;

const SAMPLE: LocatorRecord = {
  fileSystem: 3,
  fileSystemUuid: new Uint8Array(16).fill(7),
  serial: 5,
  home: 512,
  partitionOffset: MIB,
  partitionSize: 64 * MIB,
  imageTotal: 3,
  images: [1, 2].map((number) => ({
    imageId: new Uint8Array(16).fill(number),
    generation: 1,
    sequence: number,
    firstAnchorHome: number * MIB,
    lastAnchorHome: number * MIB + 65536,
    extentsDigest: new Uint8Array(32).fill(number),
    kind: 'user',
    state: 'committed',
  })),
};

/** Changes fields and makes the checksum right again. */
const forge = (change: (bytes: Uint8Array) => void, sample = SAMPLE): Uint8Array => {
  const bytes = encodeLocatorRecord(sample);
  change(bytes);
  LOCATOR_RECORD.set(bytes, 'crc', crc32(bytes.subarray(0, LOCATOR_RECORD.offsetOf('crc'))));
  return bytes;
};

test('a record is read as it was written, and never ends like a boot sector', (t) => {
  const bytes = encodeLocatorRecord(SAMPLE);
  t.is(bytes.length, SECTOR);
  t.deepEqual(parseLocatorRecord(bytes), SAMPLE);
  t.deepEqual([...bytes.subarray(508)], [0, 0, 0, 0]);
});

test('a record with any bit changed is none', (t) => {
  const sound = encodeLocatorRecord(SAMPLE);
  for (let bit = 0; bit < (LOCATOR_RECORD.offsetOf('crc') + 4) * 8; bit += 1) {
    const bytes = Uint8Array.from(sound);
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
    t.is(parseLocatorRecord(bytes), undefined, `bit ${bit}`);
  }
});

test('numbers that no record has, under a checksum that is right', (t) => {
  const entry = LOCATOR_RECORD.offsetOf('images');
  const forgeries: Record<string, (bytes: Uint8Array) => void> = {
    'more images than there is room for': (bytes) => LOCATOR_RECORD.set(bytes, 'image_count', 5),
    'a place outside the boot area': (bytes) => LOCATOR_RECORD.set(bytes, 'home', 16 * 1024),
    'a place between sectors': (bytes) => LOCATOR_RECORD.set(bytes, 'home', 513),
    'a partition that ends before it': (bytes) => LOCATOR_RECORD.set(bytes, 'partition_size', 600),
    'an anchor outside': (bytes) => LOCATED_IMAGE.set(bytes, 'first_anchor_home', 64 * MIB, entry),
    'an anchor between sectors': (bytes) => LOCATED_IMAGE.set(bytes, 'last_anchor_home', 1000, entry),
    'an anchor beyond all disks': (bytes) => bytes.fill(0xff, entry + 32, entry + 40),
    'a kind that is none': (bytes) => LOCATED_IMAGE.set(bytes, 'kind', 9, entry),
    'a serial that has no next': (bytes) => bytes.fill(0xff, 32, 40),
    'a newer version': (bytes) => LOCATOR_RECORD.set(bytes, 'features_incompat', 1),
    'a newer version to read only': (bytes) => LOCATOR_RECORD.set(bytes, 'features_ro_compat', 2),
  };
  for (const [what, change] of Object.entries(forgeries))
    t.is(parseLocatorRecord(forge(change)), undefined, what);
  t.not(parseLocatorRecord(forge((bytes) => LOCATOR_RECORD.set(bytes, 'features_compat', 1))), undefined);
});

for (const blockSize of [1024, 2048, 4096] as const) {
  test.serial(
    `blocks of ${blockSize}: create, restore and remove keep the record true, and nothing else of the boot area`,
    async (t) => {
      const file = smallVolume(t, { blockSize });
      // Where extlinux and GRUB put their first sector.
      const boot = Buffer.from(noiseSource('boot')(SECTOR));
      writeAt(file, 0, boot);
      const first = (await makeImage(file, { minFree: 0 })).image;
      t.deepEqual(idsIn(file), [first.id]);
      t.like(recordIn(file), { home: RECORD_AT, serial: 1, partitionSize: 24 * MIB, imageTotal: 1 });
      t.notThrows(() => mustBeClean(e2fsckClean(file)));
      const second = (await makeImage(file, { minFree: 0, kind: 'factory' })).image;
      t.deepEqual(idsIn(file), [second.id, first.id], 'later images first');
      t.is(recordIn(file)!.serial, 2);
      // The image of an hour ago holds the record of that time, and the restore brings that back first.
      await restoreImage(file, { image: second.id });
      t.deepEqual(idsIn(file), [second.id, first.id]);
      t.notThrows(() => mustBeClean(e2fsckClean(file)));
      const to = join(temporaryFolder(t), 'elsewhere');
      await restoreImage(file, { image: second.id, to });
      t.true(
        readAt(to, RECORD_AT).every((byte) => byte === 0),
        'there are no images elsewhere',
      );
      t.deepEqual(readAt(to, 0), boot);
      await removeImage(file, { image: second.id });
      t.deepEqual(idsIn(file), [first.id]);
      await removeImage(file, { image: first.id });
      t.true(
        readAt(file, RECORD_AT).every((byte) => byte === 0),
        'no image, no record',
      );
      t.deepEqual(readAt(file, 0), boot);
      t.notThrows(() => mustBeClean(e2fsckClean(file)));
    },
  );
}

test.serial('replaced and restored from noise: the record names the image that is there', async (t) => {
  const { file, image: old } = await imagedVolume(t);
  const { image } = await makeImage(file, { minFree: 0 });
  t.not(image.id, old.id);
  t.deepEqual(idsIn(file), [image.id]);
  const wreck = wreckAllBut(lift(file), extentsOf(image));
  writeAt(file, 0, wreck.read(0, wreck.size));
  await restoreImage(file);
  t.deepEqual(idsIn(file), [image.id]);
  t.notThrows(() => mustBeClean(e2fsckClean(file)));
});

const blocked: Record<string, (file: string) => Uint8Array> = {
  'boot code': () => noiseSource('code')(SECTOR),
  'one byte of something': () => Uint8Array.of(...new Uint8Array(SECTOR - 1), 1),
  'a record of a newer version': () => forge((bytes) => LOCATOR_RECORD.set(bytes, 'features_incompat', 1)),
  'a record that was torn': () => encodeLocatorRecord(SAMPLE).fill(0, 256),
  'a record with one byte changed': () => encodeLocatorRecord(SAMPLE).fill(9, 400, 401),
};
test.serial('what is no record of ours is never written over, and create says so and goes on', async (t) => {
  const file = smallVolume(t);
  for (const [what, make] of Object.entries(blocked)) {
    const before = make(file);
    writeAt(file, RECORD_AT, before);
    const { notes, onEvent } = noting();
    const { image } = await makeImage(file, { minFree: 0 }, onEvent);
    t.is(image.state, 'committed');
    t.deepEqual(readAt(file, RECORD_AT), Buffer.from(before), what);
    t.true(
      notes.some((note) => /something else stands in its boot area/.test(REFUSAL.exec(note)?.[1] ?? '')),
      what,
    );
  }
  const { notes, onEvent } = noting();
  await restoreImage(file, {}, onEvent);
  t.deepEqual(readAt(file, RECORD_AT), Buffer.from(Object.values(blocked).at(-1)!(file)));
  t.true(notes.some((note) => REFUSAL.test(note)));
  // The second sector is free again: the next job that writes uses it.
  writeAt(file, RECORD_AT, new Uint8Array(SECTOR));
  const { image } = await makeImage(file, { minFree: 0 });
  t.deepEqual(idsIn(file), [image.id]);
});

test.serial('sectors of 4096 bytes: there is no place beside the superblock', async (t) => {
  const file = join(temporaryFolder(t), 'disk');
  const size = 24 * MIB;
  const [place] = makeDisk(t, file, {
    size: size + 4 * MIB,
    table: 'gpt',
    sectorSize: 4096,
    partitions: [{ size }],
  });
  const offset = place!.start;
  makeVolume(file, { offset, size, blockSize: 4096 });
  const before = readAt(file, offset, BOOT.length);
  const { notes, onEvent } = noting();
  await makeImage(file, { minFree: 0 }, onEvent);
  t.deepEqual(readAt(file, offset, BOOT.length), before);
  t.true(
    notes.some((note) => /no sector to spare/.test(REFUSAL.exec(note)?.[1] ?? '')),
    notes.join('\n'),
  );
});

/** With its record and without, and what the record alone finds. */
const bothWays = (device: MemoryDevice, start = 0, asDisk = false) => {
  const bare = device.snapshot();
  bare.write(start + RECORD_AT, new Uint8Array(SECTOR));
  return { own: climb(device, { asDisk }), bare: climb(bare, { asDisk }) };
};

const sameAnswer = (t: ExecutionContext, device: MemoryDevice, what: string, start = 0, asDisk = false) => {
  const { own, bare } = bothWays(device, start, asDisk);
  t.deepEqual(answerOf(own), answerOf(bare), what);
  return own;
};

test.serial('a record that is out of date misleads nobody', async (t) => {
  const { file, image: old } = await imagedVolume(t);
  const stale = readAt(file, RECORD_AT);
  const { image } = await makeImage(file, { minFree: 0, keepOld: true });
  const fresh = readAt(file, RECORD_AT);
  const both = lift(file);
  const held = [...extentsOf(old), ...extentsOf(image), BOOT];
  const wreck = wreckAllBut(both.snapshot(), held);
  t.deepEqual(
    climb(wreck).images.map((each) => [each.image.id, each.foundBy]),
    [
      [image.id, 'record'],
      [old.id, 'record'],
    ],
  );
  // It names one of two: the other one is that one's sibling.
  wreck.write(RECORD_AT, stale);
  t.deepEqual(
    sameAnswer(t, wreck, 'one of two').images.map((each) => each.image.id),
    [image.id, old.id],
  );
  // The image was deleted by hand, and its clusters hold something else.
  const deleted = wreckAllBut(both.snapshot(), [...extentsOf(image), BOOT]);
  deleted.write(RECORD_AT, fresh);
  const left = sameAnswer(t, deleted, 'one deleted');
  t.deepEqual(
    left.images.map((each) => each.image.id),
    [image.id],
  );
  t.regex(
    left.steps.find(({ step }) => step === 'record')!.note!,
    new RegExp(`image ${old.id.slice(0, 8)} does not open`),
  );
  deleted.write(RECORD_AT, stale);
  t.deepEqual(
    sameAnswer(t, deleted, 'the only one named is deleted').images.map(({ foundBy }) => foundBy),
    ['scan'],
  );
  // The file system is whole, and does not list the image any more.
  mustRun('debugfs', ['-w', '-R', `rm /.holdfast/user-${old.id.slice(0, 12)}.hfi`, file]);
  const unlisted = sameAnswer(t, lift(file), 'one no longer listed');
  t.true(unlisted.images.every((each) => each.image.id !== old.id || each.state === 'stale'));
});

test.serial('forged entries, and the record of another volume', async (t) => {
  const { file, image } = await imagedVolume(t);
  const other = await imagedVolume(t);
  const device = wreckAllBut(lift(file), [...extentsOf(image), BOOT]);
  const sound = recordIn(file)!;
  const [named] = sound.images;
  const change = (more: Partial<(typeof sound.images)[number]>): Uint8Array =>
    encodeLocatorRecord({ ...sound, images: [{ ...named!, ...more }] });
  const forgeries: Record<string, Uint8Array> = {
    'another id': change({ imageId: new Uint8Array(16).fill(1) }),
    'another generation': change({ generation: 2 }),
    'another container': change({ extentsDigest: new Uint8Array(32) }),
    'anchors in noise': change({ firstAnchorHome: 4 * MIB, lastAnchorHome: 5 * MIB }),
    'anchors that are other slots': change({
      firstAnchorHome: image.extents.at(-2)?.[0] ?? 0,
      lastAnchorHome: named!.firstAnchorHome - 65536,
    }),
    'the record of another volume': Uint8Array.from(readAt(other.file, RECORD_AT)),
    'a record that lies elsewhere': encodeLocatorRecord({ ...sound, home: 1024 }),
    'no images': encodeLocatorRecord({ ...sound, images: [], imageTotal: 0 }),
  };
  for (const [what, bytes] of Object.entries(forgeries)) {
    device.write(RECORD_AT, bytes);
    const { images } = sameAnswer(t, device, what);
    t.deepEqual(
      images.map((each) => [each.image.id, each.foundBy]),
      [[image.id, 'scan']],
      what,
    );
  }
  // The first anchor is wrong, the last one is right: that one counts.
  device.write(RECORD_AT, change({ firstAnchorHome: 4 * MIB }));
  t.is(sameAnswer(t, device, 'one of two anchors').images[0]!.foundBy, 'record');
});

test.serial('any record at all: the same answer as without it', async (t) => {
  const { file, image } = await imagedVolume(t);
  const device = wreckAllBut(lift(file), [...extentsOf(image), BOOT]);
  const sound = recordIn(file)!;
  const expected = answerOf(bothWays(device).bare);
  const homes = fc.oneof(
    fc.integer({ min: 0, max: 24 * MIB }),
    fc.constantFrom(...image.extents.flatMap(([start, length]) => [start, start + length - 65536])),
  );
  const digests = fc.constantFrom(sound.images[0]!.extentsDigest, new Uint8Array(32));
  const entries = fc.array(
    fc.record({
      imageId: fc.constantFrom(sound.images[0]!.imageId, new Uint8Array(16)),
      generation: fc.constantFrom(0, 1, 2),
      sequence: fc.nat(),
      firstAnchorHome: homes,
      lastAnchorHome: homes,
      extentsDigest: digests,
      kind: fc.constantFrom('user' as const, 'factory' as const),
      state: fc.constantFrom('committed' as const, 'damaged' as const),
    }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(entries, fc.nat(5), (images, imageTotal) => {
      device.write(RECORD_AT, encodeLocatorRecord({ ...sound, images, imageTotal }));
      t.deepEqual(answerOf(climb(device)), expected);
    }),
    { numRuns: 25 },
  );
});

test.serial('a partition that was moved: the record goes with it, and the image is moved', async (t) => {
  const file = join(temporaryFolder(t), 'disk');
  const size = 24 * MIB;
  const [place] = makeDisk(t, file, { size: 32 * MIB, table: 'gpt', partitions: [{ start: MIB, size }] });
  makeVolume(file, { offset: place!.start, size, blockSize: 4096 });
  const { image } = await makeImage(file, { minFree: 0 });
  t.deepEqual(idsIn(file, MIB + RECORD_AT), [image.id]);
  const disk = lift(file);
  const held = image.extents.map(([start, length]) => ({ start, length }));
  const wreck = wreckAllBut(disk.snapshot(), [...held, { start: MIB, length: 1024 }]);
  const found = sameAnswer(t, wreck, 'without a table', MIB, true);
  t.like(found.images[0], { start: MIB, state: 'committed', foundBy: 'record' });
  // Everything 3 MiB further: no usual place for a partition's start, but for the table it is a place like any other.
  const moved = wreckAllBut(disk.snapshot(), []);
  moved.write(4 * MIB, wreck.read(MIB, size));
  const still = sameAnswer(t, moved, 'moved', 4 * MIB, true);
  t.like(still.images[0], { start: 4 * MIB, state: 'moved', foundBy: 'record' });
  t.is(still.images.length, 1);
  const clone = wreckAllBut(disk.snapshot(), []);
  clone.write(0, wreck.read(0, MIB + size));
  clone.write(MIB + 2 * MIB + RECORD_AT, wreck.read(MIB + RECORD_AT, SECTOR));
  sameAnswer(t, clone, 'a second record in the data', MIB, true);
});
