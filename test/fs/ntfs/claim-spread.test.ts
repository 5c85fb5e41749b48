import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { complement } from '../../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { allocatedRuns } from '../../../rescue/fs/ntfs/allocation.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { MIB } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { edited, TIME } from '../editing.ts';
import { NtfsFileVolume } from './editing.ts';
import { FAR_APART, layoutOf } from './index-layout.ts';
import { makeNtfs, mountNtfs } from './volumes.ts';

test('a folder whose index lies in many pieces gets a list, then extent after extent', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 24 * MIB, clusterSize: 512 });
  // Records, so that $MFT need not grow as well.
  const early = mountNtfs(t, path);
  for (let index = 0; index < 450; index += 1) writeFileSync(join(early.path, `${index}`), '');
  for (let index = 0; index < 450; index += 1) rmSync(join(early.path, `${index}`));
  early.unmount();
  let device = MemoryDevice.of(readFileSync(path));
  const names = Array.from({ length: 400 }, (_, index) => `${(index * 37) % 400}-`.padEnd(64, 'x'));
  const seen = new Set<string>();
  for (const name of names) {
    const { clusterCount } = new NtfsVolume(device);
    const free = [...complement(allocatedRuns(new NtfsVolume(device)), { start: 0, length: clusterCount })];
    const { start, length } = free.at(-1)!;
    const runs = [{ start: start + length - 1, length: 1 }];
    edited(ntfsDriver, device, (editor) => claim(editor, { name, runs, time: TIME, avoid: FAR_APART }));
    const layout = layoutOf(device, '.holdfast');
    if (!seen.has(layout)) t.deepEqual(openNtfs(device).check(), []);
    seen.add(layout);
  }
  t.deepEqual(
    [...seen],
    [
      'no list; blocks: ; bitmap: ',
      'no list; blocks: first; bitmap: first',
      'list; blocks: other; bitmap: other',
      'list; blocks: other other; bitmap: other',
    ],
  );
  writeFileSync(path, device.read(0, device.size));
  const volume = new NtfsFileVolume(path);
  t.deepEqual(volume.problems(), []);
  const mount = mountNtfs(t, path);
  t.is(readdirSync(join(mount.path, '.holdfast')).length, names.length);
  for (let index = 0; index < 60; index += 1)
    writeFileSync(join(mount.path, '.holdfast', `${index}-.txt`), '');
  mount.unmount();
  t.deepEqual(volume.problems(), []);
  device = MemoryDevice.of(readFileSync(path));
  for (const [index, name] of names.toReversed().entries()) {
    edited(ntfsDriver, device, (editor) => release(editor, { name, time: TIME }));
    if (index % 50 === 0) t.deepEqual(openNtfs(device).check(), []);
  }
  writeFileSync(path, device.read(0, device.size));
  t.deepEqual(volume.problems(), []);
});

test('a root full of other attributes gets a list, and takes entries when it has one', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 24 * MIB, clusterSize: 512 });
  const volume = new NtfsFileVolume(path);
  const seen = new Set<string>();
  for (let round = 0; round < 12; round += 1) {
    const mount = mountNtfs(t, path, { options: ['streams_interface=xattr'] });
    for (const part of [1, 2])
      mustRun('setfattr', ['-n', `user.${round}.${part}`, '-v', 'x'.repeat(40), mount.path]);
    // Around the name of the folder, in whose block there is no room after a while.
    for (const part of [1, 2, 3, 4])
      writeFileSync(join(mount.path, `.${part} in the root ${round}`.padEnd(60, '-')), '');
    mount.unmount();
    const { start, length } = volume.free().at(-1)!;
    volume.claim('x', [{ start: start + length - 1, length: 1 }], FAR_APART);
    seen.add(volume.open((device) => layoutOf(device)));
    t.deepEqual(volume.problems(), []);
    volume.release('x');
    t.deepEqual(volume.problems(), []);
  }
  t.true(seen.has('no list; blocks: first; bitmap: first'));
  t.true(seen.has('list in clusters; blocks: other; bitmap: first'), [...seen].join(' | '));
});
