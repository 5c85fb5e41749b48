import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { complement } from '../../rescue/bytes/runs.ts';
import type { HoldfastError } from '../../rescue/errors.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { makeDisk, type PartitionPlace, type PartitionRequest } from '../support/disk.ts';
import { duplicate } from '../support/duplicate.ts';
import { attachLoop } from '../support/loop.ts';
import { digestOf, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf, treeMustBe } from './cycle.ts';
import { ESP_TYPE, espFiles, espMustBeClean, makeEsp } from './esp.ts';
import { listImages, makeImage, makeImageAt, NOW, restoreImage } from './requests.ts';
import { fillStage, type Stage, stageMustBeClean, tableOf } from './stage.ts';

/** Disks of machines: EFI system partition, root, data. What is left is the images, and all comes back from them. */

interface Layout {
  readonly table: 'gpt' | 'mbr';
  readonly sectorSize?: 512 | 4096;
  /** A GPT whose first sector lists a partition for old systems too. */
  readonly hybrid?: boolean;
}

interface Whole {
  readonly file: string;
  readonly size: number;
  readonly places: readonly PartitionPlace[];
  readonly esp: PartitionPlace;
  readonly stages: readonly [Stage, Stage];
  readonly trees: readonly ReturnType<typeof fillStage>[];
  readonly images: readonly [ImageSummary, ImageSummary];
  readonly notes: readonly string[];
}

const SIZE = 96 * MIB;

/**
 * What a person would name: the file, or a device over it where only that says how large its sectors are, as an MBR does not.
 * The device is gone afterwards, with all that the kernel remembers of it.
 */
const onDisk = async <Result>(
  t: ExecutionContext,
  file: string,
  { table, sectorSize }: Layout,
  job: (target: string) => Promise<Result>,
): Promise<Result> => {
  if (table === 'gpt' || sectorSize !== 4096) return job(file);
  const loop = attachLoop(t, file, { sectorSize });
  try {
    return await job(loop.device);
  } finally {
    loop.detach();
  }
};

const makeWhole = async (t: ExecutionContext, layout: Layout): Promise<Whole> => {
  const { table, sectorSize = 512, hybrid = false } = layout;
  const file = join(temporaryFolder(t), 'disk');
  const logical: PartitionRequest[] = [{ size: MIB, type: '82' }, { type: 'extended' }, { size: 36 * MIB }];
  const places = makeDisk(t, file, {
    size: SIZE,
    table,
    sectorSize,
    partitions: [
      { size: 8 * MIB, type: ESP_TYPE[table], name: 'ESP' },
      { size: 36 * MIB, name: 'root', bootable: table === 'mbr' },
      ...(table === 'gpt' ? [{ size: 40 * MIB, name: 'data' }] : logical),
    ],
  });
  if (hybrid) mustRun('sgdisk', ['--hybrid', '2', file]);
  const [esp, ...others] = places.filter(({ type }) => !['5', 'f', '82'].includes(type)) as [
    PartitionPlace,
    ...PartitionPlace[],
  ];
  makeEsp(t, file, esp, { sectorSize });
  const notes: string[] = [];
  const stages: Stage[] = [];
  const trees: Whole['trees'][number][] = [];
  const images: ImageSummary[] = [];
  for (const { number: partition, start, size } of others) {
    const stage: Stage = { file, start, size, partition, sectorSize };
    makeVolume(file, { offset: start, size, blockSize: 4096 });
    stages.push(stage);
    trees.push(fillStage(t, stage, { size: 2 * MIB, entries: 100, seed: `${partition}` }));
  }
  for (const { partition } of stages) {
    const made = await onDisk(t, file, layout, (target) =>
      makeImage(target, { partition: partition!, name: `image ${partition}` }, (event) => {
        if ('note' in event) notes.push(event.note);
      }),
    );
    images.push(made.image);
  }
  return {
    file,
    size: SIZE,
    places,
    esp,
    stages: stages as [Stage, Stage],
    trees,
    images: images as [ImageSummary, ImageSummary],
    notes,
  };
};

