import {
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openFile } from '../../rescue/device/file.ts';
import { Window } from '../../rescue/device/window.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { SlotHomes } from '../../rescue/image/extents.ts';
import { hasSlotMagic, parseSlotHeader } from '../../rescue/image/slot.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { createInPartition } from '../../rescue/job/create.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { chooseImage } from '../../rescue/live/candidates.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { displaceOn, downInPieces } from '../job/displace.ts';
import { listImages, makeImage, removeImage, restoreImage } from '../job/requests.ts';
import { disk as diskFacts } from '../live/disks.ts';
import { codeOf } from '../support/code-of.ts';
import { makeDisk, type PartitionPlace } from '../support/disk.ts';
import { duplicate } from '../support/duplicate.ts';
import { mountFile } from '../support/loop.ts';
import { noiseSource, sameBytes } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { forgeExtents } from './forge-extents.ts';
import { machine, put, take, wipeTable } from './planting.ts';

const uuidOf = (number: number): string => `0f8a7b6c-1d2e-4f30-9a5b-00000000000${number}`;

/** Only the data slots of the first half, as a writer leaves them that was cut off. */
const halfWritten = (taken: ReadonlyMap<number, Uint8Array>): Map<number, Uint8Array> => {
  const half = new Map<number, Uint8Array>();
  for (const [start, bytes] of taken)
    for (let at = 0; at < bytes.length; at += 4096) {
      if (!hasSlotMagic(bytes, at)) continue;
      const { kind, index, slotSize } = parseSlotHeader(bytes, start, at);
      if (kind === 'data' && index < 5) half.set(start + at, bytes.subarray(at, at + slotSize));
    }
  if (half.size === 0) throw new Error('no data slot');
  return half;
};

interface Scene {
  readonly file: string;
  readonly size: number;
  readonly places: readonly PartitionPlace[];
  readonly genuine: readonly ImageSummary[];
  readonly moved: ImageSummary;
  readonly leftover: ImageSummary;
  readonly half: ImageSummary;
  readonly machines: readonly ImageSummary[];
}

const mib = (count: number): number => count * MIB;

/** Ten images in four partitions, and impostors and leftovers of each sort between them. */
const crowded = async (t: ExecutionContext): Promise<Scene> => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'disk');
  const size = mib(216);
  const places = makeDisk(t, file, {
    size,
    table: 'gpt',
    partitions: [{ size: mib(36) }, { size: mib(36) }, { size: mib(96) }, { size: mib(36) }],
  });
  for (const { number, start, size: length } of places)
    makeVolume(file, { offset: start, size: length, blockSize: 4096, uuid: uuidOf(number) });
  const make = async (partition: number, kind: 'user' | 'factory' = 'user') =>
    (await makeImage(file, { partition, kind, keepOld: true })).image;

  // In the third partition: disks of virtual machines in one piece and in several, and later a copy of a container.
  const whole = await machine(t, folder, 'whole');
  const pieces = await machine(t, folder, 'pieces');
  const third = places[2]!;
  const mounted = () => mountFile(t, file, { offset: third.start, size: third.size });
  let mount = mounted();
  writeFileSync(join(mount.path, 'whole'), readFileSync(whole.file));
  const content = readFileSync(pieces.file);
  const handle = openSync(join(mount.path, 'pieces'), 'w');
  for (let at = 0, count = 0; at < content.length; at += 768 * KIB, count += 1) {
    writeSync(handle, content, at, Math.min(768 * KIB, content.length - at), at);
    mustRun('sync', ['-f', mount.path]);
    writeFileSync(join(mount.path, `between ${count}`), Buffer.alloc(64 * KIB, 'x'));
    mustRun('sync', ['-f', mount.path]);
  }
  closeSync(handle);
  mount.unmount();

  const genuine = [];
  for (const partition of [1, 2, 3, 4]) genuine.push(await make(partition, 'factory'));
  for (const partition of [1, 1, 2, 3, 4, 4]) genuine.push(await make(partition));

  // Leftovers in the first: one that was removed, one that was never finished; their slots stand where they were.
  const leftover = await make(1);
  const removed = take(file, leftover.extents);
  await removeImage(file, { image: leftover.id, partition: 1 });
  put(file, removed);
  const half = await make(1);
  const begun = halfWritten(take(file, half.extents));
  await removeImage(file, { image: half.id, partition: 1 });
  put(file, removed);
  put(file, begun);

  // A defragmenter in the second.
  const moved = await make(2);
  const second = places[1]!;
  const device = openFile(file, { write: true });
  displaceOn(new Window(device, { start: second.start, length: second.size }), downInPieces(16), moved.id);
  device.close();

  mount = mounted();
  const name = readdirSync(join(mount.path, '.holdfast')).find((each) => each.startsWith('factory'))!;
  copyFileSync(join(mount.path, '.holdfast', name), join(mount.path, 'copy of it'));
  mount.unmount();
  return { file, size, places, genuine, moved, leftover, half, machines: [whole.image, pieces.image] };
};

