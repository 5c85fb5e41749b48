import type { ReadableDevice } from '../../device/device.ts';
import { corrupt, type HoldfastError, unsupported } from '../../errors.ts';
import { type ByteLength, type ByteOffset, isPowerOfTwo } from '../../units.ts';
import {
  BOOT_SECTOR,
  BOOT_SECTOR_SIZE,
  BOOT_SIG_LABEL,
  BOOT_SIG_SERIAL,
  BOOT_SIGNATURE,
  ENTRY_SIZE,
  ENTRY_VALUES,
  EXTENDED_16,
  EXTENDED_32,
  EXTENDED_FLAGS_ACTIVE,
  EXTENDED_FLAGS_NOT_MIRRORED,
  FAT16_FROM,
  FAT32_FROM,
  FIRST_DATA_ENTRY,
  NO_SECTOR,
} from './layout.ts';

/** Width of a FAT entry in bits: the type of the file system. */
export type FatBits = 12 | 16 | 32;

/** Where the root folder is: fixed bytes (FAT12/16), or the number of a FAT entry (FAT32). */
export type RootPlace =
  | { readonly offset: ByteOffset; readonly length: ByteLength }
  | { readonly entry: number };

/** The numbers of a boot sector, checked against each other and against the device. */
export interface FatParameters {
  /** The boot sector's first 512 bytes. */
  readonly boot: Uint8Array;
  readonly bits: FatBits;
  readonly sectorSize: ByteLength;
  readonly clusterSize: ByteLength;
  readonly clusterCount: number;
  /** Where the clusters begin. */
  readonly clusterBase: ByteOffset;
  /** Of the volume, from BPB_TotSec: the last cluster may end before. */
  readonly size: ByteLength;
  readonly reservedLength: ByteLength;
  /** Where each FAT begins, in order. */
  readonly tables: readonly ByteOffset[];
  /** Of each FAT, the part behind its last entry included. */
  readonly tableLength: ByteLength;
  /** Index in `tables` of the one to read. */
  readonly activeTable: number;
  /** All FATs are kept alike; else only the active one counts. */
  readonly mirrored: boolean;
  readonly root: RootPlace;
  /** Byte positions of FSInfo and of the copy of the boot sector, where there are any (FAT32). */
  readonly fsInfo: ByteOffset | undefined;
  readonly backupBoot: ByteOffset | undefined;
  /** BS_VolID and BS_VolLab, where BS_BootSig says that they are there. */
  readonly serial: number | undefined;
  readonly bootLabel: Uint8Array | undefined;
}

/** FAT sectors and clusters; the type before anything else is known. */
const sectorsPerTable = (boot: Uint8Array): number =>
  BOOT_SECTOR.get(boot, 'BPB_FATSz16') || EXTENDED_32.get(boot, 'BPB_FATSz32');

type BootField = keyof typeof BOOT_SECTOR.fields | keyof typeof EXTENDED_32.fields;
const offsetOf = (field: BootField): number =>
  field in BOOT_SECTOR.fields
    ? BOOT_SECTOR.offsetOf(field as keyof typeof BOOT_SECTOR.fields)
    : EXTENDED_32.offsetOf(field as keyof typeof EXTENDED_32.fields);

const wrong = (
  field: BootField,
  message: string,
  { expected, found, offset = 0 }: { expected: string | number; found: string | number; offset?: number },
): HoldfastError =>
  corrupt(`${field}: ${message}`, {
    code: 'fat.boot-sector',
    structure: 'FAT boot sector',
    offset: offset + offsetOf(field),
    expected,
    found,
  });

const isMedia = (byte: number): boolean => byte === 0xf0 || byte >= 0xf8;

/**
 * Single fields that no FAT volume can do without: enough to tell one from anything else (an NTFS or exFAT boot sector has
 * no FATs, a partition table's boot code no such numbers), and nothing is read with numbers that fail here.
 */
const fieldFault = (boot: Uint8Array, offset = 0): HoldfastError | undefined => {
  const field = (name: keyof typeof BOOT_SECTOR.fields): number => BOOT_SECTOR.get(boot, name) as number;
  const check = (sound: boolean, name: keyof typeof BOOT_SECTOR.fields, message: string, expected: string) =>
    sound ? undefined : wrong(name, message, { expected, found: field(name), offset });
  const sectorSize = field('BPB_BytsPerSec');
  return (
    check(field('Signature_word') === BOOT_SIGNATURE, 'Signature_word', 'no boot sector', '0xaa55') ??
    check(
      isPowerOfTwo(sectorSize) && sectorSize >= 512 && sectorSize <= 4096,
      'BPB_BytsPerSec',
      'sector size out of range',
      '512, 1024, 2048 or 4096',
    ) ??
    check(isPowerOfTwo(field('BPB_SecPerClus')), 'BPB_SecPerClus', 'no cluster size', 'a power of two') ??
    check(field('BPB_RsvdSecCnt') > 0, 'BPB_RsvdSecCnt', 'no reserved sectors', 'at least 1') ??
    check(field('BPB_NumFATs') > 0, 'BPB_NumFATs', 'no FAT', '1 or 2') ??
    check(isMedia(field('BPB_Media')), 'BPB_Media', 'no media descriptor', '0xf0 or 0xf8 to 0xff') ??
    (sectorsPerTable(boot) > 0
      ? undefined
      : wrong('BPB_FATSz32', 'the FATs have no length', { expected: 'at least 1', found: 0, offset }))
  );
};