const kept = ({ images }: Whole) => images.flatMap(({ extents }) => extentsOf(extents));

/** In front of the first partition: boot code, table, boot gap; and a GPT's backup: 128 entries of 128 bytes, and a header. */
const around = ({ file, esp, stages, size }: Whole, { table }: Layout): string => {
  const backup = table === 'gpt' ? 128 * 128 + (stages[0].sectorSize ?? 512) : 0;
  return digestOf(file, [
    { start: 0, length: esp.start },
    { start: size - backup, length: backup },
  ]);
};

const LAYOUTS: Readonly<Record<string, Layout>> = {
  GPT: { table: 'gpt' },
  'GPT, 4096-byte sectors': { table: 'gpt', sectorSize: 4096 },
  'hybrid GPT': { table: 'gpt', hybrid: true },
  'MBR with a logical partition': { table: 'mbr' },
  'MBR, 4096-byte sectors': { table: 'mbr', sectorSize: 4096 },
};

for (const [title, layout] of Object.entries(LAYOUTS))
  test(`${title}: noise but for two images; the table is proposed, and all comes back`, async (t) => {
    const whole = await makeWhole(t, layout);
    const { file, esp, stages, trees, images } = whole;
    t.deepEqual(
      whole.notes.filter((note) => note.includes('EFI')),
      [],
    );
    const table = tableOf(t, stages[0]);
    const before = around(whole, layout);
    const files = espFiles(t, file, esp);
    t.is(Object.keys(files).length, 2);
    overwriteWithNoise(file, kept(whole), title);
    const wrecked = duplicate(file, `${file}.wrecked`);

    const { images: found, proposedTable } = await onDisk(t, file, layout, listImages);
    t.deepEqual(found.map(({ id }) => id).sort(), images.map(({ id }) => id).sort());
    t.true(sameBytes(file, wrecked), 'list wrote');
    t.is(proposedTable?.scheme, layout.table);
    t.is(proposedTable?.sectorSize, layout.sectorSize ?? 512);
    t.deepEqual(proposedTable?.dropped, []);
    t.deepEqual(
      proposedTable?.partitions.map(({ number, offset, size, images: inside }) => ({
        number,
        offset,
        size,
        inside,
      })),
      whole.places
        .filter(({ type }) => type !== '5' && type !== 'f')
        .map(({ number, start: offset, size }) => ({
          number,
          offset,
          size,
          inside: images.filter(({ partition }) => partition.number === number).map(({ id }) => id),
        })),
    );
    const refused = (await t.throwsAsync(() => onDisk(t, file, layout, restoreImage))) as HoldfastError;
    t.is(refused.detail?.code, 'ambiguous');

    const first = await onDisk(t, file, layout, (target) => restoreImage(target, { image: images[0].id }));
    t.is(first.partitionTable, 'rebuilt');
    t.deepEqual(first.companions, ['boot gap', 'EFI system partition']);
    t.is(tableOf(t, stages[0]), table);
    t.is(around(whole, layout), before);
    t.notThrows(() => espMustBeClean(t, file, esp));
    t.deepEqual(espFiles(t, file, esp), files);
    t.notThrows(() => stageMustBeClean(stages[0]));
    treeMustBe(t, stages[0], trees[0]!, 'root');

    const second = await onDisk(t, file, layout, (target) => restoreImage(target, { image: images[1].id }));
    t.is(second.partitionTable, 'kept');
    t.is(second.companions, undefined);
    t.is(around(whole, layout), before);
    t.notThrows(() => stageMustBeClean(stages[1]));
    treeMustBe(t, stages[1], trees[1]!, 'data');
    treeMustBe(t, stages[0], trees[0]!, 'root, afterwards');
  });

