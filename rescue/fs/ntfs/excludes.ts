import type { ContainerTest, Exclude } from '../filesystem.ts';
import { isPlain } from './attribute.ts';
import { listContainers } from './containers.ts';
import { attributeRuns, type NtfsFile } from './file.ts';
import { HIBERNATION_FILE, hibernationState } from './hibernation.ts';
import { AT_DATA } from './layout.ts';
import { findInRoot } from './root-files.ts';
import { clustersOf } from './runlist.ts';
import type { NtfsVolume } from './volume.ts';

/** Files that Windows makes anew at each start, in the root of a volume. */
const PAGE_FILES = ['pagefile.sys', 'swapfile.sys'];

/** A page file that is compressed or encrypted is not Windows' own: kept like any other. */
const isWholeFile = (file: NtfsFile): boolean => {
  const data = file.find(AT_DATA, '');
  return data !== undefined && !data.resident && isPlain(data);
};

const isWorthless = (name: string, file: NtfsFile): boolean =>
  isWholeFile(file) && (name !== HIBERNATION_FILE || hibernationState(file).kind === 'inactive');

/**
 * Clusters not worth imaging: the containers; page files and an inactive hibernation file, whose first cluster a restore zeroes, so
 * that no stale header in it (of a suspended system, of a crash dump) is ever believed. Throws `corrupt`, `io`.
 */
export const listExcludes = (volume: NtfsVolume, isContainer?: ContainerTest): Exclude[] => [
  ...listContainers(volume, isContainer).map(
    ({ paths: [path], runs }): Exclude => ({ path: path!, reason: 'container', runs, onRestore: 'leave' }),
  ),
  ...findInRoot(volume, [...PAGE_FILES, HIBERNATION_FILE]).flatMap(({ name, file }): Exclude[] => {
    if (!isWorthless(name, file)) return [];
    const runs = [...clustersOf(attributeRuns(file, AT_DATA, ''))];
    const reason = name === HIBERNATION_FILE ? 'hibernation' : 'page-file';
    return [{ path: `/${name}`, reason, runs, onRestore: 'zero' }];
  }),
];
