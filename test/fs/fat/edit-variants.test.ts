import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../../rescue/bytes/runs.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { fatDriver } from '../../../rescue/fs/fat/fat.ts';
import { MIB } from '../../../rescue/units.ts';
import { mustBeClean } from '../../support/judges.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { FileVolume, highest, scattered, TIME } from '../editing.ts';
import { clustersOf } from './editing.ts';
import { clustersByFsck, fsckFat } from './fsck.ts';
import { contentByMtools, treeByMtools, withoutContainers } from './mtools.ts';
import { placesOf } from './patching.ts';
import { FAT_VARIANTS, type FatVariant, makeFatVariant } from './variants.ts';

const editVariant = (t: ExecutionContext, variant: FatVariant): void => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'volume');
  const { tree } = makeFatVariant(t, path, variant);
  const before = fsckFat(t, path);
  mustBeClean(before);
  const { clusterSize } = placesOf(path);
  const volume = new FileVolume(fatDriver, path);
  const free = volume.free();
  const upper = highest(
    free,
    Math.max(3, Math.floor(Math.min(5 * MIB, (totalLength(free) * clusterSize) / 3) / clusterSize)),
  );
  const upperContent = volume.fill(upper);

  if (variant.fullRoot === true) {
    mustRun('cp', ['--sparse=always', path, join(folder, 'before')]);
    const error = t.throws(() => volume.claim('upper', upper));
    t.true(isHoldfastError(error, 'refused') && error.detail.code === 'claim.folder-full', error?.message);
    t.regex(error!.message, /Delete or move some files of \//);
    mustRun('cmp', [path, join(folder, 'before')]);
    return;
  }
  volume.claim('upper', upper);
  mustBeClean(fsckFat(t, path));
  const rest = volume.free();
  const parts = scattered(rest, Math.min(1500, Math.floor(totalLength(rest) / 4)));
  const partsContent = volume.fill(parts);
  volume.claim('parts', parts);
  const claimed = fsckFat(t, path);
  mustBeClean(claimed);
  const own =
    totalLength(upper) + totalLength(parts) + totalLength(volume.open((device) => clustersOf(device, '.')));
  t.is(clustersByFsck(claimed).used, clustersByFsck(before).used + own);

  if (variant.shortenedTo === undefined) {
    const listed = treeByMtools(t, path);
    t.deepEqual(withoutContainers(listed), new Map(tree));
    const { content: _, ...facts } = listed.get('/.holdfast/upper.hfi')!;
    t.deepEqual(facts, {
      type: 'file',
      size: upperContent.length,
      attributes: 'SHR',
      shortName: 'UPPER.HFI',
      modified: TIME,
    });
    t.like(listed.get('/.holdfast'), { attributes: 'SH', shortName: 'HOLDFA~1', modified: TIME });
    t.true(contentByMtools(t, path, '/.holdfast/upper.hfi').equals(upperContent), 'content of the first');
    t.true(contentByMtools(t, path, '/.holdfast/parts.hfi').equals(partsContent), 'content of the second');
  }
  t.deepEqual(
    volume.open((device) => clustersOf(device, 'parts.hfi')).reduce((sum, { length }) => sum + length, 0),
    parts.length,
  );

  volume.release('upper');
  mustBeClean(fsckFat(t, path));
  volume.release('parts');
  const after = fsckFat(t, path);
  mustBeClean(after);
  t.deepEqual(clustersByFsck(after), clustersByFsck(before));
  t.deepEqual(volume.free(), free);
  if (variant.shortenedTo === undefined)
    t.deepEqual(treeByMtools(t, path), new Map(tree), 'the folder is gone, too');
};

for (const variant of FAT_VARIANTS) test(`claim and release: ${variant.name}`, editVariant, variant);
