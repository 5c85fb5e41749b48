import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ioError, refused, unsupported, usage } from '../errors.ts';
import type { ByteLength, ByteOffset } from '../units.ts';
import { isSectorSize } from './bounds.ts';
import { openFailure } from './failure.ts';

/**
 * What the kernel says of a block device, from sysfs (Documentation/ABI/stable/sysfs-block and
 * testing/sysfs-block in the Linux sources). Node has no ioctl, and sysfs needs none.
 */
export interface BlockDeviceFacts {
  /** The device's own node, symbolic links followed. */
  readonly path: string;
  /** The kernel's name: `sda1`. Changes between boots. */
  readonly name: string;
  /** `MAJOR:MINOR` */
  readonly number: string;
  readonly kind: 'disk' | 'partition';
  readonly bus: Bus;
  /** Put together from other devices: device-mapper (LVM, LUKS) or md (RAID). */
  readonly mapped: boolean;
  readonly size: ByteLength;
  /** Logical sector size. */
  readonly sectorSize: ByteLength;
  readonly physicalSectorSize: ByteLength;
  readonly rotational: boolean;
  readonly removable: boolean;
  readonly readOnly: boolean;
  /** Of the disk, for a partition too. */
  readonly model?: string;
  readonly serial?: string;
  /** Of a partition. */
  readonly partition?: {
    readonly number: number;
    /** From the start of the disk. */
    readonly offset: ByteOffset;
    readonly parentPath: string;
  };
  /** Of a disk, as the kernel sees them now; ascending by offset. */
  readonly partitions: readonly PartitionNode[];
  /** Kernel names of the devices that are built upon this one. */
  readonly holders: readonly string[];
  /** Of a loop device. */
  readonly backingFile?: string;
}

/** What a disk hangs on; `other`: none of these. */
export type Bus =
  | 'usb'
  | 'nvme'
  | 'ata'
  | 'scsi'
  | 'mmc'
  | 'virtio'
  | 'optical'
  | 'loop'
  | 'mapped'
  | 'ram'
  | 'other';

export interface PartitionNode {
  readonly path: string;
  readonly name: string;
  readonly number: number;
  readonly offset: ByteOffset;
  readonly size: ByteLength;
}

/** `size` and `start` in sysfs count 512 bytes, whatever the sector size of the device. */
const SYSFS_UNIT = 512;

/** `MAJOR:MINOR` of a device number as stat(2) gives it (gnu_dev_major, gnu_dev_minor of glibc). */
export const deviceNumber = (rdev: bigint): string => {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  return `${major}:${minor}`;
};

/** `MAJOR:MINOR` of the block device that `path` leads to; undefined if it leads to none. */
export const blockNumberOf = (path: string): string | undefined => {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found?.isBlockDevice() === true ? deviceNumber(found.rdev) : undefined;
};

const attribute = (folder: string, name: string): string | undefined => {
  try {
    return readFileSync(join(folder, name), 'utf8').trim();
  } catch {
    // Attributes come and go with the driver and with the device.
    return undefined;
  }
};

const numberOf = (folder: string, name: string): number | undefined => {
  const text = attribute(folder, name);
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
};

const entries = (folder: string): string[] => {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
};

/** The node that the kernel's device file system made for a sysfs folder. */
const nodeOf = (folder: string): string => {
  const name = /^DEVNAME=(.+)$/m.exec(attribute(folder, 'uevent') ?? '')?.[1];
  return `/dev/${name ?? basename(folder).replaceAll('!', '/')}`;
};

const isPartition = (folder: string): boolean => numberOf(folder, 'partition') !== undefined;

const partitionsOf = (folder: string): PartitionNode[] =>
  entries(folder)
    .map((name) => join(folder, name))
    .filter(isPartition)
    .map((each) => ({
      path: nodeOf(each),
      name: basename(each),
      number: numberOf(each, 'partition')!,
      offset: (numberOf(each, 'start') ?? 0) * SYSFS_UNIT,
      size: (numberOf(each, 'size') ?? 0) * SYSFS_UNIT,
    }))
    .sort((a, b) => a.offset - b.offset);

/** SCSI peripheral device type 5: CD and DVD (SPC-4, table 138). */
const OPTICAL = 5;

/**
 * Names and paths as the kernel's drivers make them: a USB disk is a SCSI disk below a USB interface, an ATA disk one
 * below a port `ataN`.
 */
