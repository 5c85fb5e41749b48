import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openFile } from '../../../rescue/device/file.ts';
import { openExt } from '../../../rescue/fs/ext/filesystem.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { e2fsckClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume } from '../../support/volume.ts';

const problems = (path: string, limit?: number) => {
  const device = openFile(path);
  try {
    return openExt(device).check(limit);
  } finally {
    device.close();
  }
};
const codes = (path: string): string[] => [...new Set(problems(path).map((problem) => problem.code))].sort();

interface Damage {
  readonly name: string;
  /** debugfs requests; `{a}`, `{b}` stand for the first block of the files a and b, `{itable}` for an inode table. */
  readonly requests: readonly string[];
  readonly expected: readonly string[];
  /** e2fsck corrects it in passing and does not call it damage. */
  readonly harmless?: boolean;
}

/** ext2, so that debugfs has no checksum to mend on the way. */
const DAMAGES: readonly Damage[] = [
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

const makeBase = (t: ExecutionContext, features: readonly string[] = []): string => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 16 * MIB,
    blockSize: 1024,
    type: features.length > 0 ? 'ext4' : 'ext2',
    features,
  });
  const mount = mountFile(t, path);
  for (const name of ['a', 'b']) writeFileSync(join(mount.path, name), new Uint8Array(20 * KIB).fill(1));
  mount.unmount();
  return path;
};

const ask = (path: string, request: string): string =>
  mustRun('debugfs', ['-R', request, path]).stdout.trim();

test('each damage is found, and nothing else; e2fsck sees it too', (t) => {
  const base = makeBase(t);
  t.deepEqual(problems(base), []);
  t.true(e2fsckClean(base).clean);
  const itables = [...mustRun('dumpe2fs', [base]).stdout.matchAll(/Inode table at (\d+)/g)].map(
    (match) => match[1]!,
  );
  const values: Record<string, string> = {
    '{a}': ask(base, 'bmap a 0'),
    '{b}': ask(base, 'bmap b 0'),
    '{itable}': itables[1]!,
    '{itable0}': itables[0]!,
  };
  for (const { name, requests, expected, harmless = false } of DAMAGES) {
    const path = `${base}.damaged`;
    copyFileSync(base, path);
    for (const request of requests)
      mustRun('debugfs', ['-w', '-R', request.replace(/\{\w+\}/g, (word) => values[word]!), path]);
    t.deepEqual(codes(path), [...expected].sort(), name);
    t.is(e2fsckClean(path).clean, harmless, name);
    t.true(problems(path).every((problem) => problem.where !== '' && problem.wayOut !== undefined));
  }
});

test('the limit is kept', (t) => {
  const path = makeBase(t);
  mustRun('debugfs', ['-w', '-R', 'set_bg 0 free_blocks_count 7', path]);
  mustRun('debugfs', ['-w', '-R', 'set_bg 1 free_blocks_count 7', path]);
  t.is(problems(path).length, 2);
  t.is(problems(path, 1).length, 1);
});

test('bigalloc: extents of one file may share a cluster, two files may not', (t) => {
  const base = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 16 * MIB,
    blockSize: 1024,
    features: ['bigalloc', '^metadata_csum', '^has_journal'],
  });
  const mount = mountFile(t, base);
  // Blocks 0, 2, 4, ... of a file: many extents in one cluster of 16 blocks.
  for (const name of ['a', 'b'])
    for (let block = 0; block < 40; block += 2)
      mustRun('dd', [
        'if=/etc/passwd',
        `of=${join(mount.path, name)}`,
        'bs=512',
        'count=2',
        `seek=${block * 2}`,
        'conv=notrunc',
      ]);
  mount.unmount();
  t.deepEqual(problems(base), []);
  t.true(e2fsckClean(base).clean);
  // The whole map: file a becomes the second owner of the clusters of file b.
  for (const index of [0, 1, 2, 3, 4, 5, 6]) {
    const value = mapWord(base, 'b', index);
    mustRun('debugfs', ['-w', '-R', `sif a block[${index}] 0x${value}`, base]);
  }
  t.deepEqual(codes(base), ['ext.multiply-claimed']);
  t.false(e2fsckClean(base).clean);
});

/** A 32-bit word of `i_block` in hexadecimal, from debugfs' dump of the inode. */
const mapWord = (path: string, name: string, index: number): string => {
  const dump = ask(path, `inode_dump -b ${name}`);
  const bytes = [...dump.matchAll(/^\d+\s+((?:[0-9a-f]{4} ?)+)/gm)]
    .map((match) => match[1]!.replaceAll(' ', ''))
    .join('');
  return Buffer.from(bytes, 'hex')
    .readUInt32LE(index * 4)
    .toString(16);
};
