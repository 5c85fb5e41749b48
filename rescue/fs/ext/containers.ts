import { containersAmong, type ListedFile } from '../container-files.ts';
import { CONTAINER_FOLDER, type ContainerFile, type ContainerTest } from '../filesystem.ts';
import { lookup, readDirectory } from './directory.ts';
import { type Inode, isDirectory, isRegularFile, readInode } from './inode.ts';
import { ROOT_INODE } from './layout.ts';
import { clusterRuns } from './mapping.ts';
import type { ExtVolume } from './volume.ts';

/** The folder that holds the containers' files, if there is one. Throws `corrupt`, `io`. */
export const containerFolder = (volume: ExtVolume): Inode | undefined => {
  const entry = lookup(volume, readInode(volume, ROOT_INODE), CONTAINER_FOLDER);
  if (entry === undefined) return undefined;
  const inode = readInode(volume, entry.inode);
  return isDirectory(inode) ? inode : undefined;
};

function* regularFiles(volume: ExtVolume, folder: Inode): Generator<ListedFile> {
  for (const entry of readDirectory(volume, folder)) {
    const inode = readInode(volume, entry.inode);
    if (!isRegularFile(inode)) continue;
    const name = Buffer.from(entry.name).toString('latin1');
    yield { name, size: inode.size, runs: () => clusterRuns(volume, inode) };
  }
}

/** Containers as the folder lists them (`containersAmong`). Throws `corrupt`, `io`. */
export const listContainers = (volume: ExtVolume, isContainer?: ContainerTest): ContainerFile[] => {
  const folder = containerFolder(volume);
  if (folder === undefined) return [];
  const places = { clusterSize: volume.clusterSize, clusterBase: 0 };
  return containersAmong(regularFiles(volume, folder), places, isContainer);
};
