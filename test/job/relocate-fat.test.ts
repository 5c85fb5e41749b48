import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../rescue/bytes/runs.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { KIB, MIB, type Run } from '../../rescue/units.ts';
import { populateFat } from '../fs/fat/content.ts';
import { clustersByFsck, fsckFat } from '../fs/fat/fsck.ts';
import { type Listed, mtools, treeByMtools, withoutContainers } from '../fs/fat/mtools.ts';
import { fatOwnersClusters } from '../fs/fat/owners-clusters.ts';
import { forgetNextFree, placesOf } from '../fs/fat/patching.ts';
import { type FatOptions, makeFat } from '../fs/fat/volumes.ts';
import { noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { type FatStage, fatMustBeClean, fatTreeMustBe } from './fat-cycle.ts';
import {
  imagesNow,
  namesInRecord,
  namesOf,
  overlap as overlapIn,
  restoreEarlyThenLate,
} from './relocating.ts';
import { makeImage, removeImage, verifyImage } from './requests.ts';

/** What was on the volume when an image was made. */
interface State {
  readonly image: ImageSummary;
  readonly tree: ReadonlyMap<string, Listed>;
  readonly clusters: readonly Run[];
}

const overlap = (file: string, image: ImageSummary, clusters: readonly Run[]): number => {
  const { data, clusterSize } = placesOf(file);
  return overlapIn({ clusterBase: data, clusterSize }, image, clusters);
};

const stageOf = (file: string, { tree }: Pick<State, 'tree'>): FatStage => ({
  file,
  start: 0,
  size: placesOf(file).size,
  tree,
});

const treeNow = (t: ExecutionContext, file: string): Map<string, Listed> =>
  withoutContainers(treeByMtools(t, file));

/** A file in the lowest free clusters: mtools takes them in order from where FSInfo says, or from the first one on FAT16. */
const put = (t: ExecutionContext, file: string, name: string, content: Buffer): void => {
  const from = join(temporaryFolder(t), name);
  writeFileSync(from, content);
  forgetNextFree(file);
  mtools('mcopy', file, ['-m', from, '::/'], {});
};

const freeBytes = (t: ExecutionContext, file: string): number => {
  const { used, all } = clustersByFsck(fsckFat(t, file));
  return (all - used) * placesOf(file).clusterSize;
};

const stateNow = async (t: ExecutionContext, file: string, kind: 'user' | 'factory'): Promise<State> => {
  const tree = treeNow(t, file);
  const clusters = fatOwnersClusters(file);
  const { image } = await makeImage(file, { kind });
  t.deepEqual(fatOwnersClusters(file), clusters, 'create takes nothing but the container');
  fatMustBeClean(t, stageOf(file, { tree }), `after create of the ${kind} image`);
  return { image, tree, clusters };
};

/** Every cluster is the owner's, an image's, free, or the one that the images' folder has: by fsck.fat's count. */
const nothingIsLost = (
  t: ExecutionContext,
  file: string,
  clusters: readonly Run[],
  images: Iterable<ImageSummary>,
  when: string,
): void => {
  const { clusterSize } = placesOf(file);
  const held = [...images].map(({ extents }) => totalLength(extentsOf(extents)) / clusterSize);
  const folder = held.length > 0 ? 1 : 0;
  const { used } = clustersByFsck(fsckFat(t, file));
  t.is(used, totalLength(clusters) + held.reduce((a, b) => a + b, 0) + folder, `${when}: clusters in use`);
};

/** Everything that must hold after a restore of `state` beside `others`. */
const mustBeBack = async (
  t: ExecutionContext,
  file: string,
  state: State,
  others: readonly State[],
  when: string,
): Promise<void> => {
  const stage = stageOf(file, state);
  fatMustBeClean(t, stage, when);
  fatTreeMustBe(t, stage, when);
  t.deepEqual(fatOwnersClusters(file), state.clusters, `${when}: the owner's clusters`);
  const images = await imagesNow(file);
  const ids = [state, ...others].map(({ image }) => image.id);
  t.deepEqual([...images.keys()].sort(), ids.sort(), when);
  nothingIsLost(t, file, state.clusters, images.values(), when);
  // Where one sector of the reserved area is nobody's, it names both.
  const { tables, sectorSize } = placesOf(file);
  const records = Array.from({ length: Math.min(tables[0]!, 16 * KIB) / sectorSize }, (_, sector) =>
    namesInRecord(file, sector * sectorSize),
  ).filter((each) => each !== undefined);
  t.true(records.length <= 1, `${when}: more than one locator record`);
  if (placesOf(file).bits === 32) t.is(records.length, 1, `${when}: no locator record`);
  for (const names of records) t.deepEqual(names, namesOf(images.values()), `${when}: locator record`);
  for (const id of ids) t.deepEqual((await verifyImage(file, { image: id })).problems, [], `${when}: ${id}`);
};

interface Collision {
  readonly file: string;
  readonly early: State;
  readonly late: State;
}

/**
 * The second image lies where the first one has `large`, but not all of it fits there: what the restore writes over does not reach the
 * rest of its old place.
 */
const collide = async (
  t: ExecutionContext,
  options: FatOptions,
  first: 'user' | 'factory',
): Promise<Collision> => {
  const file = makeFat(join(temporaryFolder(t), 'volume'), options);
  populateFat(t, file, { entries: 30 });
  // Files fill a volume from below, images from above.
  put(t, file, 'low', Buffer.alloc(freeBytes(t, file) - 4 * MIB));
  put(t, file, 'large', noiseSource('large')(freeBytes(t, file) - 200 * KIB));
  mtools('mdel', file, ['::/low']);
  const early = await stateNow(t, file, first);
  put(t, file, 'new', noiseSource('new')(5 * MIB));
  mtools('mdel', file, ['::/large']);
  const late = await stateNow(t, file, first === 'user' ? 'factory' : 'user');
  const shared = overlap(file, late.image, early.clusters);
  const whole = totalLength(extentsOf(late.image.extents)) / placesOf(file).clusterSize;
  t.true(shared > 0, 'the second image lies where the first has data');
  t.true(shared < whole - (128 * KIB) / placesOf(file).clusterSize, 'and elsewhere too');
  return { file, early, late };
};

const VARIANTS: readonly (readonly [string, 'user' | 'factory', FatOptions])[] = [
  ['factory image first, FAT32', 'factory', { size: 36 * MIB, bits: 32, sectorsPerCluster: 1 }],
  ['user image first, FAT32', 'user', { size: 36 * MIB, bits: 32, sectorsPerCluster: 1 }],
  ['factory image first, FAT16', 'factory', { size: 24 * MIB, bits: 16, sectorsPerCluster: 4 }],
];

for (const [what, first, options] of VARIANTS) {
  test.serial(`the older state and then the newer one, both images whole: ${what}`, async (t) => {
    const { file, early, late } = await collide(t, options, first);
    const { data, clusterSize } = placesOf(file);
    await restoreEarlyThenLate(t, file, { early, late }, { clusterBase: data, clusterSize }, (...now) =>
      mustBeBack(t, file, ...now),
    );
    // What the volume is worth afterwards: both go, and every cluster with them.
    for (const [gone, left] of [
      [early, [(await imagesNow(file)).get(late.image.id)!]],
      [late, []],
    ] as const) {
      await removeImage(file, { image: gone.image.id });
      t.deepEqual(
        [...(await imagesNow(file)).keys()],
        left.map(({ id }) => id),
      );
      t.deepEqual(fatOwnersClusters(file), late.clusters);
      nothingIsLost(t, file, late.clusters, left, 'after remove');
      fatMustBeClean(t, stageOf(file, late), 'after remove');
    }
    fatTreeMustBe(t, stageOf(file, late), 'after both are removed');
  });
}
