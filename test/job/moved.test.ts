import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { HoldfastError } from '../../rescue/errors.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile, makeVolume } from '../support/volume.ts';
import { extentsOf, treeMustBe } from './cycle.ts';
import { infoOf, listImages, makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, type Stage, stageMustBeClean } from './stage.ts';

const SIZE = 48 * MIB;
const SHIFT = 5 * MIB;

const imaged = async (t: ExecutionContext, folder: string) => {
  const file = makeVolume(join(folder, 'volume'), { size: SIZE, blockSize: 4096 });
  const stage: Stage = { file, start: 0, size: SIZE };
  const tree = fillStage(t, stage, { size: MIB, entries: 60 });
  const { image } = await makeImage(file);
  return { stage, tree, image };
};

/** The container's bytes, and nothing else of the volume, at another place of another file. */
const copyContainer = (from: string, image: ImageSummary, to: string, shift: number): void => {
  const source = openSync(from, 'r');
  const target = openSync(to, 'r+');
  for (const { start, length } of extentsOf(image.extents)) {
    const bytes = Buffer.alloc(length);
    readSync(source, bytes, 0, length, start);
    writeSync(target, bytes, 0, length, start + shift);
  }
  closeSync(source);
  closeSync(target);
};

test.serial('a moved image: listed, never chosen by rule, usable by name', async (t) => {
  const folder = temporaryFolder(t);
  const { stage, tree, image } = await imaged(t, folder);
  const disk = makeFile(join(folder, 'disk'), SIZE + 2 * SHIFT);
  overwriteWithNoise(disk, []);
  copyContainer(stage.file, image, disk, SHIFT);
  const before = duplicate(disk, join(folder, 'before'));
  const [listed, ...more] = (await listImages(disk)).images;
  t.like(listed, { id: image.id, state: 'moved', partition: { offset: SHIFT } });
  t.deepEqual(more, []);
  t.truthy(listed!.reason);
  t.like((await infoOf(disk, image.id)).image, { id: image.id, state: 'moved' });
  const refusal = await t.throwsAsync<HoldfastError>(() => restoreImage(disk));
  t.like(refusal, { kind: 'not-found' }, refusal.message);
  t.regex(refusal.message, new RegExp(image.id.slice(0, 8)));
  const { problems } = await verifyImage(disk, { image: image.id });
  t.true(
    problems.some(({ code }) => code === 'image.moved'),
    JSON.stringify(problems),
  );
  t.true(sameBytes(before, disk), 'nothing was written so far');

  const to = join(folder, 'to');
  await restoreImage(disk, { image: image.id, to });
  const there = { ...stage, file: to };
  t.notThrows(() => stageMustBeClean(there));
  treeMustBe(t, there, tree, 'from the moved image');
  t.true(sameBytes(before, disk), 'the place it was found on is only read');
});

test.serial('a foreign image: listed, and refused for everything that writes', async (t) => {
  const folder = temporaryFolder(t);
  const { stage, image } = await imaged(t, join(folder));
  // A disk of a virtual machine, as a file that lies in the data of a larger volume with an image of its own.
  const outerSize = 160 * MIB;
  const outer = makeVolume(join(folder, 'outer'), { size: outerSize, blockSize: 4096 });
  const own = (await makeImage(outer)).image;
  copyContainer(stage.file, image, outer, 20 * MIB);
  const before = duplicate(outer, join(folder, 'before'));
  const { images } = await listImages(outer, { depth: 'full' });
  t.like(
    images.find(({ id }) => id === own.id),
    { state: 'committed' },
  );
  t.like(
    images.find(({ id }) => id === image.id),
    { state: 'foreign' },
  );
  for (const attempt of [
    () => restoreImage(outer, { image: image.id }),
    () => removeImage(outer, { image: image.id }),
  ]) {
    const error = await t.throwsAsync<HoldfastError>(attempt);
    // Met or not before the search ended, it is no image that may be used.
    t.true(['unusable', 'no-such-image'].includes(error.detail.code), error.message);
  }
  t.true(sameBytes(before, outer));
  // What it lies in is restored by rule as if it were not there.
  t.is((await restoreImage(outer, { dryRun: true })).image.id, own.id);
});
