import type { ReadableDevice } from '../../device/device.ts';
import { corrupt, unsupported } from '../../errors.ts';
import { type ByteLength, type ByteOffset, isPowerOfTwo, KIB, MIB } from '../../units.ts';
import { isDamage } from '../tolerance.ts';
import { BOOT_SECTOR, OEM_ID } from './layout.ts';

/** The boot sector's numbers, checked. */
export interface NtfsParameters {
  /** The first sector as it stands, `sectorSize` bytes. */
  readonly bootSector: Uint8Array;
  readonly sectorSize: ByteLength;
  readonly clusterSize: ByteLength;
  /** Whole clusters; what does not fill one lies behind them. */
  readonly clusterCount: number;
  /** Sectors of the volume; one more behind them holds the backup. */
  readonly sectorCount: number;
  /** Cluster of the first record of $MFT. */
  readonly mftCluster: number;
  readonly mirrorCluster: number;
  readonly recordSize: ByteLength;
  readonly serial: Uint8Array;
}

/** Windows 10 1709 and later make clusters up to 2 MiB. */
const LARGEST_CLUSTER = 2 * MIB;
/** Windows knows 1 KiB and 4 KiB; the sizes between are well-formed. */
const RECORD_SIZES = [KIB, 2 * KIB, 4 * KIB];

const STRUCTURE = 'NTFS boot sector';

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Whether a sector begins like a boot sector of NTFS. */
const isBootSector = (sector: Uint8Array): boolean => latin1(BOOT_SECTOR.get(sector, 'oem_id')) === OEM_ID;

/** True if the device starts like NTFS. */
export const hasBootSector = (device: ReadableDevice): boolean =>
  device.size >= BOOT_SECTOR.size && isBootSector(device.read(0, BOOT_SECTOR.size));

const wrong = (field: keyof typeof BOOT_SECTOR.fields, expected: string, found: number) =>
  corrupt(`${field} is impossible`, {
    code: 'ntfs.boot-sector',
    structure: STRUCTURE,
    offset: BOOT_SECTOR.offsetOf(field),
    expected,
    found,
  });

const sectorSizeOf = (boot: Uint8Array, device: ReadableDevice): number => {
  const size = BOOT_SECTOR.get(boot, 'bytes_per_sector');
  if (!isPowerOfTwo(size) || size < 512 || size > 4096)
    throw wrong('bytes_per_sector', '512, 1024, 2048 or 4096', size);
  if (size < device.sectorSize) {
    throw unsupported('was made for a disk with smaller sectors', {
      code: 'ntfs.sector-size',
      structure: STRUCTURE,
      offset: BOOT_SECTOR.offsetOf('bytes_per_sector'),
      expected: device.sectorSize,
      found: size,
    });
  }
  return size;
};

const clusterSizeOf = (boot: Uint8Array, sectorSize: number): number => {
  const stored = BOOT_SECTOR.get(boot, 'sectors_per_cluster');
  const sectors = stored > 0x80 ? 2 ** (256 - stored) : stored;
  const size = sectors * sectorSize;
  if (!isPowerOfTwo(sectors) || size > LARGEST_CLUSTER)
    throw wrong('sectors_per_cluster', `a power of two, clusters up to ${LARGEST_CLUSTER} bytes`, stored);
  return size;
};

const recordSizeOf = (boot: Uint8Array, clusterSize: number): number => {
  const stored = BOOT_SECTOR.get(boot, 'clusters_per_mft_record');
  const size = stored > 0x80 ? 2 ** (256 - stored) : stored * clusterSize;
  if (!RECORD_SIZES.includes(size))
    throw wrong('clusters_per_mft_record', `records of ${RECORD_SIZES.join(', ')} bytes`, stored);
  return size;
};

/**
 * Reads the first boot sector and compares its numbers with each other and with the device.
 * Throws `corrupt` (`ntfs.boot-sector`, `ntfs.truncated`), `unsupported` (`ntfs.sector-size`), `io`.
 */
