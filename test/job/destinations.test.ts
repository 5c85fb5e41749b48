import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import type { HoldfastError } from '../../rescue/errors.ts';
import { COMMIT, COMMIT_STATE } from '../../rescue/image/layout.ts';
import { MIB } from '../../rescue/units.ts';
import { makeDisk } from '../support/disk.ts';
import { duplicate } from '../support/duplicate.ts';
import { attachLoop } from '../support/loop.ts';
import { digestOf, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile, makeVolume } from '../support/volume.ts';
import { extentsOf, treeMustBe } from './cycle.ts';
import { listImages, makeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, mountStage, type Stage, stageMustBeClean, tableOf } from './stage.ts';

const SMALL_TREE = { size: MIB, entries: 60 };
const SIZE = 48 * MIB;

const imaged = async (t: ExecutionContext) => {
  const folder = temporaryFolder(t);
  const file = makeVolume(join(folder, 'volume'), { size: SIZE, blockSize: 4096 });
  const stage: Stage = { file, start: 0, size: SIZE };
  const tree = fillStage(t, stage, SMALL_TREE);
  const { image } = await makeImage(file);
  return { folder, stage, tree, image };
};

test.serial('--to a new file, and one that is larger', async (t) => {
  const { folder, stage, tree, image } = await imaged(t);
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  const source = duplicate(stage.file, join(folder, 'source'));
  const larger = makeFile(join(folder, 'larger'), SIZE + 5 * MIB);
  overwriteWithNoise(larger, []);
  const tail = [{ start: SIZE, length: 5 * MIB }];
  const behind = digestOf(larger, tail);
  for (const to of [join(folder, 'new'), larger]) {
    const restored = await restoreImage(stage.file, { to });
    t.deepEqual(restored.imagesKept, []);
    const there = { ...stage, file: to };
    t.notThrows(() => stageMustBeClean(there));
    treeMustBe(t, there, tree, to);
  }
  t.is(digestOf(larger, tail), behind, 'what lies behind the partition');
  t.true(sameBytes(source, stage.file), 'the source is only read');
  // A place of its own: it gets an image of its own.
  const second = await makeImage(join(folder, 'new'));
  t.deepEqual(second.replaced, []);
});

test.serial('--to a smaller file is refused with the numbers', async (t) => {
  const { folder, stage } = await imaged(t);
  const to = makeFile(join(folder, 'smaller'), SIZE - MIB);
  const before = duplicate(to, join(folder, 'before'));
  const error = (await t.throwsAsync(() => restoreImage(stage.file, { to }))) as HoldfastError;
  t.like(error, { kind: 'refused' }, error.message);
  t.is(error.detail.code, 'too-small');
  t.regex(error.message, new RegExp(`expected at least ${SIZE} bytes.*found ${SIZE - MIB} bytes`));
  t.true(sameBytes(before, to));
});

test.serial('--to another disk: its entry is kept, or added', async (t) => {
  const folder = temporaryFolder(t);
  const partitions = [{ size: 4 * MIB }, { size: SIZE }];
  const disk = { size: 64 * MIB, table: 'gpt', partitions } as const;
  const file = join(folder, 'disk');
  const place = makeDisk(t, file, disk)[1]!;
  makeVolume(file, { offset: place.start, size: place.size, blockSize: 4096 });
  const stage: Stage = { file, start: place.start, size: place.size, partition: 2 };
  const tree = fillStage(t, stage, SMALL_TREE);
  await makeImage(file, { partition: 2 });
  for (const [action, theirs] of [
    ['kept', partitions],
    ['added', partitions.slice(0, 1)],
  ] as const) {
    const to = join(folder, action);
    makeDisk(t, to, { ...disk, partitions: theirs });
    const there = { ...stage, file: to };
    const table = tableOf(t, there);
    const restored = await restoreImage(file, { to });
    t.is(restored.partitionTable, action);
    t.notThrows(() => stageMustBeClean(there));
    treeMustBe(t, there, tree, action);
    const now = tableOf(t, there);
    if (action === 'kept') t.is(now, table);
    else t.true(now.startsWith(table.trimEnd()) && /DISK2 : start= +10240, size= +98304/.test(now), now);
  }
});

