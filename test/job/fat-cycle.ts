import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { complement, endOf, normalise, subtract, toExtents } from '../../rescue/bytes/runs.ts';
import { openFile } from '../../rescue/device/file.ts';
import { ReadableWindow, Window } from '../../rescue/device/window.ts';
import { fatDriver } from '../../rescue/fs/fat/fat.ts';
import { BOOT_AREA } from '../../rescue/fs/filesystem.ts';
import { parseLocatorRecord } from '../../rescue/image/locator-record.ts';
import { applyPatch } from '../../rescue/job/apply.ts';
import type { CreateResult, ImageSummary } from '../../rescue/job/results.ts';
import { type Extent, MIB, type Run } from '../../rescue/units.ts';
import { fsckFat } from '../fs/fat/fsck.ts';
import { type Listed, mtools, treeByMtools, withoutContainers } from '../fs/fat/mtools.ts';
import { fatEntry, placesOf } from '../fs/fat/patching.ts';
import { duplicate } from '../support/duplicate.ts';
import { mustBeClean } from '../support/judges.ts';
import { digestOf, firstDifference, noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, NOW, restoreImage, verifyImage } from './requests.ts';

/** Of a large volume, the first part is compared and overwritten, in which everything but the image lies: the rest would take minutes. */
const LOOKED_AT = 400 * MIB;

/** A FAT volume in a file, alone or as a partition of the disk that the file is. */
export interface FatStage {
  readonly file: string;
  readonly start: number;
  readonly size: number;
  readonly partition?: number;
  /** What mtools listed before the image was made; undefined where mtools cannot read the volume. */
  readonly tree: ReadonlyMap<string, Listed> | undefined;
  /** Mirroring is off: mtools would write to the wrong FAT. */
  readonly unmirrored?: boolean;
}

export const fatMustBeClean = (t: ExecutionContext, { file, start, size }: FatStage, when: string): void => {
  t.notThrows(() => mustBeClean(fsckFat(t, file, { offset: start, size })), when);
};

export const fatTreeMustBe = (t: ExecutionContext, { file, start, tree }: FatStage, when: string): void => {
  if (tree === undefined) return;
  const found = withoutContainers(treeByMtools(t, file, { offset: start }));
  t.deepEqual([...found], [...tree], when);
};

/** Free clusters by the first FAT, read by the tests' own reader. */
const freeClusters = ({ file, start }: FatStage): Run[] => {
  const { clusterCount } = placesOf(file, start);
  const free: Run[] = [];
  for (let cluster = 0; cluster < clusterCount; cluster += 1) {
    if (fatEntry(file, cluster + 2, start) !== 0) continue;
    const last = free.at(-1);
    if (last !== undefined && endOf(last) === cluster)
      free[free.length - 1] = { start: last.start, length: last.length + 1 };
    else free.push({ start: cluster, length: 1 });
  }
  return free;
};

/**
 * The sector of the locator record: one of the reserved ones that was zeros before, and names the image now. On FAT32 sectors 0, 1, 2, 6, 7, 8 and
 * 12 are those of boot sector, FSInfo, Windows' boot code and their copies.
 */
const recordPlace = (
  t: ExecutionContext,
  { file, start }: FatStage,
  before: string,
  image: ImageSummary,
): Extent[] => {
  const { bits, sectorSize, tables } = placesOf(file, start);
  const taken = bits === 32 ? [0, 1, 2, 6, 7, 8, 12] : [0];
  const [now, then] = [openFile(file), openFile(before)];
  const found: Extent[] = [];
  try {
    for (let at = start; at < Math.min(tables[0]!, start + BOOT_AREA); at += sectorSize) {
      const record = parseLocatorRecord(now.read(at, sectorSize));
      if (record === undefined) continue;
      t.false(taken.includes((at - start) / sectorSize), 'a record where boot code goes');
      t.true(
        then.read(at, sectorSize).every((byte) => byte === 0),
        'a record over something else',
      );
      t.is(Buffer.from(record.images[0]!.imageId).toString('hex'), image.id);
      found.push({ start: at, length: sectorSize });
    }
  } finally {
    now.close();
    then.close();
  }
  t.true(found.length <= 1, 'more than one record');
  return found;
};

