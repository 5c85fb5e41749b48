import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openFile } from '../../rescue/device/file.ts';
import { MAX_SIBLINGS } from '../../rescue/image/layout.ts';
import { openImage } from '../../rescue/image/reader.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { resolveSiblings } from '../../rescue/locate/found.ts';
import { MIB } from '../../rescue/units.ts';
import { noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import type { Tree } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf, treeMustBe } from './cycle.ts';
import { listImages, makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, mountStage, type Stage, stageMustBeClean, treeOf } from './stage.ts';

interface Made {
  readonly image: ImageSummary;
  readonly tree: Tree;
}

const ids = (images: readonly Pick<ImageSummary, 'id'>[]): string[] => images.map(({ id }) => id).sort();

/** Whether what the newest image says of the others leads to all of them. */
const listsAreComplete = (file: string, { extents }: ImageSummary): boolean => {
  const device = openFile(file);
  try {
    // The first anchor is the highest slot of all.
    const [start, length] = extents.at(-1)!;
    const slot = [65536, 32768, 16384, 8192, 4096].find((size) => {
      try {
        return openImage({ device, anchorHome: start + length - size }).state === 'committed';
      } catch {
        return false;
      }
    })!;
    const image = openImage({ device, anchorHome: start + length - slot });
    return resolveSiblings(device, { image, start: 0 }).complete;
  } finally {
    device.close();
  }
};

test.serial('more images than a list of siblings has room for: a restore keeps every one', async (t) => {
  const size = 64 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
  const stage: Stage = { file, start: 0, size };
  fillStage(t, stage, { size: MIB / 2, entries: 40 });
  const made: Made[] = [];
  const change = (index: number): void => {
    const mount = mountStage(t, stage);
    writeFileSync(join(mount.path, `file ${index}`), noiseSource(`${index}`)(200_000));
    if (index > 1) rmSync(join(mount.path, `file ${index - 2}`));
    mount.unmount();
  };
  const count = MAX_SIBLINGS + 3;
  for (let index = 0; index < count; index += 1) {
    change(index);
    const tree = treeOf(t, stage);
    const kind = index === 2 ? 'factory' : 'user';
    const { image, replaced } = await makeImage(file, { kind, keepOld: true, name: `number ${index}` });
    t.deepEqual(replaced, []);
    made.push({ image, tree });
    const isLast = index === count - 1;
    if (index === MAX_SIBLINGS || isLast) t.is(listsAreComplete(file, image), index === MAX_SIBLINGS);
  }
  const all = ids(made.map(({ image }) => image));
  t.deepEqual(ids((await listImages(file)).images), all);
  const last = made.at(-1)!;
  for (const [what, { image, tree }] of [
    ['the second, while the file system stands', made[1]!],
    ['the factory image', made[2]!],
    ['the last, all else noise', last],
  ] as const) {
    const isLast = image === last.image;
    if (isLast) overwriteWithNoise(file, extentsOf(made.flatMap((each) => each.image.extents)));
    const notes: string[] = [];
    const restored = await restoreImage(file, { image: isLast ? 'latest' : image.id }, (event) => {
      if ('note' in event) notes.push(event.note);
    });
    t.true(
      notes.some((note) => note.includes('looking at every byte')),
      notes.join('\n'),
    );
    t.is(restored.image.id, image.id, what);
    t.deepEqual([...restored.imagesKept].sort(), all, what);
    t.notThrows(() => stageMustBeClean(stage), what);
    treeMustBe(t, stage, tree, what);
    t.deepEqual(ids((await listImages(file)).images), all, what);
  }
  for (const id of all) t.deepEqual((await verifyImage(file, { image: id })).problems, [], id);
  // Without --keep-old the new one takes the place of all user images; the factory image stays.
  const { image: only, replaced } = await makeImage(file);
  t.deepEqual(
    [...replaced].sort(),
    ids(made.filter(({ image }) => image.kind === 'user').map((each) => each.image)),
  );
  t.deepEqual(ids((await listImages(file)).images), ids([made[2]!.image, only]));
  t.notThrows(() => stageMustBeClean(stage));
  await removeImage(file, { image: only.id });
  await restoreImage(file, { image: 'factory' });
  treeMustBe(t, stage, made[2]!.tree, 'the factory image alone');
});
