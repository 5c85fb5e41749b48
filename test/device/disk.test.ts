import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { listDisks, readBlockDeviceFacts } from '../../rescue/device/block-facts.ts';
import { openDisk } from '../../rescue/device/disk.ts';
import { createSparseFile } from '../../rescue/device/file.ts';
import {
  mountPointsOf,
  mountPointsOfFile,
  parseMountInfo,
  parseSwaps,
  refuseUses,
} from '../../rescue/device/in-use.ts';
import { rereadPartitionTable } from '../../rescue/device/reread.ts';
import { openTarget } from '../../rescue/device/target.ts';
import { HoldfastError } from '../../rescue/errors.ts';
import { MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { codeOf } from '../support/code-of.ts';
import { attachLoop, mountDevice } from '../support/loop.ts';
import { mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A master boot record with Linux partitions, in bytes by hand: no code of this project's judges itself here. */
const masterBootRecord = (partitions: readonly [first: number, count: number][]): Buffer => {
  const sector = Buffer.alloc(512);
  for (const [index, [first, count]] of partitions.entries()) {
    const at = 446 + 16 * index;
    sector[at + 4] = 0x83;
    sector.writeUInt32LE(first, at + 8);
    sector.writeUInt32LE(count, at + 12);
  }
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
};

const TWO: readonly [number, number][] = [
  [2048, 16384],
  [18432, 8192],
];

/** A file of 16 MiB that holds a disk with partitions of 8 MiB and 4 MiB. */
const diskFile = (cleanup: Cleanup): string => {
  const path = join(temporaryFolder(cleanup), 'disk');
  const device = createSparseFile(path, 16 * MIB);
  device.write(0, masterBootRecord(TWO));
  device.close();
  return path;
};

/** A file of 4 MiB that holds an ext4 file system. */
const volumeFile = (cleanup: Cleanup): string => {
  const path = join(temporaryFolder(cleanup), 'volume with a blank');
  createSparseFile(path, 4 * MIB).close();
  mustRun('mke2fs', ['-q', '-t', 'ext4', path]);
  return path;
};

test('facts of a disk and of its partitions', (t) => {
  const file = diskFile(t);
  const loop = attachLoop(t, file, { partitions: true });
  const disk = readBlockDeviceFacts(loop.device);
  t.is(disk.kind, 'disk');
  t.deepEqual([disk.size, disk.sectorSize, disk.readOnly, disk.mapped], [16 * MIB, 512, false, false]);
  t.is(disk.backingFile, file);
  t.deepEqual(
    disk.partitions.map(({ path, number, offset, size }) => [path, number, offset, size]),
    [
      [loop.partition(1), 1, MIB, 8 * MIB],
      [loop.partition(2), 2, 9 * MIB, 4 * MIB],
    ],
  );
  t.is(mustRun('blockdev', ['--getsize64', loop.device]).stdout.trim(), String(disk.size));
  const second = readBlockDeviceFacts(loop.partition(2));
  t.is(second.kind, 'partition');
  t.deepEqual(second.partition, { number: 2, offset: 9 * MIB, parentPath: loop.device });
  t.deepEqual([second.size, second.sectorSize], [4 * MIB, 512]);
  t.true(listDisks().some((each) => each.path === loop.device && each.size === 16 * MIB));
});

test('sysfs counts 512 bytes also where sectors have 4096', (t) => {
  const file = join(temporaryFolder(t), 'disk');
  const device = createSparseFile(file, 16 * MIB);
  device.write(
    0,
    masterBootRecord([
      [256, 1024],
      [1280, 512],
    ]),
  );
  device.close();
  const loop = attachLoop(t, file, { partitions: true, sectorSize: 4096 });
  const { sectorSize, partitions } = readBlockDeviceFacts(loop.device);
  t.is(sectorSize, 4096);
  t.deepEqual(
    partitions.map(({ offset, size }) => [offset, size]),
    [
      [MIB, 4 * MIB],
      [5 * MIB, 2 * MIB],
    ],
  );
  const target = openTarget(loop.partition(2), { write: true });
  t.teardown(() => target.close());
  t.is(target.device.sectorSize, 4096);
  t.deepEqual(target.partition, { number: 2, offset: 5 * MIB, parentPath: loop.device });
  target.device.write(target.device.size - 4096, new Uint8Array(4096).fill(3));
  target.device.flush();
  // No multiple of the sector: the bounce buffer sees to it.
  const tail = new Uint8Array(100);
  target.device.readUncachedInto(target.device.size - 100, tail);
  t.true(target.device.uncachedReads);
  t.deepEqual(tail, new Uint8Array(100).fill(3));
});

test('links are followed; what is no block device is wrong usage', (t) => {
  const folder = temporaryFolder(t);
  const loop = attachLoop(t, diskFile(t));
  symlinkSync(loop.device, join(folder, 'by-id'));
  symlinkSync('by-id', join(folder, 'by-name'));
  t.is(readBlockDeviceFacts(join(folder, 'by-name')).path, loop.device);
  const target = openTarget(join(folder, 'by-name'));
  t.teardown(() => target.close());
  t.deepEqual([target.path, target.kind, target.nodes.length], [join(folder, 'by-name'), 'disk', 0]);
  t.is(
    codeOf(() => readBlockDeviceFacts(folder)),
    'usage:target.not-a-block-device',
  );
  t.is(
    codeOf(() => readBlockDeviceFacts('/dev/zero')),
    'usage:target.not-a-block-device',
  );
  t.is(
    codeOf(() => readBlockDeviceFacts('/dev/no-such-disk')),
    'usage:target.missing',
  );
});

test('a loop device without a file has no medium', (t) => {
  const loop = attachLoop(t, diskFile(t));
  loop.detach();
  t.is(
    codeOf(() => openTarget(loop.device)),
    'refused:no-medium',
  );
});

test('uncached reads pass the cache: what lies behind it is seen at once', (t) => {
  const file = diskFile(t);
  const loop = attachLoop(t, file);
  const target = openTarget(loop.device);
  t.teardown(() => target.close());
  const at = 3 * MIB + 100;
  t.is(target.device.read(at, 1)[0], 0);
  // Behind the loop device's back, as a disk does that loses or garbles a write.
  const behind = openSync(file, 'r+');
  writeSync(behind, Uint8Array.of(77), 0, 1, at);
  closeSync(behind);
  const uncached = new Uint8Array(1);
  target.device.readUncachedInto(at, uncached);
  t.true(target.device.uncachedReads);
  t.is(target.device.read(at, 1)[0], 0, 'the cache still says the old byte');
  t.is(uncached[0], 77);
});

test('a disk and its partition have caches of their own', (t) => {
  const loop = attachLoop(t, diskFile(t), { partitions: true });
  const disk = openDisk(loop.device, { write: true }).device;
  const partition = openDisk(loop.partition(1)).device;
  t.teardown(() => disk.close());
  t.teardown(() => partition.close());
  t.is(partition.read(0, 1)[0], 0);
  disk.write(MIB, Uint8Array.of(5));
  disk.flush();
  const uncached = new Uint8Array(1);
  partition.readUncachedInto(0, uncached);
  t.deepEqual([partition.read(0, 1)[0], uncached[0]], [0, 5]);
});

test('exclusive means exclusive: partitions, their disk, but not their neighbours', (t) => {
  const loop = attachLoop(t, diskFile(t), { partitions: true });
  const first = openTarget(loop.partition(1), { write: true });
  t.is(
    codeOf(() => openTarget(loop.partition(1), { write: true })),
    'refused:in-use',
  );
  t.is(
    codeOf(() => openTarget(loop.device, { write: true })),
    'refused:in-use',
  );
  t.is(
    codeOf(() => openDisk(loop.device, { write: true, exclusive: true })),
    'refused:in-use',
  );
  const error = t.throws(() => openTarget(loop.device, { write: true }), { instanceOf: HoldfastError });
  t.is((error.cause as NodeJS.ErrnoException).code, 'EBUSY');
  const reader = openTarget(loop.partition(1));
  reader.close();
  const second = openTarget(loop.partition(2), { write: true });
  second.close();
  // The table is written through the disk while the partition is held.
  const disk = openDisk(loop.device, { write: true }).device;
  disk.write(440, Uint8Array.of(1));
  disk.flush();
  disk.close();
  first.close();
  const whole = openTarget(loop.device, { write: true });
  t.is(whole.nodes.length, 2);
  t.is(
    codeOf(() => openTarget(loop.partition(2), { write: true })),
    'refused:in-use',
  );
  whole.close();
});

test('a mounted partition is refused with its mount point; its neighbour is not', (t) => {
  const loop = attachLoop(t, diskFile(t), { partitions: true });
  mustRun('mke2fs', ['-q', '-t', 'ext4', loop.partition(1)]);
  const mount = mountDevice(t, loop.partition(1));
  for (const path of [loop.partition(1), loop.device]) {
    const error = t.throws(() => openTarget(path, { write: true }), { instanceOf: HoldfastError });
    t.deepEqual([error.kind, error.detail.code], ['refused', 'mounted']);
    t.true(error.message.includes(mount.path) && /[Uu]nmount/.test(error.message));
    openTarget(path).close();
  }
  openTarget(loop.partition(2), { write: true }).close();
  t.deepEqual(mountPointsOf(readBlockDeviceFacts(loop.partition(2))), []);
  const file = readBlockDeviceFacts(loop.device).backingFile ?? '';
  t.is(
    codeOf(() => openTarget(file, { write: true })),
    'refused:mounted',
  );
  mount.unmount();
  openTarget(loop.partition(1), { write: true }).close();
});

test('a file is refused while a loop device of it is mounted, also under another name and two loops up', (t) => {
  const file = volumeFile(t);
  const folder = temporaryFolder(t);
  symlinkSync(file, join(folder, 'link'));
  openTarget(file, { write: true }).close();
  const lower = attachLoop(t, file);
  openTarget(file, { write: true }).close();
  const upper = attachLoop(t, lower.device);
  const mount = mountDevice(t, upper.device);
  for (const path of [file, join(folder, 'link'), lower.device, upper.device]) {
    t.is(
      codeOf(() => openTarget(path, { write: true })),
      'refused:mounted',
      path,
    );
  }
  t.deepEqual(mountPointsOfFile(file), [{ by: 'mount', device: upper.device, where: mount.path }]);
  t.is(
    codeOf(() => createSparseFile(file, 10, { overwrite: true })),
    'refused:mounted',
  );
  openTarget(file).close();
  mount.unmount();
  openTarget(file, { write: true }).close();
});

test('a file that a file system program mounts by itself is refused', (t) => {
  const file = volumeFile(t);
  const folder = join(temporaryFolder(t), 'mounted');
  mkdirSync(folder);
  // FUSE programs name the file as the source of the mount; a tmpfs can be told to.
  mustRun('mount', ['-t', 'tmpfs', file, folder]);
  t.teardown(() => mustRun('umount', [folder]));
  t.deepEqual(mountPointsOfFile(file), [{ by: 'mount', device: file, where: folder }]);
  t.is(
    codeOf(() => openTarget(file, { write: true })),
    'refused:mounted',
  );
});

test('a device that others are built from is refused, and a mount is named before a holder', (t) => {
  const facts = { ...readBlockDeviceFacts(attachLoop(t, diskFile(t)).device), holders: ['dm-7'] };
  const uses = mountPointsOf(facts);
  t.deepEqual(uses, [{ by: 'holder', device: facts.path, where: 'dm-7' }]);
  t.is(
    codeOf(() => refuseUses(facts.path, uses)),
    'refused:in-use',
  );
  t.is(
    codeOf(() => refuseUses('x', [...uses, { by: 'mount', device: 'x', where: '/' }])),
    'refused:mounted',
  );
  t.is(
    codeOf(() => refuseUses('x', [])),
    'nothing thrown',
  );
});

test('swap in use is refused', (t) => {
  const loop = attachLoop(t, volumeFile(t));
  mustRun('mkswap', ['--force', loop.device]);
  mustRun('swapon', [loop.device]);
  t.teardown(() => run('swapoff', [loop.device]));
  const error = t.throws(() => openTarget(loop.device, { write: true }), { instanceOf: HoldfastError });
  t.is(error.detail.code, 'in-use');
  t.regex(error.message, /swapoff/);
  mustRun('swapoff', [loop.device]);
  openTarget(loop.device, { write: true }).close();
});

test('lines of /proc/swaps and mountinfo, with blanks in names', (t) => {
  const swaps = 'Filename\tType\tSize\tUsed\tPriority\n/dev/sda\\0402   partition\t1\t0\t-2\n';
  t.deepEqual(parseSwaps(swaps), ['/dev/sda 2']);
  const text = [
    '36 35 98:0 /mnt1 /mnt/a\\040b\\134c rw,noatime master:1 shared:2 - ext3 /dev/root\\011x rw,errors=continue',
    '37 35 0:50 / / rw - btrfs /dev/sdb1 rw',
    'nonsense',
    '',
  ].join('\n');
  t.deepEqual(parseMountInfo(text), [
    { number: '98:0', mountPoint: '/mnt/a b\\c', type: 'ext3', source: '/dev/root\tx' },
    { number: '0:50', mountPoint: '/', type: 'btrfs', source: '/dev/sdb1' },
  ]);
});

test('the disk that this machine runs from is known to be in use', (t) => {
  const root = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8')).find(
    (each) => each.mountPoint === '/',
  );
  if (root === undefined || !root.source.startsWith('/dev/')) {
    t.pass('the root is no block device here');
    return;
  }
  t.is(
    codeOf(() => openDisk(root.source, { exclusive: true })),
    'refused:mounted',
  );
});

test('a write-protected device is refused for writing and can be read', (t) => {
  const loop = attachLoop(t, diskFile(t), { readOnly: true });
  t.true(readBlockDeviceFacts(loop.device).readOnly);
  t.is(
    codeOf(() => openTarget(loop.device, { write: true })),
    'refused:read-only',
  );
  const target = openTarget(loop.device);
  t.false(target.writable);
  t.is(
    codeOf(() => target.device.write(0, Uint8Array.of(1))),
    'refused:read-only',
  );
  target.close();
});

test('a file on a read-only file system is refused for writing', (t) => {
  const volume = volumeFile(t);
  const writable = mountDevice(t, attachLoop(t, volume).device);
  writeFileSync(join(writable.path, 'disk'), new Uint8Array(1024));
  writable.unmount();
  const mount = mountDevice(t, attachLoop(t, volume).device, { readOnly: true });
  t.is(
    codeOf(() => openTarget(join(mount.path, 'disk'), { write: true })),
    'refused:read-only',
  );
  openTarget(join(mount.path, 'disk')).close();
  t.is(
    codeOf(() => createSparseFile(join(mount.path, 'new'), 10)),
    'refused:read-only',
  );
});

test('an immutable file is refused for writing', (t) => {
  const mount = mountDevice(t, attachLoop(t, volumeFile(t)).device);
  const file = join(mount.path, 'disk');
  writeFileSync(file, new Uint8Array(1024));
  mustRun('chattr', ['+i', file]);
  t.is(
    codeOf(() => openTarget(file, { write: true })),
    'refused:no-permission',
  );
});

test('a medium that fails or shrinks under an open device gives io errors, never zeros', (t) => {
  const file = diskFile(t);
  const loop = attachLoop(t, file);
  const target = openTarget(loop.device, { write: true });
  t.teardown(() => target.close());
  t.is(target.device.read(0, 512)[510], 0x55);
  // The loop driver fails requests past the end of its file with EIO, as a dying disk does.
  mustRun('truncate', ['--size', '8M', file]);
  const error = t.throws(() => target.device.read(12 * MIB, 4096), { instanceOf: HoldfastError });
  t.deepEqual([error.kind, error.detail.code, error.detail.offset], ['io', 'EIO', 12 * MIB]);
  t.is(
    codeOf(() => target.device.readUncachedInto(12 * MIB, new Uint8Array(512))),
    'io:EIO',
  );
  t.is(target.device.read(0, 512)[510], 0x55);
});

test('a flush that lost something fails, and goes on failing', (t) => {
  const folder = temporaryFolder(t);
  const small = join(folder, 'small');
  mkdirSync(small);
  mustRun('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
  t.teardown(() => mustRun('umount', [small]));
  const file = join(small, 'disk');
  createSparseFile(file, 16 * MIB).close();
  const loop = attachLoop(t, file);
  const target = openTarget(loop.device, { write: true });
  t.teardown(() => target.close());
  // The cache takes it all; the medium, a full tmpfs, does not.
  target.device.write(0, new Uint8Array(4 * MIB).fill(1));
  t.regex(
    codeOf(() => target.device.flush()),
    /^io:(EIO|ENOSPC)$/,
  );
  t.regex(
    codeOf(() => target.device.flush()),
    /^io:(EIO|ENOSPC)$/,
    'the kernel forgets, this device does not',
  );
});

test('a new partition table is taken over, and reported, not failed, where it cannot be', (t) => {
  const file = diskFile(t);
  const loop = attachLoop(t, file, { partitions: true });
  const disk = openDisk(loop.device, { write: true }).device;
  disk.write(0, masterBootRecord([TWO[0]!, [18432, 4096], [24576, 2048]]));
  disk.flush();
  disk.close();
  t.is(rereadPartitionTable(loop.device).outcome, 'done');
  t.deepEqual(
    readBlockDeviceFacts(loop.device).partitions.map(({ offset, size }) => [offset, size]),
    [
      [MIB, 8 * MIB],
      [9 * MIB, 2 * MIB],
      [12 * MIB, MIB],
    ],
  );
  t.is(rereadPartitionTable(file).outcome, 'not-needed');
  // Partition 1 is held and would have to move.
  const held = openSync(loop.partition(1), constants.O_RDONLY | constants.O_EXCL);
  const again = openDisk(loop.device, { write: true }).device;
  again.write(0, masterBootRecord([[4096, 8192]]));
  again.flush();
  again.close();
  const outcome = rereadPartitionTable(loop.device);
  closeSync(held);
  t.is(outcome.outcome, 'failed');
  t.regex(outcome.message, /partition 1/);
  t.is(readBlockDeviceFacts(loop.device).partitions[0]?.offset, MIB);
  t.is(rereadPartitionTable(loop.device).outcome, 'done');
  t.is(readBlockDeviceFacts(loop.device).partitions[0]?.offset, 2 * MIB);
});
