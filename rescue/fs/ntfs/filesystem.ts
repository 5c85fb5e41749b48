import type { ReadableDevice } from '../../device/device.ts';
import type { ContainerTest, FileSystem } from '../filesystem.ts';
import { first } from '../findings.ts';
import { allocatedRuns, badRuns } from './allocation.ts';
import { unusedBootSectors } from './boot-area.ts';
import { backupState } from './boot-sector.ts';
import { findProblems } from './check.ts';
import { listContainers } from './containers.ts';
import { listExcludes } from './excludes.ts';
import { geometryOf } from './geometry.ts';
import { volumeInformation } from './information.ts';
import { BOOT_SECTOR } from './layout.ts';
import { mftZone } from './mft-zone.ts';
import { guarded } from './problems.ts';
import { volumeStates } from './state.ts';
import { NtfsVolume } from './volume.ts';
import { walkFiles } from './walk.ts';

/** 16 hexadecimal digits, as libblkid spells it. */
const formatSerial = (serial: Uint8Array): string =>
  Buffer.from(serial).reverse().toString('hex').toUpperCase();

const parametersOf = (volume: NtfsVolume): Readonly<Record<string, string | number>> => {
  const { sectorSize, clusterSize, clusterCount, recordSize, bootSector, mftCluster, mirrorCluster } =
    volume.parameters;
  const { major, minor } = volumeInformation(volume);
  return {
    version: `${major}.${minor}`,
    sectorSize,
    clusterSize,
    clusterCount,
    recordSize,
    recordCount: volume.recordCount,
    mftCluster,
    mirrorCluster,
    hiddenSectors: BOOT_SECTOR.get(bootSector, 'hidden_sectors'),
    backupBootSector: backupState(volume.device, volume.parameters),
  };
};

/** Problems that one call of `check` gives if the caller does not say. */
const PROBLEM_LIMIT = 100;

/**
 * Opens an NTFS volume for reading. Pieces of $MFT are kept; the device must not change under it.
 * Throws `unsupported` (`ntfs.sector-size`, `ntfs.too-many-runs`), `corrupt`, `io`.
 */
export const openNtfs = (device: ReadableDevice, isContainer?: ContainerTest): FileSystem => {
  const volume = new NtfsVolume(device);
  return {
    kind: 'ntfs',
    label: volumeInformation(volume).label,
    uuid: formatSerial(volume.parameters.serial),
    geometry: geometryOf(volume),
    allocation: () => allocatedRuns(volume),
    // What lies behind an attribute's initialised size would do, but it takes a pass over $MFT to know and is little.
    blank: () => [],
    bad: () => badRuns(volume),
    reserved: () => mftZone(volume),
    walk: (onDamage) => ({ [Symbol.iterator]: () => walkFiles(volume, onDamage) }),
    excludes: () => listExcludes(volume, isContainer),
    containers: () => listContainers(volume, isContainer),
    foldersShowDamage: true,
    refusals: () => [...guarded(volumeStates(volume))],
    check: (limit = PROBLEM_LIMIT) => first(findProblems(volume), limit),
    unusedBootSectors: () => unusedBootSectors(device),
    parameters: () => parametersOf(volume),
  };
};