/** Whether these bytes are a FAT boot sector by their fields; a label or name decides nothing. */
export const looksLikeBootSector = (boot: Uint8Array): boolean =>
  boot.length >= BOOT_SECTOR_SIZE && fieldFault(boot) === undefined;

/** True if the device starts with a FAT boot sector. Says nothing of whether its numbers fit. */
export const hasBootSector = (device: ReadableDevice): boolean =>
  device.size >= BOOT_SECTOR_SIZE && looksLikeBootSector(device.read(0, BOOT_SECTOR_SIZE));

/** FSInfo or backup boot sector: undefined for none. They must lie in the reserved sectors, or something else is there. */
const reservedSector = (
  boot: Uint8Array,
  field: 'BPB_FSInfo' | 'BPB_BkBootSec',
  reserved: number,
): number | undefined => {
  const sector = EXTENDED_32.get(boot, field);
  if (sector === 0 || sector === NO_SECTOR) return undefined;
  if (sector < reserved) return sector;
  throw wrong(field, 'not among the reserved sectors', { expected: `1 to ${reserved - 1}`, found: sector });
};

/**
 * Reads and checks the boot sector. FAT12 and FAT16 are told apart by the number of clusters alone. FAT32 has a layout of its
 * own, with BPB_FATSz16 and BPB_RootEntCnt 0; by the specification it also has at least 65525 clusters. Where the two
 * disagree (mkfs.fat makes such volumes if told to) only FAT32 can be meant: FAT16 without a root folder is none. Linux,
 * Windows and dosfstools read them so, while EDK2 and mtools take them for damaged or FAT16.
 * Throws `corrupt` (`fat.boot-sector`, `fat.volume-size`), `unsupported` (`fat.version`, `fat.table-count`,
 * `fat.sector-size`), `io`.
 */
export const readParameters = (device: ReadableDevice): FatParameters => {
  if (device.size < BOOT_SECTOR_SIZE) {
    throw corrupt('no room for a boot sector', {
      code: 'fat.boot-sector',
      structure: 'FAT boot sector',
      expected: BOOT_SECTOR_SIZE,
      found: device.size,
    });
  }
  return parseParameters(device.read(0, BOOT_SECTOR_SIZE), device);
};

const parseParameters = (boot: Uint8Array, device: ReadableDevice): FatParameters => {
  const fault = fieldFault(boot);
  if (fault !== undefined) throw fault;
  const field = (name: keyof typeof BOOT_SECTOR.fields): number => BOOT_SECTOR.get(boot, name) as number;
  const sectorSize = field('BPB_BytsPerSec');
  const reserved = field('BPB_RsvdSecCnt');
  const tableCount = field('BPB_NumFATs');
  const wide = field('BPB_FATSz16') === 0;
  requireSupported(boot, { device, sectorSize, tableCount, wide });

  const tableSectors = sectorsPerTable(boot);
  const rootEntries = field('BPB_RootEntCnt');
  const rootLength = rootEntries * ENTRY_SIZE;
  if (wide ? rootEntries !== 0 : rootEntries === 0 || rootLength % sectorSize !== 0) {
    throw wrong('BPB_RootEntCnt', 'wrong size of the root folder', {
      expected: wide ? 0 : `a multiple of ${sectorSize / ENTRY_SIZE}`,
      found: rootEntries,
    });
  }
  const totalField = field('BPB_TotSec16') === 0 ? 'BPB_TotSec32' : 'BPB_TotSec16';
  const total = field(totalField);
  const dataSector = reserved + tableCount * tableSectors + rootLength / sectorSize;
  const clusterCount = Math.floor((total - dataSector) / field('BPB_SecPerClus'));
  if (clusterCount < 1) {
    throw wrong(totalField, 'no room for clusters', {
      expected: `at least ${dataSector + field('BPB_SecPerClus')}`,
      found: total,
    });
  }
  const bits: FatBits = wide ? 32 : clusterCount < FAT16_FROM ? 12 : 16;
  // The numbers of the last entries mean "bad" and "end of chain".
  const most = wide ? ENTRY_VALUES[32].bad - FIRST_DATA_ENTRY : FAT32_FROM - 1;
  if (clusterCount > most)
    throw wrong(totalField, `too many clusters for FAT${bits}`, {
      expected: `at most ${most}`,
      found: clusterCount,
    });
  const tableLength = tableSectors * sectorSize;
  const needed = Math.ceil(((clusterCount + FIRST_DATA_ENTRY) * bits) / 8);
  if (needed > tableLength) {
    throw wrong(wide ? 'BPB_FATSz32' : 'BPB_FATSz16', 'the FATs are too short for the clusters', {
      expected: `at least ${Math.ceil(needed / sectorSize)}`,
      found: tableSectors,
    });
  }
  const size = total * sectorSize;
  if (size > device.size) {
    throw corrupt('the file system is larger than what holds it', {
      code: 'fat.volume-size',
      structure: 'FAT boot sector',
      offset: BOOT_SECTOR.offsetOf(totalField),
      expected: `at most ${device.size} bytes`,
      found: size,
      wayOut: 'It was made shorter than what is in it, or is not seen whole: give it its former length again',
    });
  }
  const reservedLength = reserved * sectorSize;
  const position = (name: 'BPB_FSInfo' | 'BPB_BkBootSec'): ByteOffset | undefined => {
    const sector = wide ? reservedSector(boot, name, reserved) : undefined;
    return sector === undefined ? undefined : sector * sectorSize;
  };
  return {
    boot,
    bits,
    sectorSize,
    clusterSize: field('BPB_SecPerClus') * sectorSize,
    clusterCount,
    clusterBase: dataSector * sectorSize,
    size,
    reservedLength,
    tables: Array.from({ length: tableCount }, (_, index) => reservedLength + index * tableLength),
    tableLength,
    ...tableUse(boot, wide, tableCount),
    root: wide
      ? { entry: rootEntry(boot, clusterCount) }
      : { offset: reservedLength + tableCount * tableLength, length: rootLength },
    fsInfo: position('BPB_FSInfo'),
    backupBoot: position('BPB_BkBootSec'),
    ...identity(boot, bits),
  };
};

