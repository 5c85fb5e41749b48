import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { totalLength } from '../../../rescue/bytes/runs.ts';
import { openFile } from '../../../rescue/device/file.ts';
import type { HoldfastError } from '../../../rescue/errors.ts';
import { claim } from '../../../rescue/fs/ext/claim.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { largestFile } from '../../../rescue/fs/ext/largest-file.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import { PatchBuilder } from '../../../rescue/fs/patch.ts';
import { GIB, MIB, type Run } from '../../../rescue/units.ts';
import { e2fsckClean, mustBeClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';
import { freeRuns, highest, NOTHING, scattered, TIME } from '../editing.ts';
import { applyPatch, debugfs, Volume } from './editing.ts';

const maps: Record<string, Partial<VolumeOptions>> = {
  'ext2, 1 KiB': { type: 'ext2', blockSize: 1024 },
  'ext2, 2 KiB': { type: 'ext2', blockSize: 2048 },
  'ext3, 4 KiB, no huge_file': { type: 'ext3', blockSize: 4096 },
  'ext4 without extents': { features: ['^extent', '^64bit'], blockSize: 4096 },
  'ext4, extents without huge_file': { features: ['^huge_file'], blockSize: 1024 },
  'ext4, 4 KiB': { blockSize: 4096 },
};
const expected: Record<string, number> = {
  'ext2, 1 KiB': 16 * GIB + 65804 * 1024,
  'ext2, 2 KiB': 256 * GIB + 262668 * 2048 + 0,
};

for (const [what, options] of Object.entries(maps)) {
  test(`the kernel takes a file of the largest size: ${what}`, (t) => {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB, ...options });
    const volume = new ExtVolume(new Volume(path).device);
    const size = largestFile(volume);
    if (expected[what] !== undefined) t.is(size, expected[what]);
    const mount = mountFile(t, path);
    const handle = openSync(join(mount.path, 'file'), 'w');
    t.notThrows(() => ftruncateSync(handle, size));
    // With extents the worst tree is allowed for, which the kernel does not do.
    if (!volume.has('extent'))
      t.throws(() => ftruncateSync(handle, size + volume.blockSize), { code: 'EFBIG' });
    closeSync(handle);
    mount.unmount();
  });
}

test('a container that is larger than a file may be becomes several files', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 24 * MIB,
    type: 'ext3',
    blockSize: 1024,
  });
  const volume = new Volume(path);
  const runs = scattered(volume.free(), 1000);
  for (const { start } of runs) volume.device.write(start * 1024, Buffer.alloc(1024, `cluster ${start} `));
  const content = Buffer.concat(runs.map(({ start }) => volume.device.read(start * 1024, 1024)));
  volume.edit((editor) =>
    claim(editor, { name: 'many', runs, time: TIME, avoid: NOTHING }, { fileSize: 24 * 1024 + 512 }),
  );
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  const [container] = extDriver.open(volume.device).containers();
  t.is(container!.paths.length, Math.ceil(1000 / 24));
  t.is(container!.paths[1], '/.holdfast/many.001');
  t.is(container!.size, 1000 * 1024);
  const mount = mountFile(t, path, { readOnly: true });
  t.true(content.equals(Buffer.concat(container!.paths.map((file) => readFileSync(join(mount.path, file))))));
  mount.unmount();
  volume.release('many');
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  t.deepEqual(extDriver.open(volume.device).containers(), []);
});

for (const type of ['ext2', 'ext4'] as const) {
  test(`a file of more than 2 GiB sets large_file: ${type}`, (t) => {
    const features = type === 'ext2' ? [] : ['^large_file', '^huge_file'];
    const path = makeVolume(join(temporaryFolder(t), 'volume'), {
      size: 3 * GIB,
      type,
      features,
      blockSize: 4096,
      more: ['-N', '512'],
    });
    if (type === 'ext2') mustRun('debugfs', ['-w', '-R', 'feature -large_file', path]);
    const device = openFile(path, { write: true });
    t.teardown(() => device.close());
    const runs = highest(freeRuns(extDriver, device), (2 * GIB) / 4096 + 8);
    applyPatch(
      device,
      extDriver.patch(device, (editor) =>
        extDriver.claim(editor, { name: 'large', runs, time: TIME, avoid: NOTHING }),
      ),
    );
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
    t.regex(mustRun('dumpe2fs', ['-h', path]).stdout, /large_file/);
    t.regex(debugfs(path, 'stat /.holdfast/large.hfi'), /Size: 2147516416/);
    applyPatch(
      device,
      extDriver.patch(device, (editor) => extDriver.release(editor, { name: 'large', time: TIME })),
    );
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
  });
}

