import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openFile } from '../../rescue/device/file.ts';
import type { HoldfastError } from '../../rescue/errors.ts';
import { SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { hasSlotMagic, parseSlotHeader, type SlotHeader } from '../../rescue/image/slot.ts';
import { type Extent, KIB, MIB } from '../../rescue/units.ts';
import { fsckFat } from '../fs/fat/fsck.ts';
import { mtools } from '../fs/fat/mtools.ts';
import { makeFat } from '../fs/fat/volumes.ts';
import { duplicate } from '../support/duplicate.ts';
import { mustBeClean } from '../support/judges.ts';
import { digestOf, noiseSource, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { displace, downInPieces } from './displace.ts';
import { listImages, makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, mountStage, type Stage, stageMustBeClean, treeOf } from './stage.ts';

const SLOT_CLUSTERS = (64 * KIB) / 4096;

const imaged = async (
  t: ExecutionContext,
  type: 'ext2' | 'ext4' = 'ext4',
  kind: 'user' | 'factory' = 'user',
) => {
  const size = 64 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096, type });
  const stage: Stage = { file, start: 0, size };
  const tree = fillStage(t, stage, { size: MIB, entries: 60 });
  const { image } = await makeImage(file, { kind });
  return { stage, tree, image };
};

for (const { what, piece, left } of [
  { what: 'whole slots', piece: 3 * SLOT_CLUSTERS, left: 'in place' },
  { what: 'pieces that tear slots apart', piece: 7, left: 'as a copy' },
])
  test.serial(`a moved container in ${what} is put right ${left}`, async (t) => {
    const { stage, tree, image } = await imaged(t);
    displace(stage.file, downInPieces(piece));
    t.notThrows(() => stageMustBeClean(stage));
    const [moved] = (await listImages(stage.file)).images;
    t.like(moved, { id: image.id, state: 'moved', foundBy: 'filesystem' });
    const looked = await verifyImage(stage.file);
    t.true(looked.problems.some(({ code }) => code === 'slot.moved'));
    t.is(looked.repaired, undefined);
    const { problems, repaired, stats } = await verifyImage(stage.file, { repair: true });
    t.deepEqual(problems, []);
    t.is(repaired!.length, 1, repaired!.join());
    t.is(looked.stats.bytesWritten, 0);
    t.true(stats.bytesWritten > 0);
    t.notThrows(() => stageMustBeClean(stage));
    const { images } = await listImages(stage.file, { depth: 'full' });
    t.deepEqual(
      images.map(({ id, state }) => [id, state]),
      [[image.id, 'committed']],
      JSON.stringify(images),
    );
    t.true(images[0]!.generation > image.generation);
    // Found without a file system again, and good for everything.
    overwriteWithNoise(stage.file, extentsOf(images[0]!.extents));
    t.like((await listImages(stage.file)).images[0], { id: image.id, state: 'committed', foundBy: 'scan' });
    await restoreImage(stage.file);
    t.notThrows(() => stageMustBeClean(stage));
    t.deepEqual(differences(tree, treeOf(t, stage)), []);
    t.deepEqual((await verifyImage(stage.file)).problems, []);
  });

test.serial('create puts right what it keeps, and removes what it replaces as it is', async (t) => {
  for (const piece of [SLOT_CLUSTERS, 7]) {
    const { stage, tree } = await imaged(t, 'ext2', 'factory');
    const [factory] = (await listImages(stage.file)).images;
    displace(stage.file, downInPieces(piece));
    const before = duplicate(stage.file, `${stage.file}.before`);
    await makeImage(stage.file, { dryRun: true });
    t.true(sameBytes(before, stage.file), 'a dry run wrote something');
    const user = (await makeImage(stage.file)).image;
    t.notThrows(() => stageMustBeClean(stage));
    const stated = async () =>
      (await listImages(stage.file, { depth: 'full' })).images.map(({ id, state }) => `${id} ${state}`);
    t.deepEqual((await stated()).sort(), [`${factory!.id} committed`, `${user.id} committed`].sort());
    for (const { id } of [factory!, user])
      t.deepEqual((await verifyImage(stage.file, { image: id })).problems, []);
    // Each knows of the other.
    overwriteWithNoise(
      stage.file,
      extentsOf((await listImages(stage.file)).images.flatMap(({ extents }) => extents)),
    );
    const { imagesKept } = await restoreImage(stage.file, { image: 'factory' });
    t.is(imagesKept.length, 2);
    t.deepEqual(differences(tree, treeOf(t, stage)), []);
    t.notThrows(() => stageMustBeClean(stage));
  }
  const { stage, image } = await imaged(t);
  displace(stage.file, downInPieces(7));
  const next = await makeImage(stage.file);
  t.deepEqual(next.replaced, [image.id]);
  t.is(next.image.sequence, image.sequence + 1);
  t.notThrows(() => stageMustBeClean(stage));
  const left = (await listImages(stage.file, { depth: 'full' })).images;
  t.deepEqual(
    left.filter(({ state }) => state !== 'stale').map(({ id, state }) => [id, state]),
    [[next.image.id, 'committed']],
  );
});

