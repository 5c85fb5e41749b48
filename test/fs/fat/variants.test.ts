import { createHash } from 'node:crypto';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { normalise, totalLength } from '../../../rescue/bytes/runs.ts';
import type { ReadableDevice } from '../../../rescue/device/device.ts';
import { openFile } from '../../../rescue/device/file.ts';
import { Window } from '../../../rescue/device/window.ts';
import {
  type Folder,
  folderOf,
  pathOf,
  readDirectory,
  rootFolder,
} from '../../../rescue/fs/fat/directory.ts';
import { openFat } from '../../../rescue/fs/fat/filesystem.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import { isDots } from '../../../rescue/fs/fat/walk.ts';
import type { FileEntry, FileSystem, Geometry } from '../../../rescue/fs/filesystem.ts';
import { MIB, type Run } from '../../../rescue/units.ts';
import { mustBeClean } from '../../support/judges.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeFile } from '../../support/volume.ts';
import { populateFat } from './content.ts';
import { clustersByFsck, fsckFat } from './fsck.ts';
import { type Listed, mtools, treeByMtools } from './mtools.ts';
import { placesOf, setFatEntry } from './patching.ts';
import { FAT_VARIANTS, type FatVariant, makeFatVariant } from './variants.ts';
import { makeFat } from './volumes.ts';

const attributeLetters = (bits: number): string =>
  (['A', 0x20, 'S', 0x04, 'H', 0x02, 'R', 0x01] as const)
    .map((each, index, all) =>
      typeof each === 'string' && (bits & (all[index + 1] as number)) !== 0 ? each : '',
    )
    .join('');

const contentOf = (
  device: ReadableDevice,
  { clusterBase, clusterSize }: Geometry,
  entry: FileEntry,
): string => {
  const hash = createHash('sha256');
  let left: number = entry.size;
  for (const { start, length } of entry.runs()) {
    const bytes = device.read(clusterBase + start * clusterSize, length * clusterSize);
    hash.update(bytes.subarray(0, left));
    left -= Math.min(left, bytes.length);
  }
  if (left > 0) throw new Error(`${left} bytes are missing`);
  return hash.digest('hex');
};

/** The same as `treeByMtools`, by this program's own reader; short names, which `walk` does not give, by `readDirectory`. */
const treeByHoldfast = (device: ReadableDevice, fileSystem: FileSystem): Map<string, Listed> => {
  const volume = new FatVolume(device);
  const shortNames = new Map<string, string>();
  const visit = (folder: Folder): void => {
    for (const entry of readDirectory(volume, folder)) {
      if (entry.isLabel || isDots(entry)) continue;
      shortNames.set(pathOf(folder, entry.name), entry.shortName);
      if (entry.isFolder) visit(folderOf(volume, entry, folder));
    }
  };
  visit(rootFolder(volume));
  const [root, ...entries] = fileSystem.walk();
  if (root?.path !== '/' || root.type !== 'directory') throw new Error('the root does not come first');
  return new Map(
    entries
      .map((entry): [string, Listed] => [
        entry.path,
        {
          type: entry.type as Listed['type'],
          size: entry.size,
          attributes: attributeLetters(entry.attributes),
          shortName: shortNames.get(entry.path) ?? '?',
          modified: entry.modified,
          content: entry.type === 'file' ? contentOf(device, fileSystem.geometry, entry) : '',
        },
      ])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
};

const entriesOf = (runs: Iterable<Run>): number[] =>
  [...runs].flatMap(({ start, length }) => Array.from({ length }, (_, at) => start + at + 2));

/** Clusters of all files and folders, by walking: on a sound volume they and the bad ones are what is in use. */
const owned = (fileSystem: FileSystem): Run[] => {
  const runs = [...fileSystem.walk()].flatMap((entry) => [...entry.runs()]);
  return normalise([...runs, ...fileSystem.bad()]);
};

const variantTest = (t: ExecutionContext, variant: FatVariant): void => {
  const path = join(temporaryFolder(t), 'volume');
  const { tree, bad } = makeFatVariant(t, path, variant);
  t.true(tree.size > 50);
  const verdict = fsckFat(t, path);
  mustBeClean(verdict);
  const device = openFile(path);
  t.teardown(() => device.close());
  const fileSystem = openFat(device);
  const { geometry } = fileSystem;
  t.is(fileSystem.kind, `fat${variant.bits}`);
  t.is(fileSystem.label, variant.label ?? '');
  t.is(fileSystem.uuid, '0F8A-7B6C');
  t.deepEqual(treeByHoldfast(device, fileSystem), tree);
  t.deepEqual(fileSystem.check(), []);
  t.deepEqual(fileSystem.refusals(), []);
  t.deepEqual(fileSystem.containers(), []);
  t.deepEqual(fileSystem.excludes(), []);
  const counted = clustersByFsck(verdict);
  const places = placesOf(path);
  t.is(geometry.clusterCount, counted.all);
  t.is(geometry.clusterBase, places.data);
  t.is(geometry.clusterSize, places.clusterSize);
  t.is(geometry.size, places.size);
  const used = [...fileSystem.allocation()];
  t.is(totalLength(used), counted.used);
  t.deepEqual(used, owned(fileSystem));
  t.deepEqual(entriesOf(fileSystem.bad()), [...bad]);
  t.is(fileSystem.parameters()['hiddenSectors'], variant.hidden ?? 0);
  const backup = variant.bits === 32 ? [(variant.backup ?? 6) * places.sectorSize] : [];
  t.deepEqual(
    geometry.recognition.map(({ start }) => start),
    [0, ...backup],
  );
};

for (const variant of FAT_VARIANTS) test(variant.name, variantTest, variant);

test('fsck.fat -n and the comparison of trees can say no', (t) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), {
    size: 40 * MIB,
    bits: 32,
    sectorsPerCluster: 1,
  });
  populateFat(t, path, { entries: 20, fragments: false });
  mustBeClean(fsckFat(t, path));
  const tree = treeByMtools(t, path);
  // Entry 3 belongs to the first folder: its chain now leads to itself.
  setFatEntry(path, 3, 3);
  t.false(fsckFat(t, path).clean);
  setFatEntry(path, 3, 0x0fffffff);
  mustBeClean(fsckFat(t, path));
  mtools('mattrib', path, ['+s', '::/top/names/README.TXT']);
  t.notDeepEqual(treeByMtools(t, path), tree);
});

test('the same on a partition of a disk', (t) => {
  const path = makeFile(join(temporaryFolder(t), 'disk'), 64 * MIB);
  makeFat(path, { size: 48 * MIB, bits: 32, sectorsPerCluster: 1, offset: 8 * MIB, hidden: 16384 });
  populateFat(t, path, { entries: 10, offset: 8 * MIB });
  mustBeClean(fsckFat(t, path, { offset: 8 * MIB, size: 48 * MIB }));
  const device = openFile(path);
  t.teardown(() => device.close());
  const window = new Window(device, { start: 8 * MIB, length: 48 * MIB });
  const fileSystem = openFat(window);
  t.deepEqual(fileSystem.check(), []);
  t.deepEqual(treeByHoldfast(window, fileSystem), treeByMtools(t, path, { offset: 8 * MIB }));
});
