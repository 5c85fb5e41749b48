import { corrupt } from '../../errors.ts';
import { containersAmong, type ListedFile } from '../container-files.ts';
import { CONTAINER_FOLDER, type ContainerFile, type ContainerTest } from '../filesystem.ts';
import { type DirectoryEntry, lookup, readDirectory } from './directory.ts';
import { type Inode, isDirectory, isRegularFile, readInode } from './inode.ts';
import { FILE_TYPE_DIRECTORY, FILE_TYPE_FILE, ROOT_INODE } from './layout.ts';
import { clusterRuns } from './mapping.ts';
import type { ExtVolume } from './volume.ts';

/**
 * The inode that an entry leads to. Throws `corrupt` (`ext.inode-type`) if it is not what the entry says: an inode without a checksum may be
 * noise, and a list of containers that leads there is lost, not empty.
 */
const meantInode = (volume: ExtVolume, { inode: number, type }: DirectoryEntry): Inode => {
  const inode = readInode(volume, number);
  const isOther =
    (type === FILE_TYPE_DIRECTORY && !isDirectory(inode)) ||
    (type === FILE_TYPE_FILE && !isRegularFile(inode));
  if (!isOther) return inode;
  throw corrupt(`is no ${type === FILE_TYPE_FILE ? 'file' : 'directory'}, as its name says`, {
    code: 'ext.inode-type',
    structure: `ext inode ${number}`,
    offset: inode.offset,
  });
};

/** The folder that holds the containers' files, if there is one. Throws `corrupt`, `io`. */
export const containerFolder = (volume: ExtVolume): Inode | undefined => {
  const entry = lookup(volume, readInode(volume, ROOT_INODE), CONTAINER_FOLDER);
  if (entry === undefined) return undefined;
  const inode = meantInode(volume, entry);
  return isDirectory(inode) ? inode : undefined;
};

function* regularFiles(volume: ExtVolume, folder: Inode): Generator<ListedFile> {
  for (const entry of readDirectory(volume, folder)) {
    const inode = meantInode(volume, entry);
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
