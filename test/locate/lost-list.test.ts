import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { CreateRequest } from '../../rescue/job/results.ts';
import { type ByteOffset, KIB, MIB } from '../../rescue/units.ts';
import { mtools } from '../fs/fat/mtools.ts';
import { bytesAt, patchBytes, placesOf } from '../fs/fat/patching.ts';
import { makeFat } from '../fs/fat/volumes.ts';
import { listImages, makeImage, restoreImage } from '../job/requests.ts';
import { makeDisk } from '../support/disk.ts';
import { noiseSource } from '../support/noise.ts';
import { mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { smallVolume } from './climbing.ts';

/** Folders of FAT look like any other bytes: what a volume does not list may be given up, or its list lost. */

const SIZES = { 12: 8 * MIB, 16: 24 * MIB, 32: 40 * MIB } as const;
const KINDS = [12, 16, 32] as const;

/** A volume with a file and an image of it. */
const imaged = async (t: ExecutionContext, bits: 12 | 16 | 32, request: Partial<CreateRequest> = {}) => {
  const folder = temporaryFolder(t);
  const path = makeFat(join(folder, 'volume'), {
    size: SIZES[bits],
    bits,
    ...(bits === 32 ? { sectorsPerCluster: 1 } : {}),
  });
  const file = join(folder, 'file');
  mustRun('dd', ['if=/dev/urandom', `of=${file}`, 'bs=64K', 'count=4', 'status=none']);
  mtools('mcopy', path, [file, '::/kelp']);
  const { image } = await makeImage(path, { minFree: 0, ...request });
  const { root, clusterSize } = placesOf(path);
  return { path, id: image.id, image, root: { start: root, length: bits === 32 ? clusterSize : 16 * KIB } };
};

const stateOf = async (path: string, id: string) => {
  const { images } = await listImages(path);
  return images.find((each) => each.id === id);
};

/** Where the name of the containers' folder begins in the root: its long name is in front of it. */
const folderEntry = (path: string, root: { start: ByteOffset; length: number }): ByteOffset => {
  const bytes = bytesAt(path, root.start, root.length);
  const at = bytes.indexOf('HOLDFA~1');
  if (at < 0) throw new Error('no containers folder in the root');
  return root.start + at;
};

const unhide = (path: string): void => {
  mtools('mattrib', path, ['-s', '-h', '-r', '::/.holdfast']);
  mtools('mattrib', path, ['-s', '-h', '-r', '-/', '::/.holdfast']);
};

for (const bits of KINDS) {
  for (const what of ['noise', 'zeros'] as const)
    test.serial(`FAT${bits}, ${what} in place of the root: restored without being named`, async (t) => {
      const { path, id, root } = await imaged(t, bits);
      const bytes = what === 'zeros' ? Buffer.alloc(root.length) : noiseSource('root')(root.length);
      patchBytes(path, root.start, bytes);
      t.not(run('fsck.fat', ['-n', path]).exit, 0);
      t.like(await stateOf(path, id), { state: 'committed' });
      const { image } = await restoreImage(path);
      t.is(image.id, id);
      t.is(run('fsck.fat', ['-n', path]).exit, 0);
      t.like(await stateOf(path, id), { state: 'committed', foundBy: 'filesystem' });
    });

  test.serial(`FAT${bits}, only the entry of the folder lost: the image is not given up`, async (t) => {
    const { path, id, root } = await imaged(t, bits);
    patchBytes(path, folderEntry(path, root), Buffer.from([0xe5]));
    t.like(await stateOf(path, id), { state: 'committed' });
  });

  test.serial(`FAT${bits}, deleted by its owner: stale`, async (t) => {
    const { path, id } = await imaged(t, bits);
    unhide(path);
    mtools('mdeltree', path, ['::/.holdfast']);
    t.is(run('fsck.fat', ['-n', path]).exit, 0);
    t.like(await stateOf(path, id), { state: 'stale' });
  });

  test.serial(`FAT${bits}, moved by its owner to another folder: stale`, async (t) => {
    const { path, id } = await imaged(t, bits);
    unhide(path);
    mtools('mmd', path, ['::/elsewhere']);
    mtools('mmove', path, ['::/.holdfast', '::/elsewhere']);
    t.like(await stateOf(path, id), { state: 'stale' });
  });
}

test.serial('one of two partitions has lost its list: neither is restored without being named', async (t) => {
  const path = join(temporaryFolder(t), 'disk');
  // No room beside them that would be searched anyway.
  const [first, second] = makeDisk(t, path, {
    size: 66 * MIB,
    table: 'gpt',
    partitions: [{ size: 24 * MIB }, { size: 40 * MIB }],
  });
  makeVolume(path, { offset: first!.start, size: first!.size });
  makeFat(path, { offset: second!.start, size: second!.size, bits: 32, sectorsPerCluster: 1 });
  for (const partition of [1, 2]) await makeImage(path, { partition, minFree: 0 });
  const { root, clusterSize } = placesOf(path, second!.start);
  patchBytes(path, root, noiseSource('root')(clusterSize));
  const { images } = await listImages(path);
  t.deepEqual(
    images.map(({ state, partition }) => [state, partition.number]),
    [
      ['committed', 1],
      ['committed', 2],
    ],
  );
  await t.throwsAsync(restoreImage(path), { message: /several images could be meant/ });
  t.is((await restoreImage(path, { partition: 2 })).image.partition.number, 2);
});

test.serial('a volume with another serial number never had the image in its list: stale', async (t) => {
  const { path, id, root } = await imaged(t, 32);
  patchBytes(path, root.start, Buffer.alloc(root.length));
  for (const sector of [0, 6]) patchBytes(path, sector * 512 + 67, Buffer.from('kelp'));
  t.like(await stateOf(path, id), { state: 'stale' });
});

test.serial('a list that has one image is not lost: another that is not in it is stale', async (t) => {
  const { path, id: factory } = await imaged(t, 32, { kind: 'factory' });
  const { image: user } = await makeImage(path, { minFree: 0 });
  const { root, clusterSize } = placesOf(path);
  const folder = bytesAt(path, folderEntry(path, { start: root, length: clusterSize }), 32);
  const cluster = folder.readUInt16LE(20) * 0x10000 + folder.readUInt16LE(26);
  const at = root + (cluster - 2) * clusterSize;
  const bytes = bytesAt(path, at, clusterSize);
  const entry = bytes.indexOf('FACTOR');
  t.true(entry >= 0);
  patchBytes(path, at + entry, Buffer.from([0xe5]));
  t.like(await stateOf(path, user.id), { state: 'committed' });
  const { images } = await listImages(path, { depth: 'full' });
  t.like(
    images.find(({ id }) => id === factory),
    { state: 'stale' },
  );
});

for (const what of ['zeros', 'noise'] as const)
  test.serial(`ext2, ${what} in place of the folder's inode: the list cannot be read`, async (t) => {
    const path = smallVolume(t, { type: 'ext2' });
    const { image } = await makeImage(path, { minFree: 0 });
    const said = mustRun('debugfs', ['-R', 'imap /.holdfast', path]).stdout;
    const [, block, offset] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(said) ?? [];
    const at = Number(block) * 4096 + Number(offset);
    // A mode that is neither a folder's nor a file's.
    const bytes =
      what === 'zeros'
        ? Buffer.alloc(128)
        : Buffer.concat([Buffer.from('ffff', 'hex'), noiseSource('inode')(126)]);
    patchBytes(path, at, bytes);
    t.like(await stateOf(path, image.id), { state: 'committed' });
    t.is((await restoreImage(path)).image.id, image.id);
  });