test.serial('a partition that has grown since: restored in place, and --to such a disk', async (t) => {
  const folder = temporaryFolder(t);
  const disk = { size: 72 * MIB, table: 'gpt' } as const;
  const file = join(folder, 'disk');
  const place = makeDisk(t, file, { ...disk, partitions: [{ size: 4 * MIB }, { size: SIZE }] })[1]!;
  makeVolume(file, { offset: place.start, size: place.size, blockSize: 4096 });
  const stage: Stage = { file, start: place.start, size: place.size, partition: 2 };
  const tree = fillStage(t, stage, SMALL_TREE);
  const { image } = await makeImage(file, { partition: 2 });
  const grown = (size: number, to: string): Stage => {
    makeDisk(t, to, { ...disk, partitions: [{ size: 4 * MIB }, { size }] });
    return { ...stage, file: to };
  };
  const larger = grown(SIZE + 8 * MIB, join(folder, 'larger'));
  const table = tableOf(t, larger);
  t.is((await restoreImage(file, { to: larger.file })).partitionTable, 'kept');
  const smaller = grown(SIZE - 8 * MIB, join(folder, 'smaller'));
  const error = await t.throwsAsync<HoldfastError>(() => restoreImage(file, { to: smaller.file }));
  t.is(error.detail.code, 'table.entry-too-small');
  t.regex(error.message, new RegExp(`at least ${SIZE} bytes.*${SIZE - 8 * MIB} bytes`));
  mustRun('sfdisk', ['--quiet', '--no-reread', '--partno', '2', file], {
    input: `, ${(SIZE + 8 * MIB) / 512}`,
  });
  const inPlace = tableOf(t, stage);
  t.is((await restoreImage(file)).partitionTable, 'kept');
  t.is(tableOf(t, stage), inPlace);
  t.is(tableOf(t, larger), table);
  for (const each of [larger, stage]) {
    t.notThrows(() => stageMustBeClean(each));
    treeMustBe(t, each, tree, each.file);
  }
  // Through the nodes that the kernel gives: a neighbour may be in use.
  const loop = attachLoop(t, file, { partitions: true });
  overwriteWithNoise(
    loop.partition(2),
    extentsOf(image.extents).map(({ start, length }) => ({ start: start - place.start, length })),
  );
  t.like(await restoreImage(loop.device), { partitionTable: 'kept', imagesKept: [image.id] });
  loop.detach();
  t.is(tableOf(t, stage), inPlace);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'through the node');
});

test.serial('--to the node of another partition', async (t) => {
  const { folder, stage, tree } = await imaged(t);
  const file = join(folder, 'disk');
  const [first, second] = makeDisk(t, file, {
    size: 72 * MIB,
    table: 'gpt',
    partitions: [{ size: 12 * MIB }, { size: SIZE + 4 * MIB }],
  });
  overwriteWithNoise(file, [
    { start: 0, length: MIB },
    { start: 71 * MIB, length: MIB },
  ]);
  const loop = attachLoop(t, file, { partitions: true });
  const outside = [
    { start: 0, length: second!.start },
    { start: second!.start + SIZE, length: 72 * MIB - second!.start - SIZE },
  ];
  const before = digestOf(file, outside);
  const small = await t.throwsAsync<HoldfastError>(() => restoreImage(stage.file, { to: loop.partition(1) }));
  t.is(small.detail.code, 'too-small');
  t.is(first!.size, 12 * MIB);
  t.deepEqual((await restoreImage(stage.file, { to: loop.partition(2) })).imagesKept, []);
  loop.detach();
  t.is(digestOf(file, outside), before, 'the table, the neighbour and what lies behind');
  const there = { file, start: second!.start, size: second!.size, partition: 2 };
  t.notThrows(() => stageMustBeClean(there));
  treeMustBe(t, there, tree, 'in the other partition');
});

