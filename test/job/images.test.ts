import {
  closeSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { complement } from '../../rescue/bytes/runs.ts';
import type { HoldfastError } from '../../rescue/errors.ts';
import { COMMIT } from '../../rescue/image/layout.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { digestOf, noiseSource, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf, treeMustBe, wholeCycle } from './cycle.ts';
import { listImages, makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, mountStage, type Stage, stageMustBeClean, treeOf, workOn } from './stage.ts';

const SMALL_TREE = { size: MIB, entries: 60 };

const volume = (t: ExecutionContext, size = 48 * MIB): Stage => {
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
  return { file, start: 0, size };
};

const withMount = (t: ExecutionContext, stage: Stage, body: (top: string) => void): void => {
  const mount = mountStage(t, stage);
  body(mount.path);
  mount.unmount();
};

const ids = (images: readonly ImageSummary[]): string[] => images.map(({ id }) => id).sort();

/** Runs a job that must be refused, and fails if a single byte of the disk changed. */
const refusedUntouched = async (
  t: ExecutionContext,
  stage: Stage,
  job: () => Promise<unknown>,
  code: string,
): Promise<HoldfastError> => {
  const before = duplicate(stage.file, `${stage.file}.untouched`);
  const error = (await t.throwsAsync(job)) as HoldfastError;
  t.like(error, { kind: 'refused' }, error.message);
  t.is(error.detail.code, code, error.message);
  t.true(sameBytes(before, stage.file), 'a refusal wrote something');
  rmSync(before);
  return error;
};

test.serial('a second image takes the place of the first', async (t) => {
  const stage = volume(t);
  fillStage(t, stage, SMALL_TREE);
  const first = await makeImage(stage.file);
  workOn(t, stage);
  const tree = treeOf(t, stage);
  const second = await makeImage(stage.file);
  t.deepEqual(second.replaced, [first.image.id]);
  t.true(second.image.sequence > first.image.sequence);
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(ids((await listImages(stage.file)).images), [second.image.id]);
  // Not a slot of the first is left to be found, also where no file system says which are stale.
  overwriteWithNoise(stage.file, extentsOf([...first.image.extents, ...second.image.extents]));
  t.deepEqual(ids((await listImages(stage.file, { depth: 'full' })).images), [second.image.id]);
  await restoreImage(stage.file);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'the second state');
});

test.serial('--keep-old keeps both, and each can be restored without harm to the other', async (t) => {
  const stage = volume(t);
  const early = fillStage(t, stage, SMALL_TREE);
  const first = (await makeImage(stage.file)).image;
  workOn(t, stage);
  const late = treeOf(t, stage);
  const second = (await makeImage(stage.file, { keepOld: true })).image;
  t.notThrows(() => stageMustBeClean(stage));
  const both = ids([first, second]);
  const sealed = extentsOf([...first.sealedExtents, ...second.sealedExtents]);
  const digest = digestOf(stage.file, sealed);
  overwriteWithNoise(stage.file, extentsOf([...first.extents, ...second.extents]));
  t.deepEqual(ids((await listImages(stage.file)).images), both);
  for (const [image, tree] of [
    [first.id, early],
    ['latest', late],
    [first.id.slice(0, 8), early],
  ] as const) {
    const restored = await restoreImage(stage.file, { image });
    t.deepEqual([...restored.imagesKept].sort(), both);
    t.notThrows(() => stageMustBeClean(stage));
    treeMustBe(t, stage, tree, image);
    t.is(digestOf(stage.file, sealed), digest);
    for (const each of both)
      t.deepEqual((await verifyImage(stage.file, { image: each })).problems, [], `${each} after ${image}`);
  }
  await removeImage(stage.file, { image: second.id });
  t.deepEqual(ids((await listImages(stage.file)).images), [first.id]);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, early, 'after remove');
});

