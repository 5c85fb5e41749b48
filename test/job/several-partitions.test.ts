import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { complement, normalise } from '../../rescue/bytes/runs.ts';
import type { HoldfastError } from '../../rescue/errors.ts';
import { GIB, MIB } from '../../rescue/units.ts';
import { type DiskOptions, makeDisk } from '../support/disk.ts';
import { duplicate } from '../support/duplicate.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { attachLoop } from '../support/loop.ts';
import { overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, removeImage, restoreImage } from './requests.ts';

/** A disk with an image in each of its first two partitions. */
const twoImages = async (t: ExecutionContext, more: Partial<DiskOptions> = {}) => {
  const file = join(temporaryFolder(t), 'disk');
  const partitions = [{ size: 32 * MIB }, { size: 32 * MIB }];
  const places = makeDisk(t, file, { size: 72 * MIB, table: 'gpt', partitions, ...more });
  const made = [];
  for (const { number: partition, start: offset, size } of places.slice(0, 2)) {
    makeVolume(file, { offset, size, blockSize: 4096 });
    made.push((await makeImage(file, { partition, name: `image ${partition}` })).image);
  }
  return { file, places, images: [made[0]!, made[1]!] as const };
};

const ambiguousUntouched = async (t: ExecutionContext, file: string): Promise<void> => {
  const before = duplicate(file, `${file}.untouched`);
  const error = (await t.throwsAsync(() => restoreImage(file))) as HoldfastError;
  t.is(error.detail?.code, 'ambiguous', error.message);
  t.true(sameBytes(before, file));
};

test.serial('the wrecked one of two partitions does not cost the other one its state', async (t) => {
  const { file, places, images } = await twoImages(t);
  for (const wrecked of [0, 1] as const) {
    const copy = duplicate(file, `${file}.${wrecked}`);
    const { start, size } = places[wrecked]!;
    const held = normalise(extentsOf(images[wrecked].extents));
    overwriteWithNoise(copy, [
      ...held,
      ...complement([{ start, length: size }], { start: 0, length: 72 * MIB }),
    ]);
    const { images: found, depth } = await listImages(copy);
    t.is(depth, 'quick');
    t.deepEqual(found.map(({ id }) => id).sort(), images.map(({ id }) => id).sort());
    await ambiguousUntouched(t, copy);
    await restoreImage(copy, { partition: wrecked + 1 });
    for (const { start: offset } of places) t.notThrows(() => mustBeClean(e2fsckClean(copy, { offset })));
  }
});

test.serial('without a table, and with an entry missing, both images are found', async (t) => {
  const { file, images } = await twoImages(t);
  for (const how of ['no table', 'one entry'] as const) {
    const copy = duplicate(file, `${file}.${how}`);
    if (how === 'no table')
      overwriteWithNoise(
        copy,
        images.flatMap(({ extents }) => extentsOf(extents)),
      );
    else mustRun('sfdisk', ['--delete', copy, '2']);
    const { images: found } = await listImages(copy);
    t.deepEqual(found.map(({ id }) => id).sort(), images.map(({ id }) => id).sort(), how);
    await ambiguousUntouched(t, copy);
  }
});

test.serial('partitions that are known are not sampled', async (t) => {
  const partitions = [{ size: 32 * MIB }, { size: 32 * MIB }, { type: 'swap' }];
  const { file, places } = await twoImages(t, { size: 2 * GIB, partitions });
  const { start, size } = places[2]!;
  const before = (await listImages(file)).bytesRead;
  const loop = attachLoop(t, file, { offset: start, size });
  mustRun('mkswap', [loop.device]);
  loop.detach();
  const after = (await listImages(file)).bytesRead;
  t.true(before > after + size / 32, `${before} bytes read while unknown, ${after} as swap`);
  t.true(after < 16 * MIB, `${after}`);
});

test.serial('remove finds an image of another partition than the one that is met first', async (t) => {
  const { file, images } = await twoImages(t);
  // Its file system lists it no more: only a search meets it.
  const [first, second] = images;
  mustRun('sfdisk', ['--delete', file, '2']);
  const error = (await t.throwsAsync(() => removeImage(file, { image: second.id }))) as HoldfastError;
  t.is(error.detail?.code, 'not-in-partition', error.message);
  await removeImage(file, { image: first.id });
  t.deepEqual(
    (await listImages(file)).images.map(({ id }) => id),
    [second.id],
  );
});
