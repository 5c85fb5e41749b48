import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openFile } from '../../../rescue/device/file.ts';
import { openExt } from '../../../rescue/fs/ext/filesystem.ts';
import type { FileSystem } from '../../../rescue/fs/filesystem.ts';
import { KIB, MIB, type Run } from '../../../rescue/units.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';

const PAGE = 4096;

const opened = (t: ExecutionContext, path: string): FileSystem => {
  const device = openFile(path);
  t.teardown(() => device.close());
  return openExt(device);
};

const write = (path: string, size: number, at?: readonly [position: number, text: string]): void => {
  writeFileSync(path, new Uint8Array(size).fill(0x41));
  if (at === undefined) return;
  const handle = openSync(path, 'r+');
  writeSync(handle, Buffer.from(at[1]), 0, at[1].length, at[0]);
  closeSync(handle);
};

const populated = (
  t: ExecutionContext,
  options: Partial<VolumeOptions>,
  fill: (root: string) => void,
): string => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 32 * MIB, ...options });
  const mount = mountFile(t, path);
  fill(mount.path);
  mount.unmount();
  return path;
};

/** Clusters of a file in file order, one by one, as debugfs says. */
const blocksOf = (path: string, file: string, count: number, clusterBlocks = 1): number[] => {
  const requests = Array.from({ length: count }, (_, block) => `bmap ${file} ${block * clusterBlocks}`).join(
    '\n',
  );
  const text = mustRun('debugfs', ['-f', '-', path], { input: `${requests}\n` }).stdout;
  return [...text.matchAll(/^(\d+)\s*$/gm)].map((match) => Number(match[1]) / clusterBlocks);
};

const each = (runs: readonly Run[]): number[] =>
  runs.flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index));

const VARIANTS: readonly [string, Partial<VolumeOptions>, number, number][] = [
  ['ext4', { blockSize: 4096 }, 4 * KIB, 1],
  ['ext4, 1 KiB blocks', { blockSize: 1024 }, KIB, 1],
  ['ext2', { type: 'ext2', blockSize: 1024 }, KIB, 1],
  ['bigalloc', { blockSize: 1024, features: ['bigalloc'], more: ['-C', '8192'] }, 8 * KIB, 8],
];

for (const [name, options, clusterSize, clusterBlocks] of VARIANTS) {
  test(`a swap file is left out but for its first page: ${name}`, (t) => {
    const size = 2 * MIB;
    const path = populated(t, options, (root) => {
      mkdirSync(join(root, 'swap'));
      const swap = join(root, 'swap', 'file');
      write(swap, size);
      mustRun('mkswap', [swap]);
      write(join(root, 'no swap'), size);
      // Too short, with holes, or with the words at the wrong place: no swap files.
      write(join(root, 'short'), 64 * KIB, [PAGE - 10, 'SWAPSPACE2']);
      write(join(root, 'holes'), 8 * KIB, [PAGE - 10, 'SWAPSPACE2']);
      truncateSync(join(root, 'holes'), size);
      write(join(root, 'elsewhere'), size, [PAGE, 'SWAPSPACE2']);
    });
    const fileSystem = opened(t, path);
    const excludes = fileSystem.excludes();
    t.deepEqual(
      excludes.map(({ path: file, reason, onRestore }) => [file, reason, onRestore]),
      [['/swap/file', 'swap', 'leave']],
    );
    const all = blocksOf(path, '/swap/file', size / clusterSize, clusterBlocks);
    t.is(all.length, size / clusterSize);
    t.deepEqual(each(excludes[0]!.runs), all.slice(Math.max(1, PAGE / clusterSize)));
    t.deepEqual(fileSystem.refusals(), []);
  });
}