test('a valid table is kept byte for byte, and so is everything beside the partition', async (t) => {
  const whole = await makeWhole(t, { table: 'gpt' });
  const { file, stages, trees, images, size } = whole;
  const [root] = stages;
  const beside = [...complement([{ start: root.start, length: root.size }], { start: 0, length: size })];
  const before = digestOf(file, beside);
  overwriteWithNoise(
    file,
    [...beside, ...extentsOf(images[0].extents)].sort((a, b) => a.start - b.start),
  );
  t.is((await listImages(file)).proposedTable, undefined, 'there is nothing to propose');
  const restored = await restoreImage(file, { partition: root.partition! });
  t.is(restored.partitionTable, 'kept');
  t.is(restored.companions, undefined);
  t.is(digestOf(file, beside), before);
  treeMustBe(t, root, trees[0]!, 'root');
});

test('--companions: a kept table, but boot gap and EFI system partition come back', async (t) => {
  const whole = await makeWhole(t, { table: 'gpt' });
  const { file, esp, images, stages } = whole;
  const before = around(whole, { table: 'gpt' });
  const files = espFiles(t, file, esp);
  makeEsp(t, file, esp, { seed: 'somebody changed it' });
  t.notDeepEqual(espFiles(t, file, esp), files);
  // A device whose partitions have nodes: without the option, only the partition's own would be opened.
  const loop = attachLoop(t, file, { partitions: true });
  const refused = (await t.throwsAsync(() =>
    restoreImage(loop.partition(stages[0].partition!), { companions: true }),
  )) as HoldfastError;
  t.is(refused.detail?.code, 'companions.no-disk');
  const plain = await restoreImage(loop.device, { image: images[0].id });
  t.is(plain.companions, undefined);
  const restored = await restoreImage(loop.device, { image: images[0].id, companions: true });
  loop.detach();
  t.is(restored.partitionTable, 'kept');
  t.deepEqual(restored.companions, ['boot gap', 'EFI system partition']);
  t.deepEqual(espFiles(t, file, esp), files);
  t.notThrows(() => espMustBeClean(t, file, esp));
  t.is(around(whole, { table: 'gpt' }), before);
  t.notThrows(() => stageMustBeClean(stages[0]));
});

test('a valid table without the partition: one entry is added, nothing else changes', async (t) => {
  const whole = await makeWhole(t, { table: 'gpt' });
  const { file, stages, images, size } = whole;
  const [, data] = stages;
  mustRun('sfdisk', ['--quiet', '--delete', file, `${data.partition}`]);
  // Everything but the table, which sits in front of the first partition and at the end.
  const beside = [{ start: MIB, length: data.start - MIB }];
  const before = digestOf(file, beside);
  const { proposedTable, images: found } = await listImages(file);
  t.is(found.length, 2);
  t.is(proposedTable, undefined);
  const restored = await restoreImage(file, { image: images[1].id });
  t.is(restored.partitionTable, 'added');
  t.is(digestOf(file, beside), before);
  t.regex(tableOf(t, data), new RegExp(`start= *${data.start / 512}, size= *${data.size / 512},`));
  t.is(restored.companions, undefined);
  t.true(size > 0);
});

test('images of two partitionings: the newer one is proposed, what overlaps is dropped and named', async (t) => {
  const file = join(temporaryFolder(t), 'disk');
  const [old] = makeDisk(t, file, { size: 64 * MIB, table: 'gpt', partitions: [{ name: 'old' }] });
  makeVolume(file, { offset: old!.start, size: old!.size - (old!.size % 4096), blockSize: 4096 });
  const first = (await makeImageAt(NOW, file, { partition: 1 })).image;
  const [lower] = makeDisk(t, file, {
    size: 64 * MIB,
    table: 'gpt',
    partitions: [{ size: 7 * MIB, name: 'lower' }],
  });
  makeVolume(file, { offset: lower!.start, size: lower!.size, blockSize: 1024 });
  const second = (await makeImageAt(NOW + 60, file, { partition: 1, minFree: 0 })).image;
  t.true(Math.min(...first.extents.map(([offset]) => offset)) > lower!.start + lower!.size);
  overwriteWithNoise(file, [...extentsOf(first.extents), ...extentsOf(second.extents)]);
  const { images, proposedTable } = await listImages(file);
  t.is(images.length, 2);
  t.deepEqual(
    proposedTable?.partitions.map(({ name, size, images: inside }) => ({ name, size, inside })),
    [{ name: 'lower', size: lower!.size, inside: [second.id] }],
  );
  t.like(proposedTable?.dropped[0], { offset: old!.start, size: old!.size });
  t.regex(proposedTable!.dropped[0]!.reason, /overlaps/);
  t.is(proposedTable?.dropped.length, 1);
});