const stated = (images: readonly ImageSummary[]): Map<string, string[]> => {
  const all = new Map<string, string[]>();
  for (const { id, state } of images) all.set(id, [...(all.get(id) ?? []), state].sort());
  return all;
};

test.serial('ten images among impostors and leftovers of every sort', async (t) => {
  const scene = await crowded(t);
  const { file, size, genuine, moved, leftover, half, machines } = scene;
  t.is(genuine.length, 10);
  const bare = duplicate(file, `${file}.bare`);
  wipeTable(bare, size);
  const ids = new Set(genuine.map(({ id }) => id));
  for (const [path, table] of [
    [file, true],
    [bare, false],
  ] as const)
    for (const depth of ['quick', 'full'] as const) {
      const what = `${table ? 'with' : 'without'} a table, ${depth}`;
      const before = duplicate(path, `${file}.before`);
      const { images, steps } = await listImages(path, { depth });
      t.true(sameBytes(before, path), what);
      rmSync(before);
      const byId = stated(images);
      const said = JSON.stringify(
        images.map(({ id, state, reason }) => [id.slice(0, 8), state, reason]),
        null,
        1,
      );
      // Every image that is at home, and no other one, counts.
      for (const { id } of genuine)
        t.deepEqual(byId.get(id)?.includes('committed'), true, `${what}: ${id} ${said}`);
      for (const { id, state, reason } of images) {
        if (state === 'committed') t.true(ids.has(id), `${what}: ${said}`);
        else t.truthy(reason, `${what}: ${id}`);
      }
      t.is(images.filter(({ state }) => state === 'committed').length, 10, `${what}: ${said}`);
      t.true(byId.get(moved.id)?.includes('moved'), `${what}: ${said}`);
      const where = images.find(({ id, state }) => id === moved.id && state === 'moved');
      t.regex(where!.reason!, /clusters were moved/);
      if (depth === 'full') {
        t.deepEqual(byId.get(moved.id), ['moved', 'stale'], `${what}: ${said}`);
        t.deepEqual(byId.get(leftover.id), ['stale'], `${what}: ${said}`);
        t.deepEqual(byId.get(half.id), ['stale'], `${what}: ${said}`);
        t.true(
          machines.every(({ id }) =>
            (byId.get(id) ?? []).every((state) => ['foreign', 'damaged'].includes(state)),
          ),
          `${what}: ${said}`,
        );
        t.deepEqual(byId.get(machines[0]!.id), ['foreign'], `${what}: ${said}`);
        // The copy of a container: at a start of its own, or lower than any start.
        const copied = genuine[2]!.id;
        t.true(
          byId.get(copied)!.includes('foreign') ||
            steps.some(
              ({ note }) => note?.includes(`copied container of image ${copied.slice(0, 8)}`) === true,
            ),
          `${what}: ${said}`,
        );
      }
      // Unasked: nothing among several partitions; in one that is named, its latest image at home.
      const facts = diskFacts({ path });
      const found = images.map((image) => ({ disk: facts, image }));
      const codeFor = (target: Parameters<typeof chooseImage>[1], all = found) =>
        codeOf(() => chooseImage(all, target, 'latest'));
      t.is(codeFor({ by: 'auto' }), 'refused:ambiguous', what);
      for (const [number, id] of [
        [1, genuine[5]!.id],
        [2, genuine[6]!.id],
        [3, genuine[7]!.id],
        [4, genuine[9]!.id],
      ] as const)
        t.is(chooseImage(found, { by: 'uuid', value: uuidOf(number) }, 'latest').image.id, id, what);
      const impostors = found.filter(({ image }) => image.state !== 'committed');
      t.is(codeFor({ by: 'auto' }, impostors), 'refused:not-at-home', what);
    }
  // Nor by a restore of what is foreign, or was left behind, without being told to.
  const refusal = await t.throwsAsync(restoreImage(file, { image: machines[0]!.id, partition: 3 }));
  t.regex(refusal!.message, /cannot be used|no image is called/);
});

