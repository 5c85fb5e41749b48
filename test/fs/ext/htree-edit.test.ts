import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import type { HoldfastError } from '../../../rescue/errors.ts';
import { dxCountOffset } from '../../../rescue/fs/ext/checksum.ts';
import { directoryBlocks } from '../../../rescue/fs/ext/directory.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import {
  HASH_HALF_MD4,
  HASH_LEGACY,
  HASH_TEA,
  HASH_UNSIGNED,
  hashName,
} from '../../../rescue/fs/ext/hash.ts';
import { readInode } from '../../../rescue/fs/ext/inode.ts';
import { DX_COUNT_LIMIT, ROOT_INODE } from '../../../rescue/fs/ext/layout.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import { MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { e2fsckClean, mustBeClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { differences, snapshot } from '../../support/tree.ts';
import { HASH_SEED, makeVolume, type VolumeOptions } from '../../support/volume.ts';
import { freeRuns, highest, NOTHING, TIME } from '../editing.ts';
import { debugfs, Volume } from './editing.ts';

const SEED = Buffer.from(HASH_SEED.replaceAll('-', ''), 'hex');

const fillRoot = (cleanup: Cleanup, path: string, names: Iterable<string>): void => {
  const mount = mountFile(cleanup, path);
  for (const name of names) writeFileSync(join(mount.path, name), '');
  mount.unmount();
};

function* numbered(count: number, length = 12): Generator<string> {
  for (let index = 0; index < count; index += 1) yield `${index}-`.padEnd(length, 'n');
}

/** Index entries and leaves of the root as debugfs prints them. */
const indexOf = (path: string): { levels: number; leaves: number } => {
  const dump = debugfs(path, 'htree_dump /');
  return {
    levels: Number(/Indirect Levels: (\d+)/i.exec(dump)?.[1]),
    leaves: (dump.match(/^Reading directory block/gm) ?? []).length,
  };
};

const claimAndJudge = (t: ExecutionContext, path: string): Volume => {
  const before = mountFile(t, path);
  const tree = snapshot(before.path);
  before.unmount();
  const volume = new Volume(path);
  volume.claim('one', highest(volume.free(), 500));
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  const after = mountFile(t, path);
  t.deepEqual(differences(tree, snapshot(after.path)), []);
  // A lookup by name goes through the index.
  t.notThrows(() => writeFileSync(join(after.path, '.holdfast', 'note'), ''));
  for (let index = 0; index < 50; index += 1) writeFileSync(join(after.path, `later ${index}`), '');
  after.unmount();
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  return new Volume(path);
};

const shapes: Record<string, VolumeOptions & { readonly entries: number }> = {
  'half_md4, checksums': { size: 24 * MIB, blockSize: 1024, entries: 3000 },
  'half_md4, no journal': { size: 24 * MIB, blockSize: 1024, features: ['^has_journal'], entries: 3000 },
  'ext3, block map': { size: 24 * MIB, blockSize: 1024, type: 'ext3', entries: 3000 },
  bigalloc: {
    size: 64 * MIB,
    blockSize: 1024,
    features: ['bigalloc'],
    more: ['-C', '4096', '-N', '4096'],
    entries: 3000,
  },
  'two levels': { size: 32 * MIB, blockSize: 1024, entries: 6000, more: ['-N', '8000'] },
};

for (const [what, { entries, ...options }] of Object.entries(shapes)) {
  test(`a root with an index takes the folder: ${what}`, (t) => {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), options);
    fillRoot(t, path, numbered(entries));
    const { levels } = indexOf(path);
    t.is(levels, what === 'two levels' ? 1 : 0);
    const volume = claimAndJudge(t, path);
    volume.release('one');
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
  });
}

/** Names of 244 bytes whose hashes lie next to that of `.holdfast`: they fill its leaf, four to a block. */
const neighbours = (version: number, count: number): string[] => {
  const hash = (name: string): number => hashName(Buffer.from(name), { version, seed: SEED });
  const target = hash('.holdfast');
  return [...Array(4000).keys()]
    .map((index) => `near-${index}-`.padEnd(244, 'n'))
    .sort((a, b) => Math.abs(hash(a) - target) - Math.abs(hash(b) - target))
    .slice(0, count);
};

