import {
  closeSync,
  copyFileSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../rescue/bytes/runs.ts';
import { restore } from '../../rescue/job/restore.ts';
import { type ImageSummary, type Intent, UnfinishedError } from '../../rescue/job/results.ts';
import { MIB, type Run } from '../../rescue/units.ts';
import { makeDisk } from '../support/disk.ts';
import { duplicate } from '../support/duplicate.ts';
import { digestOf, noiseSource, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import type { Tree } from '../support/tree.ts';
import { makeVolume, type VolumeOptions } from '../support/volume.ts';
import { extentsOf, treeMustBe } from './cycle.ts';
import { ownersClusters } from './owners-clusters.ts';
import { imagesNow, namesInRecord, namesOf, overlap as overlapIn } from './relocating.ts';
import { infoOf, listImages, makeImage, NOW, removeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, mountStage, type Stage, stageMustBeClean, treeOf } from './stage.ts';

const BLOCK = 4096;
const RESTORE = {
  drop: [],
  salvage: false,
  verifyAfter: true,
  dryRun: false,
  confirm: async () => true,
} as const;

/** What was on the volume when an image was made. */
interface State {
  readonly image: ImageSummary;
  readonly tree: Tree;
  readonly clusters: readonly Run[];
}

const volume = (t: ExecutionContext, options: Partial<VolumeOptions> = {}): Stage => {
  const { size = 48 * MIB } = options;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: BLOCK, ...options });
  return { file, start: 0, size };
};

const clustersOf = ({ file, start, size }: Stage): Run[] => ownersClusters(file, start, size);

const withMount = (t: ExecutionContext, stage: Stage, body: (top: string) => void): void => {
  const mount = mountStage(t, stage);
  body(mount.path);
  mount.unmount();
};

const stateNow = async (
  t: ExecutionContext,
  stage: Stage,
  request: Parameters<typeof makeImage>[1],
): Promise<State> => {
  const tree = treeOf(t, stage);
  const clusters = clustersOf(stage);
  const { partition } = stage;
  const { image } = await makeImage(stage.file, {
    ...(partition === undefined ? {} : { partition }),
    ...request,
  });
  t.deepEqual(clustersOf(stage), clusters, 'create takes nothing but the container');
  return { image, tree, clusters };
};

/** Leaves `free` bytes, the rest is one file of noise. */
const fillUp = (top: string, name: string, free: number): void => {
  const { bavail, bsize } = statfsSync(top);
  writeFileSync(join(top, name), noiseSource(name)(bavail * bsize - free));
};

const overlap = ({ start }: Stage, image: ImageSummary, clusters: readonly Run[]): number =>
  overlapIn({ clusterBase: start, clusterSize: BLOCK }, image, clusters);

/** Everything that must hold after a restore of `state` beside `others`. */
const mustBeBack = async (
  t: ExecutionContext,
  stage: Stage,
  state: State,
  others: readonly State[],
  when: string,
): Promise<void> => {
  t.notThrows(() => stageMustBeClean(stage), when);
  treeMustBe(t, stage, state.tree, when);
  t.deepEqual(clustersOf(stage), state.clusters, `${when}: clusters in use`);
  const images = await imagesNow(stage.file);
  const ids = [state, ...others].map(({ image }) => image.id);
  t.deepEqual([...images.keys()].sort(), ids.sort(), when);
  t.deepEqual(
    namesInRecord(stage.file, stage.start + 512) ?? [],
    namesOf(images.values()),
    `${when}: locator record`,
  );
  for (const id of ids) {
    t.deepEqual((await verifyImage(stage.file, { image: id })).problems, [], `${when}: ${id}`);
  }
};

interface Collision {
  readonly stage: Stage;
  readonly early: State;
  readonly late: State;
}

/**
 * An image that lies where the one before it has data; `partly`: not all of it. Where the kernel puts files is its own business, so
 * a few volumes are tried.
 */
const collide = async (
  t: ExecutionContext,
  make: () => Stage,
  first: 'user' | 'factory',
  options: { readonly large?: number; readonly more?: number; readonly partly?: boolean } = {},
): Promise<Collision> => {
  for (let attempt = 0; attempt < 16; attempt += 1) {
    const made = await makeTwo(t, make(), first, options);
    const shared = overlap(made.stage, made.late.image, made.early.clusters);
    const all = totalLength(extentsOf(made.late.image.extents)) / BLOCK;
    // One of its two outer anchors must stay: nothing opens what is left of the old place otherwise.
    const ends = [made.late.image.extents[0]!, made.late.image.extents.at(-1)!];
    const stays = ends.some(
      (end) => overlap(made.stage, { ...made.late.image, extents: [end] }, made.early.clusters) === 0,
    );
    if (shared > 0 && (options.partly !== true || (shared < all / 2 + all / 4 && stays))) return made;
  }
  throw new Error('the second image never lay where the first has data');
};

