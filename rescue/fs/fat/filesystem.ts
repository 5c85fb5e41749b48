import type { ReadableDevice } from '../../device/device.ts';
import { isHoldfastError } from '../../errors.ts';
import type { ContainerTest, FileSystem } from '../filesystem.ts';
import { first } from '../findings.ts';
import { allocatedRuns, badRuns, blankRuns } from './allocation.ts';
import { unusedBootSectors } from './boot-area.ts';
import { findProblems } from './check.ts';
import { listContainers } from './containers.ts';
import { readDirectory, rootFolder } from './directory.ts';
import { listExcludes } from './excludes.ts';
import { geometryOf } from './geometry.ts';
import { BOOT_SECTOR } from './layout.ts';
import { decodeOem } from './names.ts';
import { guarded } from './problems.ts';
import { suspendedStates, volumeStates } from './state.ts';
import { FatVolume } from './volume.ts';
import { walkFiles } from './walk.ts';

/** What formatters write where there is no label (fatgen103, BS_VolLab). */
const NO_LABEL = 'NO NAME';

/** The label in the root counts; the one in the boot sector is from when the volume was made. */
const labelOf = (volume: FatVolume): string => {
  const text = (bytes: Uint8Array): string => decodeOem(bytes).replace(/ +$/, '');
  try {
    for (const entry of readDirectory(volume, rootFolder(volume)))
      if (entry.isLabel) return text(entry.shortBytes);
  } catch (error) {
    // A root that cannot be read is for `check` to tell.
    if (!isHoldfastError(error, 'corrupt')) throw error;
  }
  const { bootLabel } = volume.parameters;
  const label = bootLabel === undefined ? '' : text(bootLabel);
  return label === NO_LABEL ? '' : label;
};

/** `0F8A-7B6C`, as DOS and Windows show it. */
const formatSerial = (serial: number): string =>
  serial
    .toString(16)
    .toUpperCase()
    .padStart(8, '0')
    .replace(/^(.{4})/, '$1-');

const parametersOf = (volume: FatVolume): Readonly<Record<string, string | number>> => {
  const { boot, sectorSize, reservedLength, tables, tableLength, mirrored, activeTable, root } =
    volume.parameters;
  return {
    bits: volume.bits,
    sectorSize,
    clusterSize: volume.clusterSize,
    clusterCount: volume.clusterCount,
    reservedSectors: reservedLength / sectorSize,
    tables: tables.length,
    tableSectors: tableLength / sectorSize,
    activeTable: mirrored ? 'all' : activeTable,
    rootEntries: 'entry' in root ? 0 : BOOT_SECTOR.get(boot, 'BPB_RootEntCnt'),
    hiddenSectors: BOOT_SECTOR.get(boot, 'BPB_HiddSec'),
    media: BOOT_SECTOR.get(boot, 'BPB_Media'),
    madeBy: decodeOem(BOOT_SECTOR.get(boot, 'BS_OEMName')).trim(),
  };
};

/** Problems that one call of `check` gives if the caller does not say. */
const PROBLEM_LIMIT = 100;

/**
 * Opens a FAT volume for reading. Parts of the FAT are kept; the device must not change under it.
 * Throws `unsupported` (`fat.version`, `fat.table-count`, `fat.sector-size`), `corrupt`, `io`.
 */
export const openFat = (device: ReadableDevice, isContainer?: ContainerTest): FileSystem => {
  const volume = new FatVolume(device);
  const { serial } = volume.parameters;
  return {
    kind: `fat${volume.bits}`,
    label: labelOf(volume),
    uuid: serial === undefined ? '' : formatSerial(serial),
    geometry: geometryOf(volume),
    allocation: () => allocatedRuns(volume),
    blank: () => blankRuns(volume),
    bad: () => badRuns(volume),
    reserved: () => [],
    walk: (onDamage) => ({ [Symbol.iterator]: () => walkFiles(volume, onDamage) }),
    excludes: () => listExcludes(volume, isContainer),
    containers: () => listContainers(volume, isContainer),
    foldersShowDamage: false,
    refusals: () => [...guarded(volumeStates(volume)), ...guarded(suspendedStates(volume))],
    check: (limit = PROBLEM_LIMIT) => first(findProblems(volume), limit),
    unusedBootSectors: () => unusedBootSectors(volume.parameters, device.sectorSize),
    parameters: () => parametersOf(volume),
  };
};
