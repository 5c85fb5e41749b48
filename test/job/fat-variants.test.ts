import { statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isHoldfastError } from '../../rescue/errors.ts';
import { FAT_VARIANTS, type FatVariant, makeFatVariant } from '../fs/fat/volumes.ts';
import { duplicate } from '../support/duplicate.ts';
import { firstDifference } from '../support/noise.ts';
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
