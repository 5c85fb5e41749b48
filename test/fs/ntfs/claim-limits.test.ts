import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { directoryEntries, openNameIndex } from '../../../rescue/fs/ntfs/directory.ts';
import { AT_ATTRIBUTE_LIST, REPARSE_MOUNT_POINT } from '../../../rescue/fs/ntfs/layout.ts';
import { ownAttributes } from '../../../rescue/fs/ntfs/record.ts';
import { findInRoot } from '../../../rescue/fs/ntfs/root-files.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { PatchBuilder } from '../../../rescue/fs/patch.ts';

import { MIB, type Run } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { highest, NOTHING, scattered, TIME } from '../editing.ts';
import { NtfsFileVolume } from './editing.ts';
import { makeNtfs, mountNtfs } from './volumes.ts';

const codeOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    if (isHoldfastError(error)) return error.detail.code;
    throw error;
  }
  return 'none';
};

const fresh = (t: Parameters<typeof temporaryFolder>[0], size: number, clusterSize = 4096): NtfsFileVolume =>
  new NtfsFileVolume(makeNtfs(join(temporaryFolder(t), 'volume'), { size, clusterSize }));

test('a volume without any free record: $MFT grows', (t) => {
  for (const clusterSize of [512, 4096, 65536]) {
    const volume = fresh(t, 64 * MIB, clusterSize);
    const records = (): number => volume.open((device) => new NtfsVolume(device).recordCount);
    const before = records();
    t.true(before <= 64, 'mkntfs makes no more than it needs');
    volume.claim('image', highest(volume.free(), 5));
    t.is(records(), 128);
    t.deepEqual(volume.problems(), []);
    const mount = mountNtfs(t, volume.path);
    for (let index = 0; index < 100; index += 1) writeFileSync(join(mount.path, `${index}`), `${index}`);
    mount.unmount();
    t.deepEqual(volume.problems(), []);
    volume.release('image');
    t.deepEqual(volume.problems(), []);
  }
});

test('a container in many pieces: the list of its extents stands in the record, or in clusters', (t) => {
  const volume = fresh(t, 80 * MIB, 512);
  const list = (): boolean | undefined =>
    volume.open((device) => {
      const opened = new NtfsVolume(device);
      for (let number = 64; number < opened.recordCount; number += 1) {
        const found = [...ownAttributes(opened.record(number))].find(
          (each) => each.type === AT_ATTRIBUTE_LIST,
        );
        if (found !== undefined) return found.resident;
      }
      return undefined;
    });
  for (const [count, resident] of [
    [100, undefined],
    [1000, true],
    [20_000, false],
  ] as const) {
    const runs = scattered(volume.free(), count);
    const content = volume.fill(runs);
    volume.claim('image', runs);
    t.is(list(), resident, `${count}`);
    t.deepEqual(volume.problems(), []);
    const mount = mountNtfs(t, volume.path, { readOnly: true });
    t.true(readFileSync(join(mount.path, '.holdfast', 'image.hfi')).equals(content));
    mount.unmount();
    volume.release('image');
    t.deepEqual(volume.problems(), []);
  }
});

test('long runs of $Bitmap are operations', (t) => {
  const volume = fresh(t, 96 * MIB, 512);
  const made = volume.claim('image', highest(volume.free(), 120_000));
  t.true(made.phases.flat().some((step) => step.kind === 'bits' && step.length > 10_000));
  t.deepEqual(volume.problems(), []);
  volume.release('image');
  t.deepEqual(volume.problems(), []);
});

test('a folder with thousands of names beside the new one: splits up to a new level, removals down again', (t) => {
  const volume = fresh(t, 64 * MIB);
  const mount = mountNtfs(t, volume.path);
  const many = join(mount.path, '.holdfast');
  mkdirSync(many);
  // Records are there before, so that the folder's blocks lie one behind the other.
  const early = Array.from({ length: 1100 }, (_, index) => join(mount.path, `early ${index}`));
  for (const path of early) writeFileSync(path, '');
  for (const path of early) rmSync(path);
  for (let index = 0; index < 700; index += 1)
    writeFileSync(join(many, `${'padding '.repeat(5)}${String(index).padStart(4, '0')}`), '');
  for (let index = 0; index < 300; index += 1) writeFileSync(join(mount.path, `in the root ${index}`), '');
  mount.unmount();
  // Blocks of the folder's index, and nodes above the leaves: the entries of other blocks that have sub-nodes.
  const blocks = (): number =>
    volume.open((device) => {
      const opened = new NtfsVolume(device);
      const [found] = findInRoot(opened, ['.holdfast']);
      const seen = new Set<number>();
      for (const _ of directoryEntries(openNameIndex(found!.file), (block) => seen.add(block)));
      return seen.size;
    });
  const before = blocks();
  const names = Array.from(
    { length: 60 },
    (_, index) => `${'pAdding'}${(index * 37) % 60}.${'x'.repeat(50)}`,
  );
  for (const name of names) {
    const [free] = volume.free();
    volume.claim(name, [{ start: free!.start, length: 1 }]);
  }
  t.deepEqual(volume.problems(), []);
  t.true(blocks() > before + 1, `${before} blocks, then ${blocks()}`);
  for (const name of names.toReversed()) volume.release(name);
  t.deepEqual(volume.problems(), []);
  const again = mountNtfs(t, volume.path);
  writeFileSync(join(again.path, '.holdfast', 'more'), '');
  again.unmount();
  t.deepEqual(volume.problems(), []);
});

