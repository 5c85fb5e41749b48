import type { ReadableDevice } from '../../device/device.ts';
import type { ContainerTest, FileSystem, FileSystemKind } from '../filesystem.ts';
import { first } from '../findings.ts';
import { allocatedRuns, badRuns, blankRuns } from './allocation.ts';
import { unusedBootSectors } from './boot-area.ts';
import { findProblems } from './check.ts';
import { listContainers } from './containers.ts';
import { listExcludes } from './excludes.ts';
import { FEATURES, type FeatureName } from './features.ts';
import { geometryOf } from './geometry.ts';
import { SUPERBLOCK } from './layout.ts';
import { guarded } from './problems.ts';
import { suspendedStates, volumeStates } from './state.ts';
import { findSwapFiles, type SwapFile } from './swap.ts';
import { ExtVolume } from './volume.ts';
import { walkFiles } from './walk.ts';

/** Features that change the format but are older than ext4; any other of their kind makes it ext4 (as in libblkid). */
const BEFORE_EXT4: ReadonlySet<FeatureName> = new Set([
  'filetype',
  'needs_recovery',
  'meta_bg',
  'sparse_super',
  'large_file',
]);

const kindOf = (volume: ExtVolume): FileSystemKind => {
  const { features } = volume.parameters;
  const newer = [...features].filter((name) => FEATURES[name].word !== 'compat' && !BEFORE_EXT4.has(name));
  if (newer.length > 0) return 'ext4';
  return features.has('has_journal') ? 'ext3' : 'ext2';
};

const text = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
};

const formatUuid = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

const parametersOf = (volume: ExtVolume): Readonly<Record<string, string | number>> => {
  const { features, inodeSize, inodeCount, blocksPerGroup, groupCount, superblock } = volume.parameters;
  return {
    blockSize: volume.blockSize,
    blockCount: volume.blockCount,
    clusterSize: volume.clusterSize,
    blocksPerGroup,
    groupCount,
    inodeSize,
    inodeCount,
    features: [...features].join(' '),
    made: SUPERBLOCK.get(superblock, 's_mkfs_time'),
    lastMountedOn: text(SUPERBLOCK.get(superblock, 's_last_mounted')),
  };
};

/** Problems that one call of `check` gives if the caller does not say. */
const PROBLEM_LIMIT = 100;

/**
 * Opens an ext volume for reading. Descriptors and swap files are looked up once; the device must not change under it.
 * Throws `unsupported` (a feature or version, by name), `corrupt`, `io`.
 */
export const openExt = (device: ReadableDevice, isContainer?: ContainerTest): FileSystem => {
  const volume = new ExtVolume(device);
  let swapFiles: readonly SwapFile[] | undefined;
  const swap = (): readonly SwapFile[] => {
    swapFiles ??= findSwapFiles(volume);
    return swapFiles;
  };
  return {
    kind: kindOf(volume),
    label: text(SUPERBLOCK.get(volume.parameters.superblock, 's_volume_name')),
    uuid: formatUuid(volume.parameters.uuidBytes),
    geometry: geometryOf(volume),
    allocation: () => allocatedRuns(volume),
    blank: () => blankRuns(volume),
    bad: () => badRuns(volume),
    reserved: () => [],
    walk: (onDamage) => ({ [Symbol.iterator]: () => walkFiles(volume, onDamage) }),
    excludes: () => listExcludes(volume, swap(), isContainer),
    containers: () => listContainers(volume, isContainer),
    foldersShowDamage: true,
    refusals: () => [...guarded(volumeStates(volume)), ...guarded(suspendedStates(volume, swap))],
    check: (limit = PROBLEM_LIMIT) => first(findProblems(volume), limit),
    unusedBootSectors: () => unusedBootSectors(device),
    parameters: () => parametersOf(volume),
  };
};
