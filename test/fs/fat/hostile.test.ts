import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { fatDriver } from '../../../rescue/fs/fat/fat.ts';
import { openFat } from '../../../rescue/fs/fat/filesystem.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { codeOf } from '../../support/code-of.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import {
  changedBytesAreSurvived,
  eachByteIsSurvived,
  readAll,
  untypedErrorsAreSeen,
  withByte,
} from '../hostile.ts';
import { populateFat } from './content.ts';
import { mtools } from './mtools.ts';
import { placesOf, setActiveTable, shorten } from './patching.ts';
import { type FatOptions, makeFat } from './volumes.ts';

interface Small extends FatOptions {
  readonly shortenedTo?: number;
}
const SMALL: readonly (readonly [string, Small])[] = [
  ['FAT12', { size: 720 * KIB, bits: 12, aligned: false }],
  ['FAT16', { size: 4 * MIB, bits: 16, sectorsPerCluster: 1 }],
  ['FAT32', { size: 40 * MIB, bits: 32, sectorsPerCluster: 1, shortenedTo: 2 * MIB }],
  [
    'FAT32, mirroring off',
    { size: 40 * MIB, bits: 32, sectorsPerCluster: 1, shortenedTo: 2 * MIB, active: 1 },
  ],
];

const smallVolume = (t: ExecutionContext, { active, shortenedTo, ...options }: Small): MemoryDevice => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), options);
  populateFat(t, path, { entries: 20, largest: 20 * KIB });
  mtools('mmd', path, ['::/.holdfast']);
  if (shortenedTo !== undefined) shorten(path, shortenedTo);
  if (active !== undefined) setActiveTable(path, active);
  return MemoryDevice.of(Uint8Array.from(readFileSync(path)));
};

/** Behind the BPB there is boot code, of which nothing is read but the signature. */
const BOOT_FIELDS = 90;

for (const [name, options] of SMALL) {
  test(`any changed byte of the boot sector is survived: ${name}`, (t) => {
    const positions = Array.from({ length: 512 }, (_, index) => index).filter(
      (index) => index < BOOT_FIELDS || index >= 510 || (index - BOOT_FIELDS) % 7 === 0,
    );
    eachByteIsSurvived(t, fatDriver, smallVolume(t, options), { positions, masks: [0x01, 0x90] });
  });

  test(`changed bytes of metadata end in an error or a success: ${name}`, (t) => {
    const device = smallVolume(t, options);
    const volume = new FatVolume(device);
    const { tables, root, clusterBase } = volume.parameters;
    const positions: number[] = [];
    const add = (start: number, length: number): void => {
      for (let at = 0; at < length; at += 1) positions.push(start + at);
    };
    for (const table of tables) add(table, 400);
    if ('entry' in root) add(clusterBase + (root.entry - 2) * volume.clusterSize, 512);
    else add(root.offset, 512);
    for (const entry of openFat(device).walk())
      if (entry.type === 'directory')
        for (const { start } of entry.runs()) add(clusterBase + start * volume.clusterSize, 256);
    changedBytesAreSurvived(t, fatDriver, device, { positions, runs: 150 });
  });
}

test('FSInfo is a hint: nothing that it says changes what is read', (t) => {
  const device = smallVolume(t, SMALL[2]![1]);
  const { fsInfo } = new FatVolume(device).parameters;
  for (let at = 0; at < 512; at += at < 4 || at >= 484 ? 1 : 16)
    t.is(readAll(fatDriver, withByte(device, fsInfo! + at, 0xff)), 0, `byte ${at}`);
});

const put = (device: MemoryDevice, offset: number, ...bytes: number[]): MemoryDevice => {
  const changed = device.snapshot();
  changed.write(offset, Uint8Array.from(bytes));
  return changed;
};

