import type { Run } from '../../units.ts';
import { containersAmong, type ListedFile } from '../container-files.ts';
import { CONTAINER_FOLDER, type ContainerFile, type ContainerTest } from '../filesystem.ts';
import {
  containerFileName,
  type Folder,
  folderOf,
  lookup,
  pathOf,
  readDirectory,
  rootFolder,
} from './directory.ts';
import type { FatVolume } from './volume.ts';
import { clusterRuns } from './walk.ts';

/**
 * The folder that holds the containers' files, if there is one. It goes by its long name: the short one beside it
 * (`HOLDFA~1`) depends on what else is there. Throws `corrupt`, `io`.
 */
export const containerFolder = (volume: FatVolume): Folder | undefined => {
  const root = rootFolder(volume);
  const entry = lookup(volume, root, CONTAINER_FOLDER);
  return entry?.isFolder === true ? folderOf(volume, entry, root) : undefined;
};

function* filesIn(volume: FatVolume, folder: Folder): Generator<ListedFile> {
  for (const entry of readDirectory(volume, folder)) {
    if (entry.isFolder || entry.isLabel) continue;
    const { size } = entry;
    const runs = (): Iterable<Run> => clusterRuns(volume, entry, pathOf(folder, entry.name));
    yield { name: containerFileName(entry), size, runs };
  }
}

/** Containers as the folder lists them (`containersAmong`). Throws `corrupt`, `io`. */
export const listContainers = (volume: FatVolume, isContainer?: ContainerTest): ContainerFile[] => {
  const folder = containerFolder(volume);
  if (folder === undefined) return [];
  return containersAmong(filesIn(volume, folder), volume.parameters, isContainer);
};