test.serial('a newer image that lies where the older had data is not destroyed unless dropped', async (t) => {
  const stage = volume(t);
  // Almost everything is in use when the first is made, and free when the second is.
  const early = fillStage(t, stage, SMALL_TREE, (top) => {
    const { bavail, bsize } = statfsSync(top);
    writeFileSync(join(top, 'large'), Buffer.alloc(bavail * bsize - 7 * MIB, 'sand and salt '));
  });
  const first = (await makeImage(stage.file)).image;
  withMount(t, stage, (top) => {
    rmSync(join(top, 'large'));
    // Too much to be moved into what the first left free.
    writeFileSync(join(top, 'noise'), noiseSource('second')(8 * MIB));
  });
  const second = (await makeImage(stage.file, { keepOld: true })).image;
  const error = await refusedUntouched(
    t,
    stage,
    () => restoreImage(stage.file, { image: first.id }),
    'collision',
  );
  t.regex(error.message, new RegExp(`image ${second.id.slice(0, 8)} lies where`));
  t.regex(
    error.message,
    /no room .*expected about [\d.]+ MiB.*found [\d.]+ [KM]iB that are free in both.*--to.*--drop/,
  );
  await refusedUntouched(
    t,
    stage,
    () => restoreImage(stage.file, { image: first.id, drop: [first.id] }),
    'drop-chosen',
  );
  for (const wrong of ['', 'no such image', `${second.id}0`]) {
    await refusedUntouched(
      t,
      stage,
      () => restoreImage(stage.file, { image: first.id, drop: [wrong] }),
      'drop-unmatched',
    );
  }
  const restored = await restoreImage(stage.file, { image: first.id, drop: [second.id.slice(0, 8)] });
  t.deepEqual(restored.imagesKept, [first.id]);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, early, 'the first');
  t.deepEqual(
    (await listImages(stage.file)).images.filter(({ state }) => state === 'committed').map(({ id }) => id),
    [first.id],
  );
});

test.serial('a restore that destroys an image, cut off anywhere, can be run again as it was', async (t) => {
  const stage = volume(t);
  const early = fillStage(t, stage, SMALL_TREE, (top) => {
    const { bavail, bsize } = statfsSync(top);
    writeFileSync(join(top, 'large'), noiseSource('large')(bavail * bsize - 22 * MIB));
  });
  const first = (await makeImage(stage.file)).image;
  withMount(t, stage, (top) => rmSync(join(top, 'large')));
  const second = (await makeImage(stage.file, { keepOld: true })).image;
  // As the cut restore leaves it: nothing of the dropped image, and no superblock.
  overwriteWithNoise(stage.file, extentsOf(first.extents));
  for (const drop of [second.id, second.id.slice(0, 8)]) {
    const cut = duplicate(stage.file, `${stage.file}.cut`);
    const notes: string[] = [];
    const restored = await restoreImage(cut, { image: first.id, drop: [drop] }, (event) => {
      if ('note' in event) notes.push(event.note);
    });
    t.true(
      notes.some((note) => note.includes(`${drop}, which may be destroyed`)),
      notes.join('\n'),
    );
    t.deepEqual(restored.imagesKept, [first.id]);
    const there = { ...stage, file: cut };
    t.notThrows(() => stageMustBeClean(there));
    treeMustBe(t, there, early, drop);
    rmSync(cut);
  }
  const mistyped = () =>
    restoreImage(stage.file, {
      image: first.id,
      drop: [`${second.id.slice(0, 7)}`.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))],
    });
  await refusedUntouched(t, stage, mistyped, 'drop-unmatched');
});

