import { struct } from '../bytes/fields.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isPowerOfTwo } from '../units.ts';

/**
 * A file system that fills the whole device, without a partition table. Its boot sector also ends in 55 aa, so it must
 * be told from an MBR. Only as much is looked at as that needs; `fs/` knows the rest.
 */

/** The part of a BIOS parameter block that FAT and NTFS share (Microsoft FAT specification 1.03, section 3.1). */
const BPB = struct('BIOS parameter block', 64, {
  BS_jmpBoot: [0, 'bytes:3', 'eb xx 90, or e9 xx xx'],
  BS_OEMName: [3, 'bytes:8', '"NTFS    " and "EXFAT   " are told by it'],
  BPB_BytsPerSec: [11, 'u16le', '512 to 4096'],
  BPB_SecPerClus: [13, 'u8', 'power of two'],
  BPB_RsvdSecCnt: [14, 'u16le', 'not 0'],
  BPB_NumFATs: [16, 'u8', '1 or 2'],
  BPB_Media: [21, 'u8', 'f0 or f8 to ff'],
});

/** Linux documentation, filesystems/ext4, "Super Block": at byte 1024 of the volume. */
const EXT_OFFSET = 1024;
const EXT = struct('ext superblock', 256, {
  s_inodes_count: [0, 'u32le'],
  s_blocks_count_lo: [4, 'u32le'],
  s_log_block_size: [24, 'u32le', 'block size is 1024 << this, at most 64 KiB'],
  s_magic: [56, 'u16le', '0xef53'],
  s_state: [58, 'u16le', 'bits 0 to 2'],
  s_inodes_per_group: [40, 'u32le'],
});

const isBootSector = (sector: Uint8Array): boolean => {
  const oem = Buffer.from(BPB.get(sector, 'BS_OEMName')).toString('latin1');
  if (oem === 'NTFS    ' || oem === 'EXFAT   ') return true;
  const jump = BPB.get(sector, 'BS_jmpBoot');
  const jumps = jump[0] === 0xe9 || (jump[0] === 0xeb && jump[2] === 0x90);
  const bytes = BPB.get(sector, 'BPB_BytsPerSec');
  const fats = BPB.get(sector, 'BPB_NumFATs');
  const media = BPB.get(sector, 'BPB_Media');
  return (
    jumps &&
    isPowerOfTwo(bytes) &&
    bytes >= 512 &&
    bytes <= 4096 &&
    isPowerOfTwo(BPB.get(sector, 'BPB_SecPerClus')) &&
    BPB.get(sector, 'BPB_RsvdSecCnt') !== 0 &&
    (fats === 1 || fats === 2) &&
    (media === 0xf0 || media >= 0xf8)
  );
};

const isExt = (device: ReadableDevice): boolean => {
  if (device.size < EXT_OFFSET + EXT.size) return false;
  const superblock = device.read(EXT_OFFSET, EXT.size);
  return (
    EXT.get(superblock, 's_magic') === 0xef53 &&
    EXT.get(superblock, 's_log_block_size') <= 6 &&
    EXT.get(superblock, 's_state') <= 7 &&
    EXT.get(superblock, 's_inodes_count') > 0 &&
    EXT.get(superblock, 's_inodes_per_group') > 0 &&
    EXT.get(superblock, 's_blocks_count_lo') > 0
  );
};

/** What kind of file system starts at byte 0 of the device, if one of these does. */
export const wholeDeviceFileSystem = (
  device: ReadableDevice,
  firstSector: Uint8Array,
): 'FAT, exFAT or NTFS' | 'ext' | null => {
  if (isBootSector(firstSector)) return 'FAT, exFAT or NTFS';
  return isExt(device) ? 'ext' : null;
};
