import type { ReadableDevice } from '../device/device.ts';
import { KIB, MIB, roundDown } from '../units.ts';
import { extDriver } from './ext/ext.ts';
import { fatDriver } from './fat/fat.ts';
import type { FileSystemDriver, FileSystemKind } from './filesystem.ts';
import { ntfsDriver } from './ntfs/ntfs.ts';

export interface OtherContent {
  /** `XFS`, `LUKS2 (encrypted)`, `empty (all zeros)`, `unknown`, ... */
  readonly other: string;
  readonly wayOut: string;
}

/** What is on a device: a file system that a driver handles, or the name of something else and what to do about it. */
export type ProbeResult = { readonly driver: FileSystemDriver } | OtherContent;

/** In this order: ext leaves the place of a boot sector to boot code, which may look like FAT's. */
const DRIVERS: readonly FileSystemDriver[] = [extDriver, fatDriver, ntfsDriver];

const DRIVER_OF: Readonly<Record<FileSystemKind, FileSystemDriver>> = {
  ext2: extDriver,
  ext3: extDriver,
  ext4: extDriver,
  fat12: fatDriver,
  fat16: fatDriver,
  fat32: fatDriver,
  ntfs: ntfsDriver,
};

/**
 * The driver for a volume of which is known what it is, if it begins like one. Looks nowhere else, unlike `probeFileSystem`: in a damaged
 * image, any place may be lost. Throws `corrupt`, `io`.
 */
export const driverFor = (kind: FileSystemKind, volume: ReadableDevice): FileSystemDriver | undefined => {
  const driver = DRIVER_OF[kind];
  return driver.probe(volume) ? driver : undefined;
};

const NOT_YET = 'Holdfast handles ext2, ext3, ext4, FAT12, FAT16, FAT32 and NTFS only';
const OPEN_FIRST = 'Unlock it and give the device that appears then';
const DECRYPT = 'Decrypt the volume in Windows';
const ASSEMBLE_FIRST = 'Assemble it and give the device that appears then';

interface Signature {
  readonly name: string;
  /** Bytes from the start of the device. */
  readonly offset: number;
  /** Characters stand for bytes. */
  readonly bytes: string;
  readonly wayOut: string;
}

/**
 * Magic numbers by which libblkid (util-linux) knows these formats. Containers come before what they may contain, and
 * before the drivers: the start of a mirror half looks like the file system in it.
 */
const CONTAINERS: readonly Signature[] = [
  { name: 'LUKS1 (encrypted)', offset: 0, bytes: 'LUKS\xba\xbe\x00\x01', wayOut: OPEN_FIRST },
  { name: 'LUKS2 (encrypted)', offset: 0, bytes: 'LUKS\xba\xbe\x00\x02', wayOut: OPEN_FIRST },
  { name: 'BitLocker (encrypted)', offset: 3, bytes: '-FVE-FS-', wayOut: DECRYPT },
  // "BitLocker To Go": a FAT boot sector in front, for Windows XP; only this identifier tells.
  {
    name: 'BitLocker (encrypted)',
    offset: 0x1a8,
    bytes: '\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01',
    wayOut: DECRYPT,
  },
];

const OTHERS: readonly Signature[] = [
  { name: 'XFS', offset: 0, bytes: 'XFSB', wayOut: NOT_YET },
  { name: 'Btrfs', offset: 64 * KIB + 0x40, bytes: '_BHRfS_M', wayOut: NOT_YET },
  { name: 'F2FS', offset: KIB, bytes: '\x10\x20\xf5\xf2', wayOut: NOT_YET },
  { name: 'exFAT', offset: 3, bytes: 'EXFAT   ', wayOut: NOT_YET },
  { name: 'ReFS', offset: 3, bytes: 'ReFS\0\0\0\0', wayOut: NOT_YET },
  { name: 'squashfs', offset: 0, bytes: 'hsqs', wayOut: NOT_YET },
  { name: 'EROFS', offset: KIB, bytes: '\xe2\xe1\xf5\xe0', wayOut: NOT_YET },
  { name: 'JFS', offset: 32 * KIB, bytes: 'JFS1', wayOut: NOT_YET },
  { name: 'ReiserFS', offset: 64 * KIB + 0x34, bytes: 'ReIsEr', wayOut: NOT_YET },
  { name: 'HFS+', offset: KIB, bytes: 'H+', wayOut: NOT_YET },
  { name: 'APFS', offset: 32, bytes: 'NXSB', wayOut: NOT_YET },
  { name: 'ISO 9660', offset: 32 * KIB + 1, bytes: 'CD001', wayOut: NOT_YET },
  ...[4, 8, 16, 64].flatMap((page): Signature[] =>
    ['SWAPSPACE2', 'SWAP-SPACE', 'S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001'].map((bytes) => ({
      name: bytes.startsWith('SWAP') ? 'Linux swap' : 'Linux swap with a suspended system',
      offset: page * KIB - 10,
      bytes,
      wayOut: 'Swap space holds nothing that can be imaged',
    })),
  ),
  ...[0, 1, 2, 3].map((sector) => ({
    name: 'LVM2 physical volume',
    offset: sector * 512,
    bytes: 'LABELONE',
    wayOut: 'Activate its volume group and give a logical volume',
  })),
  {
    name: 'a disk with a GPT partition table',
    offset: 512,
    bytes: 'EFI PART',
    wayOut: 'Choose one of its partitions',
  },
];

