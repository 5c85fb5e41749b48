import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openFile } from '../../../rescue/device/file.ts';
import { openExt } from '../../../rescue/fs/ext/filesystem.ts';
import { MIB } from '../../../rescue/units.ts';
import { e2fsckClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume } from '../../support/volume.ts';
import { ask, DAMAGES, damage, makeBase } from './damages.ts';

const problems = (path: string, limit?: number) => {
  const device = openFile(path);
  try {
    return openExt(device).check(limit);
  } finally {
    device.close();
  }
};
const codes = (path: string): string[] => [...new Set(problems(path).map((problem) => problem.code))].sort();

test('each damage is found, and nothing else; e2fsck sees it too', (t) => {
  const base = makeBase(t, join(temporaryFolder(t), 'volume'));
  t.deepEqual(problems(base), []);
  t.true(e2fsckClean(base).clean);
  for (const { name, requests, expected, harmless = false } of DAMAGES) {
    const path = `${base}.damaged`;
    copyFileSync(base, path);
    damage(path, requests);
    t.deepEqual(codes(path), [...expected].sort(), name);
    t.is(e2fsckClean(path).clean, harmless, name);
    t.true(problems(path).every((problem) => problem.where !== '' && problem.wayOut !== undefined));
  }
});

test('the limit is kept', (t) => {
  const path = makeBase(t, join(temporaryFolder(t), 'volume'));
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
