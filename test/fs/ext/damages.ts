import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { makeVolume } from '../../support/volume.ts';

/** Ways to damage an ext volume, one thing at a time, and what `check` must say of each. */

export interface Damage {
  readonly name: string;
  /** debugfs requests; `{a}`, `{b}` stand for the first block of the files a and b, `{itable}` for an inode table. */
  readonly requests: readonly string[];
  readonly expected: readonly string[];
  /** e2fsck corrects it in passing and does not call it damage. */
  readonly harmless?: boolean;
}

/** ext2, so that debugfs has no checksum to mend on the way. */
export const DAMAGES: readonly Damage[] = [
  {
    name: 'free blocks of the superblock',
    requests: ['ssv free_blocks_count 5'],
    expected: ['ext.free-blocks-total'],
    harmless: true,
  },
  {
    name: 'free inodes of the superblock',
    requests: ['ssv free_inodes_count 5'],
    expected: ['ext.free-inodes-total'],
    harmless: true,
  },
  {
    name: 'free blocks of a group',
    requests: ['set_bg 0 free_blocks_count 7'],
    expected: ['ext.free-clusters'],
  },
  {
    name: 'free inodes of a group',
    requests: ['set_bg 0 free_inodes_count 7'],
    expected: ['ext.free-inodes'],
  },
  {
    name: 'folders of a group',
    requests: ['set_bg 1 used_dirs_count 77'],
    expected: ['ext.used-directories'],
  },
  {
    name: 'a block of a file marked as free',
    requests: ['freeb {a}'],
    expected: ['ext.content-free', 'ext.free-blocks-total', 'ext.free-clusters'],
  },
  {
    name: 'a block of an inode table marked as free',
    requests: ['freeb {itable}'],
    expected: ['ext.free-blocks-total', 'ext.free-clusters', 'ext.structure-free'],
  },
  { name: 'a file without a name', requests: ['sif a links_count 0'], expected: ['ext.unlinked-inode'] },
  { name: 'two files with one block', requests: ['sif a block[0] {b}'], expected: ['ext.multiply-claimed'] },
  {
    name: 'a block outside the volume',
    requests: ['sif a block[0] 99999999'],
    expected: ['ext.block-range'],
  },
  {
    name: 'a file on an inode table',
    requests: ['sif a block[0] {itable}'],
    expected: ['ext.multiply-claimed'],
  },
  {
    name: 'a name for an inode that is free',
    requests: ['freei a'],
    expected: ['ext.entry-unused', 'ext.free-inodes', 'ext.free-inodes-total'],
  },
  {
    name: 'two groups with one inode table',
    requests: ['set_bg 1 inode_table {itable0}'],
    expected: ['ext.structure-overlap'],
  },
  {
    name: 'an inode table outside the volume',
    requests: ['set_bg 1 inode_table 99999999'],
    expected: ['ext.block-range'],
  },
  {
    name: 'a root that is a file',
    requests: ['sif <2> mode 0100644'],
    expected: ['ext.no-root', 'ext.used-directories'],
  },
  {
    name: 'a root that names another parent',
    requests: ['unlink ..', 'link a ..'],
    expected: ['ext.dot-entry'],
  },
];

/** A volume with two files, `a` and `b`; ext2 if no features are asked for. */
export const makeBase = (cleanup: Cleanup, path: string, features: readonly string[] = []): string => {
  makeVolume(path, {
    size: 16 * MIB,
    blockSize: 1024,
    type: features.length > 0 ? 'ext4' : 'ext2',
    features,
  });
  const mount = mountFile(cleanup, path);
  for (const name of ['a', 'b']) writeFileSync(join(mount.path, name), new Uint8Array(20 * KIB).fill(1));
  mount.unmount();
  return path;
};

/** What debugfs answers to one request. */
export const ask = (path: string, request: string): string =>
  mustRun('debugfs', ['-R', request, path]).stdout.trim();

/** Does a damage to a volume of `makeBase`, with debugfs. */
export const damage = (path: string, requests: readonly string[]): void => {
  const itables = [...mustRun('dumpe2fs', [path]).stdout.matchAll(/Inode table at (\d+)/g)].map(
    (match) => match[1]!,
  );
  const values: Record<string, string> = {
    '{a}': ask(path, 'bmap a 0'),
    '{b}': ask(path, 'bmap b 0'),
    '{itable}': itables[1]!,
    '{itable0}': itables[0]!,
  };
  for (const request of requests)
    mustRun('debugfs', ['-w', '-R', request.replace(/\{\w+\}/g, (word) => values[word]!), path]);
};