test('an EFI system partition that is mounted is left out of the image, and that is said', async (t) => {
  const whole = await makeWhole(t, { table: 'gpt' });
  const loop = attachLoop(t, whole.file, { partitions: true });
  // This kernel has no vfat: any mount of the node will do.
  mustRun('mke2fs', ['-q', '-F', loop.partition(whole.esp.number)]);
  const mounted = join(temporaryFolder(t), 'mounted');
  mustRun('mkdir', [mounted]);
  mustRun('mount', ['-o', 'ro', loop.partition(whole.esp.number), mounted]);
  t.teardown(() => mustRun('umount', [mounted]));
  const notes: string[] = [];
  const made = await makeImage(loop.device, { partition: 2 }, (event) => {
    if ('note' in event) notes.push(event.note);
  });
  t.is(made.image.state, 'committed');
  t.true(
    notes.some((note) => note.includes('no copy of the EFI system partition') && note.includes(mounted)),
    notes.join('\n'),
  );
});

test('what is no FAT, or an image of its own, stays out of it', async (t) => {
  const whole = await makeWhole(t, { table: 'gpt' });
  const { file, esp, stages, images } = whole;
  // The partition of the ESP's type now has an ext file system with an image inside.
  makeVolume(file, { offset: esp.start, size: esp.size, blockSize: 1024 });
  const own = (await makeImage(file, { partition: esp.number, minFree: 0 })).image;
  const notes: string[] = [];
  await makeImage(file, { partition: stages[1].partition! }, (event) => {
    if ('note' in event) notes.push(event.note);
  });
  t.regex(notes.join('\n'), /no copy of the EFI system partition \(partition 1\): it holds no FAT/);
  // Image 2 was made while it was a FAT: that must not be written over the image inside.
  const before = digestOf(file, [{ start: esp.start, length: esp.size }]);
  const restored = await restoreImage(file, { image: images[0].id, companions: true });
  t.deepEqual(restored.companions, ['boot gap']);
  t.is(digestOf(file, [{ start: esp.start, length: esp.size }]), before);
  t.true((await listImages(file)).images.some(({ id }) => id === own.id));
});

test('an EFI system partition with an image of its own: left alone while that is there, its name goes with it', async (t) => {
  const whole = await makeWhole(t, { table: 'gpt' });
  const { file, esp, stages, trees } = whole;
  const files = espFiles(t, file, esp);
  const inside = (await makeImage(file, { partition: esp.number, minFree: 0, name: 'of the ESP' })).image;
  t.is(inside.partition.offset, esp.start);
  const root = (await makeImage(file, { partition: stages[0].partition! })).image;
  // Some hundred KiB of files; the image inside would make it more than twice as much.
  const spared = extentsOf(root.extents);
  const both = duplicate(file, `${file}.both`);
  overwriteWithNoise(both, [...spared, ...extentsOf(inside.extents)]);
  const first = await restoreImage(both, { image: root.id });
  t.is(first.partitionTable, 'rebuilt');
  t.deepEqual(first.companions, ['boot gap']);
  await restoreImage(both, { image: inside.id });
  t.notThrows(() => espMustBeClean(t, both, esp));
  t.deepEqual(espFiles(t, both, esp), files);
  t.deepEqual((await listImages(both)).images.map(({ id }) => id).sort(), [root.id, inside.id].sort());

  overwriteWithNoise(file, spared);
  const second = await restoreImage(file);
  t.deepEqual(second.companions, ['boot gap', 'EFI system partition']);
  t.notThrows(() => espMustBeClean(t, file, esp));
  t.deepEqual(espFiles(t, file, esp), files);
  t.notRegex(mustRun('mdir', ['-a', '-b', '-i', `${file}@@${esp.start}`, '::/']).stdout, /holdfast/i);
  treeMustBe(t, stages[0], trees[0]!, 'root');
  t.deepEqual(
    (await listImages(file)).images.map(({ id }) => id),
    [root.id],
  );
});