test.serial('--from a container file that was copied out', async (t) => {
  const { folder, stage, tree, image } = await imaged(t);
  const mount = mountStage(t, stage, true);
  const [name] = readdirSync(join(mount.path, '.holdfast'));
  const copy = join(folder, basename(name!));
  copyFileSync(join(mount.path, '.holdfast', name!), copy);
  mount.unmount();
  t.like((await listImages(copy)).images[0], { id: image.id, state: 'committed' });
  t.deepEqual((await verifyImage(copy)).problems, []);
  overwriteWithNoise(stage.file, []);
  const restored = await restoreImage(stage.file, { from: copy });
  t.deepEqual(restored.imagesKept, []);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'from the file');
  // With the image still in place the same file restores around it.
  const { image: second } = await makeImage(stage.file);
  // The image's file is no place to restore to, and the way out says which option is meant.
  const error = await t.throwsAsync<HoldfastError>(() => restoreImage(copy));
  t.is(error.detail.code, 'target.image');
  t.regex(error.message, /--from /);
  const again = await restoreImage(stage.file, { from: copy });
  t.deepEqual(again.imagesKept, [second.id]);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'around an image');
  t.deepEqual((await verifyImage(stage.file)).problems, []);
  truncateSync(copy, MIB / 2);
  await t.throwsAsync(() => restoreImage(stage.file, { from: copy }), { message: /./ });
  rmSync(copy);
});

test.serial('--to a place with images of its own: refused, unless they are named', async (t) => {
  const { folder, stage, tree } = await imaged(t);
  const to = makeVolume(join(folder, 'other'), { size: SIZE, blockSize: 4096 });
  const there: Stage = { file: to, start: 0, size: SIZE };
  fillStage(t, there, SMALL_TREE);
  const { image: first } = await makeImage(to);
  const { image: second } = await makeImage(to, { keepOld: true });
  const held = extentsOf([...first.extents, ...second.extents]);
  for (const wrecked of [false, true]) {
    const place = duplicate(to, join(folder, `place ${wrecked}`));
    if (wrecked) overwriteWithNoise(place, held);
    const before = duplicate(place, join(folder, 'before'));
    for (const drop of [[], [first.id], ['abcd']]) {
      const error = (await t.throwsAsync(() =>
        restoreImage(stage.file, { to: place, drop }),
      )) as HoldfastError;
      t.is(error.detail?.code, drop[0] === 'abcd' ? 'drop-unmatched' : 'place-holds-images', error.message);
      t.true(error.message.includes(second.id));
      t.true(sameBytes(before, place));
    }
    const loses: string[] = [];
    await restoreImage(stage.file, {
      to: place,
      drop: [first.id, second.id.slice(0, 8)],
      confirm: async (intent) => {
        loses.push(...intent.loses);
        return true;
      },
    });
    for (const { id } of [first, second])
      t.true(loses.some((line) => line.includes(id.slice(0, 8)) && line.includes('will be destroyed')));
    const result = { ...there, file: place };
    t.notThrows(() => stageMustBeClean(result));
    treeMustBe(t, result, tree, place);
    // Nor are they found once that file system is gone.
    overwriteWithNoise(place, held);
    t.deepEqual((await listImages(place, { depth: 'full' })).images, []);
  }
});

test.serial(
  '--to a path that is not there: a new file, but none where the kernel keeps its own',
  async (t) => {
    const { folder, stage } = await imaged(t);
    for (const to of [
      '/dev/holdfast-no-such-disk',
      '/dev/shm/holdfast-no-such-disk',
      '/sys/holdfast',
      '/proc/holdfast',
    ]) {
      for (const dryRun of [true, false]) {
        const error = (await t.throwsAsync(() => restoreImage(stage.file, { to, dryRun }))) as HoldfastError;
        t.like(error, { kind: 'usage' }, error.message);
        t.is(error.detail.code, 'target.missing');
        t.false(existsSync(to));
      }
    }
    const loses: string[] = [];
    const restored = await restoreImage(stage.file, {
      to: join(folder, 'new'),
      confirm: async (intent) => {
        loses.push(...intent.loses);
        return true;
      },
    });
    t.deepEqual(loses, []);
    t.is(restored.partitionTable, 'none');
  },
);