/** Offsets of the BPB as fatgen103 has them. */
const WRONG: readonly (readonly [string, number, readonly number[], string])[] = [
  ['sectors of 0 bytes', 11, [0, 0], 'corrupt:fat.boot-sector'],
  ['sectors of 513 bytes', 11, [1, 2], 'corrupt:fat.boot-sector'],
  ['sectors of 8192 bytes', 11, [0, 0x20], 'corrupt:fat.boot-sector'],
  ['clusters of 0 sectors', 13, [0], 'corrupt:fat.boot-sector'],
  ['clusters of 3 sectors', 13, [3], 'corrupt:fat.boot-sector'],
  ['no reserved sectors', 14, [0, 0], 'corrupt:fat.boot-sector'],
  ['more reserved sectors than there are', 14, [0xff, 0xff], 'corrupt:fat.boot-sector'],
  ['no FAT', 16, [0], 'corrupt:fat.boot-sector'],
  ['three FATs', 16, [3], 'unsupported:fat.table-count'],
  ['no media descriptor', 21, [0x7f], 'corrupt:fat.boot-sector'],
  ['no signature', 510, [0], 'corrupt:fat.boot-sector'],
  ['one sector more than the device', 19, [0xa1, 0x05], 'corrupt:fat.volume-size'],
  ['more clusters than the FATs are long', 19, [0xff, 0xff], 'corrupt:fat.boot-sector'],
  ['no sectors', 19, [0, 0, 0xf8], 'corrupt:fat.boot-sector'],
];

test('numbers of a boot sector that do not fit are named: FAT12', (t) => {
  const device = smallVolume(t, SMALL[0]![1]);
  for (const [name, offset, bytes, code] of WRONG)
    t.is(
      codeOf(() => openFat(put(device, offset, ...bytes))),
      code,
      name,
    );
  t.is(
    codeOf(() => openFat(put(device, 17, 0, 0))),
    'corrupt:fat.boot-sector',
    'no root',
  );
  t.is(
    codeOf(() => openFat(put(device, 17, 1, 0))),
    'corrupt:fat.boot-sector',
    'a root that ends in a sector',
  );
  t.is(
    codeOf(() => openFat(put(device, 22, 1, 0))),
    'corrupt:fat.boot-sector',
    'FATs that are too short',
  );
  // 512-byte sectors on a disk of 4096-byte sectors.
  const coarse = MemoryDevice.of(device.read(0, device.size), 4096);
  t.is(
    codeOf(() => openFat(coarse)),
    'unsupported:fat.sector-size',
  );
});

test('numbers of a boot sector that do not fit are named: FAT32', (t) => {
  const device = smallVolume(t, SMALL[2]![1]);
  for (const [name, offset, bytes, code] of [
    ['a version', 42, [1, 0], 'unsupported:fat.version'],
    ['a root in entry 0', 44, [0, 0, 0, 0], 'corrupt:fat.boot-sector'],
    ['a root in entry 1', 44, [1, 0, 0, 0], 'corrupt:fat.boot-sector'],
    ['a root behind the end', 44, [0xff, 0xff, 0, 0], 'corrupt:fat.boot-sector'],
    ['FSInfo in the FAT', 48, [32, 0], 'corrupt:fat.boot-sector'],
    ['a backup in the FAT', 50, [200, 0], 'corrupt:fat.boot-sector'],
    ['an active FAT that is not there', 40, [0x82, 0], 'corrupt:fat.boot-sector'],
    ['a fixed root besides', 17, [16, 0], 'corrupt:fat.boot-sector'],
    ['FATs as long as can be', 36, [0xff, 0xff, 0xff, 0xff], 'corrupt:fat.boot-sector'],
    ['as many sectors as can be', 32, [0xff, 0xff, 0xff, 0xff], 'corrupt:fat.boot-sector'],
  ] as const)
    t.is(
      codeOf(() => openFat(put(device, offset, ...bytes))),
      code,
      name,
    );
  for (const none of [0, 0xff]) {
    const bare = put(put(device, 48, none, none), 50, none, none);
    t.is(readAll(fatDriver, bare), 0);
    // The copy where it usually is counts whatever the number says.
    t.deepEqual(
      openFat(bare).geometry.recognition.map(({ start }) => start),
      [0, 6 * 512],
    );
  }
});