const makeTwo = async (
  t: ExecutionContext,
  stage: Stage,
  first: 'user' | 'factory',
  { large = 12 * MIB, more = MIB }: { readonly large?: number; readonly more?: number },
): Promise<Collision> => {
  fillStage(t, stage, { size: MIB, entries: 60 }, (top) => {
    // Files fill a volume from below, images from above.
    fillUp(top, 'low', large);
    fillUp(top, 'large', MIB / 4);
    rmSync(join(top, 'low'));
  });
  const early = await stateNow(t, stage, { kind: first });
  withMount(t, stage, (top) => {
    writeFileSync(join(top, 'new'), noiseSource('new')(more));
    rmSync(join(top, 'large'));
  });
  const late = await stateNow(t, stage, { kind: first === 'user' ? 'factory' : 'user' });
  return { stage, early, late };
};

const VARIANTS: readonly (readonly [string, 'user' | 'factory', Partial<VolumeOptions>])[] = [
  ['factory image first, ext4', 'factory', {}],
  ['user image first, ext4', 'user', {}],
  ['factory image first, ext4 without a journal', 'factory', { features: ['^has_journal'] }],
  ['factory image first, ext2', 'factory', { type: 'ext2' }],
];

for (const [what, first, options] of VARIANTS) {
  test.serial(`the older state and then the newer one, both images whole: ${what}`, async (t) => {
    const { stage, early, late } = await collide(t, () => volume(t, options), first);
    const intents: Intent[] = [];
    const confirm = async (intent: Intent): Promise<boolean> => {
      intents.push(intent);
      return true;
    };
    const sealed = digestOf(stage.file, extentsOf(early.image.sealedExtents));
    const dry = await restoreImage(stage.file, { image: early.image.id, dryRun: true, confirm });
    t.false(dry.written);
    const restored = await restoreImage(stage.file, { image: early.image.id, confirm });
    for (const { keeps } of intents)
      t.true(
        keeps.some((line) => /MiB are moved out of the way first/.test(line)),
        keeps.join('\n'),
      );
    t.deepEqual([...restored.imagesKept].sort(), [early.image.id, late.image.id].sort());
    await mustBeBack(t, stage, early, [late], 'the older state');
    const moved = (await imagesNow(stage.file)).get(late.image.id)!;
    t.like(moved, {
      generation: 2,
      sequence: late.image.sequence,
      created: late.image.created,
      name: late.image.name,
      kind: late.image.kind,
      usedBytes: late.image.usedBytes,
    });
    t.is(overlap(stage, moved, early.clusters), 0);
    t.regex((await infoOf(stage.file, moved.id)).facts.flat().join('\n'), /relocated/i);
    // Nothing of the old place is left to be found, and both are found without a file system.
    const standing = [`${early.image.id}/1`, `${late.image.id}/2`].sort();
    t.deepEqual(namesOf((await listImages(stage.file, { depth: 'full' })).images), standing);
    const images = [...(await imagesNow(stage.file)).values()];
    overwriteWithNoise(stage.file, extentsOf(images.flatMap(({ extents }) => extents)));
    const { images: found } = await listImages(stage.file, { depth: 'full' });
    t.deepEqual(namesOf(found), standing);
    for (const [state, other] of [
      [late, early],
      [early, late],
    ] as const) {
      await restoreImage(stage.file, { image: state.image.id });
      await mustBeBack(
        t,
        stage,
        state,
        [other],
        state === late ? 'the newer state' : 'the older state again',
      );
    }
    t.is(digestOf(stage.file, extentsOf(early.image.sealedExtents)), sealed);
    t.is(
      (await imagesNow(stage.file)).get(late.image.id)!.generation,
      2,
      'once moved, it is in nobody’s way',
    );
    // What the volume is worth afterwards: another image, and both go.
    await removeImage(stage.file, { image: late.image.id });
    t.deepEqual([...(await imagesNow(stage.file)).keys()], [early.image.id]);
    t.deepEqual(clustersOf(stage), early.clusters);
    t.notThrows(() => stageMustBeClean(stage));
  });
}

