import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../rescue/bytes/runs.ts';
import { openFile } from '../../rescue/device/file.ts';
import type { HoldfastError } from '../../rescue/errors.ts';
import { openVolume } from '../../rescue/job/volume.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { noiseSource, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, mountStage, type Stage, stageMustBeClean, treeOf } from './stage.ts';

const SMALL_TREE = { size: MIB, entries: 60 };
const FOLDER = '.holdfast';

const stageOf = (t: ExecutionContext): Stage => {
  const size = 48 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
  return { file, start: 0, size };
};

const inFolder = <T>(t: ExecutionContext, stage: Stage, body: (folder: string) => T): T => {
  const mount = mountStage(t, stage);
  const folder = join(mount.path, FOLDER);
  if (!existsSync(folder)) mkdirSync(folder);
  const result = body(folder);
  mount.unmount();
  return result;
};

const mustHold = (t: ExecutionContext, stage: Stage, files: Readonly<Record<string, Buffer>>): void =>
  inFolder(t, stage, (folder) => {
    for (const [name, content] of Object.entries(files))
      t.true(readFileSync(join(folder, name)).equals(content), name);
  });

test.serial('files of the owner that are only called like containers come back', async (t) => {
  const stage = stageOf(t);
  fillStage(t, stage, SMALL_TREE);
  const next = noiseSource('owner');
  const files = {
    'holiday.hfi': next(300 * KIB),
    'ledger.001': next(70 * KIB),
    'ledger.002': next(10),
    'empty.hfi': Buffer.alloc(0),
  };
  inFolder(t, stage, (folder) => {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  });
  const first = await makeImage(stage.file);
  // The second replaces the first, and both are in its way.
  const { image, replaced } = await makeImage(stage.file);
  t.deepEqual(replaced, [first.image.id]);
  mustHold(t, stage, files);
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  await restoreImage(stage.file);
  t.notThrows(() => stageMustBeClean(stage));
  mustHold(t, stage, files);
  t.deepEqual((await verifyImage(stage.file)).problems, []);
});

test.serial("a file called like a container's next one is no part of it", async (t) => {
  const stage = stageOf(t);
  fillStage(t, stage, SMALL_TREE);
  const first = (await makeImage(stage.file)).image;
  const content = noiseSource('stray')(200 * KIB);
  const stray = inFolder(t, stage, (folder) => {
    const name = readdirSync(folder)[0]!.replace('.hfi', '.001');
    writeFileSync(join(folder, name), content);
    return name;
  });
  t.deepEqual((await verifyImage(stage.file)).problems, []);
  const second = await makeImage(stage.file, { keepOld: true });
  // Both survive, though the stray file stands beside the first in the second.
  await restoreImage(stage.file, { image: second.image.id });
  t.notThrows(() => stageMustBeClean(stage));
  mustHold(t, stage, { [stray]: content });
  const third = await makeImage(stage.file);
  t.deepEqual([...third.replaced].sort(), [first.id, second.image.id].sort());
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(
    inFolder(t, stage, (folder) => readdirSync(folder).sort()),
    [`user-${third.image.id.slice(0, 12)}.hfi`, stray].sort(),
  );
  overwriteWithNoise(stage.file, extentsOf(third.image.extents));
  await restoreImage(stage.file);
  t.notThrows(() => stageMustBeClean(stage));
  mustHold(t, stage, { [stray]: content });
  t.is((await listImages(stage.file)).images.length, 1);
});

test.serial('a container with a damaged beginning or end is still one', async (t) => {
  const stage = stageOf(t);
  fillStage(t, stage, { size: 6 * MIB, entries: 60 });
  const { image } = await makeImage(stage.file);
  const device = openFile(stage.file, { write: true });
  t.teardown(() => device.close());
  const listed = () => openVolume(device).fileSystem.containers().length;
  const extents = extentsOf(image.extents);
  const last = extents.at(-1)!;
  const zeros = new Uint8Array(64 * KIB);
  device.write(extents[0]!.start, zeros);
  t.is(listed(), 1);
  device.write(last.start + last.length - zeros.length, zeros);
  t.is(listed(), 1);
  for (const { start, length } of extents) device.write(start, new Uint8Array(length));
  t.is(listed(), 0);
});

