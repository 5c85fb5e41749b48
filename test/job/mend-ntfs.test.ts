import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { KIB, MIB } from '../../rescue/units.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { complaints, makeNtfs, mountNtfs, treeThroughMount } from '../fs/ntfs/volumes.ts';
import { noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { displace, downInPieces } from './displace.ts';
import { listImages, makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';

/** A container on NTFS whose clusters were moved, as Windows' defragmenter does. */

const SIZE = 48 * MIB;

const treeOf = (t: ExecutionContext, file: string): ReadonlyMap<string, string> => {
  const mount = mountNtfs(t, file, { readOnly: true });
  const tree = treeThroughMount(mount.path);
  mount.unmount();
  return tree;
};

const imaged = async (
  t: ExecutionContext,
  {
    clusterSize = 4096,
    kind = 'user',
  }: { readonly clusterSize?: number; readonly kind?: 'user' | 'factory' },
) => {
  const file = makeNtfs(join(temporaryFolder(t), 'volume'), { size: SIZE, clusterSize });
  const mount = mountNtfs(t, file);
  mkdirSync(join(mount.path, 'deep', 'deeper'), { recursive: true });
  const next = noiseSource('moved');
  for (let index = 0; index < 40; index += 1)
    writeFileSync(join(mount.path, 'deep', 'deeper', `file ${index}`), next(index * 900));
  mkdirSync(join(mount.path, 'streams'));
  for (const name of ['file', 'file:small', 'file:large'])
    writeFileSync(join(mount.path, 'streams', name), next(name.length * 2000));
  mount.unmount();
  const tree = treeOf(t, file);
  const { image } = await makeImage(file, { kind });
  return { file, tree, image };
};

const mustBeSound = (t: ExecutionContext, file: string, when: string): void => {
  t.deepEqual(new NtfsFileVolume(file).problems(), [], when);
};

/** Noticed, mended, found without a file system, and restored. */
const noticedAndMended = async (
  t: ExecutionContext,
  { file, tree, image }: Awaited<ReturnType<typeof imaged>>,
): Promise<readonly string[]> => {
  mustBeSound(t, file, 'after the move');
  t.like((await listImages(file)).images[0], { id: image.id, state: 'moved', foundBy: 'filesystem' });
  const { problems } = await verifyImage(file);
  t.true(
    problems.some(({ code }) => code === 'slot.moved'),
    JSON.stringify(problems),
  );
  const repair = await verifyImage(file, { repair: true });
  t.deepEqual(repair.problems, []);
  mustBeSound(t, file, 'after the repair');
  t.deepEqual(treeOf(t, file), tree);
  const { images } = await listImages(file, { depth: 'full' });
  t.deepEqual(
    images.map(({ id, state }) => [id, state]),
    [[image.id, 'committed']],
  );
  overwriteWithNoise(file, extentsOf(images[0]!.extents));
  t.like((await listImages(file)).images[0], { id: image.id, state: 'committed', foundBy: 'scan' });
  await restoreImage(file);
  mustBeSound(t, file, 'after the restore');
  t.deepEqual(treeOf(t, file), tree);
  t.deepEqual((await verifyImage(file)).problems, []);
  return repair.repaired!;
};

for (const { what, clusterSize, piece, how } of [
  { what: 'whole slots', clusterSize: 4096, piece: (3 * 64 * KIB) / 4096, how: /say again where they lie/ },
  { what: 'pieces that tear slots apart', clusterSize: 4096, piece: 7, how: /written anew/ },
  {
    what: 'whole slots, clusters of one sector',
    clusterSize: 512,
    piece: (64 * KIB) / 512,
    how: /say again/,
  },
])
  test.serial(`a moved container in ${what} is noticed and put right`, async (t) => {
    const scene = await imaged(t, { clusterSize });
    displace(scene.file, downInPieces(piece));
    t.regex((await noticedAndMended(t, scene)).join('\n'), how);
  });

test.serial('what ntfsresize moves out of the end of a volume is noticed and put right', async (t) => {
  const scene = await imaged(t, {});
  const { file, image } = scene;
  const resize = (size: number): void => {
    mustRun('ntfsresize', ['--force', '--force', '--no-progress-bar', '--size', String(size), file]);
    // It leaves the dirty mark, for chkdsk to have a look.
    mustRun('ntfsfix', ['-d', file]);
  };
  resize(24 * MIB);
  truncateSync(file, SIZE);
  resize(SIZE);
  const [moved] = (await listImages(file)).images;
  t.notDeepEqual(moved!.extents, image.extents);
  await noticedAndMended(t, scene);
});

test.serial('create puts right what it keeps, and removes what it replaces as it is', async (t) => {
  const { file, tree, image: factory } = await imaged(t, { kind: 'factory' });
  displace(file, downInPieces(7));
  const user = (await makeImage(file)).image;
  mustBeSound(t, file, 'after create');
  const stated = async () =>
    (await listImages(file, { depth: 'full' })).images.map(({ id, state }) => `${id} ${state}`).sort();
  t.deepEqual(await stated(), [`${factory.id} committed`, `${user.id} committed`].sort());
  for (const { id } of [factory, user]) t.deepEqual((await verifyImage(file, { image: id })).problems, []);
  const { images } = await listImages(file);
  overwriteWithNoise(file, extentsOf(images.flatMap(({ extents }) => extents)));
  t.is((await restoreImage(file, { image: 'factory' })).imagesKept.length, 2);
  mustBeSound(t, file, 'after the restore');
  t.deepEqual(treeOf(t, file), tree);
  // The one that is replaced is moved: it goes with the clusters that it has now.
  await removeImage(file, { image: factory.id });
  displace(file, downInPieces(7));
  const next = await makeImage(file);
  t.deepEqual(next.replaced, [user.id]);
  mustBeSound(t, file, 'after the replacing create');
  t.deepEqual(
    (await listImages(file)).images.map(({ id, state }) => [id, state]),
    [[next.image.id, 'committed']],
  );
});

test.serial('ntfs-3g works on beside a mended container, and verify still passes', async (t) => {
  const { file, tree } = await imaged(t, {});
  displace(file, downInPieces(7));
  await verifyImage(file, { repair: true });
  const mount = mountNtfs(t, file);
  for (let index = 0; index < 200; index += 1) writeFileSync(join(mount.path, `new ${index}`), `${index}`);
  rmSync(join(mount.path, 'deep'), { recursive: true });
  mount.unmount();
  t.deepEqual(complaints(file), []);
  t.deepEqual((await verifyImage(file)).problems, []);
  await restoreImage(file);
  mustBeSound(t, file, 'after the restore');
  t.deepEqual(treeOf(t, file), tree);
});