test.serial('an image that was dropped is not found again once the file system is gone', async (t) => {
  const stage = volume(t);
  fillStage(t, stage, SMALL_TREE);
  const factory = (await makeImage(stage.file, { kind: 'factory' })).image;
  const user = (await makeImage(stage.file)).image;
  const restored = duplicate(stage.file, `${stage.file}.restored`);
  await restoreImage(restored, { image: 'factory', drop: [user.id] });
  t.notThrows(() => stageMustBeClean({ ...stage, file: restored }));
  // Where it lay is kept, so that it would be met if it were an image still.
  overwriteWithNoise(restored, extentsOf([...factory.extents, ...user.extents]));
  t.deepEqual(
    (await listImages(restored, { depth: 'full' })).images.map(({ id, state }) => [id, state]),
    [[factory.id, 'committed']],
  );
  t.is((await restoreImage(restored)).image.id, factory.id);
});

test.serial('a factory image is made once, and stays when user images come and go', async (t) => {
  const stage = volume(t, 64 * MIB);
  const early = fillStage(t, stage, SMALL_TREE);
  const factory = (await makeImage(stage.file, { kind: 'factory', name: 'as delivered' })).image;
  t.like(factory, { kind: 'factory', name: 'as delivered' });
  const again = () => makeImage(stage.file, { kind: 'factory' });
  await refusedUntouched(t, stage, again, 'factory-exists');
  workOn(t, stage);
  const late = treeOf(t, stage);
  const user = await makeImage(stage.file);
  t.deepEqual(user.replaced, []);
  const next = await makeImage(stage.file);
  t.deepEqual(next.replaced, [user.image.id]);
  t.deepEqual(ids((await listImages(stage.file)).images), ids([factory, next.image]));
  await restoreImage(stage.file, { image: 'factory' });
  treeMustBe(t, stage, early, 'factory');
  await restoreImage(stage.file);
  treeMustBe(t, stage, late, 'latest');
  await restoreImage(stage.file, { image: 'as delivered' });
  treeMustBe(t, stage, early, 'by name');
  const forced = await makeImage(stage.file, { kind: 'factory', forceFactory: true });
  t.deepEqual(forced.replaced, [factory.id]);
  t.deepEqual(ids((await listImages(stage.file)).images), ids([forced.image, next.image]));
  t.notThrows(() => stageMustBeClean(stage));
});

test.serial(
  'after three images nothing is left to be settled: what is refused is refused at once',
  async (t) => {
    const stage = volume(t, 64 * MIB);
    // Ids in an order that is not that of the folder.
    for (const [id, request] of [
      ['cc', { name: 'ia' }],
      ['aa', { name: 'ia2', keepOld: true }],
      ['bb', { name: 'f1', kind: 'factory' }],
    ] as const) {
      process.env['HOLDFAST_ID'] = id.repeat(16);
      t.teardown(() => delete process.env['HOLDFAST_ID']);
      await makeImage(stage.file, request);
    }
    delete process.env['HOLDFAST_ID'];
    const again = () => makeImage(stage.file, { name: 'f2', kind: 'factory' });
    await refusedUntouched(t, stage, again, 'factory-exists');
    // Where a cut has left a list that is out of date, a refusal does not write either.
    const images = (await listImages(stage.file)).images;
    const stale = duplicate(stage.file, `${stage.file}.stale`);
    await removeImage(stage.file, { image: images[0]!.id });
    const handle = openSync(stale, 'r+');
    for (const [start, length] of images[0]!.extents)
      for (let at = start; at < start + length; at += 512) {
        const record = Buffer.alloc(512);
        readSync(handle, record, 0, 512, at);
        if (record.subarray(0, 8).toString('latin1') !== 'HFCOMMIT') continue;
        COMMIT.set(record, 'sibling_total', 9);
        COMMIT.set(record, 'crc', crc32(record.subarray(0, COMMIT.offsetOf('crc'))));
        writeSync(handle, record, 0, 512, at);
      }
    closeSync(handle);
    const there = { ...stage, file: stale };
    await refusedUntouched(t, there, () => makeImage(stale, { kind: 'factory' }), 'factory-exists');
    await refusedUntouched(
      t,
      there,
      () => makeImage(stale, { minFree: 60 * MIB, keepOld: true }),
      'no-space',
    );
  },
);