test.serial('a swap file is named; what stands behind a stale swap header comes back', async (t) => {
  const stage = stageOf(t);
  fillStage(t, stage, SMALL_TREE);
  const content = noiseSource('letters')(2 * MIB);
  const stale = inFolder(t, stage, (folder) => {
    for (const name of ['swapfile', 'letters']) {
      writeFileSync(join(folder, '..', name), Buffer.alloc(2 * MIB), { mode: 0o600 });
      mustRun('mkswap', [join(folder, '..', name)]);
    }
    // Somebody used the file for something else, and wrote all but a few bytes of the old header.
    const page = readFileSync(join(folder, '..', 'letters')).subarray(4086, 4096);
    page.copy(content, 4086);
    writeFileSync(join(folder, '..', 'letters'), content);
    return content;
  });
  const notes: string[] = [];
  const { image } = await makeImage(stage.file, {}, (event) => {
    if ('note' in event && event.severity === 'info') notes.push(event.note);
  });
  t.is(notes.filter((note) => note.startsWith('/swapfile is a swap file: 2.0 MiB')).length, 1, notes.join());
  t.is(notes.filter((note) => note.includes('letters')).length, 0);
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  await restoreImage(stage.file);
  t.notThrows(() => stageMustBeClean(stage));
  inFolder(t, stage, (folder) => t.true(readFileSync(join(folder, '..', 'letters')).equals(stale)));
});

test.serial('a container that was moved is named, and is still good for its owner', async (t) => {
  const stage = stageOf(t);
  const tree = fillStage(t, stage, SMALL_TREE);
  const { image } = await makeImage(stage.file);
  mustRun('e2fsck', ['-f', '-p', stage.file]);
  mustRun('resize2fs', ['-f', stage.file, '20M']);
  const name = `user-${image.id.slice(0, 12)}.hfi`;
  const copy = join(stage.file, '..', name);
  const [listed] = (await listImages(stage.file)).images;
  t.like(listed, { id: image.id, state: 'moved', foundBy: 'filesystem', partition: { offset: 0 } });
  t.regex(listed!.reason!, /its clusters were moved.*verify --repair/);
  // Where it lies now, not where it was.
  const now = extentsOf(listed!.extents);
  t.true(now.every(({ start, length }) => start + length <= 20 * MIB));
  t.is(totalLength(now), image.storedBytes);
  const { problems } = await verifyImage(stage.file);
  t.true(
    problems.some(({ code }) => code === 'image.moved') && problems.some(({ code }) => code === 'slot.moved'),
  );
  const before = duplicate(stage.file, `${stage.file}.before`);
  t.like(await t.throwsAsync(restoreImage(stage.file)), { kind: 'not-found' });
  const refusal = await t.throwsAsync<HoldfastError>(restoreImage(stage.file, { image: image.id }));
  t.is(refusal.detail.code, 'displaced', refusal.message);
  t.regex(refusal.message, /verify --repair/);
  t.true(sameBytes(before, stage.file));
  // By its place in the file it is as good as ever: straight from here, and as a copy.
  const to = { ...stage, file: `${stage.file}.to` };
  writeFileSync(to.file, '');
  truncateSync(to.file, stage.size);
  await restoreImage(stage.file, { image: image.id, to: to.file });
  t.notThrows(() => stageMustBeClean(to));
  t.deepEqual(differences(tree, treeOf(t, to)), []);
  inFolder(t, stage, (folder) => copyFileSync(join(folder, name), copy));
  t.deepEqual((await verifyImage(copy)).problems, []);
  await removeImage(stage.file, { image: image.id });
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual((await listImages(stage.file, { depth: 'full' })).images, []);
});

test.serial("a copy of a container beside it is the owner's file: imaged, and no second image", async (t) => {
  const stage = stageOf(t);
  fillStage(t, stage, SMALL_TREE);
  const first = (await makeImage(stage.file)).image;
  const own = `user-${first.id.slice(0, 12)}.hfi`;
  const content = inFolder(t, stage, (folder) => {
    copyFileSync(join(folder, own), join(folder, 'copy.hfi'));
    return readFileSync(join(folder, own));
  });
  const stated = (images: readonly { id: string; state: string }[]) =>
    images.map(({ id, state }) => [id, state]);
  t.deepEqual(stated((await listImages(stage.file)).images), [[first.id, 'committed']]);
  // The copy lies lower than the container: no partition could begin where its slots say.
  const full = await listImages(stage.file, { depth: 'full' });
  t.deepEqual(stated(full.images), [[first.id, 'committed']]);
  t.regex(
    full.steps.at(-1)!.note!,
    new RegExp(`a copied container of image ${first.id.slice(0, 8)} at byte`),
  );
  t.deepEqual((await verifyImage(stage.file)).problems, []);
  const second = await makeImage(stage.file);
  t.deepEqual(second.replaced, [first.id]);
  overwriteWithNoise(stage.file, extentsOf(second.image.extents));
  await restoreImage(stage.file);
  t.notThrows(() => stageMustBeClean(stage));
  await removeImage(stage.file, { image: second.image.id });
  t.notThrows(() => stageMustBeClean(stage));
  inFolder(t, stage, (folder) => {
    t.deepEqual(readdirSync(folder), ['copy.hfi']);
    t.true(readFileSync(join(folder, 'copy.hfi')).equals(content));
  });
});