/** The image's file, copied out of the volume. */
const copyOut = (t: ExecutionContext, stage: Stage, folder: string): string => {
  const mount = mountStage(t, stage, true);
  const [name] = readdirSync(join(mount.path, '.holdfast'));
  const copy = join(folder, basename(name!));
  copyFileSync(join(mount.path, '.holdfast', name!), copy);
  mount.unmount();
  return copy;
};

test.serial('--from onto a blank target: it is the partition, or the disk where that can be', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'disk');
  const [place] = makeDisk(t, file, { size: 64 * MIB, table: 'gpt', partitions: [{ size: SIZE }] });
  const { start, size } = place!;
  makeVolume(file, { offset: start, size, blockSize: 4096 });
  const stage: Stage = { file, start, size, partition: 1 };
  const tree = fillStage(t, stage, SMALL_TREE);
  await makeImage(file, { partition: 1 });
  const from = copyOut(t, stage, folder);
  for (const [blank, at] of [
    [SIZE, 0],
    [SIZE + MIB / 2, 0],
    [64 * MIB, start],
  ] as const) {
    const target = makeFile(join(folder, `blank ${blank}`), blank);
    const writes: string[] = [];
    const restored = await restoreImage(target, {
      from,
      confirm: async (intent) => {
        writes.push(...intent.writes);
        return true;
      },
    });
    t.is(restored.image.partition.offset, at);
    t.regex(writes.join('\n'), at === 0 ? /taken for the partition itself/ : /taken for the disk/);
    const there: Stage = { file: target, start: at, size };
    t.notThrows(() => stageMustBeClean(there));
    treeMustBe(t, there, tree, `${blank}`);
    t.is(tableOf(t, there) === '', at === 0);
  }
});

test.serial('--from a file whose image is none, is cut short, or is not the one that is meant', async (t) => {
  const { folder, stage, image } = await imaged(t);
  const from = copyOut(t, stage, folder);
  const target = makeFile(join(folder, 'target'), SIZE);
  const before = duplicate(target, join(folder, 'before'));
  const refusedWith = async (code: string, path: string, select: string = 'latest'): Promise<void> => {
    const error = (await t.throwsAsync(() =>
      restoreImage(target, { from: path, image: select }),
    )) as HoldfastError;
    t.is(error.detail?.code, code, error.message);
    t.true(sameBytes(before, target));
  };
  for (const select of ['nosuch', 'factory', 'ffffffff']) await refusedWith('no-such-image', from, select);
  const changed = (name: string, change: (record: Buffer) => void): string => {
    const bytes = readFileSync(from);
    for (let at = bytes.indexOf('HFCOMMIT'); at >= 0; at = bytes.indexOf('HFCOMMIT', at + 1))
      if (at % 512 === 0) change(bytes.subarray(at, at + 512));
    const path = join(folder, `${name}.hfi`);
    writeFileSync(path, bytes);
    return path;
  };
  const withState = (name: string, state: number): string =>
    changed(name, (record) => {
      COMMIT.set(record, 'state', state);
      COMMIT.set(record, 'crc', crc32(record.subarray(0, COMMIT.offsetOf('crc'))));
    });
  await refusedWith('unusable', withState('removed', COMMIT_STATE.removed));
  await refusedWith(
    'unusable',
    changed('prepared', (record) => record.fill(0)),
  );
  await refusedWith(
    'image.damaged',
    changed('damaged', (record) => (record[508]! ^= 0xff)),
  );
  const short = join(folder, 'short.hfi');
  copyFileSync(from, short);
  truncateSync(short, statSync(from).size - 64 * 1024);
  await refusedWith('image.truncated', short);
  const restored = await restoreImage(target, { from, image: image.id.slice(0, 8) });
  t.is(restored.image.id, image.id);
});