const busOf = (disk: string, mapped: boolean): Bus => {
  const name = basename(disk);
  if (mapped) return 'mapped';
  if (name.startsWith('loop')) return 'loop';
  if (/^(ram|zram|mtdblock|pmem)/.test(name)) return 'ram';
  if (numberOf(disk, 'device/type') === OPTICAL) return 'optical';
  if (/\/usb\d+\//.test(disk)) return 'usb';
  if (name.startsWith('nvme')) return 'nvme';
  if (name.startsWith('mmcblk')) return 'mmc';
  if (/\/ata\d+\//.test(disk)) return 'ata';
  if (/\/virtio\d+\/block\//.test(disk)) return 'virtio';
  return /\/host\d+\//.test(disk) ? 'scsi' : 'other';
};

/** SCSI and SATA disks: "Unit Serial Number" page 80h (SPC-4, 7.8.16): 4-byte header, then the text. */
const serialPage = (folder: string): string | undefined => {
  try {
    return readFileSync(join(folder, 'device/vpd_pg80'))
      .subarray(4)
      .toString('latin1')
      .replaceAll('\0', '')
      .trim();
  } catch {
    return undefined;
  }
};

/** NVMe and MMC say it under `device`, virtio beside it. */
const serialOf = (folder: string): string | undefined =>
  attribute(folder, 'serial') || attribute(folder, 'device/serial') || serialPage(folder) || undefined;

const modelOf = (folder: string): string | undefined => {
  const model = attribute(folder, 'device/model') || attribute(folder, 'device/name');
  if (!model) return undefined;
  // SCSI keeps the maker apart; SATA disks all say "ATA". A virtio `vendor` is a number.
  const vendor = attribute(folder, 'device/vendor');
  return vendor && vendor !== 'ATA' && !vendor.startsWith('0x') ? `${vendor} ${model}` : model;
};

/**
 * Facts of the block device that `path` leads to (a node or a link such as those under /dev/disk).
 * Throws `usage` (`target.missing`, `target.not-a-block-device`), `io` (`gone`), `unsupported` (`sector-size`).
 */
export const readBlockDeviceFacts = (path: string): BlockDeviceFacts => {
  let resolved: string;
  let number: string | undefined;
  try {
    resolved = realpathSync(path);
    number = blockNumberOf(resolved);
  } catch (error) {
    throw openFailure(path, error);
  }
  if (number === undefined) {
    throw usage(`${path} is not a block device`, { code: 'target.not-a-block-device' });
  }
  let folder: string;
  try {
    folder = realpathSync(`/sys/dev/block/${number}`);
  } catch (error) {
    throw ioError(`${path}: the kernel no longer knows this device`, {
      code: 'gone',
      found: number,
      cause: error,
    });
  }
  return factsIn(folder, resolved, number);
};

const factsIn = (folder: string, resolved: string, number: string): BlockDeviceFacts => {
  const partitionNumber = numberOf(folder, 'partition');
  const disk = partitionNumber === undefined ? folder : join(folder, '..');
  const sectorSize = numberOf(disk, 'queue/logical_block_size') ?? SYSFS_UNIT;
  if (!isSectorSize(sectorSize)) {
    throw unsupported(`${resolved} has sectors of ${sectorSize} bytes`, {
      code: 'sector-size',
      expected: '512, 1024, 2048 or 4096',
    });
  }
  const node = nodeOf(folder);
  const model = modelOf(disk);
  const serial = serialOf(disk);
  const backingFile = attribute(folder, 'loop/backing_file');
  const mapped =
    entries(join(disk, 'slaves')).length > 0 ||
    ['dm', 'md'].some((name) => entries(join(disk, name)).length > 0);
  return {
    path: blockNumberOf(node) === number ? node : resolved,
    name: basename(folder),
    number,
    kind: partitionNumber === undefined ? 'disk' : 'partition',
    bus: busOf(realpathSync(disk), mapped),
    mapped,
    size: (numberOf(folder, 'size') ?? 0) * SYSFS_UNIT,
    sectorSize,
    physicalSectorSize: numberOf(disk, 'queue/physical_block_size') ?? sectorSize,
    rotational: numberOf(disk, 'queue/rotational') === 1,
    removable: numberOf(disk, 'removable') === 1,
    readOnly: numberOf(folder, 'ro') === 1,
    ...(model === undefined ? {} : { model }),
    ...(serial === undefined ? {} : { serial }),
    ...(partitionNumber === undefined
      ? {}
      : {
          partition: {
            number: partitionNumber,
            offset: (numberOf(folder, 'start') ?? 0) * SYSFS_UNIT,
            parentPath: nodeOf(realpathSync(disk)),
          },
        }),
    partitions: partitionNumber === undefined ? partitionsOf(folder) : [],
    holders: entries(join(folder, 'holders')),
    ...(backingFile === undefined ? {} : { backingFile }),
  };
};

/** Facts of all disks (no partitions) that have a medium, in the kernel's order of names. */
export const listDisks = (): BlockDeviceFacts[] => {
  const disks: BlockDeviceFacts[] = [];
  for (const name of entries('/sys/block')) {
    const number = attribute(`/sys/block/${name}`, 'dev');
    if (number === undefined || (numberOf(`/sys/block/${name}`, 'size') ?? 0) === 0) continue;
    try {
      const folder = realpathSync(`/sys/block/${name}`);
      disks.push(factsIn(folder, nodeOf(folder), number));
    } catch {
      // Unplugged meanwhile, or of a sector size that this program does not handle: not a disk to offer.
    }
  }
  return disks;
};

/** A drive without a medium, or a loop device without a file. Throws `refused` (`no-medium`). */
export const refuseWithoutMedium = (facts: BlockDeviceFacts): void => {
  if (facts.size > 0) return;
  throw refused(`${facts.path} has no medium`, {
    code: 'no-medium',
    wayOut: 'Insert one, or name another device.',
  });
};
