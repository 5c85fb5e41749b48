import { containersAmong, type ListedFile } from '../container-files.ts';
import { CONTAINER_FOLDER, type ContainerFile, type ContainerTest } from '../filesystem.ts';
import { directoryEntries, openNameIndex } from './directory.ts';
import { attributeRuns, type NtfsFile } from './file.ts';
import { AT_DATA, NAMESPACE_DOS } from './layout.ts';
import { findInRoot } from './root-files.ts';
import { clustersOf } from './runlist.ts';
import type { NtfsVolume } from './volume.ts';
import { isDirectory, meantFile, sizeOf } from './walk.ts';

/** The folder that holds the containers' files, if there is one. Throws `corrupt`, `io`. */
export const containerFolder = (volume: NtfsVolume): NtfsFile | undefined =>
  findInRoot(volume, [CONTAINER_FOLDER]).find(({ file }) => isDirectory(file))?.file;

function* filesOf(volume: NtfsVolume, folder: NtfsFile): Generator<ListedFile> {
  for (const { name, namespace, reference, place } of directoryEntries(openNameIndex(folder))) {
    if (namespace === NAMESPACE_DOS) continue;
    const file = meantFile(volume, reference, place);
    if (isDirectory(file)) continue;
    yield {
      name,
      size: sizeOf(file.find(AT_DATA, '')),
      runs: () => clustersOf(attributeRuns(file, AT_DATA, '')),
    };
  }
}

/** Containers as the folder lists them, by name. Throws `corrupt`, `io`. */
export const listContainers = (volume: NtfsVolume, isContainer?: ContainerTest): ContainerFile[] => {
  const folder = containerFolder(volume);
  if (folder === undefined) return [];
  const places = { clusterSize: volume.clusterSize, clusterBase: 0 };
  return containersAmong(filesOf(volume, folder), places, isContainer);
};