test.serial('no room for two images: refused, unless the old one may go first', async (t) => {
  const stage = volume(t);
  const tree = fillStage(t, stage, SMALL_TREE, (top) =>
    writeFileSync(join(top, 'noise'), noiseSource('noise')(13 * MIB)),
  );
  const first = await makeImage(stage.file);
  const error = await refusedUntouched(t, stage, () => makeImage(stage.file), 'no-space');
  t.regex(error.message, /expected about [\d.]+ MiB.*found [\d.]+ MiB free.*--replace-first/);
  const second = await makeImage(stage.file, { replaceFirst: true });
  t.deepEqual(second.replaced, [first.image.id]);
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(ids((await listImages(stage.file)).images), [second.image.id]);
  overwriteWithNoise(stage.file, extentsOf(second.image.extents));
  await restoreImage(stage.file);
  treeMustBe(t, stage, tree, 'the second');
});

for (const [what, code, spoil] of [
  [
    'no inode is free',
    'claim.no-inode',
    (top: string): void => {
      try {
        for (let number = 0; ; number += 1) writeFileSync(join(top, `empty ${number}`), '');
      } catch {
        // That was the last one.
      }
    },
  ],
  [
    '/.holdfast is a file',
    'claim.name-taken',
    (top: string) => writeFileSync(join(top, '.holdfast'), 'mine'),
  ],
  [
    '/.holdfast is a symlink',
    'claim.name-taken',
    (top: string) => symlinkSync('/tmp', join(top, '.holdfast')),
  ],
] as const)
  test.serial(`${what}: refused before anything is written`, async (t) => {
    const file = makeVolume(join(temporaryFolder(t), 'volume'), {
      size: 32 * MIB,
      blockSize: 4096,
      more: ['-N', '128'],
    });
    const stage: Stage = { file, start: 0, size: 32 * MIB };
    withMount(t, stage, (top) => {
      // More than waits in memory until the end.
      writeFileSync(join(top, 'noise'), noiseSource(what)(8 * MIB));
      spoil(top);
    });
    await refusedUntouched(t, stage, () => makeImage(file), code);
    await refusedUntouched(t, stage, () => makeImage(file, { dryRun: true }), code);
  });

test.serial('what the owner wants to keep free stays free', async (t) => {
  const stage = volume(t);
  fillStage(t, stage, SMALL_TREE);
  const error = await refusedUntouched(
    t,
    stage,
    () => makeImage(stage.file, { minFree: 40 * MIB }),
    'no-space',
  );
  t.regex(error.message, /besides 40\.0 MiB that stay free, found [\d.]+ MiB free.*--min-free/);
  await makeImage(stage.file, { minFree: 30 * MIB });
  const mount = mountStage(t, stage, true);
  const { bfree, bsize } = statfsSync(mount.path);
  mount.unmount();
  t.true(bfree * bsize >= 30 * MIB);
});

test.serial('an almost full volume', async (t) => {
  const stage = volume(t);
  const tree = fillStage(t, stage, SMALL_TREE, (top) => {
    const { bavail, bsize } = statfsSync(top);
    writeFileSync(join(top, 'large'), Buffer.alloc(bavail * bsize - 6 * MIB, 'sand and salt '));
  });
  await wholeCycle(t, { stage, tree });
});

test.serial('a full volume is refused with the numbers', async (t) => {
  const stage = volume(t);
  fillStage(t, stage, SMALL_TREE, (top) => {
    const { bavail, bsize } = statfsSync(top);
    writeFileSync(join(top, 'large'), noiseSource('large')(bavail * bsize - MIB));
  });
  const error = await refusedUntouched(t, stage, () => makeImage(stage.file), 'no-space');
  t.regex(error.message, /expected about [\d.]+ MiB.*found [\d.]+ MiB free/);
});