test.serial('a partition that was moved: the table tells which of the two is left behind', async (t) => {
  const folder = temporaryFolder(t);
  const size = mib(96);
  const file = join(folder, 'disk');
  const [place] = makeDisk(t, file, { size, table: 'gpt', partitions: [{ size: mib(36) }] });
  makeVolume(file, { offset: place!.start, size: place!.size, blockSize: 4096 });
  const { image } = await makeImage(file);
  const to = place!.start + mib(48);
  const content = readFileSync(file).subarray(place!.start, place!.start + place!.size);
  const entry = (start: number, length: number): void => {
    mustRun('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', '--wipe', 'never', file], {
      input: `label: gpt\nunit: sectors\n\nstart=${start / 512}, size=${length / 512}, type=linux\n`,
    });
  };
  entry(to, place!.size);
  put(file, new Map([[to, content]]));
  const { images } = await listImages(file, { depth: 'full' });
  t.deepEqual(
    images.map(({ id, state, partition }) => [id, state, partition.offset]),
    [
      [image.id, 'committed', to],
      [image.id, 'stale', place!.start],
    ],
  );
  t.regex(images[1]!.reason!, /left behind/);
  t.is((await restoreImage(file)).image.partition.offset, to);
  // Grown since: it still begins where it did.
  entry(place!.start, mib(46));
  put(file, new Map([[to, new Uint8Array(content.length)]]));
  t.like((await listImages(file, { depth: 'full' })).images, [
    { id: image.id, state: 'committed', partition: { offset: place!.start } },
  ]);
});

test.serial('a clone of the partition beside it: both are named, neither is chosen', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'disk');
  const places = makeDisk(t, file, {
    size: mib(80),
    table: 'gpt',
    partitions: [{ size: mib(36) }, { size: mib(36) }],
  });
  const [first, second] = [places[0]!, places[1]!];
  makeVolume(file, { offset: first.start, size: first.size, blockSize: 4096 });
  const { image } = await makeImage(file, { partition: 1 });
  const content = readFileSync(file).subarray(first.start, first.start + first.size);
  put(file, new Map([[second.start, content]]));
  const before = duplicate(file, `${file}.before`);
  const { images } = await listImages(file);
  t.deepEqual(
    images.map(({ id, state, partition }) => [id, state, partition.offset]),
    [
      [image.id, 'committed', first.start],
      [image.id, 'committed', second.start],
    ],
  );
  for (const { reason } of images) t.regex(reason!, /same id lies at byte \d+/);
  for (const selector of ['latest', image.id]) {
    const refusal = await t.throwsAsync(restoreImage(file, { image: selector }));
    t.regex(refusal!.message, new RegExp(`begins at byte ${first.start}.*begins at byte ${second.start}`));
  }
  const facts = diskFacts({ path: file });
  t.is(
    codeOf(() =>
      chooseImage(
        images.map((each) => ({ disk: facts, image: each })),
        { by: 'auto' },
        'latest',
      ),
    ),
    'refused:ambiguous',
  );
  t.true(sameBytes(before, file));
  t.is((await restoreImage(file, { partition: 2 })).image.partition.offset, second.start);
  // Without the table, the one at its recorded place is at home; the superblock speaks for the other, but the id is the same.
  wipeTable(file, mib(80));
  await t.throwsAsync(restoreImage(file), { message: /several images/ });
});

/** Two whole images of one id and generation in one volume: a forged one below the one that the file system lists. */
const forged = async (t: ExecutionContext) => {
  const folder = temporaryFolder(t);
  const file = makeVolume(join(folder, 'volume'), { size: mib(64), blockSize: 4096 });
  const workshop = duplicate(file, join(folder, 'workshop'));
  const make = async (path: string, id: string, kind: 'user' | 'factory') => {
    process.env['HOLDFAST_ID'] = id.repeat(16);
    try {
      return (await makeImage(path, { kind })).image;
    } finally {
      delete process.env['HOLDFAST_ID'];
    }
  };
  const image = await make(file, 'f0', 'user');
  await make(workshop, '0f', 'factory');
  const other = await make(workshop, 'f0', 'user');
  put(file, take(workshop, other.extents));
  return { file, image, other };
};

test.serial(
  'a forged image with the id of another one in the same partition: never chosen unasked',
  async (t) => {
    const { file, image, other } = await forged(t);
    const beside = await listImages(file, { depth: 'full' });
    t.deepEqual(
      beside.images.map(({ id, state, extents }) => [id, state, extents[0]![0]]),
      [
        [image.id, 'committed', image.extents[0]![0]],
        [image.id, 'stale', other.extents[0]![0]],
      ],
    );
    // Nothing of the file system is left to tell them apart.
    put(file, new Map([[0, noiseSource('gone')(mib(2))]]));
    const { images } = await listImages(file, { depth: 'full' });
    t.deepEqual(
      images.map(({ id, state }) => [id, state]),
      [
        [image.id, 'committed'],
        [image.id, 'committed'],
      ],
    );
    for (const { reason } of images) t.regex(reason!, /same id lies at byte \d+/);
    const before = duplicate(file, `${file}.before`);
    const found = images.map((each) => ({ disk: diskFacts({ path: file }), image: each }));
    t.is(
      codeOf(() => chooseImage(found, { by: 'auto' }, 'latest')),
      'refused:ambiguous',
    );
    const refusal = await t.throwsAsync(removeImage(file, { image: image.id }));
    t.regex(refusal!.message, /ambiguous|several images|cannot be|no file system/);
    t.true(sameBytes(before, file));
  },
);