/** A disk that was partitioned anew after the first image was made: both images are whole, the table is lost. */
const twicePartitioned = async (
  t: ExecutionContext,
  table: Layout['table'],
  first: { readonly start: number; readonly size: number },
  second: { readonly start: number; readonly size: number; readonly volume: number },
) => {
  const file = join(temporaryFolder(t), 'disk');
  const stage: Stage = { file, ...first, partition: 1 };
  makeDisk(t, file, { size: 64 * MIB, table, partitions: [first] });
  makeVolume(file, { size: first.size, blockSize: 4096, offset: first.start });
  const tree = fillStage(t, stage, { size: MIB, entries: 60 });
  const { image } = await makeImage(file);
  overwriteWithNoise(file, extentsOf(image.extents));
  const { start, size } = second;
  makeDisk(t, file, { size: 64 * MIB, table: 'mbr', partitions: [{ start, size }] });
  makeVolume(file, { size: second.volume, blockSize: 4096, offset: start });
  fillStage(t, { file, start, size, partition: 1 }, { size: 100 * 1024, entries: 60 });
  const later = (await makeImage(file)).image;
  overwriteWithNoise(file, [...extentsOf(image.extents), ...extentsOf(later.extents)]);
  return { file, stage, tree, image, later, sealed: digestOf(file, extentsOf(later.sealedExtents)) };
};

test('an image of another partitioning in the boot gap: the gap is written around it', async (t) => {
  const { file, stage, tree, image, later, sealed } = await twicePartitioned(
    t,
    'mbr',
    { start: 20 * MIB, size: 40 * MIB },
    { start: MIB, size: 29 * MIB, volume: 14 * MIB },
  );
  const restored = await restoreImage(file, { image: image.id });
  t.deepEqual(restored.companions, ['boot gap']);
  t.is(restored.partitionTable, 'rebuilt');
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'the first');
  t.is(digestOf(file, extentsOf(later.sealedExtents)), sealed);
});

test('an image of another partitioning where the table has to go: refused, nothing written', async (t) => {
  const { file, image, later } = await twicePartitioned(
    t,
    'gpt',
    { start: MIB, size: 30 * MIB },
    { start: 32 * MIB, size: 32 * MIB, volume: 32 * MIB },
  );
  const before = duplicate(file, `${file}.before`);
  const error = (await t.throwsAsync(() => restoreImage(file, { image: image.id }))) as HoldfastError;
  t.is(error.detail?.code, 'table-holds-image', error.message);
  t.true(error.message.includes(later.id.slice(0, 8)));
  t.true(sameBytes(before, file));
});

test('an image of another partitioning in the midst of the partition: it is said that it goes', async (t) => {
  const { file, image, later } = await twicePartitioned(
    t,
    'mbr',
    { start: MIB, size: 62 * MIB },
    { start: 2 * MIB, size: 40 * MIB, volume: 40 * MIB },
  );
  const loses: string[] = [];
  const confirm = async (intent: { readonly loses: readonly string[] }): Promise<boolean> => {
    loses.push(...intent.loses);
    return true;
  };
  await restoreImage(file, { image: image.id, dryRun: true, confirm });
  t.true(
    loses.some((line) => line.includes(later.id.slice(0, 8)) && /overlaps this one/.test(line)),
    loses.join('\n'),
  );
});