test('what cannot be is refused, and nothing is planned', (t) => {
  const volume = fresh(t, 80 * MIB);
  const free = volume.free();
  volume.claim('image', highest(free, 10));
  const tried = (name: string, runs: readonly Run[], avoid = NOTHING): string =>
    volume.open((device) => {
      const builder = new PatchBuilder(device);
      const code = codeOf(() => claim(builder, { name, runs, time: TIME, avoid }));
      t.is(builder.build().phases.length === 0, code !== 'none');
      return code;
    });
  const [first] = volume.free();
  const one = { start: first!.start, length: 1 };
  t.is(tried('other', [one]), 'none');
  t.is(tried('IMAGE', [one]), 'claim.exists');
  t.is(tried('other', highest(free, 10)), 'claim.not-free');
  t.is(tried('other', [{ start: 0, length: 1 }]), 'claim.not-free');
  t.is(tried('other', [{ start: 1e9, length: 1 }]), 'claim.not-free');
  t.is(tried('other', [one, one]), 'claim.runs');
  t.is(tried('a/b', [one]), 'claim.name');
  t.is(tried('other', []), 'claim.runs');
  t.is(tried('other', scattered(volume.free(), 7000), { has: () => true }), 'claim.no-space');
});

test('a container in more pieces than an attribute list can hold is refused, and nothing is planned', (t) => {
  const volume = fresh(t, 1100 * MIB, 512);
  const free = volume.free().flatMap(({ start, length }) => Array.from({ length }, (_, at) => start + at));
  // Every run is far from the one before: five bytes each.
  const far = 760_000;
  const runs = Array.from({ length: 2 * far }, (_, index) => ({
    start: free[(index >>> 1) + (index % 2) * far]!,
    length: 1,
  }));
  volume.open((device) => {
    const builder = new PatchBuilder(device);
    const claiming = (): void => claim(builder, { name: 'image', runs, time: TIME, avoid: NOTHING });
    t.is(codeOf(claiming), 'claim.too-scattered');
    t.deepEqual(builder.build().phases, []);
  });
});

test('a name that is taken by a file is refused', (t) => {
  const volume = fresh(t, 24 * MIB, 512);
  const mount = mountNtfs(t, volume.path);
  writeFileSync(join(mount.path, '.Holdfast'), '');
  mount.unmount();
  const attempt = (): string => codeOf(() => volume.claim('image', highest(volume.free(), 3)));
  t.is(attempt(), 'claim.name-taken');
});

test('a container that has got a short name, and the only one of its folder, is released with it', (t) => {
  const volume = fresh(t, 24 * MIB);
  for (const others of [['later'], []]) {
    const names = ['image', ...others];
    for (const name of names) volume.claim(name, highest(volume.free(), 4));
    const mount = mountNtfs(t, volume.path);
    const shorten = (short: string, ...path: string[]): unknown =>
      mustRun('setfattr', ['-n', 'system.ntfs_dos_name', '-v', short, join(mount.path, ...path)]);
    shorten('HOLDFA~1', '.holdfast');
    shorten('IMAGE~1.HFI', '.holdfast', 'image.hfi');
    mount.unmount();
    t.deepEqual(volume.problems(), []);
    for (const name of names) {
      volume.release(name);
      t.deepEqual(volume.problems(), []);
    }
    const again = mountNtfs(t, volume.path);
    t.false(readdirSync(again.path).includes('.holdfast'));
    again.unmount();
  }
});

test('a container to which somebody gave an object id is released; its record and the id can be used again', (t) => {
  const volume = fresh(t, 24 * MIB);
  volume.claim('image', highest(volume.free(), 4));
  const give = (root: string, ...path: string[]): unknown =>
    mustRun('setfattr', ['-n', 'system.ntfs_object_id', '-v', `0x${'5a'.repeat(64)}`, join(root, ...path)]);
  const mount = mountNtfs(t, volume.path);
  give(mount.path, '.holdfast', 'image.hfi');
  mount.unmount();
  t.deepEqual(volume.problems(), []);
  volume.release('image');
  t.deepEqual(volume.problems(), []);
  const again = mountNtfs(t, volume.path);
  for (let index = 0; index < 200; index += 1) writeFileSync(join(again.path, `${index}`), '');
  again.unmount();
  t.deepEqual(volume.problems(), []);
});

test('a container that has another name elsewhere is not released', (t) => {
  const volume = fresh(t, 24 * MIB);
  volume.claim('image', highest(volume.free(), 4));
  const mount = mountNtfs(t, volume.path);
  linkSync(join(mount.path, '.holdfast', 'image.hfi'), join(mount.path, 'elsewhere'));
  mount.unmount();
  t.is(
    codeOf(() => volume.release('image')),
    'release.linked',
  );
});

/** Content of the `$REPARSE_POINT` of a junction to `target`. */
const junctionTo = (target: string): Buffer => {
  const path = Buffer.from(`${target}\0\0`, 'utf16le');
  const bytes = Buffer.alloc(16 + path.length);
  bytes.writeUInt32LE(REPARSE_MOUNT_POINT, 0);
  bytes.writeUInt16LE(8 + path.length, 4);
  bytes.writeUInt16LE(2 * target.length, 10);
  bytes.writeUInt16LE(2 * target.length + 2, 12);
  path.copy(bytes, 16);
  return bytes;
};

test('a folder that leads elsewhere holds no container', (t) => {
  const volume = fresh(t, 24 * MIB, 512);
  const mount = mountNtfs(t, volume.path);
  const path = join(mount.path, '.holdfast');
  mkdirSync(path);
  const value = `0x${junctionTo('\\??\\D:\\').toString('hex')}`;
  mustRun('setfattr', ['-n', 'system.ntfs_reparse_data', '-v', value, path]);
  mount.unmount();
  t.deepEqual(volume.problems(), []);
  t.is(
    codeOf(() => volume.claim('image', highest(volume.free(), 3))),
    'claim.name-taken',
  );
});
