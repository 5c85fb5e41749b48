import type { ContainerTest, Exclude } from '../filesystem.ts';
import { listContainers } from './containers.ts';
import { findPageFiles } from './page-files.ts';
import type { FatVolume } from './volume.ts';
import { clusterRuns } from './walk.ts';

/**
 * Clusters not worth imaging: the containers, and files that hold memory of Windows. A volume with a system that may be
 * resumed is refused (`state.ts`); a hibernation file that is left out loses its first cluster in a restore, so that nothing
 * stale is ever resumed. Throws `corrupt`, `io`.
 */
export const listExcludes = (volume: FatVolume, isContainer?: ContainerTest): Exclude[] => [
  ...listContainers(volume, isContainer).map(
    ({ paths: [path], runs }): Exclude => ({
      path: path!,
      reason: 'container',
      runs,
      onRestore: 'leave',
    }),
  ),
  ...[...findPageFiles(volume)].map(
    ({ kind, path, entry }): Exclude => ({
      path,
      reason: kind,
      runs: [...clusterRuns(volume, entry, path)],
      onRestore: 'zero',
    }),
  ),
];
