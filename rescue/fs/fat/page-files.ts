import {
  type DirectoryEntry,
  type Folder,
  folderOf,
  isNamed,
  pathOf,
  readDirectory,
  rootFolder,
} from './directory.ts';
import type { FatVolume } from './volume.ts';

/** Memory of a running or sleeping Windows that lies in files: they are known by their names and places alone. */

export type PageFileKind = 'page-file' | 'hibernation';

/**
 * Windows NT and later keep all of theirs in the root. Windows 3.1 has its permanent swap file there (386SPART.PAR), Windows
 * 95 to Me have theirs (WIN386.SWP) in the Windows folder, or in the root of another drive.
 */
const IN_ROOT: Readonly<Record<string, PageFileKind>> = {
  'pagefile.sys': 'page-file',
  'swapfile.sys': 'page-file',
  'hiberfil.sys': 'hibernation',
  '386spart.par': 'page-file',
  'win386.swp': 'page-file',
};
const WINDOWS_FOLDER = 'windows';
const IN_WINDOWS: Readonly<Record<string, PageFileKind>> = { 'win386.swp': 'page-file' };

export interface PageFile {
  readonly kind: PageFileKind;
  readonly path: string;
  readonly entry: DirectoryEntry;
}

const nameIn = <Kind>(names: Readonly<Record<string, Kind>>, entry: DirectoryEntry): Kind | undefined => {
  const found = Object.keys(names).find((name) => isNamed(entry, name));
  return found === undefined ? undefined : names[found];
};

function* filesIn(
  volume: FatVolume,
  folder: Folder,
  names: Readonly<Record<string, PageFileKind>>,
): Generator<PageFile> {
  for (const entry of readDirectory(volume, folder)) {
    if (entry.isFolder || entry.isLabel) continue;
    const kind = nameIn(names, entry);
    if (kind !== undefined) yield { kind, path: pathOf(folder, entry.name), entry };
  }
}

/** All that are there. Reads the root and the Windows folder. Throws `corrupt`, `io`. */
export function* findPageFiles(volume: FatVolume): Generator<PageFile> {
  const root = rootFolder(volume);
  yield* filesIn(volume, root, IN_ROOT);
  for (const entry of readDirectory(volume, root)) {
    if (!entry.isFolder || !isNamed(entry, WINDOWS_FOLDER)) continue;
    yield* filesIn(volume, folderOf(volume, entry, root), IN_WINDOWS);
  }
}

const HEADER = 4096;

/**
 * Whether a hibernation file holds a system that may be resumed. Its first bytes say so: `hibr` (Windows 7 and later also in
 * capitals) while it may, `wake` once it was; Windows 8 and later clear them. Anything else counts as one too many
 * rather than one too few, as in the Linux ntfs driver (`check_windows_hibernation_status`). Throws `corrupt`, `io`.
 */
export const holdsSuspendedSystem = (volume: FatVolume, { entry }: PageFile): boolean => {
  const length = Math.min(HEADER, entry.size, volume.clusterSize);
  if (length === 0 || entry.firstEntry === 0) return false;
  const header = volume.device.read(volume.clusterOffset(volume.clusterOf(entry.firstEntry)), length);
  const signature = Buffer.from(header.subarray(0, 4)).toString('latin1').toLowerCase();
  return signature !== 'wake' && header.some((byte) => byte !== 0);
};
