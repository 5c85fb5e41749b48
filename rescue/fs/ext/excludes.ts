import type { ContainerTest, Exclude } from '../filesystem.ts';
import { listContainers } from './containers.ts';
import { pathsOf, type SwapFile } from './swap.ts';
import type { ExtVolume } from './volume.ts';

/** Where a swap file is, for people. */
export const swapPaths = (volume: ExtVolume, swapFiles: readonly SwapFile[]): string[] => {
  const paths = pathsOf(
    volume,
    swapFiles.map((file) => file.inode.number),
  );
  return swapFiles.map((file) => paths.get(file.inode.number) ?? `(inode ${file.inode.number})`);
};

/**
 * Clusters not worth imaging: the containers, and the swap area in swap files but for its first page, which says that they
 * are swap files. Throws `corrupt`, `io`.
 */
export const listExcludes = (
  volume: ExtVolume,
  swapFiles: readonly SwapFile[],
  isContainer?: ContainerTest,
): Exclude[] => {
  const paths = swapPaths(volume, swapFiles);
  return [
    ...listContainers(volume, isContainer).map(
      ({ paths: [path], runs }): Exclude => ({
        path: path!,
        reason: 'container',
        runs,
        onRestore: 'leave',
      }),
    ),
    ...swapFiles.map(
      ({ runs }, index): Exclude => ({ path: paths[index]!, reason: 'swap', runs, onRestore: 'leave' }),
    ),
  ];
};