interface Found {
  readonly device: ReadableDevice;
  readonly sectorSize: number;
  readonly tableCount: number;
  readonly wide: boolean;
}

/** fatgen103 asks for drivers to leave a version that they do not know alone; more than two FATs no checker handles. */
const requireSupported = (boot: Uint8Array, { device, sectorSize, tableCount, wide }: Found): void => {
  const structure = 'FAT boot sector';
  const version = wide ? EXTENDED_32.get(boot, 'BPB_FSVer') : 0;
  if (version !== 0) {
    throw unsupported('unknown version of FAT32', {
      code: 'fat.version',
      structure,
      offset: EXTENDED_32.offsetOf('BPB_FSVer'),
      expected: 0,
      found: version,
    });
  }
  if (tableCount > 2) {
    throw unsupported('more than two FATs', {
      code: 'fat.table-count',
      structure,
      offset: BOOT_SECTOR.offsetOf('BPB_NumFATs'),
      expected: '1 or 2',
      found: tableCount,
    });
  }
  if (sectorSize < device.sectorSize) {
    throw unsupported('sectors that are smaller than those of the disk', {
      code: 'fat.sector-size',
      structure,
      offset: BOOT_SECTOR.offsetOf('BPB_BytsPerSec'),
      expected: `at least ${device.sectorSize}`,
      found: sectorSize,
    });
  }
};

const tableUse = (
  boot: Uint8Array,
  wide: boolean,
  tableCount: number,
): Pick<FatParameters, 'activeTable' | 'mirrored'> => {
  const flags = wide ? EXTENDED_32.get(boot, 'BPB_ExtFlags') : 0;
  if ((flags & EXTENDED_FLAGS_NOT_MIRRORED) === 0) return { activeTable: 0, mirrored: true };
  const activeTable = flags & EXTENDED_FLAGS_ACTIVE;
  if (activeTable >= tableCount)
    throw wrong('BPB_ExtFlags', 'the active FAT is not there', {
      expected: `0 to ${tableCount - 1}`,
      found: activeTable,
    });
  return { activeTable, mirrored: false };
};

const rootEntry = (boot: Uint8Array, clusterCount: number): number => {
  const entry = EXTENDED_32.get(boot, 'BPB_RootClus');
  if (entry >= FIRST_DATA_ENTRY && entry < clusterCount + FIRST_DATA_ENTRY) return entry;
  throw wrong('BPB_RootClus', 'no such cluster', {
    expected: `${FIRST_DATA_ENTRY} to ${clusterCount + FIRST_DATA_ENTRY - 1}`,
    found: entry,
  });
};

/** What the two layouts share behind the BPB, at different places. */
export const extendedFields = (boot: Uint8Array, bits: FatBits) =>
  bits === 32 ? EXTENDED_32.decode(boot) : EXTENDED_16.decode(boot);

const identity = (boot: Uint8Array, bits: FatBits): Pick<FatParameters, 'serial' | 'bootLabel'> => {
  const { BS_BootSig: signature, BS_VolID, BS_VolLab } = extendedFields(boot, bits);
  return {
    serial: signature === BOOT_SIG_LABEL || signature === BOOT_SIG_SERIAL ? BS_VolID : undefined,
    bootLabel: signature === BOOT_SIG_LABEL ? BS_VolLab : undefined,
  };
};