test.serial('a disk that was cloned to a larger one: the images are at home', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'disk');
  const [place] = makeDisk(t, file, { size: mib(40), table: 'gpt', partitions: [{ size: mib(36) }] });
  makeVolume(file, { offset: place!.start, size: place!.size, blockSize: 4096 });
  const { image } = await makeImage(file);
  const larger = duplicate(file, join(folder, 'larger'));
  truncateSync(larger, mib(64));
  for (const bare of [false, true]) {
    if (bare) wipeTable(larger, mib(40));
    t.like((await listImages(larger)).images, [
      { id: image.id, state: 'committed', partition: { offset: place!.start } },
    ]);
  }
  await restoreImage(larger);
  t.like((await listImages(larger)).images, [{ id: image.id, state: 'committed' }]);
});

test.serial('a file system on a mapped volume: named, and left to the volume', async (t) => {
  const folder = temporaryFolder(t);
  const volume = makeVolume(join(folder, 'volume'), { size: mib(36), blockSize: 4096 });
  const device = openFile(volume, { write: true });
  const context = new JobContext({});
  const { image } = await createInPartition(
    context,
    { device, diskOffset: 0, entry: undefined, disk: undefined, identity: { mapped: true } },
    {
      kind: 'user',
      codec: { codec: 'zstd', level: 3 },
      keepOld: false,
      replaceFirst: false,
      forceFactory: false,
      dryRun: false,
    },
  );
  await context.close();
  device.close();
  // The volume by itself, as the kernel shows it.
  t.like((await listImages(volume)).images, [{ id: image.id, state: 'committed' }]);
  // The disk below: the first extent of a physical volume lies 1 MiB into its partition.
  const disk = join(folder, 'disk');
  const [place] = makeDisk(t, disk, {
    size: mib(48),
    table: 'gpt',
    partitions: [{ size: mib(40), type: 'lvm' }],
  });
  const at = place!.start + mib(1);
  put(disk, new Map([[at, readFileSync(volume)]]));
  for (const table of [true, false]) {
    if (!table) wipeTable(disk, mib(48));
    const before = duplicate(disk, `${disk}.before`);
    const { images } = await listImages(disk, { depth: 'full' });
    t.like(images, [{ id: image.id, state: table ? 'foreign' : 'moved', partition: { offset: at } }]);
    t.regex(images[0]!.reason!, /mapped volume.*activate/);
    for (const selector of ['latest', image.id])
      t.true(isHoldfastError(await t.throwsAsync(restoreImage(disk, { image: selector }))));
    t.true(sameBytes(before, disk));
  }
});

test('an image whose anchors put it over another one is damaged; the other one is what it was', async (t) => {
  const file = join(temporaryFolder(t), 'disk');
  const [place] = makeDisk(t, file, { size: 36 * MIB, table: 'gpt', partitions: [{ size: 32 * MIB }] });
  makeVolume(file, { offset: place!.start, size: place!.size, blockSize: 4096, uuid: uuidOf(1) });
  const other = (await makeImage(file, { kind: 'factory' })).image;
  const lying = (await makeImage(file, {})).image;
  put(file, new Map([[0, noiseSource('gone')(2 * MIB)]]));
  const partition = { start: place!.start, length: place!.size };
  const [under, length] = [...other.extents].sort((a, b) => b[1] - a[1])[0]!;
  forgeExtents(file, partition, lying, {
    data: 'kept',
    elsewhere: ({ extents, slotSize }) => {
      const slots = extents.reduce((sum, each) => sum + each.length, 0) / slotSize;
      const first = Array.from({ length: 2 }, (_, index) => ({
        start: new SlotHomes(extents, slotSize).homeOf(index),
        length: slotSize,
      }));
      t.true((slots - 2) * slotSize <= length);
      return [...first, { start: under - partition.start, length: (slots - 2) * slotSize }];
    },
  });
  const { images } = await listImages(file, { depth: 'full' });
  t.deepEqual(
    images.map(({ id, state }) => [id, state]).sort(),
    [
      [other.id, 'committed'],
      [lying.id, 'damaged'],
    ].sort(),
  );
  t.regex(images.find(({ id }) => id === lying.id)!.reason!, /its extents lie over those of image/);
});