test.serial('no room but where files are: the volume goes first, the images stay', async (t) => {
  const { stage, early, late } = await collide(t, () => volume(t), 'factory');
  withMount(t, stage, (top) => fillUp(top, 'everything else', 64 * 1024));
  const full = duplicate(stage.file, `${stage.file}.full`);
  await restoreImage(stage.file, { image: early.image.id });
  await mustBeBack(t, stage, early, [late], 'the older state');
  t.is((await imagesNow(stage.file)).get(late.image.id)!.generation, 2);
  await restoreImage(stage.file, { image: late.image.id });
  await mustBeBack(t, stage, late, [early], 'the newer state');
  // Cancelled while the copy is written: nothing is mounted that is not whole, and the same command ends it.
  const stop = new AbortController();
  const there = { ...stage, file: full };
  const cancelled = restore(
    { ...RESTORE, target: full, image: early.image.id },
    {
      now: NOW,
      signal: stop.signal,
      onEvent: (event) => {
        if ('phase' in event && event.phase === 'relocate') stop.abort();
      },
    },
  );
  const error = await t.throwsAsync(cancelled, { instanceOf: UnfinishedError });
  t.regex(error?.next ?? '', /half restored and cannot be mounted/);
  await restoreImage(full, { image: early.image.id });
  await mustBeBack(t, there, early, [late], 'after it was cancelled');
});

test.serial('on a disk whose table is lost with everything else', async (t) => {
  const size = 48 * MIB;
  const onDisk = (): Stage => {
    const file = join(temporaryFolder(t), 'disk');
    makeDisk(t, file, { size: size + 3 * MIB, table: 'gpt', partitions: [{ start: MIB, size }] });
    makeVolume(file, { size, blockSize: BLOCK, offset: MIB });
    return { file, start: MIB, size, partition: 1 };
  };
  const { stage, early, late } = await collide(t, onDisk, 'user');
  const { file } = stage;
  overwriteWithNoise(file, extentsOf([...early.image.extents, ...late.image.extents]));
  const restored = await restoreImage(file, { image: early.image.id });
  t.is(restored.partitionTable, 'rebuilt');
  await mustBeBack(t, stage, early, [late], 'the older state');
  t.is((await imagesNow(stage.file)).get(late.image.id)!.generation, 2);
  await restoreImage(file, { image: late.image.id });
  await mustBeBack(t, stage, late, [early], 'the newer state');
});

test.serial(
  'an image in the way that cannot be copied whole is not moved: refused, nothing written',
  async (t) => {
    const { stage, early, late } = await collide(t, () => volume(t), 'factory');
    // In the middle of a data slot.
    const [start, length] = late.image.extents[0]!;
    const handle = openSync(stage.file, 'r+');
    writeSync(
      handle,
      noiseSource('damage')(512),
      0,
      512,
      start + Math.floor(length / 2 / BLOCK) * BLOCK + 1024,
    );
    closeSync(handle);
    const before = duplicate(stage.file, `${stage.file}.before`);
    const error = await t.throwsAsync(() => restoreImage(stage.file, { image: early.image.id }));
    t.regex(error.message, /lies where the chosen image has data.*cannot be copied whole.*--to.*--drop/);
    t.true(sameBytes(before, stage.file));
    await restoreImage(stage.file, { image: early.image.id, drop: [late.image.id] });
    await mustBeBack(t, stage, early, [], 'with the other image dropped');
  },
);