test('thousands of extents: a tree of two levels', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 48 * MIB, blockSize: 1024 });
  const volume = new Volume(path);
  const before = volume.free();
  // 84 extents to a leaf, 84 leaves to an index block, four in the root.
  const runs = scattered(before, 12000);
  volume.claim('tree', runs);
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  t.regex(debugfs(path, 'extents /.holdfast/tree.hfi'), /^ 0\/ 2 /m);
  t.deepEqual(extDriver.open(volume.device).containers()[0]!.runs, runs);
  const mount = mountFile(t, path, { readOnly: true });
  t.is(readFileSync(join(mount.path, '.holdfast/tree.hfi')).length, 12000 * 1024);
  mount.unmount();
  volume.release('tree');
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  t.deepEqual(volume.free(), before);
});

test('groups that were never used: inode tables are zeroed, bitmaps made', (t) => {
  const more = ['-g', '1024', '-N', '512'];
  const extended = ['lazy_itable_init=1', 'nodiscard'];
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 16 * MIB,
    blockSize: 1024,
    features: ['^flex_bg', '^resize_inode', '^has_journal'],
    extended,
    more,
  });
  // What lies in the tables of unused groups may be anything.
  const volume = new Volume(path);
  const ext = new ExtVolume(volume.device);
  const unused = [...Array(ext.groupCount).keys()]
    .map((group) => ext.group(group))
    .filter((group) => group.unusedInodes > 0);
  for (const group of unused) {
    const { inodeSize, inodesPerGroup, inodeTableBlocks } = ext.parameters;
    const used = (inodesPerGroup - group.unusedInodes) * inodeSize;
    // The kernel zeroes whole blocks.
    const from = Math.ceil(used / 1024) * 1024;
    volume.device.write(
      group.inodeTable * 1024 + from,
      new Uint8Array(inodeTableBlocks * 1024 - from).fill(0xa5),
    );
    const offset = group.offset;
    t.is(group.flags & 4, 0, `inode table of the group at ${offset} is not said to be zeroed`);
  }
  volume.save();
  t.notThrows(() => mustBeClean(e2fsckClean(path)), 'before');
  const { inodesPerGroup } = ext.parameters;
  for (let index = 0; index < inodesPerGroup * 3; index += 1) {
    const run = volume.free().at(index % 7)!;
    volume.claim(`c${index}`, [{ start: run.start, length: 1 }]);
  }
  t.notThrows(() => mustBeClean(e2fsckClean(path)), 'after');
  const later = new ExtVolume(volume.device);
  t.true(later.group(2).unusedInodes < inodesPerGroup);
  for (const { inodeTable, unusedInodes } of unused.map(({ index }) => later.group(index))) {
    const used = (inodesPerGroup - unusedInodes) * ext.parameters.inodeSize;
    const rest = volume.device.read(inodeTable * 1024 + used, (1024 - (used % 1024)) % 1024);
    t.true(
      rest.every((byte) => byte === 0),
      'the rest of the last used block is zero',
    );
  }
});

const refusals: Record<string, { code: string; attempt: (volume: Volume, free: readonly Run[]) => void }> = {
  'a cluster in use': {
    code: 'claim.not-free',
    attempt: (volume, free) => volume.claim('x', [{ start: free[0]!.start - 1, length: 4 }]),
  },
  'the boot block': {
    code: 'claim.not-free',
    attempt: (volume) => volume.claim('x', [{ start: 0, length: 1 }]),
  },
  'a cluster behind the end': {
    code: 'claim.not-free',
    attempt: (volume) => volume.claim('x', [{ start: 8191, length: 2 }]),
  },
  'overlapping runs': {
    code: 'claim.not-free',
    attempt: (volume, free) =>
      volume.claim('x', [
        { start: free[0]!.start, length: 2 },
        { start: free[0]!.start + 1, length: 2 },
      ]),
  },
  'all that is free': { code: 'claim.no-space', attempt: (volume, free) => volume.claim('x', free) },
  'nothing that may be used': {
    code: 'claim.no-space',
    attempt: (volume, free) => volume.claim('x', [{ start: free[0]!.start, length: 1 }], { has: () => true }),
  },
  'a name that is there': {
    code: 'claim.exists',
    attempt: (volume, free) => {
      volume.claim('x', [{ start: free[0]!.start, length: 1 }]);
      volume.claim('x', [{ start: free[0]!.start + 9, length: 1 }]);
    },
  },
  'a name with a slash': { code: 'claim.name', attempt: (volume, free) => volume.claim('../x', free) },
  'no clusters': { code: 'claim.runs', attempt: (volume) => volume.claim('x', []) },
  'a container that is not there': { code: 'release.not-found', attempt: (volume) => volume.release('x') },
  'another container than is there': {
    code: 'release.not-found',
    attempt: (volume, free) => {
      volume.claim('y', [{ start: free[0]!.start, length: 1 }]);
      volume.release('x');
    },
  },
};