export const readParameters = (device: ReadableDevice): NtfsParameters => {
  const boot = device.read(0, Math.min(BOOT_SECTOR.size, device.size));
  const oemId = latin1(BOOT_SECTOR.get(boot, 'oem_id'));
  if (oemId !== OEM_ID) {
    throw corrupt('no NTFS signature', {
      code: 'ntfs.boot-sector',
      structure: STRUCTURE,
      offset: BOOT_SECTOR.offsetOf('oem_id'),
      expected: OEM_ID,
      found: JSON.stringify(oemId),
    });
  }
  for (const field of ['reserved_sectors', 'fats', 'root_entries', 'sectors', 'sectors_per_fat'] as const) {
    const value = BOOT_SECTOR.get(boot, field);
    if (value !== 0) throw wrong(field, '0', value);
  }
  const sectorSize = sectorSizeOf(boot, device);
  const clusterSize = clusterSizeOf(boot, sectorSize);
  const sectorCount = BOOT_SECTOR.get(boot, 'number_of_sectors');
  if (sectorCount > device.size / sectorSize) {
    throw corrupt('the volume is larger than its partition', {
      code: 'ntfs.truncated',
      structure: STRUCTURE,
      offset: BOOT_SECTOR.offsetOf('number_of_sectors'),
      expected: `at most ${Math.floor(device.size / sectorSize)} sectors`,
      found: sectorCount,
      wayOut: 'It was made shorter than what is in it, or is not seen whole: give it its former length again',
    });
  }
  const clusterCount = Math.floor(sectorCount / (clusterSize / sectorSize));
  const clusterAt = (field: 'mft_lcn' | 'mftmirr_lcn'): number => {
    const cluster = BOOT_SECTOR.get(boot, field);
    if (cluster === 0 || cluster >= clusterCount) throw wrong(field, `1 to ${clusterCount - 1}`, cluster);
    return cluster;
  };
  return {
    bootSector: device.read(0, sectorSize),
    sectorSize,
    clusterSize,
    clusterCount,
    sectorCount,
    mftCluster: clusterAt('mft_lcn'),
    mirrorCluster: clusterAt('mftmirr_lcn'),
    recordSize: recordSizeOf(boot, clusterSize),
    serial: Uint8Array.from(BOOT_SECTOR.get(boot, 'volume_serial_number')),
  };
};

/**
 * The sector at `start` if it is a boot sector. Undefined also where it cannot be read, on a disk or in an image of which parts are lost: a
 * volume works without its copies.
 */
export const readCopy = (device: ReadableDevice, start: ByteOffset, length: ByteLength) => {
  try {
    const sector = device.read(start, length);
    return isBootSector(sector) ? sector : undefined;
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
};

/**
 * Byte positions of the backup: in the sector behind the volume, and, in a partition that is larger, in its last sector
 * if it looks like one: one that cannot be read does not. Empty if there is no room for one.
 */
export const backupPositions = (device: ReadableDevice, parameters: NtfsParameters): ByteOffset[] => {
  const { sectorSize, sectorCount } = parameters;
  const behind = sectorCount * sectorSize;
  const last = (Math.floor(device.size / sectorSize) - 1) * sectorSize;
  if (last < behind) return [];
  const another = last > behind && readCopy(device, last, sectorSize) !== undefined;
  return another ? [behind, last] : [behind];
};

/** How the backup compares with the boot sector. A volume works without one. */
export const backupState = (
  device: ReadableDevice,
  parameters: NtfsParameters,
): 'same' | 'different' | 'none' => {
  const sectors = backupPositions(device, parameters)
    .map((start) => device.read(start, parameters.sectorSize))
    .filter(isBootSector);
  if (sectors.length === 0) return 'none';
  return sectors.some((sector) => Buffer.compare(sector, parameters.bootSector) === 0) ? 'same' : 'different';
};
