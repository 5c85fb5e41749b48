import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import type { HoldfastError } from '../../../rescue/errors.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { MIB } from '../../../rescue/units.ts';
import { e2fsckClean, mustBeClean } from '../../support/judges.ts';
import { attachLoop, mountDevice, mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume } from '../../support/volume.ts';
import { freeRuns, highest, NOTHING, scattered, TIME } from '../editing.ts';
import { applyPatch, freeCounts, Volume } from './editing.ts';

for (const features of [[], ['^has_journal']]) {
  test(`a disk with sectors of 4096 bytes ${features}`, (t) => {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), {
      size: 16 * MIB,
      blockSize: 4096,
      features,
    });
    const device = MemoryDevice.of(readFileSync(path), 4096);
    const runs = scattered(freeRuns(extDriver, device), 1000);
    const patch = extDriver.patch(device, (editor) =>
      extDriver.claim(editor, { name: 'one', runs, time: TIME, avoid: NOTHING }),
    );
    t.is(patch.sectorSize, 4096);
    for (const { offset, before, after } of patch.phases.flat()) {
      t.deepEqual([offset % 4096, after.length % 4096, before.length - after.length], [0, 0, 0]);
    }
    applyPatch(device, patch);
    writeFileSync(path, device.read(0, device.size));
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
    const mount = mountDevice(t, attachLoop(t, path, { sectorSize: 4096 }).device);
    t.is(readFileSync(join(mount.path, '.holdfast/one.hfi')).length, 1000 * 4096);
    mount.unmount();
  });
}

test('in a case-insensitive root another spelling of the folder is refused', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 8 * MIB, features: ['casefold'] });
  mustRun('debugfs', ['-w', '-R', 'mkdir /.HoldFast', path]);
  mustRun('debugfs', ['-w', '-R', 'sif / flags 0x40080000', path]);
  const volume = new Volume(path);
  const error = t.throws<HoldfastError>(() => volume.claim('one', highest(volume.free(), 10)));
  t.is(error.detail.code, 'claim.name-taken');
});

test('attribute blocks of containers, shared with other files, are freed by the last one', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB, blockSize: 1024 });
  const volume = new Volume(path);
  volume.claim('one', highest(volume.free(), 100));
  volume.claim('two', highest(volume.free(), 100));
  const mount = mountFile(t, path);
  mkdirSync(join(mount.path, 'owner'));
  writeFileSync(join(mount.path, 'owner/file'), '');
  const value = 'v'.repeat(600);
  for (const file of ['.holdfast/one.hfi', '.holdfast/two.hfi', 'owner/file', '.holdfast']) {
    const target = join(mount.path, file);
    mustRun('chattr', ['-i', target]);
    mustRun('setfattr', ['-n', 'trusted.label', '-v', value, target]);
  }
  mount.unmount();
  const labelled = new Volume(path);
  for (const name of ['one', 'two']) {
    labelled.release(name);
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
  }
  const after = mountFile(t, path, { readOnly: true });
  t.is(
    mustRun('getfattr', ['-n', 'trusted.label', '--only-values', join(after.path, 'owner/file')]).stdout,
    value,
  );
  after.unmount();
});

test('a container with another name is not released', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 8 * MIB,
    blockSize: 1024,
    features: ['^has_journal'],
  });
  const volume = new Volume(path);
  volume.claim('one', highest(volume.free(), 10));
  mustRun('debugfs', ['-w', '-R', 'sif /.holdfast/one.hfi links_count 2', path]);
  const error = t.throws<HoldfastError>(() => new Volume(path).release('one'));
  t.is(error.detail.code, 'release.linked');
});

test('files of the owner in the folder stay, and so does the folder', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 8 * MIB, blockSize: 1024 });
  const volume = new Volume(path);
  volume.claim('one', highest(volume.free(), 10));
  const mount = mountFile(t, path);
  writeFileSync(join(mount.path, '.holdfast/one.hfi.txt'), 'kept');
  mount.unmount();
  new Volume(path).release('one');
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  const after = mountFile(t, path, { readOnly: true });
  t.is(readFileSync(join(after.path, '.holdfast/one.hfi.txt'), 'utf8'), 'kept');
  after.unmount();
});

test('the same claim gives the same bytes, and a release gives back what it took', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 8 * MIB });
  const volume = new Volume(path);
  const counts = freeCounts(path);
  const runs = scattered(volume.free(), 300);
  const request = { name: 'one', runs, time: TIME, avoid: NOTHING };
  const [first, second] = [1, 2].map(() =>
    extDriver.patch(volume.device, (editor) => extDriver.claim(editor, request)),
  );
  t.deepEqual(first, second);
  volume.claim('one', runs);
  volume.release('one');
  t.is(freeCounts(path), counts);
});
