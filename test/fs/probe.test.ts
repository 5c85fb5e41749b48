import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { probeFileSystem } from '../../rescue/fs/probe.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile, makeVolume } from '../support/volume.ts';
import { makeFat } from './fat/volumes.ts';

const SIZE = 4 * MIB;

const nameOf = (device: MemoryDevice): string => {
  const result = probeFileSystem(device);
  return 'driver' in result ? result.driver.name : result.other;
};

const fromFile = (path: string): MemoryDevice => MemoryDevice.of(Uint8Array.from(readFileSync(path)));

test('ext2, ext3 and ext4 are ours', (t) => {
  for (const type of ['ext2', 'ext3', 'ext4'] as const) {
    const path = makeVolume(join(temporaryFolder(t), type), { size: SIZE, type });
    t.is(nameOf(fromFile(path)), 'ext');
  }
});

test('FAT is told by its boot sector, whatever the label says', (t) => {
  for (const bits of [12, 16, 32] as const) {
    const size = { 12: 4 * MIB, 16: 16 * MIB, 32: 40 * MIB }[bits];
    const path = makeFat(join(temporaryFolder(t), 'volume'), {
      size,
      bits,
      sectorsPerCluster: bits === 12 ? 4 : 1,
    });
    const device = fromFile(path);
    t.is(nameOf(device), 'fat');
    // BS_OEMName and BS_FilSysType (fatgen103).
    device.write(3, Buffer.from('NTFSLIKE'));
    device.write(bits === 32 ? 82 : 54, Buffer.from('FAT??   '));
    t.is(nameOf(device), 'fat');
    // Encrypted with BitLocker To Go, it still has a FAT boot sector.
    device.write(0x1a8, Buffer.from('3bd66749292ed84a8399f6a339e3d001', 'hex'));
    t.is(nameOf(device), 'BitLocker (encrypted)');
    device.write(0x1a8, new Uint8Array(16));
    // BPB_NumFATs: what NTFS and exFAT have there.
    device.write(16, Uint8Array.of(0));
    t.is(nameOf(device), 'unknown');
  }
  const label = new MemoryDevice(SIZE);
  label.write(0x52, Buffer.from('FAT32   '));
  t.is(nameOf(label), 'unknown');
});

test('NTFS', (t) => {
  const device = new MemoryDevice(SIZE);
  device.write(3, Buffer.from('NTFS    '));
  t.is(nameOf(device), 'ntfs');
  device.write(3, Buffer.from('NTFS   x'));
  t.is(nameOf(device), 'unknown');
});

test('swap as mkswap makes it', (t) => {
  const path = makeFile(join(temporaryFolder(t), 'swap'), SIZE);
  mustRun('mkswap', [path]);
  t.is(nameOf(fromFile(path)), 'Linux swap');
});

/** Magic bytes and their places, as the formats' own documents give them. */
const SIGNATURES: readonly [name: string, offset: number, bytes: string][] = [
  ['LUKS1 (encrypted)', 0, '4c554b53babe0001'],
  ['LUKS2 (encrypted)', 0, '4c554b53babe0002'],
  ['BitLocker (encrypted)', 3, '2d4656452d46532d'],
  ['XFS', 0, '58465342'],
  ['Btrfs', 0x10040, '5f42485266535f4d'],
  ['F2FS', 1024, '1020f5f2'],
  ['exFAT', 3, '4558464154202020'],
  ['BitLocker (encrypted)', 0x1a8, '3bd66749292ed84a8399f6a339e3d001'],
  ['squashfs', 0, '68737173'],
  ['ISO 9660', 0x8001, '4344303031'],
  ['Linux swap', 4086, '5357415053504143 4532'.replace(' ', '')],
  ['Linux swap with a suspended system', 4086, '533153555350454e44'],
  ['LVM2 physical volume', 512, '4c4142454c4f4e45'],
  ['a disk with a GPT partition table', 512, '4546492050415254'],
  ['member of a ZFS pool', 128 * KIB + 4096, '0cb1ba0000000000'],
  ['member of a RAID (md)', SIZE - 64 * KIB, 'fc4e2ba9000000005a000000'],
];

test('others are named, with a way out', (t) => {
  for (const [name, offset, bytes] of SIGNATURES) {
    const device = new MemoryDevice(SIZE);
    device.write(offset, Buffer.from(bytes, 'hex'));
    t.is(nameOf(device), name);
    const result = probeFileSystem(device);
    t.true('wayOut' in result && result.wayOut.length > 0);
  }
});

test('RAID of version 1 is told by the place that it says it is at', (t) => {
  for (const offset of [0, 4 * KIB, SIZE - 8 * KIB]) {
    const device = new MemoryDevice(SIZE);
    const superblock = Buffer.alloc(256);
    superblock.writeUInt32LE(0xa92b4efc);
    superblock.writeBigUInt64LE(BigInt(offset / 512), 128);
    device.write(offset, superblock);
    t.is(nameOf(device), 'member of a RAID (md)');
    superblock.writeBigUInt64LE(12345n, 128);
    device.write(offset, superblock);
    t.not(nameOf(device), 'member of a RAID (md)');
  }
});

test('a mirror half is no ext volume, although it looks like one', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: SIZE });
  const device = fromFile(path);
  t.is(nameOf(device), 'ext');
  device.write(SIZE - 64 * KIB, Buffer.from('fc4e2ba9000000005a000000', 'hex'));
  t.is(nameOf(device), 'member of a RAID (md)');
});

test('nothing, noise and very short devices', (t) => {
  t.is(nameOf(new MemoryDevice(SIZE)), 'empty (all zeros)');
  const noise = new MemoryDevice(SIZE);
  noise.write(0, Buffer.alloc(SIZE, 'no file system'));
  t.is(nameOf(noise), 'unknown');
  for (const size of [0, 1, 511, 512, 1024, 4096])
    t.is(nameOf(MemoryDevice.of(new Uint8Array(size))), 'empty (all zeros)');
});
