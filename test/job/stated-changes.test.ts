import { statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { onlyStatedChanges } from './cycle.ts';
import { makeImage } from './requests.ts';
import { fillStage, type Stage } from './stage.ts';

const volume = (t: ExecutionContext, more?: (top: string) => void): Stage => {
  const size = 48 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
  const stage = { file, start: 0, size };
  fillStage(t, stage, { size: MIB, entries: 60 }, more);
  return stage;
};

test.serial(
  '--keep-old changes free clusters, the claim, and the commit of the one that is kept',
  async (t) => {
    const stage = volume(t);
    const { image: kept } = await makeImage(stage.file);
    const before = duplicate(stage.file, `${stage.file}.before`);
    const { image } = await makeImage(stage.file, { keepOld: true });
    onlyStatedChanges(t, stage, before, image, { kept: [kept] });
    const attempt = await t.try((inner) => onlyStatedChanges(inner, stage, before, image));
    attempt.discard();
    t.false(attempt.passed, 'the commit of the old one is a change');
  },
);

test.serial(
  'replacing changes free clusters, claim and release, and the clusters of the old one',
  async (t) => {
    const stage = volume(t);
    const { image: old } = await makeImage(stage.file);
    const before = duplicate(stage.file, `${stage.file}.before`);
    const { image, replaced } = await makeImage(stage.file);
    t.deepEqual(replaced, [old.id]);
    onlyStatedChanges(t, stage, before, image, { removed: [old] });
  },
);

test.serial('--replace-first changes the same, in the other order', async (t) => {
  const stage = volume(t, (top) => {
    const { bavail, bsize } = statfsSync(top);
    writeFileSync(join(top, 'large'), noiseSource('large')(Math.floor((bavail * bsize) / 2.6)));
  });
  const { image: old } = await makeImage(stage.file, { minFree: 0 });
  const before = duplicate(stage.file, `${stage.file}.before`);
  await t.throwsAsync(() => makeImage(stage.file, { minFree: 0 }), { message: /./ });
  const { image, replaced } = await makeImage(stage.file, { minFree: 0, replaceFirst: true });
  t.deepEqual(replaced, [old.id]);
  onlyStatedChanges(t, stage, before, image, { removed: [old], first: true });
});
