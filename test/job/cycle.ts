import { rmSync, statSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { complement, normalise, subtract, toExtents } from '../../rescue/bytes/runs.ts';
import { openFile } from '../../rescue/device/file.ts';
import { ReadableWindow, Window } from '../../rescue/device/window.ts';
import { extDriver } from '../../rescue/fs/ext/ext.ts';
import { ExtVolume } from '../../rescue/fs/ext/volume.ts';
import { parseLocatorRecord } from '../../rescue/image/locator-record.ts';
import type { CreateRequest, CreateResult, ImageSummary, RestoreResult } from '../../rescue/job/results.ts';
import type { Extent } from '../../rescue/units.ts';
import { debugfs, freeByDumpe2fs } from '../fs/ext/e2fsprogs.ts';
import { duplicate } from '../support/duplicate.ts';
import { digestOf, firstDifference, overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { differences, type Tree } from '../support/tree.ts';
import { listImages, makeImage, NOW, restoreImage, verifyImage } from './requests.ts';
import { type Stage, stageMustBeClean, tableOf, treeOf, workOn } from './stage.ts';

export const extentsOf = (pairs: ImageSummary['extents']): Extent[] =>
  pairs.map(([start, length]) => ({ start, length }));

/** Fails unless the tree is the same in content and all metadata. */
export const treeMustBe = (t: ExecutionContext, stage: Stage, expected: Tree, when: string): void => {
  t.deepEqual(differences(expected, treeOf(t, stage)), [], when);
};

const numbers = (text: string): number[] => [...text.matchAll(/\d+/g)].map((match) => Number(match[0]));

/** A list of blocks as debugfs gives it, which may have nothing in it. */
const blockList = (text: string): number[] => numbers(text.replace(/^.*:.*$/gm, ''));

/**
 * Bytes of the volume that a create may change, as dumpe2fs and debugfs name them in the finished volume: superblock, primary group
 * descriptors, bitmaps, journal; of the root, the containers' folder and the image's own files, the blocks of their inodes, content
 * and maps.
 */
const namedPlaces = (path: string, image: ImageSummary): Extent[] => {
  const dump = mustRun('dumpe2fs', [path]).stdout;
  const [blockSize] = numbers(/^Block size:.*$/m.exec(dump)![0]) as [number];
  const blocks: number[] = [];
  const range = (text: string): void => {
    const [from, to = from] = numbers(text) as [number, number?];
    for (let block = from; block <= to; block += 1) blocks.push(block);
  };
  for (const [, descriptors] of dump.matchAll(
    /^ {2}(?:Primary superblock at \d+, )?Group descriptors? at ([\d-]+)/gm,
  ))
    range(descriptors!);
  for (const [, bitmap] of dump.matchAll(/(?:Block|Inode) bitmap at (\d+)/g)) range(bitmap!);
  const [folder] = debugfs(path, ['ls -p /.holdfast']) as [string];
  const own = [...folder.matchAll(/^\/\d+\/\d+\/\d+\/\d+\/([^/]+)\//gm)]
    .map((match) => match[1]!)
    .filter((name) => name.startsWith(`user-${image.id.slice(0, 12)}.`))
    .map((name) => `/.holdfast/${name}`);
  const files = ['/', '/.holdfast', ...own];
  for (const answer of debugfs(
    path,
    files.map((file) => `imap ${file}`),
  ))
    range(/located at block (\d+)/.exec(answer)![1]!);
  for (const answer of debugfs(
    path,
    files.map((file) => `blocks ${file}`),
  ))
    blocks.push(...blockList(answer));
  if (/^Journal inode:/m.test(dump)) blocks.push(...blockList(debugfs(path, ['blocks <8>'])[0]!));
  return [
    { start: 1024, length: 1024 },
    ...blocks.map((block) => ({ start: block * blockSize, length: blockSize })),
  ];
};

/** Where the locator record may stand: the second sector, behind that of boot loaders. There is none with sectors of 4096 bytes. */
const recordPlace = ({ start, sectorSize = 512 }: Stage): Extent[] =>
  sectorSize === 512 ? [{ start: start + 512, length: 512 }] : [];

/** A record that names the image, or what was there before if that was not zeros. */
const recordMustName = (t: ExecutionContext, stage: Stage, before: string, image: ImageSummary): void => {
  for (const { start, length } of recordPlace(stage)) {
    const [now, then] = [stage.file, before].map((path) => {
      const file = openFile(path);
      const bytes = file.read(start, length);
      file.close();
      return bytes;
    }) as [Uint8Array, Uint8Array];
    if (then.some((byte) => byte !== 0) && parseLocatorRecord(then) === undefined)
      t.deepEqual(now, then, 'boot code was written over');
    else
      t.is(
        Buffer.from(parseLocatorRecord(now)?.images[0]?.imageId ?? []).toString('hex'),
        image.id,
        'record',
      );
  }
};

/** `after` may differ from `before` only in places that other people's programs name. */
export const onlyNamedPlaces = (
  t: ExecutionContext,
  stage: Stage,
  before: string,
  image: ImageSummary,
): void => {
  const { file, start } = stage;
  const places = namedPlaces(start === 0 ? file : `${file}?offset=${start}`, image);
  const allowed = normalise([
    ...places.map((each) => ({ start: start + each.start, length: each.length })),
    ...recordPlace(stage),
  ]);
  const whole = { start: 0, length: statSync(file).size };
  t.is(
    firstDifference(before, file, complement(allowed, whole)),
    undefined,
    'first byte that create changed outside the locator record and all that dumpe2fs and debugfs name',
  );
};

/** What becomes of the images that were there before. */
export interface OtherImages {
  /** Only their mutable slots may change. */
  readonly kept?: readonly ImageSummary[];
  /** Their claim is released, and their clusters may hold anything. */
  readonly removed?: readonly ImageSummary[];
  /** They went before the new one came. */
  readonly first?: boolean;
}

/**
 * `after` must be `before` with the container in clusters that were free (by dumpe2fs) and the claim's patch, computed
 * again from `before`, the locator record, and nothing else: every byte of the disk is compared.
 */
export const onlyStatedChanges = (
  t: ExecutionContext,
  stage: Stage,
  before: string,
  image: ImageSummary,
  { kept = [], removed = [], first = false }: OtherImages = {},
): void => {
  const { file, start, size } = stage;
  const place = { start, length: size };
  recordMustName(t, stage, before, image);
  const container = extentsOf(image.extents);
  // The others' slots and clusters are named by nobody else any more.
  if (kept.length + removed.length === 0) onlyNamedPlaces(t, stage, before, image);
  const after = openFile(file);
  const expected = duplicate(before, `${before}.expected`);
  const device = openFile(expected, { write: true, sectorSize: stage.sectorSize ?? 512 });
  try {
    const volume = new Window(device, place);
    const { clusterSize, clusterBase } = extDriver.open(volume).geometry;
    const { clusterBlocks } = new ExtVolume(volume).parameters;
    const path = start === 0 ? before : `${before}?offset=${start}`;
    const gone = removed.flatMap((each) => extentsOf(each.extents));
    const free = [
      ...toExtents(freeByDumpe2fs(path, clusterBlocks), clusterSize, clusterBase + start),
      ...(first ? gone : []),
    ];
    t.deepEqual([...subtract(container, normalise(free))], [], 'the container lies in free clusters');
    const listed = extDriver.open(new ReadableWindow(after, place)).containers();
    const nameOf = ({ id }: ImageSummary, names: readonly { readonly name: string }[]) =>
      names.find(({ name }) => id.startsWith(name.split('-')[1]!))!;
    const own = nameOf(image, listed) as (typeof listed)[number];
    const edit = (change: (editor: Parameters<typeof extDriver.claim>[0]) => void): void => {
      const { phases } = extDriver.patch(volume, change);
      for (const { offset, after: bytes } of phases.flat()) volume.write(offset, bytes);
    };
    const release = (): void => {
      for (const each of removed) {
        const { name } = nameOf(each, extDriver.open(volume).containers());
        edit((editor) => extDriver.release(editor, { name, time: NOW }));
      }
    };
    if (first) release();
    edit((editor) => extDriver.claim(editor, { ...own, time: NOW, avoid: { has: () => false } }));
    if (!first) release();
    device.flush();
    const changing = kept.flatMap((each) => [
      ...subtract(normalise(extentsOf(each.extents)), normalise(extentsOf(each.sealedExtents))),
    ]);
    const exempt = normalise([...container, ...gone, ...changing, ...recordPlace(stage)]);
    const whole = { start: 0, length: device.size };
    t.is(
      firstDifference(expected, file, complement(exempt, whole)),
      undefined,
      'first byte that create changed though it had no business there',
    );
  } finally {
    device.close();
    after.close();
    rmSync(expected);
  }
};

export interface CycleOptions {
  readonly stage: Stage;
  readonly tree: Tree;
  readonly request?: Partial<CreateRequest>;
  /** Where the image is to be found after the noise; default: by scan. */
  readonly table?: RestoreResult['partitionTable'];
}

/**
 * The whole proof on one volume: image, noise over everything but the image's clusters, search, restore, and an owner who
 * goes on working; after every step other people's programs say what they think.
 */
export const wholeCycle = async (t: ExecutionContext, options: CycleOptions): Promise<CreateResult> => {
  const { stage, tree } = options;
  const { file, partition } = stage;
  const which = partition === undefined ? {} : { partition };
  const before = duplicate(file, `${file}.before`);
  const table = tableOf(t, stage);
  const made = await makeImage(file, { ...which, ...options.request });
  t.is(made.image.state, 'committed');
  onlyStatedChanges(t, stage, before, made.image);
  rmSync(before);
  t.notThrows(() => stageMustBeClean(stage), 'after create');
  treeMustBe(t, stage, tree, 'after create');

  await destroyAndRestore(t, options, made.image, table);

  workOn(t, stage);
  t.notThrows(() => stageMustBeClean(stage), 'after the owner worked on');
  const verified = await verifyImage(file, which);
  t.deepEqual(verified.problems, [], 'verify after the owner worked on');
  return made;
};

/** Noise over everything but the image; then list, restore and compare. */
export const destroyAndRestore = async (
  t: ExecutionContext,
  { stage, tree, table: action }: CycleOptions,
  image: ImageSummary,
  table: string,
): Promise<void> => {
  const { file } = stage;
  const sealed = digestOf(file, extentsOf(image.sealedExtents));
  overwriteWithNoise(file, extentsOf(image.extents), 'cycle');
  const listed = await listImages(file);
  t.is(listed.images.length, 1, 'images found in the noise');
  const found = listed.images[0]!;
  t.like(found, { id: image.id, state: 'committed', foundBy: 'scan', extents: image.extents });
  t.deepEqual(found.sealedExtents, image.sealedExtents);
  t.is(found.partition.offset, stage.start);

  const restored = await restoreImage(file);
  t.true(restored.written);
  t.deepEqual(restored.imagesKept, [image.id]);
  t.is(restored.partitionTable, action ?? (stage.partition === undefined ? 'kept' : 'rebuilt'));
  t.is(digestOf(file, extentsOf(image.sealedExtents)), sealed, 'sealed extents');
  t.is(tableOf(t, stage), table, 'partition table');
  t.notThrows(() => stageMustBeClean(stage), 'after restore');
  treeMustBe(t, stage, tree, 'after restore');
};