for (const signature of ['S1SUSPEND', 'ULSUSPEND', 'LINHIB0001']) {
  test(`a suspended system in a swap file is refused: ${signature}`, (t) => {
    const path = populated(t, {}, (root) => write(join(root, 'swapfile'), 2 * MIB, [PAGE - 10, signature]));
    const refusals = opened(t, path).refusals();
    t.deepEqual(
      refusals.map((problem) => [problem.code, problem.where]),
      [['ext.suspended', '/swapfile']],
    );
    t.truthy(refusals[0]!.wayOut);
  });
}

test('containers are the files in their folder, in order, and are left out', (t) => {
  const path = populated(t, { blockSize: 4096 }, (root) => {
    const folder = join(root, '.holdfast');
    mkdirSync(folder);
    // Written in turns, so that no file is one run.
    const names = ['b.002', 'a.hfi', 'b.hfi', 'b.001', 'no container', 'b.txt', `${'x'.repeat(65)}.hfi`];
    const handles = names.map((file) => openSync(join(folder, file), 'w'));
    for (let round = 0; round < 4; round += 1) {
      for (const handle of handles) {
        writeSync(handle, new Uint8Array(64 * KIB).fill(round + 1));
        mustRun('sync', ['--file-system', root]);
      }
    }
    for (const handle of handles) closeSync(handle);
    mkdirSync(join(folder, 'folder.hfi'));
  });
  const fileSystem = opened(t, path);
  const containers = fileSystem.containers();
  t.deepEqual(
    containers.map(({ name, paths, size }) => [name, paths, size]),
    [
      ['a', ['/.holdfast/a.hfi'], 256 * KIB],
      ['b', ['/.holdfast/b.hfi', '/.holdfast/b.001', '/.holdfast/b.002'], 768 * KIB],
    ],
  );
  const expected = ['b.hfi', 'b.001', 'b.002'].flatMap((file) => blocksOf(path, `/.holdfast/${file}`, 64));
  t.is(expected.length, 192);
  t.deepEqual(each(containers[1]!.runs), expected);
  t.deepEqual(
    fileSystem.excludes().map(({ path: file, reason, runs }) => [file, reason, each(runs)]),
    containers.map(({ paths, runs }) => [paths[0], 'container', each(runs)]),
  );
});

test('only what a sound header names is left out of a swap file', (t) => {
  const size = 2 * MIB;
  const path = populated(t, { blockSize: 4096 }, (root) => {
    const make = (name: string, edit: readonly [position: number, bytes: Uint8Array] | undefined): void => {
      const file = join(root, name);
      write(file, size);
      mustRun('mkswap', [file]);
      if (edit === undefined) return;
      const handle = openSync(file, 'r+');
      writeSync(handle, edit[1], 0, edit[1].length, edit[0]);
      closeSync(handle);
    };
    make('whole', undefined);
    make('version', [1024, Uint8Array.of(2)]);
    make('too long', [1028, Uint8Array.of(0, 2)]);
    make('no pages', [1028, Uint8Array.of(0, 0)]);
    make('padding', [1200, Uint8Array.of(1)]);
    make('bad pages', [3000, Uint8Array.of(1)]);
    make('many bad pages', [1032, Uint8Array.of(0xff, 0xff)]);
    make('signature', [PAGE - 10, Buffer.from('SWAP-SPACE')]);
    make('grown', [1028, Uint8Array.of(99, 0)]);
  });
  const excludes = opened(t, path).excludes();
  t.deepEqual(
    excludes.map(({ path: file, runs }) => [file, each(runs).length]),
    [
      ['/whole', 511],
      ['/grown', 99],
    ],
  );
  const all = blocksOf(path, '/grown', size / PAGE);
  t.deepEqual(each(excludes[1]!.runs), all.slice(1, 100));
});

test('bad blocks are listed', (t) => {
  const folder = temporaryFolder(t);
  const list = join(folder, 'list');
  writeFileSync(list, '9000\n9001\n12000\n');
  const path = makeVolume(join(folder, 'volume'), { size: 32 * MIB, blockSize: 1024, more: ['-l', list] });
  t.deepEqual(each([...opened(t, path).bad()]), [9000, 9001, 12000]);
});
