import { createHash } from 'node:crypto';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../../rescue/bytes/runs.ts';
import { openFile } from '../../../rescue/device/file.ts';
import {
  type Folder,
  folderOf,
  pathOf,
  readDirectory,
  rootFolder,
} from '../../../rescue/fs/fat/directory.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import { mustBeClean } from '../../support/judges.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import {
  clustersByFsck,
  FAT_VARIANTS,
  type FatVariant,
  fsckFat,
  type Listed,
  makeFatVariant,
} from './volumes.ts';

const attributeLetters = (bits: number): string =>
  (['A', 0x20, 'S', 0x04, 'H', 0x02, 'R', 0x01] as const)
    .map((each, index, all) =>
      typeof each === 'string' && (bits & (all[index + 1] as number)) !== 0 ? each : '',
    )
    .join('');

const contentOf = (volume: FatVolume, firstEntry: number, size: number): string => {
  const hash = createHash('sha256');
  let left = size;
  if (firstEntry !== 0)
    for (const { start, length } of volume.table.chainRuns(volume.clusterOf(firstEntry))) {
      const bytes = volume.readClusters(start, length);
      hash.update(bytes.subarray(0, left));
      left -= Math.min(left, bytes.length);
    }
  if (left > 0) throw new Error(`${left} bytes are missing`);
  return hash.digest('hex');
};

/** The same as `treeByMtools`, by this program's own reader. */
const treeByHoldfast = (volume: FatVolume): Map<string, Listed> => {
  const tree = new Map<string, Listed>();
  const visit = (folder: Folder): void => {
    for (const entry of readDirectory(volume, folder)) {
      if (entry.isLabel || entry.name === '.' || entry.name === '..') continue;
      const path = pathOf(folder, entry.name);
      tree.set(path, {
        type: entry.isFolder ? 'directory' : 'file',
        size: entry.size,
        attributes: attributeLetters(entry.attributes),
        shortName: entry.shortName,
        modified: entry.modified,
        content: entry.isFolder ? '' : contentOf(volume, entry.firstEntry, entry.size),
      });
      if (entry.isFolder) visit(folderOf(volume, entry, folder));
    }
  };
  visit(rootFolder(volume));
  return new Map([...tree.entries()].sort(([a], [b]) => (a < b ? -1 : 1)));
};

const variantTest = (t: ExecutionContext, variant: FatVariant): void => {
  const path = join(temporaryFolder(t), 'volume');
  const { tree, bad } = makeFatVariant(t, path, variant);
  t.true(tree.size > 50);
  const verdict = fsckFat(t, path);
  mustBeClean(verdict);
  const device = openFile(path);
  t.teardown(() => device.close());
  const volume = new FatVolume(device);
  t.is(volume.bits, variant.bits);
  t.deepEqual(treeByHoldfast(volume), tree);
  const counted = clustersByFsck(verdict);
  t.is(volume.clusterCount, counted.all);
  t.is(totalLength(volume.table.usedRuns()), counted.used);
  t.is(totalLength(volume.table.freeRuns()), counted.all - counted.used);
  t.deepEqual(
    [...volume.table.badRuns()].flatMap(({ start, length }) =>
      Array.from({ length }, (_, at) => start + at + 2),
    ),
    [...bad],
  );
};

for (const variant of FAT_VARIANTS) test(variant.name, variantTest, variant);