for (const [early, late] of [
  [4096, 1024],
  [1024, 4096],
] as const)
  test.serial(
    `a volume that was made anew, clusters of ${early} bytes and then of ${late}: both are restored beside each other`,
    async (t) => {
      const stage = volume(t, { blockSize: early });
      fillStage(t, stage, { size: MIB, entries: 60 }, (top) => {
        fillUp(top, 'low', 20 * MIB);
        fillUp(top, 'large', 9 * MIB);
        rmSync(join(top, 'low'));
      });
      const before = treeOf(t, stage);
      const first = (await makeImage(stage.file, { kind: 'factory' })).image;
      const copy = join(temporaryFolder(t), 'first.hfi');
      withMount(t, stage, (top) =>
        copyFileSync(join(top, '.holdfast', `factory-${first.id.slice(0, 12)}.hfi`), copy),
      );
      makeVolume(stage.file, { size: stage.size, blockSize: late });
      fillStage(t, stage, { size: MIB, entries: 60 });
      const after = treeOf(t, stage);
      const second = (await makeImage(stage.file)).image;
      await restoreImage(stage.file, { from: copy });
      t.notThrows(() => stageMustBeClean(stage));
      treeMustBe(t, stage, before, 'the first');
      const moved = (await imagesNow(stage.file)).get(second.id)!;
      t.is(moved.generation, 2);
      const largest = Math.max(early, late);
      for (const [start, length] of moved.extents) t.deepEqual([start % largest, length % largest], [0, 0]);
      t.deepEqual((await verifyImage(stage.file)).problems, []);
      // It is an image of this volume like any other: what is written into it is.
      const third = (await makeImage(stage.file, { keepOld: true })).image;
      await removeImage(stage.file, { image: third.id });
      await restoreImage(stage.file, { image: second.id });
      t.notThrows(() => stageMustBeClean(stage));
      treeMustBe(t, stage, after, 'the second');
      t.deepEqual((await verifyImage(stage.file)).problems, []);
      await removeImage(stage.file, { image: second.id });
      t.deepEqual((await listImages(stage.file, { depth: 'full' })).images, []);
    },
  );

test.serial(
  'a volume that was made larger: a later image beyond its old end is not in the way, but named',
  async (t) => {
    const stage = volume(t);
    fillStage(t, stage, { size: MIB, entries: 60 });
    const factory = (await makeImage(stage.file, { kind: 'factory' })).image;
    truncateSync(stage.file, 96 * MIB);
    mustRun('resize2fs', ['-f', stage.file]);
    const user = (await makeImage(stage.file)).image;
    const before = duplicate(stage.file, `${stage.file}.before`);
    const error = await t.throwsAsync(() => restoreImage(stage.file, { image: 'factory' }));
    t.regex(error.message, new RegExp(`${user.id.slice(0, 8)} does not lie in the volume.*--to.*--drop`));
    t.true(sameBytes(before, stage.file));
    const restored = await restoreImage(stage.file, { image: 'factory', drop: [user.id] });
    t.deepEqual(restored.imagesKept, [factory.id]);
    t.notThrows(() => stageMustBeClean(stage));
  },
);

test.serial(
  'stopped while the old headers are wiped: the volume is back, and nothing outlives a removal',
  async (t) => {
    const stoppedScene = async () => {
      // Only a part of the second lies where the first has data: the rest of its old place stays as it is.
      const { stage, early, late } = await collide(t, () => volume(t, { size: 96 * MIB }), 'factory', {
        large: 8 * MIB,
        more: 12 * MIB,
        partly: true,
      });
      const stop = new AbortController();
      const stopped = restore(
        { ...RESTORE, target: stage.file, image: early.image.id },
        {
          now: NOW,
          signal: stop.signal,
          onEvent: (event) => {
            if ('phase' in event && event.phase === 'wipe') stop.abort();
          },
        },
      );
      const error = await t.throwsAsync(stopped, { instanceOf: UnfinishedError });
      t.regex(error?.next ?? '', /is restored, but for notes/);
      t.notThrows(() => stageMustBeClean(stage));
      treeMustBe(t, stage, early.tree, 'stopped');
      t.deepEqual(clustersOf(stage), early.clusters);
      const leftovers = async (): Promise<string[]> =>
        (await listImages(stage.file, { depth: 'full' })).images
          .filter(({ id }) => id === late.image.id)
          .map(({ generation, state }) => `${generation} ${state}`);
      return { stage, early, late, leftovers };
    };
    // The stop comes after the first header is wiped: where nothing else opens the old place, there is nothing to see.
    let scene = await stoppedScene();
    for (let more = 0; more < 4 && (await scene.leftovers()).length < 2; more += 1)
      scene = await stoppedScene();
    const { stage, early, late, leftovers } = scene;
    t.deepEqual(await leftovers(), ['2 committed', '1 stale']);
    const again = duplicate(stage.file, `${stage.file}.again`);
    await removeImage(stage.file, { image: late.image.id });
    t.deepEqual(await leftovers(), []);
    t.notThrows(() => stageMustBeClean(stage));
    const there = { ...stage, file: again };
    await restoreImage(again, { image: early.image.id });
    await mustBeBack(t, there, early, [late], 'run again');
    const { images } = await listImages(again, { depth: 'full' });
    t.deepEqual(
      images.filter(({ state }) => state !== 'committed'),
      [],
    );
  },
);
