import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { claim } from '../../rescue/fs/ext/claim.ts';
import { extDriver } from '../../rescue/fs/ext/ext.ts';
import { MIB } from '../../rescue/units.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { treeMustBe, wholeCycle } from './cycle.ts';
import { listImages, makeImage, restoreImage, verifyImage } from './requests.ts';
import { mountStage, stageMustBeClean } from './stage.ts';
import { stageOf } from './variants.ts';

// The real limit of ext3 with 1 KiB blocks is 16 GiB. This process alone believes in a lower one.
const LIMIT = MIB + 5 * 1024;
Object.assign(extDriver, {
  claim: (...[editor, request]: Parameters<typeof extDriver.claim>) =>
    claim(editor, request, { fileSize: LIMIT }),
});

const VARIANT = { type: 'ext3', blockSize: 1024 } as const;

test.serial('ext3: a container that is larger than a file may be', async (t) => {
  const made = stageOf(t, VARIANT);
  const { image } = await wholeCycle(t, made);
  const bytes = image.extents.reduce((sum, [, length]) => sum + length, 0);
  const mount = mountStage(t, made.stage, true);
  const files = readdirSync(join(mount.path, '.holdfast'));
  mount.unmount();
  t.true(files.length > 2);
  t.is(files.length, Math.ceil(bytes / LIMIT));
});

test.serial('several files copied out are one image', async (t) => {
  const { stage, tree } = stageOf(t, VARIANT);
  const { image } = await makeImage(stage.file);
  const mount = mountStage(t, stage, true);
  const folder = join(stage.file, '..', 'stick');
  mkdirSync(folder);
  const files = readdirSync(join(mount.path, '.holdfast')).sort();
  for (const name of files) copyFileSync(join(mount.path, '.holdfast', name), join(folder, name));
  mount.unmount();
  const first = join(folder, files.find((name) => name.endsWith('.hfi'))!);
  t.like((await listImages(first)).images[0], { id: image.id, state: 'committed' });
  t.deepEqual((await verifyImage(first)).problems, []);
  overwriteWithNoise(stage.file, []);
  await restoreImage(stage.file, { from: first });
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'from several files');
  rmSync(join(folder, files.find((name) => name.endsWith('.001'))!));
  await t.throwsAsync(() => restoreImage(stage.file, { from: first }));
});
