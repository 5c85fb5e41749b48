import { statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isHoldfastError } from '../../rescue/errors.ts';
import { MIB } from '../../rescue/units.ts';
import { populateFat } from '../fs/fat/content.ts';
import { treeByMtools } from '../fs/fat/mtools.ts';
import { FAT_VARIANTS, type FatVariant, makeFatVariant } from '../fs/fat/variants.ts';
import { makeFat } from '../fs/fat/volumes.ts';
import { makeDisk } from '../support/disk.ts';
import { duplicate } from '../support/duplicate.ts';
import { firstDifference } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { fatCycle } from './fat-cycle.ts';
import { makeImage } from './requests.ts';

const variantCycle = async (t: ExecutionContext, variant: FatVariant): Promise<void> => {
  const file = join(temporaryFolder(t), 'volume');
  const { tree } = makeFatVariant(t, file, variant);
  const { size } = statSync(file);
  if (variant.fullRoot === true) {
    const before = duplicate(file, `${file}.before`);
    const error = await t.throwsAsync(makeImage(file));
    t.true(isHoldfastError(error, 'refused') && error.detail.code === 'claim.folder-full', error?.message);
    t.is(firstDifference(before, file, [{ start: 0, length: size }]), undefined, 'nothing was written');
    return;
  }
  await fatCycle(t, {
    file,
    start: 0,
    size,
    tree: variant.shortenedTo === undefined ? tree : undefined,
    unmirrored: variant.active !== undefined,
  });
};

for (const variant of FAT_VARIANTS) test.serial(variant.name, variantCycle, variant);

for (const table of ['mbr', 'gpt'] as const) {
  test.serial(`FAT32 in a partition of a disk with ${table.toUpperCase()}`, async (t) => {
    const file = join(temporaryFolder(t), 'disk');
    const place = { start: 2 * MIB, size: 40 * MIB };
    makeDisk(t, file, { size: 48 * MIB, table, partitions: [place] });
    const options = { offset: place.start };
    makeFat(file, {
      size: place.size,
      bits: 32,
      sectorsPerCluster: 1,
      hidden: place.start / 512,
      ...options,
    });
    populateFat(t, file, options);
    const { stdout } = mustRun('sfdisk', ['--dump', file]);
    await fatCycle(t, { file, ...place, partition: 1, tree: treeByMtools(t, file, options) });
    t.is(mustRun('sfdisk', ['--dump', file]).stdout, stdout, 'the table is as it was');
  });
}