/** `before` with the locator record and the claim's patch, computed again, is what the file holds but for the container itself, which lies in free clusters. */
const onlyStatedChanges = (
  t: ExecutionContext,
  stage: FatStage,
  before: string,
  image: ImageSummary,
): void => {
  const { file, start, size } = stage;
  const container = extentsOf(image.extents);
  if (stage.unmirrored !== true && size <= 16 * 2 ** 20) {
    const { data, clusterSize } = placesOf(before, start);
    const free = [...toExtents(freeClusters({ ...stage, file: before }), clusterSize, data)];
    t.deepEqual([...subtract(normalise(container), free)], [], 'the container lies in free clusters');
  }
  const after = openFile(file);
  const device = openFile(before, { write: true });
  try {
    const volume = new Window(device, { start, length: size });
    const name = `user-${image.id.slice(0, 12)}`;
    const listed = fatDriver.open(new ReadableWindow(after, { start, length: size })).containers();
    const { runs } = listed.find((each) => each.name === name)!;
    const avoid = { has: (): boolean => false };
    applyPatch(
      volume,
      fatDriver.patch(volume, (editor) => fatDriver.claim(editor, { name, runs, time: NOW, avoid })),
    );
    const exempt = normalise([...container, ...recordPlace(t, stage, before, image)]);
    t.is(
      firstDifference(
        before,
        file,
        complement(exempt, { start: 0, length: Math.min(device.size, LOOKED_AT) }),
      ),
      undefined,
      'first byte that create changed though it had no business there',
    );
  } finally {
    device.close();
    after.close();
  }
};

/** What an owner does on an ordinary day. */
const workOn = (t: ExecutionContext, { file, start }: FatStage): void => {
  const place = { offset: start };
  const from = temporaryFolder(t);
  const names = Array.from({ length: 12 }, (_, index) => join(from, `a file that came later ${index}`));
  for (const [index, name] of names.entries()) writeFileSync(name, noiseSource(name)(index * 331));
  mtools('mmd', file, ['::/later'], place);
  mtools('mcopy', file, [...names, '::/later'], place);
  mtools('mdeltree', file, ['::/top/many'], place);
};

/**
 * The whole proof on one FAT volume: image, noise over everything but the image's clusters, search, restore, and an owner who
 * goes on working; after every step other people's programs say what they think.
 */
export const fatCycle = async (t: ExecutionContext, stage: FatStage): Promise<CreateResult> => {
  const { file, start, size, partition } = stage;
  const which = partition === undefined ? {} : { partition };
  fatMustBeClean(t, stage, 'before');
  const before = duplicate(file, `${file}.before`);
  const made = await makeImage(file, which);
  t.is(made.image.state, 'committed');
  onlyStatedChanges(t, stage, before, made.image);
  rmSync(before);
  fatMustBeClean(t, stage, 'after create');
  fatTreeMustBe(t, stage, 'after create');

  const { image } = made;
  const sealed = digestOf(file, extentsOf(image.sealedExtents));
  const rest = { start: start + LOOKED_AT, length: Math.max(0, size - LOOKED_AT) };
  overwriteWithNoise(file, [...extentsOf(image.extents), rest], 'cycle');
  const listed = await listImages(file);
  t.is(listed.images.length, 1, 'images found in the noise');
  t.like(listed.images[0], { id: image.id, state: 'committed', foundBy: 'scan', extents: image.extents });
  t.is(listed.images[0]!.partition.offset, stage.start);
  const restored = await restoreImage(file);
  t.true(restored.written);
  t.deepEqual(restored.imagesKept, [image.id]);
  t.is(digestOf(file, extentsOf(image.sealedExtents)), sealed, 'sealed extents');
  fatMustBeClean(t, stage, 'after restore');
  fatTreeMustBe(t, stage, 'after restore');
  const again = await listImages(file);
  t.like(again.images[0], { id: image.id, state: 'committed', foundBy: 'filesystem' });

  if (stage.tree !== undefined && stage.unmirrored !== true) {
    workOn(t, stage);
    fatMustBeClean(t, stage, 'after the owner worked on');
  }
  t.deepEqual((await verifyImage(file, which)).problems, [], 'verify at the end');
  return made;
};