test.serial(
  'slots that were left at the old place are stale, and another image is never written over',
  async (t) => {
    const { stage, image } = await imaged(t);
    displace(stage.file, downInPieces(SLOT_CLUSTERS));
    const { images } = await listImages(stage.file, { depth: 'full' });
    t.deepEqual(
      images.map(({ id, state }) => [id, state]),
      [
        [image.id, 'moved'],
        [image.id, 'stale'],
      ],
    );
    t.regex(images[1]!.reason!, /lists this image at other clusters.*left behind/);
    t.deepEqual(images[1]!.extents, image.extents);
    const refusal = await t.throwsAsync<HoldfastError>(restoreImage(stage.file, { image: image.id }));
    t.is(refusal.detail.code, 'displaced');
  },
);

test.serial('no room for a copy: refused with the numbers, and nothing is written', async (t) => {
  const { stage, image } = await imaged(t);
  displace(stage.file, downInPieces(7));
  const mount = mountStage(t, stage);
  t.not(run('dd', ['if=/dev/urandom', `of=${join(mount.path, 'full')}`, 'bs=64k']).exit, 0);
  mount.unmount();
  const before = duplicate(stage.file, `${stage.file}.before`);
  const refusal = await t.throwsAsync<HoldfastError>(verifyImage(stage.file, { repair: true }));
  t.like(refusal, { kind: 'refused' });
  t.is(refusal.detail.code, 'no-space', refusal.message);
  t.true(sameBytes(before, stage.file));
  t.like((await listImages(stage.file)).images[0], { id: image.id, state: 'moved' });
});

test.serial('a full volume is no hindrance where slots are whole', async (t) => {
  const { stage } = await imaged(t);
  displace(stage.file, downInPieces(SLOT_CLUSTERS));
  const mount = mountStage(t, stage);
  t.not(run('dd', ['if=/dev/urandom', `of=${join(mount.path, 'full')}`, 'bs=64k']).exit, 0);
  const digest = mustRun('sha256sum', [join(mount.path, 'full')]).stdout.slice(0, 64);
  mount.unmount();
  t.deepEqual((await verifyImage(stage.file, { repair: true })).problems, []);
  t.notThrows(() => stageMustBeClean(stage));
  const again = mountStage(t, stage, true);
  t.is(mustRun('sha256sum', [join(again.path, 'full')]).stdout.slice(0, 64), digest);
  again.unmount();
});

/** Overwrites the slots of the image that `which` says with zeros. */
const loseSlots = (
  file: string,
  extents: readonly Extent[],
  which: (header: SlotHeader) => boolean,
): number => {
  const device = openFile(file, { write: true });
  let lost = 0;
  for (const { start, length } of extents)
    for (let at = start; at < start + length; at += 4096) {
      const bytes = device.read(at, SLOT_HEADER_SIZE);
      if (!hasSlotMagic(bytes)) continue;
      const header = parseSlotHeader(bytes, at);
      if (!which(header)) continue;
      device.write(at, new Uint8Array(header.slotSize));
      lost += 1;
    }
  device.close();
  return lost;
};

for (const [what, which] of [
  ['the first anchor', ({ index }) => index === 0],
  ['a commit slot', ({ index }) => index === 1],
  ['the journal', ({ kind }) => kind === 'journal'],
] as const satisfies readonly (readonly [string, (header: SlotHeader) => boolean])[])
  test.serial(`${what} lost: mended from what is left`, async (t) => {
    const { stage, tree, image } = await imaged(t);
    const before = digestOf(stage.file, extentsOf(image.sealedExtents));
    t.true(loseSlots(stage.file, extentsOf(image.extents), which) > 0);
    t.true((await verifyImage(stage.file)).problems.length > 0);
    const { problems, repaired } = await verifyImage(stage.file, { repair: true });
    t.deepEqual(problems, []);
    t.true(repaired!.length > 0);
    t.notThrows(() => stageMustBeClean(stage));
    t.is(digestOf(stage.file, extentsOf(image.sealedExtents)), before, 'the same bytes as before');
    t.deepEqual((await verifyImage(stage.file, { repair: true })).repaired, []);
    await removeImage(stage.file, { image: image.id });
    t.notThrows(() => stageMustBeClean(stage));
    t.deepEqual(differences(tree, treeOf(t, stage)), []);
  });

