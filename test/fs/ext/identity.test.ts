import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openFile } from '../../../rescue/device/file.ts';
import { ClaimMap } from '../../../rescue/fs/claim-map.ts';
import { inodeProblems } from '../../../rescue/fs/ext/check-inodes.ts';
import { AllocationView } from '../../../rescue/fs/ext/claims.ts';
import { openExt } from '../../../rescue/fs/ext/filesystem.ts';
import { SUPERBLOCK, SUPERBLOCK_OFFSET } from '../../../rescue/fs/ext/layout.ts';
import { superblockCount } from '../../../rescue/fs/ext/superblock.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume } from '../../support/volume.ts';

const byBlkid = (path: string): ReadonlyMap<string, string> =>
  new Map(
    mustRun('blkid', ['-p', '-o', 'export', path])
      .stdout.trim()
      .split('\n')
      .map((line) => line.split('=') as [string, string]),
  );

test('kind, label and UUID are those of blkid', (t) => {
  const folder = temporaryFolder(t);
  const features = [[], ['^has_journal'], ['uninit_bg'], ['sparse_super2', '^resize_inode']];
  for (const type of ['ext2', 'ext3', 'ext4'] as const) {
    for (const [index, list] of features.entries()) {
      const path = join(folder, `${type} ${index}`);
      makeVolume(path, { size: 16 * MIB, type, features: list, label: `Kelp${index}` });
      const device = openFile(path);
      t.teardown(() => device.close());
      const { kind, label, uuid } = openExt(device);
      const expected = byBlkid(path);
      t.deepEqual([kind, label, uuid], [expected.get('TYPE'), expected.get('LABEL'), expected.get('UUID')]);
    }
  }
});

test('clusters are counted from byte 0 and cover the file system', (t) => {
  const folder = temporaryFolder(t);
  const cases = [
    { blockSize: 1024, expected: KIB },
    { blockSize: 4096, expected: 4 * KIB },
    { blockSize: 1024, features: ['bigalloc'], more: ['-C', '32768'], expected: 32 * KIB },
  ] as const;
  for (const [index, { expected, ...options }] of cases.entries()) {
    const device = openFile(makeVolume(join(folder, `${index}`), { size: 16 * MIB, ...options }));
    t.teardown(() => device.close());
    const fileSystem = openExt(device);
    const backups = mustRun('dumpe2fs', [device.name]).stdout.matchAll(/Backup superblock at (\d+)/g);
    const blockSize = options.blockSize;
    t.deepEqual(fileSystem.geometry, {
      clusterSize: expected,
      clusterCount: (16 * MIB) / expected,
      clusterBase: 0,
      size: 16 * MIB,
      outside: [],
      recognition: [
        { start: SUPERBLOCK_OFFSET, length: SUPERBLOCK.size },
        ...[...backups].map(([, block]) => ({ start: Number(block) * blockSize, length: SUPERBLOCK.size })),
      ],
    });
    t.is([...fileSystem.allocation()][0]?.start, 0);
  }
});

test('a volume with a backup superblock in every group names as many as an image can', (t) => {
  const options = {
    size: 80 * MIB,
    blockSize: 1024,
    features: ['^sparse_super', '^resize_inode'],
    more: ['-g', '1024'],
  } as const;
  const device = openFile(makeVolume(join(temporaryFolder(t), 'volume'), options));
  t.teardown(() => device.close());
  const { recognition } = openExt(device).geometry;
  t.is(recognition.length, 64);
  t.deepEqual(recognition[63], { start: (1 + 63 * 1024) * 1024, length: SUPERBLOCK.size });
});

test('a file system that is larger than its device is refused with the numbers', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB });
  mustRun('truncate', ['-s', `${16 * MIB - 512}`, path]);
  const device = openFile(path);
  t.teardown(() => device.close());
  const error = t.throws(() => openExt(device), { name: 'HoldfastError' });
  t.regex(error!.message, /expected at most 16776704 bytes, found 16777216 bytes/);
});

test('claims outside the window of a claim map do not count', (t) => {
  const claims = new ClaimMap(100, 50);
  t.is(claims.claim({ start: 90, length: 15 }), undefined);
  t.is(claims.claim({ start: 90, length: 10 }), undefined);
  t.is(claims.claim({ start: 104, length: 3 }), 104);
  t.is(claims.claim({ start: 106, length: 100 }), 106);
  t.is(claims.claim({ start: 149, length: 1 }), 149);
  t.is(claims.claim({ start: 150, length: 5 }), undefined);
});

test('a cluster with two owners is found behind the first window', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 16 * MIB,
    blockSize: 1024,
    type: 'ext2',
  });
  const mount = mountFile(t, path);
  for (const name of ['a', 'b']) writeFileSync(join(mount.path, name), new Uint8Array(KIB).fill(1));
  mount.unmount();
  const block = Number(mustRun('debugfs', ['-R', 'bmap b 0', path]).stdout.trim());
  const ask = (): string[] => {
    const device = openFile(path);
    try {
      const volume = new ExtVolume(device);
      // Block 0 has no owner and no bit.
      const used = volume.clusterCount - 1 - superblockCount(volume.parameters, 's_free_blocks_count');
      // Windows that end at the block: it is the first of the second one.
      return [...inodeProblems(volume, new AllocationView(volume), used, block)].map(
        (problem) => problem.where,
      );
    } finally {
      device.close();
    }
  };
  t.deepEqual(ask(), []);
  mustRun('debugfs', ['-w', '-R', `sif a block[1] ${block}`, path]);
  const places = ask();
  t.is(places.length, 1);
  t.regex(places[0]!, new RegExp(`cluster ${block},`));
});

test('a claim map of many pages says what a list of all clusters says', (t) => {
  const length = 5 * 2 ** 15 + 7;
  const start = 2 ** 15 - 3;
  const claims = new ClaimMap(start, length);
  const owners = new Uint8Array(start + length + 100);
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
  for (let round = 0; round < 400; round += 1) {
    const from = random(start + length);
    const most = round % 3 === 0 ? 3 * 2 ** 15 : 40;
    const run = { start: round % 7 === 0 ? start + (from & ~0x7fff) : from, length: 1 + random(most) };
    let expected: number | undefined;
    for (
      let at = Math.max(start, run.start);
      at < Math.min(run.start + run.length, start + length);
      at += 1
    ) {
      if (owners[at] === 1) expected ??= at;
      owners[at] = 1;
    }
    t.is(claims.claim(run), expected);
  }
});
