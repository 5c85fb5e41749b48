import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { claim } from '../../rescue/fs/fat/claim.ts';
import { fatDriver } from '../../rescue/fs/fat/fat.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { populateFat } from '../fs/fat/content.ts';
import { mtools, treeByMtools } from '../fs/fat/mtools.ts';
import { makeFat } from '../fs/fat/volumes.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { type FatStage, fatCycle, fatMustBeClean, fatTreeMustBe } from './fat-cycle.ts';
import { listImages, makeImage, restoreImage, verifyImage } from './requests.ts';

// The real limit is 4 GiB - 64 KiB. This process alone believes in a lower one.
const LIMIT = 192 * KIB;
Object.assign(fatDriver, {
  claim: (...[editor, request]: Parameters<typeof fatDriver.claim>) =>
    claim(editor, request, { fileSize: LIMIT }),
});

const stageOf = (t: Parameters<typeof temporaryFolder>[0]): FatStage => {
  const file = makeFat(join(temporaryFolder(t), 'volume'), {
    size: 40 * MIB,
    bits: 32,
    sectorsPerCluster: 1,
  });
  populateFat(t, file);
  return { file, start: 0, size: statSync(file).size, tree: treeByMtools(t, file) };
};

test.serial('FAT32: a container that is larger than a file may be', async (t) => {
  const stage = stageOf(t);
  const { image } = await fatCycle(t, stage);
  const bytes = image.extents.reduce((sum, [, length]) => sum + length, 0);
  const files = [...treeByMtools(t, stage.file).keys()].filter((path) => path.startsWith('/.holdfast/'));
  t.true(files.length > 2);
  t.is(files.length, Math.ceil(bytes / LIMIT));
});

test.serial('FAT32: several files copied out are one image', async (t) => {
  const stage = stageOf(t);
  const { image } = await makeImage(stage.file);
  const folder = join(stage.file, '..', 'stick');
  mkdirSync(folder);
  mtools('mcopy', stage.file, ['-s', '::/.holdfast', folder]);
  const first = join(folder, '.holdfast', `user-${image.id.slice(0, 12)}.hfi`);
  t.like((await listImages(first)).images[0], { id: image.id, state: 'committed' });
  t.deepEqual((await verifyImage(first)).problems, []);
  overwriteWithNoise(stage.file, []);
  await restoreImage(stage.file, { from: first });
  fatMustBeClean(t, stage, 'from several files');
  fatTreeMustBe(t, stage, 'from several files');
  rmSync(first.replace('.hfi', '.001'));
  await t.throwsAsync(() => restoreImage(stage.file, { from: first }));
});