for (const [what, { code, attempt }] of Object.entries(refusals)) {
  test(`refused, and nothing edited: ${what}`, (t) => {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), {
      size: 8 * MIB,
      type: 'ext2',
      blockSize: 1024,
    });
    const volume = new Volume(path);
    const error = t.throws<HoldfastError>(() => attempt(volume, volume.free()));
    t.is(error.detail.code, code);
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
  });
}

test('a refused claim has not touched the editor', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 8 * MIB,
    blockSize: 1024,
    features: ['^has_journal'],
  });
  const volume = new Volume(path);
  const builder = new PatchBuilder(volume.device);
  t.throws(() => extDriver.claim(builder, { name: 'x', runs: volume.free(), time: TIME, avoid: NOTHING }));
  t.deepEqual(builder.changes(), []);
});

test('without a free inode the claim is refused', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 8 * MIB,
    blockSize: 1024,
    more: ['-N', '16'],
  });
  const mount = mountFile(t, path);
  t.throws(
    () => {
      for (let index = 0; ; index += 1) writeFileSync(join(mount.path, `${index}`), '');
    },
    { code: 'ENOSPC' },
  );
  mount.unmount();
  const volume = new Volume(path);
  const error = t.throws<HoldfastError>(() => volume.claim('x', highest(volume.free(), 10)));
  t.is(error.detail.code, 'claim.no-inode');
});

test('inodes marked as in use where the table was never written are refused, not zeroed up to there', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 8 * MIB,
    blockSize: 1024,
    features: ['^metadata_csum', 'uninit_bg'],
  });
  const volume = new Volume(path);
  const ext = new ExtVolume(volume.device);
  const { unusedInodes, inodeBitmap } = ext.group(0);
  const { inodesPerGroup } = ext.parameters;
  t.true(unusedInodes > 8 && ext.group(0).freeInodes > 0);
  // All but the last: that one would be taken, and everything before it zeroed.
  const bitmap = new Uint8Array(inodesPerGroup / 8).fill(0xff);
  bitmap[bitmap.length - 1] = 0x7f;
  volume.device.write(inodeBitmap * 1024, bitmap);
  const error = t.throws<HoldfastError>(() => volume.claim('x', highest(volume.free(), 10)));
  t.is(error.detail.code, 'ext.inode-unused-area');
});

test('a file where the folder should be is refused', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 8 * MIB, blockSize: 1024 });
  const mount = mountFile(t, path);
  writeFileSync(join(mount.path, '.holdfast'), '');
  mount.unmount();
  const volume = new Volume(path);
  const error = t.throws<HoldfastError>(() => volume.claim('x', highest(volume.free(), 10)));
  t.is(error.detail.code, 'claim.name-taken');
});

test('a patch that leaves all counts as they were', (t) => {
  for (const features of [[], ['^has_journal']]) {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), {
      size: 16 * MIB,
      blockSize: 1024,
      features,
    });
    const volume = new Volume(path);
    const runs = scattered(volume.free(), 500);
    volume.claim('one', runs);
    const patch = volume.edit((editor) => {
      extDriver.release(editor, { name: 'one', time: TIME });
      extDriver.claim(editor, { name: 'two', runs, time: TIME, avoid: NOTHING });
    });
    t.is(
      patch.phases.some((phase) => phase.length === 0),
      false,
    );
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
    t.deepEqual(
      extDriver
        .open(volume.device)
        .containers()
        .map((each) => each.name),
      ['two'],
    );
    t.deepEqual(volume.edit(() => {}).phases, []);
  }
});

test('claims and releases chain in one patch', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB, blockSize: 1024 });
  const volume = new Volume(path);
  const free = volume.free();
  const one = scattered(free, 500);
  volume.claim('one', one);
  const two = highest(volume.free(), 400);
  volume.edit((editor) => {
    extDriver.release(editor, { name: 'one', time: TIME });
    extDriver.claim(editor, { name: 'two', runs: two, time: TIME, avoid: NOTHING });
    extDriver.claim(editor, { name: 'one', runs: one, time: TIME, avoid: NOTHING });
  });
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  const containers = extDriver.open(volume.device).containers();
  t.deepEqual(
    containers.map(({ name, runs }) => [name, totalLength(runs)]),
    [
      ['one', 500],
      ['two', 400],
    ],
  );
});
