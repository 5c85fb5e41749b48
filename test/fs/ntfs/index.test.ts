import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { complement } from '../../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { allocatedRuns } from '../../../rescue/fs/ntfs/allocation.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { directoryEntries, openNameIndex } from '../../../rescue/fs/ntfs/directory.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import { findInRoot } from '../../../rescue/fs/ntfs/root-files.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { MIB } from '../../../rescue/units.ts';
import { noiseSource } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { edited, NOTHING, TIME } from '../editing.ts';
import { NtfsFileVolume } from './editing.ts';
import { makeNtfs } from './volumes.ts';

/** Names of 64 characters: 17 entries fill a block, three a root. */
const nameOf = (number: number): string => `${(number * 7919) % 1009}-`.padEnd(64, 'x');

test('names come and go in any order: the tree grows to three levels and back, and is sound after each step', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 8 * MIB, clusterSize: 1024 });
  const device = MemoryDevice.of(readFileSync(path));
  const random = noiseSource('which names');
  const listed = new Set<number>();
  let refused = 0;
  const blocksSeen: number[] = [];
  const blocks = (): number => {
    const volume = new NtfsVolume(device);
    const seen = new Set<number>();
    for (const { file } of findInRoot(volume, ['.holdfast']))
      for (const _ of directoryEntries(openNameIndex(file), (block) => seen.add(block)));
    return seen.size;
  };
  const change = (number: number): void => {
    const name = nameOf(number);
    if (listed.delete(number)) {
      edited(ntfsDriver, device, (editor) => release(editor, { name, time: TIME }));
      return;
    }
    const volume = new NtfsVolume(device);
    const [free] = [...complement(allocatedRuns(volume), { start: 0, length: volume.clusterCount })].slice(
      -1,
    );
    const runs = [{ start: free!.start + free!.length - 1, length: 1 }];
    // Without a cluster for others, blocks change in place as long as there is room in them.
    const avoid = random(1)[0]! % 2 === 0 ? NOTHING : { has: () => true };
    try {
      edited(ntfsDriver, device, (editor) => claim(editor, { name, runs, time: TIME, avoid }));
      listed.add(number);
    } catch (error) {
      if (!isHoldfastError(error, 'refused') || error.detail.code !== 'claim.no-space') throw error;
      refused += 1;
    }
  };
  const sound = (): void => {
    const system = openNtfs(device);
    const problems = system.check();
    const names = system.containers().map(({ name }) => name);
    const expected = [...listed].map(nameOf).sort();
    if (problems.length > 0) throw new Error(problems[0]!.message);
    if (JSON.stringify(names) !== JSON.stringify(expected))
      throw new Error(`${names.length} of ${expected.length}`);
    blocksSeen.push(blocks());
  };
  const records = new NtfsVolume(device).recordCount;
  const before = [...complement(allocatedRuns(new NtfsVolume(device)), { start: 0, length: 8192 })];
  for (let step = 0; step < 110; step += 1) change(step);
  sound();
  for (let step = 0; step < 130; step += 1) {
    change(random(1)[0]! % 128);
    sound();
  }
  // A root has room for four of them.
  t.true(Math.max(...blocksSeen) > 8, `${Math.max(...blocksSeen)} blocks`);
  t.true(refused > 0, `${refused}`);
  for (const number of [...listed]) {
    change(number);
    sound();
  }
  t.is(blocks(), 0);
  const after = [...complement(allocatedRuns(new NtfsVolume(device)), { start: 0, length: 8192 })];
  const total = (runs: typeof before): number => runs.reduce((sum, { length }) => sum + length, 0);
  // What $MFT grew by stays; a record is as long as a cluster. So does the block of the root to which its names have moved.
  const blockClusters = 4;
  t.true(total(before) - total(after) <= new NtfsVolume(device).recordCount - records + blockClusters);
  writeFileSync(path, device.read(0, device.size));
  t.deepEqual(new NtfsFileVolume(path).problems(), []);
});

test('names of any length come into a new folder, whose names move out of its record when that is full', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 6 * MIB });
  const base = MemoryDevice.of(readFileSync(path));
  let moved = 0;
  for (let length = 1; length <= 64; length += 3) {
    const device = base.snapshot();
    const names = Array.from({ length: 8 }, (_, index) => `${'abcdefgh'[index]!}`.repeat(length));
    for (const [index, name] of names.entries()) {
      const runs = [{ start: 1300 + index, length: 1 }];
      edited(ntfsDriver, device, (editor) => claim(editor, { name, runs, time: TIME, avoid: NOTHING }));
    }
    const system = openNtfs(device);
    t.deepEqual(system.check(), [], `${length}`);
    t.deepEqual(
      system.containers().map(({ name }) => name),
      names,
    );
    const [folder] = findInRoot(new NtfsVolume(device), ['.holdfast']);
    t.is(folder!.file.list, undefined, 'no attribute list is needed');
    if (openNameIndex(folder!.file).blocks !== undefined) moved += 1;
  }
  t.true(moved > 15, `${moved}`);
});