const shows = (device: ReadableDevice, { offset, bytes }: Pick<Signature, 'offset' | 'bytes'>): boolean =>
  offset >= 0 &&
  offset + bytes.length <= device.size &&
  Buffer.from(bytes, 'latin1').equals(device.read(offset, bytes.length));

const RAID_MAGIC = '\xfc\x4e\x2b\xa9';
/** Where a version 1 superblock says that it is, in 512-byte sectors (md.h, mdp_superblock_1). */
const RAID_SUPER_OFFSET = 128;

/** md RAID: version 1.1 at the start, 1.2 at 4 KiB, 1.0 and 0.90 near the end. */
const isRaidMember = (device: ReadableDevice): boolean => {
  const newest = [0, 4 * KIB, roundDown(device.size - 8 * KIB, 4 * KIB)];
  for (const offset of newest) {
    if (!shows(device, { offset, bytes: RAID_MAGIC })) continue;
    const place = Buffer.from(device.read(offset + RAID_SUPER_OFFSET, 8)).readBigUInt64LE();
    if (place === BigInt(offset / 512)) return true;
  }
  const old = roundDown(device.size, 64 * KIB) - 64 * KIB;
  return shows(device, { offset: old, bytes: `${RAID_MAGIC}\0\0\0\0\x5a\0\0\0` });
};

/** ZFS: one of the 128 uberblocks in a label; labels stand at 0 and 256 KiB (zfs on-disk specification, 1.2.1). */
const isZfsMember = (device: ReadableDevice): boolean => {
  for (const label of [0, 256 * KIB]) {
    if (label + 256 * KIB > device.size) return false;
    const uberblocks = Buffer.from(device.read(label + 128 * KIB, 128 * KIB));
    for (let at = 0; at < uberblocks.length; at += KIB)
      if (uberblocks.readBigUInt64LE(at) === 0x00bab10cn || uberblocks.readBigUInt64BE(at) === 0x00bab10cn)
        return true;
  }
  return false;
};

/** The first MiB and the last 64 KiB are zero: whatever held data there is gone. */
const isEmpty = (device: ReadableDevice): boolean => {
  const piece = 64 * KIB;
  const zero = (offset: number, length: number): boolean =>
    device.read(offset, length).every((byte) => byte === 0);
  const head = Math.min(MIB, device.size);
  // Piece by piece: most devices are not empty, and each place of a search would cost it.
  for (let at = 0; at < head; at += piece) if (!zero(at, Math.min(piece, head - at))) return false;
  const tail = Math.min(piece, device.size);
  return zero(device.size - tail, tail);
};

const named = ({ name, wayOut }: Signature): ProbeResult => ({ other: name, wayOut });

/**
 * Says what a device holds, by signatures alone: whether it is sound the driver's `open` says.
 * Throws `io`.
 */
export const probeFileSystem = (
  device: ReadableDevice,
  drivers: readonly FileSystemDriver[] = DRIVERS,
): ProbeResult => {
  const container = CONTAINERS.find((signature) => shows(device, signature));
  if (container !== undefined) return named(container);
  if (isRaidMember(device)) return { other: 'member of a RAID (md)', wayOut: ASSEMBLE_FIRST };
  const driver = drivers.find((each) => each.probe(device));
  if (driver !== undefined) return { driver };
  const other = OTHERS.find((signature) => shows(device, signature));
  if (other !== undefined) return named(other);
  if (isZfsMember(device)) return { other: 'member of a ZFS pool', wayOut: NOT_YET };
  if (isEmpty(device))
    return { other: 'empty (all zeros)', wayOut: 'Check that this is the right partition' };
  return { other: 'unknown', wayOut: `Check that this is the right partition; ${NOT_YET}` };
};
