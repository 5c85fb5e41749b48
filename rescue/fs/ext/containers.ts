import { toExtents } from '../../bytes/runs.ts';
import type { Extent, Run } from '../../units.ts';
import { CONTAINER_FOLDER, type ContainerFile, type ContainerTest } from '../filesystem.ts';
import { fileName } from './container-files.ts';
import { lookup, readDirectory } from './directory.ts';
import { type Inode, isDirectory, isRegularFile, readInode } from './inode.ts';
import { ROOT_INODE } from './layout.ts';
import { clusterRuns } from './mapping.ts';
import type { ExtVolume } from './volume.ts';

/** `NAME.hfi` is a container's first file, `NAME.001` and so on the following ones. */
const FILE_NAME = /^([A-Za-z0-9._-]{1,64})\.(hfi|\d{3,5})$/;

interface Part {
  readonly order: number;
  readonly path: string;
  readonly inode: Inode;
}

interface RealPart extends Part {
  readonly runs: readonly Run[];
  readonly extents: readonly Extent[];
}

/** The folder that holds the containers' files, if there is one. Throws `corrupt`, `io`. */
export const containerFolder = (volume: ExtVolume): Inode | undefined => {
  const entry = lookup(volume, readInode(volume, ROOT_INODE), CONTAINER_FOLDER);
  if (entry === undefined) return undefined;
  const inode = readInode(volume, entry.inode);
  return isDirectory(inode) ? inode : undefined;
};

/** The files of one name that are a container's, in order. */
const partsOf = (
  volume: ExtVolume,
  name: string,
  parts: readonly Part[],
  isContainer: ContainerTest,
): RealPart[] => {
  const real: RealPart[] = [];
  for (const part of [...parts].sort((a, b) => a.order - b.order)) {
    const runs = [...clusterRuns(volume, part.inode)];
    const extents = [...toExtents(runs, volume.clusterSize)];
    const last = real.at(-1);
    const before = last?.order === part.order - 1 ? last.extents : undefined;
    if (isContainer(extents, before, name)) real.push({ ...part, runs, extents });
  }
  return real;
};

/**
 * Containers as the folder lists them, by name; files that are none of a container are not in it. A container some of whose
 * files are missing is listed with those that are there: whoever reads it finds the gap. Throws `corrupt`, `io`.
 */
export const listContainers = (
  volume: ExtVolume,
  isContainer: ContainerTest = () => true,
): ContainerFile[] => {
  const folder = containerFolder(volume);
  if (folder === undefined) return [];
  const found = new Map<string, Part[]>();
  for (const entry of readDirectory(volume, folder)) {
    const file = Buffer.from(entry.name).toString('latin1');
    const match = FILE_NAME.exec(file);
    if (match === null) continue;
    const inode = readInode(volume, entry.inode);
    if (!isRegularFile(inode)) continue;
    const [, name, suffix] = match as unknown as [string, string, string];
    const order = suffix === 'hfi' ? 0 : Number(suffix);
    if (file !== fileName(name, order)) continue;
    const parts = found.get(name) ?? [];
    parts.push({ order, path: `/${CONTAINER_FOLDER}/${file}`, inode });
    found.set(name, parts);
  }
  return [...found.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, all]) => {
      const parts = partsOf(volume, name, all, isContainer);
      if (parts.length === 0) return [];
      return [
        {
          name,
          paths: parts.map((part) => part.path),
          runs: parts.flatMap((part) => part.runs),
          size: parts.reduce((sum, part) => sum + part.inode.size, 0),
        },
      ];
    });
};