test('a truncated device is an error', (t) => {
  const device = smallVolume(t, SMALL[1]![1]);
  for (const size of [0, 1, 511, 512, 4096, MIB, device.size - 512])
    t.throws(
      () => openFat(MemoryDevice.of(device.read(0, size))),
      { name: 'HoldfastError' },
      `${size} bytes`,
    );
});

test('folders that hold each other end the walk', (t) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), { size: 4 * MIB, bits: 16, sectorsPerCluster: 1 });
  mtools('mmd', path, ['::/a', '::/a/b', '::/c']);
  const device = MemoryDevice.of(Uint8Array.from(readFileSync(path)));
  const { root, data, clusterSize } = placesOf(path);
  const first = (entry: number): number => device.read(root + entry * 32 + 26, 1)[0]!;
  const inA = data + (first(0) - 2) * clusterSize + 2 * 32 + 26;
  // `b` in `a` is `a` itself.
  const loop = put(device, inA, first(0));
  t.deepEqual(
    [...openFat(loop).walk()].map((entry) => entry.path),
    ['/', '/a', '/a/b', '/c'],
  );
  t.deepEqual(
    openFat(loop)
      .check()
      .map(({ code }) => code),
    ['fat.cross-linked'],
  );
  // `c` runs into the cluster of `a`.
  const table = placesOf(path).tables[0]!;
  const joined = put(device, table + first(1) * 2, first(0), 0);
  t.is(
    codeOf(() => [...openFat(joined).walk()]),
    'corrupt:fat.cross-linked',
  );
});

test('a volume of 2 TiB is read page by page', (t) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), {
    size: 40 * MIB,
    bits: 32,
    sectorsPerCluster: 1,
  });
  const device = new MemoryDevice(2 ** 32 * 512 - 512);
  device.write(0, readFileSync(path).subarray(0, 32 * 512));
  // BPB_SecPerClus, BPB_TotSec32, BPB_FATSz32: 2^25 clusters of 64 KiB, whose entries take 128 MiB.
  const tableSectors = 2 ** 18;
  device.write(13, Uint8Array.of(128));
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  device.write(32, number(2 ** 32 - 1));
  device.write(36, number(tableSectors));
  const clusterCount = Math.floor((2 ** 32 - 1 - 32 - 2 * tableSectors) / 128);
  // The root, and one bad cluster at the very end.
  for (const table of [32 * 512, (32 + tableSectors) * 512]) {
    device.write(table + 2 * 4, number(0x0fffffff));
    device.write(table + (clusterCount + 1) * 4, number(0x0ffffff7));
  }
  const fileSystem = openFat(device);
  t.is(fileSystem.geometry.clusterCount, clusterCount);
  const last = { start: clusterCount - 1, length: 1 };
  t.deepEqual([...fileSystem.allocation()], [{ start: 0, length: 1 }, last]);
  t.deepEqual([...fileSystem.bad()], [last]);
  t.deepEqual(fileSystem.check(), []);
  device.write((32 + tableSectors) * 512 + clusterCount * 4, number(7));
  t.deepEqual(
    fileSystem.check().map(({ code }) => code),
    ['fat.tables-differ'],
  );
});

test('0x05 in front of a name stands for 0xE5', (t) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), { size: 4 * MIB, bits: 16, sectorsPerCluster: 1 });
  mtools('mmd', path, ['::/a', '::/b']);
  const device = MemoryDevice.of(Uint8Array.from(readFileSync(path)));
  const { root } = placesOf(path);
  // Õ in code page 850.
  const kanji = put(device, root, 0x05);
  t.deepEqual(
    [...openFat(kanji).walk()].map((entry) => entry.path),
    ['/', '/õ', '/b'],
  );
  t.deepEqual(openFat(kanji).check(), []);
  const deleted = put(device, root, 0xe5);
  t.deepEqual(
    [...openFat(deleted).walk()].map((entry) => entry.path),
    ['/', '/b'],
  );
});

test('the harness can fail: an untyped error is no success', (t) => {
  untypedErrorsAreSeen(t, fatDriver, smallVolume(t, SMALL[0]![1]));
});
