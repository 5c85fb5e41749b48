import test from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { MBR, recordOffset } from '../../rescue/partition/boot-record.ts';
import { encodeRecord } from '../../rescue/partition/mbr-write.ts';
import { readTable } from '../../rescue/partition/table.ts';
import { MIB } from '../../rescue/units.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile } from '../support/volume.ts';
import { load } from './compare.ts';

const SIZE = 16 * MIB;

/** A boot sector as mkfs.fat and Windows write them: jump, BPB, code and text up to 55 aa. */
const bootSector = (
  oem: string,
  jump: readonly number[],
  parts: { fats: number; media: number },
): Uint8Array => {
  const sector = new Uint8Array(512);
  sector.set(jump, 0);
  sector.set(Buffer.from(oem.padEnd(8), 'latin1'), 3);
  sector.set([0x00, 0x02, 4, 1, 0, parts.fats], 11);
  sector[21] = parts.media;
  sector.set([0x55, 0xaa], 510);
  return sector;
};

const deviceWith = (sector: Uint8Array): MemoryDevice => {
  const device = new MemoryDevice(SIZE, 512);
  device.write(0, sector);
  return device;
};

test('FAT, NTFS and exFAT boot sectors on the whole device are no partition table', (t) => {
  for (const sector of [
    bootSector('mkfs.fat', [0xeb, 0x3c, 0x90], { fats: 2, media: 0xf8 }),
    bootSector('MSDOS5.0', [0xe9, 0x00, 0x01], { fats: 1, media: 0xf0 }),
    bootSector('NTFS    ', [0xeb, 0x52, 0x90], { fats: 0, media: 0xf8 }),
    bootSector('EXFAT   ', [0xeb, 0x76, 0x90], { fats: 0, media: 0 }),
  ]) {
    t.is(readTable(deviceWith(sector)).scheme, 'none');
    const withText = Uint8Array.from(sector);
    withText.set(Buffer.from('Remove disks or other media.\r\nPress any key to restart', 'latin1'), 440);
    t.is(readTable(deviceWith(withText)).scheme, 'none');
    // mkfs.fat --mbr: a record that starts at sector 0.
    const withRecord = Uint8Array.from(sector);
    withRecord.set(
      encodeRecord({ bootable: true, type: 0x0c, start: 0, sectors: SIZE / 512, absolute: 0, raw: null }),
      recordOffset(0),
    );
    t.is(readTable(deviceWith(withRecord)).scheme, 'none');
  }
});

test('ext4 on the whole device is no partition table, with a boot loader in front or without', (t) => {
  const path = `${temporaryFolder(t)}/volume`;
  makeFile(path, SIZE);
  mustRun('mke2fs', ['-q', '-t', 'ext4', '-F', path]);
  const device = load(path, SIZE, 512);
  t.is(readTable(device).scheme, 'none');
  device.write(510, Uint8Array.of(0x55, 0xaa));
  t.is(readTable(device).scheme, 'none');
});

test('an MBR without partitions is a valid MBR, zeros and noise are none', (t) => {
  const empty = readTable(deviceWith(MBR.encode({ Signature: 0xaa55 })));
  t.is(empty.scheme, 'mbr');
  t.true(empty.valid);
  t.is(readTable(new MemoryDevice(SIZE, 512)).scheme, 'none');
});

test('partitions in an MBR count also when its boot code begins like a FAT', (t) => {
  const sector = bootSector('mkfs.fat', [0xeb, 0x3c, 0x90], { fats: 2, media: 0xf8 });
  sector.set(
    encodeRecord({ bootable: true, type: 0x0c, start: 2048, sectors: 4096, absolute: 2048, raw: null }),
    recordOffset(0),
  );
  const table = readTable(deviceWith(sector));
  t.is(table.scheme, 'mbr');
  t.is(table.partitions.length, 1);
});
