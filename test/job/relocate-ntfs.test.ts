import { mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../rescue/bytes/runs.ts';
import { openNtfs } from '../../rescue/fs/ntfs/filesystem.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { KIB, MIB, type Run } from '../../rescue/units.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { ntfsOwnersClusters } from '../fs/ntfs/owners-clusters.ts';
import { type MakeOptions, makeNtfs, mountNtfs, treeThroughMount } from '../fs/ntfs/volumes.ts';
import { digestOf, noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import {
  imagesNow,
  namesInRecord,
  namesOf,
  overlap as overlapIn,
  restoreEarlyThenLate,
} from './relocating.ts';
import { makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';

/** What was on the volume when an image was made. */
interface State {
  readonly image: ImageSummary;
  readonly tree: ReadonlyMap<string, string>;
  readonly clusters: readonly Run[];
}

const PIECE = 128 * KIB;
const LARGE = 5 * MIB;

const withMount = <Result>(t: ExecutionContext, file: string, body: (root: string) => Result): Result => {
  const mount = mountNtfs(t, file);
  const result = body(mount.path);
  mount.unmount();
  return result;
};

const treeOf = (t: ExecutionContext, file: string): ReadonlyMap<string, string> => {
  const mount = mountNtfs(t, file, { readOnly: true });
  const tree = treeThroughMount(mount.path);
  mount.unmount();
  return tree;
};

const mustBeSound = (t: ExecutionContext, file: string, when: string): void => {
  t.deepEqual(new NtfsFileVolume(file).problems(), [], when);
};

const overlap = (clusterSize: number, image: ImageSummary, clusters: readonly Run[]): number =>
  overlapIn({ clusterBase: 0, clusterSize }, image, clusters);

const stateNow = async (t: ExecutionContext, file: string, kind: 'user' | 'factory'): Promise<State> => {
  const tree = treeOf(t, file);
  const clusters = ntfsOwnersClusters(file);
  const { image } = await makeImage(file, { kind });
  t.deepEqual(ntfsOwnersClusters(file), clusters, 'create takes nothing but the container');
  mustBeSound(t, file, `after create of the ${kind} image`);
  return { image, tree, clusters };
};

/** Everything that must hold after a restore of `state` beside `others`. ntfsresize accounts for every cluster. */
const mustBeBack = async (
  t: ExecutionContext,
  file: string,
  state: State,
  others: readonly State[],
  when: string,
): Promise<void> => {
  mustBeSound(t, file, when);
  t.deepEqual(treeOf(t, file), state.tree, when);
  t.deepEqual(ntfsOwnersClusters(file), state.clusters, `${when}: the owner's clusters`);
  const images = await imagesNow(file);
  const ids = [state, ...others].map(({ image }) => image.id);
  t.deepEqual([...images.keys()].sort(), ids.sort(), when);
  const records = Array.from({ length: 16 }, (_, sector) => namesInRecord(file, sector * 512)).filter(
    (each) => each !== undefined,
  );
  t.deepEqual(records, [namesOf(images.values())], `${when}: locator record`);
  for (const id of ids) t.deepEqual((await verifyImage(file, { image: id })).problems, [], `${when}: ${id}`);
};

/**
 * The second image lies where the first one has `large`: files fill the volume, those that lie highest are `large`, and the first image goes where
 * all others were. Where ntfs-3g puts files is its own business.
 */
const collide = async (t: ExecutionContext, options: MakeOptions, first: 'user' | 'factory') => {
  const { clusterSize = 4096 } = options;
  const file = makeNtfs(join(temporaryFolder(t), 'volume'), options);
  withMount(t, file, (root) => {
    const next = noiseSource('relocate');
    for (const name of ['low', 'large', 'streams', 'many']) mkdirSync(join(root, name));
    for (const name of ['file', 'file:small', 'file:large'])
      writeFileSync(join(root, 'streams', name), next(name.length * 2000));
    for (let index = 0; index < 60; index += 1)
      writeFileSync(join(root, 'many', `file ${index}`), next(index * 97));
    const { bavail, bsize } = statfsSync(root);
    for (let left = bavail * bsize - 400 * KIB, index = 0; left > PIECE; left -= PIECE, index += 1)
      writeFileSync(join(root, 'low', `${index}`), next(PIECE));
  });
  const pieces = new NtfsFileVolume(file)
    .open((device) =>
      [...openNtfs(device).walk()]
        .filter(({ path }) => path.startsWith('/low/'))
        .map(({ path, runs }) => ({ path, start: [...runs()][0]!.start })),
    )
    .sort((a, b) => b.start - a.start);
  withMount(t, file, (root) => {
    for (const { path } of pieces.slice(0, LARGE / PIECE))
      renameSync(join(root, path), join(root, path.replace('low', 'large')));
    rmSync(join(root, 'low'), { recursive: true });
  });
  const early = await stateNow(t, file, first);
  withMount(t, file, (root) => {
    writeFileSync(join(root, 'new'), noiseSource('new')(MIB));
    rmSync(join(root, 'large'), { recursive: true });
  });
  const late = await stateNow(t, file, first === 'user' ? 'factory' : 'user');
  t.true(overlap(clusterSize, late.image, early.clusters) > 0, 'the second lies where the first has data');
  return { file, early, late, clusterSize };
};

const VARIANTS: readonly (readonly [string, 'user' | 'factory', MakeOptions])[] = [
  ['factory image first', 'factory', { size: 24 * MIB }],
  ['user image first', 'user', { size: 24 * MIB }],
  ['factory image first, clusters of 512 bytes', 'factory', { size: 24 * MIB, clusterSize: 512 }],
];

for (const [what, first, options] of VARIANTS)
  test.serial(`the older state and then the newer one, both images whole: NTFS, ${what}`, async (t) => {
    const { file, early, late, clusterSize } = await collide(t, options, first);
    const sealed = digestOf(file, extentsOf(early.image.sealedExtents));
    await restoreEarlyThenLate(t, file, { early, late }, { clusterBase: 0, clusterSize }, (...now) =>
      mustBeBack(t, file, ...now),
    );
    await restoreImage(file, { image: early.image.id });
    await mustBeBack(t, file, early, [late], 'the older state again');
    t.is(digestOf(file, extentsOf(early.image.sealedExtents)), sealed);
    t.is((await imagesNow(file)).get(late.image.id)!.generation, 2, 'once moved, it is in nobody’s way');
    // What the volume is worth afterwards: both go, and every cluster with them.
    for (const [gone, left] of [
      [late, [early.image.id]],
      [early, []],
    ] as const) {
      await removeImage(file, { image: gone.image.id });
      t.deepEqual([...(await imagesNow(file)).keys()], left);
      t.deepEqual(ntfsOwnersClusters(file), early.clusters);
      mustBeSound(t, file, 'after remove');
    }
    t.deepEqual(treeOf(t, file), early.tree);
    t.true(totalLength(early.clusters) > LARGE / clusterSize);
  });