for (const [name, codec] of [
  ['store', { codec: 'store', level: 0 }],
  ['xz', { codec: 'xz', level: 6 }],
  ['zstd, level 19', { codec: 'zstd', level: 19 }],
] as const)
  test.serial(`codec ${name}, data that packs and data that does not`, async (t) => {
    const stage = volume(t);
    const tree = fillStage(t, stage, SMALL_TREE, (top) => {
      writeFileSync(join(top, 'noise'), noiseSource('noise')(4 * MIB));
      writeFileSync(join(top, 'words'), Buffer.alloc(4 * MIB, 'sand and salt '));
    });
    await wholeCycle(t, { stage, tree, request: { codec } });
  });

test.serial('dry runs write nothing', async (t) => {
  const stage = volume(t);
  fillStage(t, stage, SMALL_TREE);
  const empty = duplicate(stage.file, `${stage.file}.empty`);
  t.false((await makeImage(stage.file, { dryRun: true })).written);
  t.true(sameBytes(empty, stage.file), 'create');
  const { image } = await makeImage(stage.file);
  const made = duplicate(stage.file, `${stage.file}.made`);
  const second = await makeImage(stage.file, { dryRun: true });
  t.false(second.written);
  t.deepEqual(second.replaced, [image.id]);
  t.true(sameBytes(made, stage.file), 'second create');
  t.false((await removeImage(stage.file, { image: image.id, dryRun: true })).written);
  t.false((await restoreImage(stage.file, { dryRun: true })).written);
  t.true(sameBytes(made, stage.file), 'restore, remove');
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  const lost = duplicate(stage.file, `${stage.file}.lost`);
  t.false((await restoreImage(stage.file, { dryRun: true })).written);
  t.true(sameBytes(lost, stage.file), 'restore of a lost volume');
  const declined = () => restoreImage(stage.file, { confirm: async () => false });
  await refusedUntouched(t, stage, declined, 'unconfirmed');
});

test.serial('restoring again writes little, and so does restoring what hardly differs', async (t) => {
  const stage = volume(t, 64 * MIB);
  const tree = fillStage(t, stage, { size: 12 * MIB, entries: 60 });
  const { image } = await makeImage(stage.file);
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  const first = await restoreImage(stage.file);
  const once = duplicate(stage.file, `${stage.file}.once`);
  const second = await restoreImage(stage.file);
  t.true(first.stats.bytesWritten > 10 * MIB);
  t.true(second.stats.bytesWritten < MIB / 4, `${second.stats.bytesWritten}`);
  const outside = complement(extentsOf(image.extents), { start: 0, length: stage.size });
  t.true(sameBytes(once, stage.file, outside));
  treeMustBe(t, stage, tree, 'the second time');
  withMount(t, stage, (top) => writeFileSync(join(top, 'tree', 'sizes', '4096'), noiseSource('new')(4096)));
  const third = await restoreImage(stage.file);
  t.true(third.stats.bytesWritten < first.stats.bytesWritten / 8, `${third.stats.bytesWritten}`);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'the third time');
});

test.serial('same input, same bytes', async (t) => {
  const stage = volume(t);
  fillStage(t, stage, SMALL_TREE);
  const files = ['one', 'two'].map((name) => duplicate(stage.file, `${stage.file}.${name}`));
  process.env['HOLDFAST_ID'] = '00112233445566778899aabbccddeeff';
  t.teardown(() => delete process.env['HOLDFAST_ID']);
  for (const file of files) {
    const { image } = await makeImage(file);
    t.is(image.id, '00112233445566778899aabbccddeeff');
  }
  t.true(sameBytes(files[0]!, files[1]!), 'create');
  for (const file of files) {
    const { images } = await listImages(file);
    overwriteWithNoise(file, extentsOf(images[0]!.extents));
    await restoreImage(file);
  }
  t.true(sameBytes(files[0]!, files[1]!), 'restore');
});
