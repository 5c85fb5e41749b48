import { NumberSet } from '../../bytes/number-set.ts';
import { corrupt, type HoldfastError, unsupported } from '../../errors.ts';
import type { Run } from '../../units.ts';
import type { ContentPiece, FileEntry } from '../filesystem.ts';
import { isDamage, type OnDamage, tolerating } from '../tolerance.ts';
import {
  type DirectoryEntry,
  type Folder,
  folderOf,
  folderParts,
  pathOf,
  readDirectory,
  rootFolder,
} from './directory.ts';
import { ATTRIBUTE_DIRECTORY } from './layout.ts';
import { CLUSTERS_PER_PAGE, type FatVolume } from './volume.ts';

/** Levels of folders: Windows' longest path (260 characters) and Linux' (4096 bytes) end well before. */
export const DEEPEST = 2048;

export const isDots = (entry: DirectoryEntry): boolean => entry.shortName === '.' || entry.shortName === '..';

/** Clusters of a file's content or of a folder, in order. Throws `corrupt` (`fat.chain-...`), `io`. */
export const clusterRuns = (volume: FatVolume, entry: DirectoryEntry, path: string): Iterable<Run> => ({
  [Symbol.iterator]: () =>
    entry.firstEntry === 0
      ? [][Symbol.iterator]()
      : volume.table.chainRuns(volume.clusterOf(entry.firstEntry), path),
});

/** `size`: bytes of the content; a folder has what its chain has. */
function* contentPieces(
  volume: FatVolume,
  runs: Iterable<Run>,
  size = Number.POSITIVE_INFINITY,
): Generator<ContentPiece> {
  let offset = 0;
  for (const { start, length } of runs) {
    const bytes = length * volume.clusterSize;
    const inside = Math.min(bytes, size - offset);
    if (inside <= 0) return;
    yield { offset, start: volume.clusterOffset(start), length: inside };
    offset += bytes;
  }
}

const fileEntry = (volume: FatVolume, entry: DirectoryEntry, path: string): FileEntry => ({
  path,
  type: entry.isFolder ? 'directory' : 'file',
  size: entry.isFolder ? 0 : entry.size,
  modified: entry.modified,
  attributes: entry.attributes,
  node: entry.firstEntry,
  runs: () => clusterRuns(volume, entry, path),
  pieces: () =>
    contentPieces(volume, clusterRuns(volume, entry, path), entry.isFolder ? undefined : entry.size),
});

/** The root has no entry of its own: no times, and on FAT12 and FAT16 no clusters. */
const rootEntry = (volume: FatVolume): FileEntry => {
  const { root } = volume.parameters;
  const first = 'entry' in root ? root.entry : 0;
  const runs = (): Iterable<Run> => (first === 0 ? [] : volume.table.chainRuns(volume.clusterOf(first), '/'));
  return {
    path: '/',
    type: 'directory',
    size: 0,
    modified: 0,
    attributes: ATTRIBUTE_DIRECTORY,
    node: first,
    runs,
    pieces: () =>
      'entry' in root
        ? contentPieces(volume, runs())
        : [{ offset: 0, start: root.offset, length: root.length }],
  };
};

/**
 * Every file and folder once, the root first, a folder before what it holds; labels, `.` and `..` left out. `node` is the
 * FAT entry of the first cluster, 0 where there is none. A folder whose first cluster was met before (damage) is given but
 * not entered again, and one that runs into another's clusters is an error, so that the walk ends whatever the volume
 * says, after reading each folder's cluster once. Memory: 16 KiB per level of folders, one bit per cluster near a folder's.
 * Throws `corrupt` (`fat.cross-linked`, `fat.chain-...`, `fat.folder-size`, `fat.cluster-range`), `unsupported`
 * (`fat.too-deep`), `io`.
 */
export function* walkFiles(volume: FatVolume, onDamage?: OnDamage): Generator<FileEntry> {
  const entered = new NumberSet(CLUSTERS_PER_PAGE);
  const enter = (folder: Folder): { folder: Folder; entries: Iterator<DirectoryEntry> } => {
    const onLost =
      onDamage === undefined
        ? undefined
        : (error: HoldfastError): void => onDamage({ path: folder.path, what: 'folder', error });
    try {
      for (const { cluster, position } of folderParts(volume, folder)) {
        if (cluster === undefined || entered.add(cluster)) continue;
        throw corrupt('shares a cluster with another folder', {
          code: 'fat.cross-linked',
          structure: `FAT folder ${folder.path}`,
          offset: position,
        });
      }
    } catch (error) {
      // A chain that breaks off is read up to there. Clusters of another folder would be gone through again and again.
      if (onLost === undefined || !isDamage(error)) throw error;
      if (error.detail.code === 'fat.cross-linked') {
        onLost(error);
        return { folder, entries: [].values() };
      }
    }
    return { folder, entries: readDirectory(volume, folder, onLost) };
  };
  yield rootEntry(volume);
  const stack = [enter(rootFolder(volume))];
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const { entries, folder: parent } = level;
    const next = tolerating(onDamage, 'folder', parent.path, () => entries.next());
    if (next === undefined || next.done) {
      stack.pop();
      continue;
    }
    const entry = next.value;
    if (entry.isLabel || isDots(entry)) continue;
    const path = pathOf(parent, entry.name);
    yield fileEntry(volume, entry, path);
    if (!entry.isFolder) continue;
    const folder = tolerating(onDamage, 'folder', path, () => folderOf(volume, entry, parent));
    if (folder === undefined) continue;
    if (folder.first !== 'fixed' && entered.has(folder.first)) continue;
    if (stack.length >= DEEPEST) {
      throw unsupported(`has more than ${DEEPEST} folders inside each other`, {
        code: 'fat.too-deep',
        structure: `FAT folder`,
        offset: entry.position,
      });
    }
    stack.push(enter(folder));
  }
}
