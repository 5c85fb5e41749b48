import { linkSync, mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { HoldfastError } from '../../rescue/errors.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { noiseSource, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, mountStage, type Stage, stageMustBeClean } from './stage.ts';

/** What an owner may do with a container's file, and what a new image makes of it. */

const imaged = async (t: ExecutionContext) => {
  const size = 64 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
  const stage: Stage = { file, start: 0, size };
  fillStage(t, stage, { size: 2 * MIB, entries: 60 });
  const { image } = await makeImage(file);
  return { stage, image };
};

/** Calls `body` with the top of the mounted volume and the path of the container, which may be changed. */
const asOwner = <T>(
  t: ExecutionContext,
  stage: Stage,
  { id, kind }: ImageSummary,
  body: (top: string, container: string) => T,
): T => {
  const mount = mountStage(t, stage);
  const container = join(mount.path, '.holdfast', `${kind}-${id.slice(0, 12)}.hfi`);
  mustRun('chattr', ['-i', container]);
  mustRun('chmod', ['600', container]);
  const result = body(mount.path, container);
  mount.unmount();
  return result;
};

const refusedUntouched = async (
  t: ExecutionContext,
  { file }: Stage,
  code: string,
  job: () => Promise<unknown>,
): Promise<string> => {
  const before = duplicate(file, `${file}.before`);
  const error = await t.throwsAsync<HoldfastError>(job);
  t.is(error.kind, 'refused', error.message);
  t.is(error.detail.code, code, error.message);
  t.true(sameBytes(before, file), 'a refusal wrote something');
  return error.message;
};

test.serial('a file that was cut short: said, refused with remove as the way out, which works', async (t) => {
  const { stage, image } = await imaged(t);
  asOwner(t, stage, image, (top, container) => {
    truncateSync(container, 512 * KIB);
    // The room is used again at once.
    for (let index = 0; index < 20; index += 1)
      writeFileSync(join(top, `new ${index}`), noiseSource(`${index}`)(MIB));
  });
  const [listed] = (await listImages(stage.file)).images;
  t.like(listed, { id: image.id, state: 'damaged' });
  t.regex(listed!.reason!, /cut short: 524288 of \d+ bytes/);
  for (const keepOld of [false, true]) {
    const message = await refusedUntouched(t, stage, 'container-changed', () =>
      makeImage(stage.file, { keepOld }),
    );
    t.regex(message, new RegExp(`cut short.*remove --image ${image.id.slice(0, 8)}`));
  }
  const contents = () =>
    asTop(t, stage, (top) =>
      Array.from({ length: 20 }, (_, index) => readFileSync(join(top, `new ${index}`)).toString('base64')),
    );
  const before = contents();
  await removeImage(stage.file, { image: image.id });
  t.notThrows(() => stageMustBeClean(stage));
  const { image: next } = await makeImage(stage.file);
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(contents(), before);
  t.deepEqual((await verifyImage(stage.file)).problems, []);
  t.deepEqual(
    (await listImages(stage.file)).images.map(({ id }) => id),
    [next.id],
  );
});

const asTop = <T>(t: ExecutionContext, stage: Stage, body: (top: string) => T): T => {
  const mount = mountStage(t, stage);
  const result = body(mount.path);
  mount.unmount();
  return result;
};

test.serial('a file to which something was appended is not taken for the image', async (t) => {
  const { stage, image } = await imaged(t);
  asOwner(t, stage, image, (_, container) =>
    writeFileSync(container, noiseSource('more')(MIB), { flag: 'a' }),
  );
  const [listed] = (await listImages(stage.file)).images;
  t.like(listed, { id: image.id, state: 'damaged' });
  t.regex(listed!.reason!, /its file was written to/);
  await refusedUntouched(t, stage, 'container-changed', () => makeImage(stage.file));
  await removeImage(stage.file, { image: image.id });
  t.notThrows(() => stageMustBeClean(stage));
  await makeImage(stage.file);
  t.notThrows(() => stageMustBeClean(stage));
});

for (const [what, at] of [
  ['beginning', () => 0],
  ['end', (size: number) => size - 300 * KIB],
] as const)
  test.serial(
    `a file of which the ${what} was overwritten: replaced, and what is left of it verified`,
    async (t) => {
      const { stage, image } = await imaged(t);
      asOwner(t, stage, image, (_, container) => {
        const { length } = readFileSync(container);
        const size = 300 * KIB;
        mustRun('dd', [
          'if=/dev/urandom',
          `of=${container}`,
          'bs=1024',
          `count=${size / 1024}`,
          `seek=${at(length) / 1024}`,
          'conv=notrunc',
        ]);
      });
      t.true((await verifyImage(stage.file, { image: image.id })).problems.length > 0);
      const second = await makeImage(stage.file);
      t.notThrows(() => stageMustBeClean(stage));
      t.deepEqual(second.replaced, [image.id]);
      t.deepEqual((await verifyImage(stage.file)).problems, []);
      t.deepEqual(
        (await listImages(stage.file)).images.map(({ id }) => id),
        [second.image.id],
      );
    },
  );

test.serial('another name of the file is named before anything is written', async (t) => {
  const { stage, image } = await imaged(t);
  asOwner(t, stage, image, (top, container) => {
    mkdirSync(join(top, 'kept'));
    linkSync(container, join(top, 'kept', 'image of monday'));
  });
  for (const keepOld of [false, true]) {
    const message = await refusedUntouched(t, stage, 'release.linked', () =>
      makeImage(stage.file, { keepOld }),
    );
    t.regex(message, /\/kept\/image of monday/);
  }
});

test.serial('moved out of its folder: a file like any other, and never the latest image', async (t) => {
  const { stage, image } = await imaged(t);
  await makeImage(stage.file, { keepOld: true });
  const third = (await makeImage(stage.file, { keepOld: true })).image;
  t.is(third.sequence, 3);
  asOwner(t, stage, third, (top, container) => renameSync(container, join(top, 'backup')));
  const content = () => asTop(t, stage, (top) => readFileSync(join(top, 'backup')));
  const before = content();
  const notes: string[] = [];
  const next = await makeImage(stage.file, {}, (event) => {
    if ('note' in event) notes.push(event.note);
  });
  t.true(
    notes.some((note) =>
      note.startsWith(`/backup is image ${third.id.slice(0, 8)}, moved out of its folder`),
    ),
    notes.join('\n'),
  );
  t.true(next.replaced.includes(image.id) && !next.replaced.includes(third.id));
  t.is(next.image.sequence, 4);
  t.true(content().equals(before), 'the file is its owner’s');
  const all = (await listImages(stage.file, { depth: 'full' })).images;
  t.deepEqual(
    all.map(({ id, state }) => [id, state]),
    [
      [next.image.id, 'committed'],
      [third.id, 'stale'],
    ],
  );
  // Without a file system both are whole. Only the later one is the latest.
  overwriteWithNoise(stage.file, extentsOf([...next.image.extents, ...third.extents]));
  const found = (await listImages(stage.file, { depth: 'full' })).images;
  t.is(found.filter(({ state }) => state === 'committed').length, 2);
  const restored = await restoreImage(stage.file, { image: next.image.id, drop: [third.id] });
  t.is(restored.image.id, next.image.id);
  t.notThrows(() => stageMustBeClean(stage));
  t.true(content().equals(before));
});