test.serial('lost data is said, and not pretended to be mended', async (t) => {
  const { stage, image } = await imaged(t);
  t.is(
    loseSlots(stage.file, extentsOf(image.extents), ({ index }) => index === 5),
    1,
  );
  const before = duplicate(stage.file, `${stage.file}.before`);
  const { problems, repaired } = await verifyImage(stage.file, { repair: true });
  t.true(problems.some(({ code }) => code === 'frame.damaged'));
  t.deepEqual(repaired, []);
  t.true(sameBytes(before, stage.file));
});

/** As many files of 256 KiB as nearly fill the volume. */
const PIECES = 260;

test.serial('what e4defrag moves is named and put right', async (t) => {
  const size = 96 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
  const stage: Stage = { file, start: 0, size };
  // Free space in pieces makes a container in pieces.
  const tree = fillStage(t, stage, { size: MIB, entries: 60 });
  let mount = mountStage(t, stage);
  writeFileSync(join(mount.path, 'tail'), noiseSource('tail')(6 * MIB));
  for (let index = 0; index < PIECES; index += 1)
    writeFileSync(join(mount.path, `piece ${index}`), Buffer.alloc(256 * KIB, `${index} `));
  for (let index = 0; index < PIECES; index += 2) rmSync(join(mount.path, `piece ${index}`));
  mount.unmount();
  const { image } = await makeImage(file, { minFree: MIB });
  mount = mountStage(t, stage);
  for (let index = 1; index < PIECES; index += 2) rmSync(join(mount.path, `piece ${index}`));
  const container = join(mount.path, '.holdfast', `user-${image.id.slice(0, 12)}.hfi`);
  mustRun('chattr', ['-i', container]);
  mustRun('chmod', ['600', container]);
  const said = mustRun('e4defrag', ['-v', container]).stdout;
  mount.unmount();
  const [listed] = (await listImages(file)).images;
  t.is(listed!.state, 'moved', said);
  t.deepEqual((await verifyImage(file, { repair: true })).problems, []);
  t.notThrows(() => stageMustBeClean(stage));
  const [mended] = (await listImages(file)).images;
  overwriteWithNoise(file, extentsOf(mended!.extents));
  await restoreImage(file);
  t.notThrows(() => stageMustBeClean(stage));
  const restored = treeOf(t, stage);
  t.deepEqual(
    differences(tree, restored).filter((each) => !/piece|tail/.test(each) && tree.has(each)),
    [],
  );
});

test.serial('FAT, clusters of one sector: in place and as a copy', async (t) => {
  for (const piece of [(64 * KIB) / 512, 7]) {
    const size = 24 * MIB;
    const file = makeFat(join(temporaryFolder(t), 'volume'), { bits: 16, size, sectorsPerCluster: 1 });
    const source = join(temporaryFolder(t), 'source');
    writeFileSync(source, noiseSource('FAT')(300 * KIB));
    mtools('mcopy', file, [source, '::FILE.BIN']);
    const { image } = await makeImage(file);
    displace(file, downInPieces(piece));
    t.notThrows(() => mustBeClean(fsckFat(t, file)));
    t.like((await listImages(file)).images[0], { id: image.id, state: 'moved' });
    t.deepEqual((await verifyImage(file, { repair: true })).problems, []);
    t.notThrows(() => mustBeClean(fsckFat(t, file)));
    const { images } = await listImages(file, { depth: 'full' });
    t.deepEqual(
      images.map(({ id, state }) => [id, state]),
      [[image.id, 'committed']],
    );
    overwriteWithNoise(file, extentsOf(images[0]!.extents));
    await restoreImage(file);
    t.notThrows(() => mustBeClean(fsckFat(t, file)));
    mtools('mcopy', file, ['-n', '::FILE.BIN', `${source}.back`]);
    t.true(sameBytes(source, `${source}.back`));
  }
});

test.serial('a moved container that is removed leaves nothing behind where it lay before', async (t) => {
  const { stage, image } = await imaged(t);
  displace(stage.file, downInPieces(7));
  const [moved] = (await listImages(stage.file)).images;
  await removeImage(stage.file, { image: image.id });
  t.notThrows(() => stageMustBeClean(stage));
  // Without a file system nothing says that what lies at the old place is no image.
  overwriteWithNoise(stage.file, extentsOf([...image.extents, ...moved!.extents]));
  t.deepEqual((await listImages(stage.file, { depth: 'full' })).images, []);
});
