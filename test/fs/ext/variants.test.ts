import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { complement } from '../../../rescue/bytes/runs.ts';
import { openFile } from '../../../rescue/device/file.ts';
import { FEATURES, type FeatureName } from '../../../rescue/fs/ext/features.ts';
import { openExt } from '../../../rescue/fs/ext/filesystem.ts';
import { isRegularFile, readInode } from '../../../rescue/fs/ext/inode.ts';
import { readContent, readMapping } from '../../../rescue/fs/ext/mapping.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import type { FileSystem } from '../../../rescue/fs/filesystem.ts';
import { KIB, MIB, type Run } from '../../../rescue/units.ts';
import { e2fsckClean, mustBeClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { populate } from '../../support/populate.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { blocksByDebugfs, freeByDumpe2fs } from './e2fsprogs.ts';
import { makeVariant, VARIANTS, type Variant } from './variants.ts';

interface Listed {
  readonly path: string;
  readonly type: string;
  readonly size: number;
  readonly node: number;
  readonly mode: number;
  readonly modified: number;
}

/** What the kernel lists below a mount point, by path. */
const listedByKernel = (mountpoint: string): Listed[] => {
  const format = '%P\\0%y\\0%s\\0%i\\0%m\\0%T@\\0\\0';
  const { stdoutBytes } = mustRun('find', ['.', '-printf', format], { cwd: mountpoint });
  const types: Record<string, string> = { f: 'file', d: 'directory', l: 'symlink' };
  return stdoutBytes
    .toString('utf8')
    .split('\0\0')
    .filter((record) => record !== '')
    .map((record) => {
      // The root's path is empty: its record begins with the separator.
      const fields = record.split('\0');
      const [path, type, size, node, mode, modified] = fields as [
        string,
        string,
        string,
        string,
        string,
        string,
      ];
      return {
        path: `/${path}`,
        type: types[type] ?? 'other',
        size: Number(size),
        node: Number(node),
        mode: Number.parseInt(mode, 8),
        modified: Math.floor(Number(modified)),
      };
    });
};

const byPath = (a: Listed, b: Listed): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : a.node - b.node;

const listedByHoldfast = (fileSystem: FileSystem): Listed[] =>
  [...fileSystem.walk()].map(({ path, type, size, node, attributes, modified }) => ({
    path,
    type,
    size,
    node,
    mode: attributes & 0o7777,
    modified,
  }));

const free = (fileSystem: FileSystem): Run[] => {
  const within = { start: 0, length: fileSystem.geometry.clusterCount };
  return [...complement(fileSystem.allocation(), within)];
};

/** Allocation, maps and consistency against e2fsprogs. */
const judge = (t: ExecutionContext, path: string): void => {
  mustBeClean(e2fsckClean(path));
  const device = openFile(path);
  t.teardown(() => device.close());
  const fileSystem = openExt(device);
  const volume = new ExtVolume(device);
  t.deepEqual(free(fileSystem), freeByDumpe2fs(path, volume.parameters.clusterBlocks));
  t.deepEqual(fileSystem.check(), []);
  t.deepEqual(fileSystem.refusals(), []);
  t.deepEqual(fileSystem.containers(), []);
  t.deepEqual([...fileSystem.bad()], []);
  // debugfs takes the device number of a device, and the text of a short link, for block numbers.
  const files = [...fileSystem.walk()].filter(
    (entry) => entry.type === 'file' || entry.type === 'directory' || entry.size >= 60,
  );
  const inodes = [...new Set(files.map((entry) => entry.node)), 7, 8];
  const mapped = inodes.map((number) =>
    [...readMapping(volume, readInode(volume, number))]
      .flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index))
      .sort((a, b) => a - b),
  );
  const expected = blocksByDebugfs(path, inodes);
  for (const [index, number] of inodes.entries()) {
    if (
      expected[index]!.length !== mapped[index]!.length ||
      expected[index]!.some((block, at) => block !== mapped[index]![at])
    )
      t.deepEqual(mapped[index], expected[index], `inode ${number}`);
  }
};

const variantTest = (t: ExecutionContext, variant: Variant): void => {
  const path = makeVariant(join(temporaryFolder(t), 'volume'), variant);
  const made = openFile(path);
  t.teardown(() => made.close());
  const { features } = new ExtVolume(made).parameters;
  for (const feature of variant.covers ?? []) t.true(features.has(feature), `mke2fs did not set ${feature}`);
  judge(t, path);
  if (variant.unmountable !== undefined) return;
  const mount = mountFile(t, path);
  populate(mount.path, { size: MIB, entries: 300, seed: variant.name });
  const listed = listedByKernel(mount.path).sort(byPath);
  const sample = join('tree', 'sizes', '12288');
  const content = mustRun('cat', [join(mount.path, sample)]).stdoutBytes;
  mount.unmount();
  judge(t, path);
  const device = openFile(path);
  t.teardown(() => device.close());
  const fileSystem = openExt(device);
  t.deepEqual(listedByHoldfast(fileSystem).sort(byPath), listed);
  const volume = new ExtVolume(device);
  const entry = [...fileSystem.walk()].find((each) => each.path === `/${sample}`)!;
  const inode = readInode(volume, entry.node);
  t.true(isRegularFile(inode));
  t.deepEqual(Buffer.from(readContent(volume, inode, 0, 12 * KIB)), content);
};

for (const variant of VARIANTS) test(variant.name, variantTest, variant);

test('every supported feature has a variant', (t) => {
  const covered = new Set(VARIANTS.flatMap((variant) => variant.covers ?? []));
  const supported = (Object.keys(FEATURES) as FeatureName[]).filter(
    (name) => FEATURES[name].support === 'supported',
  );
  t.deepEqual(
    supported.filter((name) => !covered.has(name)),
    [],
  );
});