const algorithms = [
  { algorithm: 'legacy', plain: HASH_LEGACY, unsigned: false },
  { algorithm: 'tea', plain: HASH_TEA, unsigned: true },
  { algorithm: 'half_md4', plain: HASH_HALF_MD4, unsigned: false },
  { algorithm: 'half_md4', plain: HASH_HALF_MD4, unsigned: true },
];
for (const { algorithm, plain, unsigned } of algorithms) {
  test(`a leaf without room is split: ${algorithm}${unsigned ? ' unsigned' : ''}`, (t) => {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB, blockSize: 1024 });
    mustRun('tune2fs', ['-E', `hash_alg=${algorithm}`, path]);
    mustRun('debugfs', ['-w', '-R', `ssv flags ${unsigned ? 2 : 1}`, path]);
    fillRoot(t, path, numbered(200, 244));
    const splits: boolean[] = [];
    for (const name of neighbours(plain + (unsigned ? HASH_UNSIGNED : 0), 5)) {
      fillRoot(t, path, [name]);
      const before = indexOf(path).leaves;
      const volume = new Volume(path);
      const kept = volume.device.snapshot();
      volume.claim('one', highest(volume.free(), 100));
      splits.push(indexOf(path).leaves > before);
      t.notThrows(() => mustBeClean(e2fsckClean(path)));
      const mount = mountFile(t, path);
      t.notThrows(() => mkdirSync(join(mount.path, '.holdfast', 'inside')));
      mount.unmount();
      t.notThrows(() => mustBeClean(e2fsckClean(path)));
      writeFileSync(path, kept.read(0, kept.size));
    }
    t.true(splits.includes(true) && splits.includes(false), `${splits}`);
  });
}

/** Adds names until the root has so many blocks. */
const growRoot = (cleanup: Cleanup, path: string, blocks: number): void => {
  const mount = mountFile(cleanup, path);
  for (const name of numbered(2000, 244)) {
    if (statSync(mount.path).size >= blocks * 1024) break;
    writeFileSync(join(mount.path, name), '');
  }
  const { size } = statSync(mount.path);
  mount.unmount();
  if (size !== blocks * 1024) throw new Error(`the root has ${size} bytes`);
};

// With 1 KiB blocks and checksums a root holds 123 entries and a node 126; so many leaves make them full.
const stages = {
  'gets a second level': { blocks: 1 + 123, levels: 1 },
  'has a node split': { blocks: 2 + 126, levels: 1 },
};
for (const [what, { blocks, levels }] of Object.entries(stages)) {
  test(`an index that is full ${what}`, (t) => {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB, blockSize: 1024 });
    mustRun('debugfs', ['-w', '-R', 'ssv flags 1', path]);
    growRoot(t, path, blocks);
    const added: number[] = [];
    for (const name of neighbours(HASH_HALF_MD4, 4)) {
      const volume = new Volume(path);
      const kept = volume.device.snapshot();
      const before = rootBlocks(volume.device).length;
      volume.claim('one', highest(volume.free(), 100));
      t.notThrows(() => mustBeClean(e2fsckClean(path)));
      added.push(rootBlocks(volume.device).length - before);
      if (added.at(-1)! > 0) {
        t.is(indexOf(path).levels, levels);
        claimedFolderIsFound(t, path);
        break;
      }
      writeFileSync(path, kept.read(0, kept.size));
      fillRoot(t, path, [name]);
    }
    t.is(added.at(-1), 2, 'a leaf and a node');
  });
}

const claimedFolderIsFound = (t: ExecutionContext, path: string): void => {
  const mount = mountFile(t, path);
  t.notThrows(() => mkdirSync(join(mount.path, '.holdfast', 'inside')));
  for (const name of readdirSync(mount.path)) statSync(join(mount.path, name));
  for (let index = 0; index < 100; index += 1)
    writeFileSync(join(mount.path, `later-${index}`.padEnd(200, 'l')), '');
  mount.unmount();
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
};

test('a root whose index is full at all levels is refused by name', (t) => {
  const features = ['^metadata_csum'];
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB, blockSize: 1024, features });
  mustRun('debugfs', ['-w', '-R', 'ssv flags 1', path]);
  fillRoot(t, path, numbered(600, 244));
  t.is(indexOf(path).levels, 1);
  const outcomes = neighbours(HASH_HALF_MD4, 5).map((name) => {
    fillRoot(t, path, [name]);
    const { device } = new Volume(path);
    // To fill an index of 1 KiB blocks takes 40000 files; instead all its nodes are made to hold what they hold now.
    for (const { kind, block, bytes } of rootBlocks(device)) {
      if (kind !== 'index') continue;
      const at = dxCountOffset(bytes)!;
      DX_COUNT_LIMIT.set(bytes, 'limit', DX_COUNT_LIMIT.get(bytes, 'count', at), at);
      device.write(block * 1024, bytes);
    }
    const before = device.snapshot();
    const request = {
      name: 'one',
      runs: highest(freeRuns(extDriver, device), 100),
      time: TIME,
      avoid: NOTHING,
    };
    try {
      extDriver.patch(device, (editor) => extDriver.claim(editor, request));
      return 'claimed';
    } catch (error) {
      t.is(Buffer.compare(before.read(0, before.size), device.read(0, device.size)), 0);
      return (error as HoldfastError).detail.code;
    }
  });
  t.true(outcomes.includes('claim.directory-full'), `${outcomes}`);
});

const rootBlocks = (device: MemoryDevice) => {
  const volume = new ExtVolume(device);
  return [...directoryBlocks(volume, readInode(volume, ROOT_INODE))];
};
