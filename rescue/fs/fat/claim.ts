import { normalise, totalLength } from '../../bytes/runs.ts';
import { refused, usage } from '../../errors.ts';
import { type Cluster, type Run, roundDown } from '../../units.ts';
import { fileNames, splitRuns } from '../container-files.ts';
import { type ClaimRequest, CONTAINER_FOLDER } from '../filesystem.ts';
import type { Editor } from '../patch.ts';
import {
  type DirectoryEntry,
  type Folder,
  folderOf,
  isNamed,
  readDirectory,
  rootFolder,
} from './directory.ts';
import { FolderEditor } from './folder-editor.ts';
import { FreeClusters } from './free-clusters.ts';
import { updateFsInfo } from './fsinfo-editor.ts';
import {
  ATTRIBUTE_DIRECTORY,
  ATTRIBUTE_HIDDEN,
  ATTRIBUTE_READ_ONLY,
  ATTRIBUTE_SYSTEM,
  FILE_MOST,
} from './layout.ts';
import type { NewEntry } from './new-entry.ts';
import { shortNameFor } from './short-name.ts';
import { linkChains, requireFewRuns, requireFree } from './table-editor.ts';
import { FatVolume } from './volume.ts';

/** Slots have at most this size: a file that ends at a multiple of it never ends within one. */
const SLOT_MOST = 65536;
const CONTAINER_FILE = ATTRIBUTE_READ_ONLY | ATTRIBUTE_HIDDEN | ATTRIBUTE_SYSTEM;
const HIDDEN_FOLDER = ATTRIBUTE_DIRECTORY | ATTRIBUTE_HIDDEN | ATTRIBUTE_SYSTEM;

export interface ClaimLimits {
  /** Largest file in bytes, a multiple of the cluster size; for tests. */
  readonly fileSize?: number;
}

/** Largest file of a container: DIR_FileSize has 32 bits, and a file holds whole slots and whole clusters. */
export const largestFile = ({ clusterSize }: FatVolume): number =>
  roundDown(FILE_MOST, Math.max(clusterSize, SLOT_MOST));

/**
 * Makes the volume list the clusters as `/.holdfast/NAME.hfi` and further files where their size is limited.
 * See `FileSystemDriver.claim`; throws `refused` (`claim.exists`, `claim.not-free`, `claim.no-space`, `claim.name-taken`,
 * `claim.folder-full`, `claim.folder-end`, `claim.short-names`, `claim.too-scattered`), `unsupported`, `corrupt`, `io`, `usage`.
 */
export const claim = (editor: Editor, request: ClaimRequest, limits: ClaimLimits = {}): void => {
  const { name, runs, time } = request;
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(name))
    throw usage('not a container name', { code: 'claim.name', found: name });
  if (runs.length === 0) throw usage('a container has at least one cluster', { code: 'claim.runs' });
  const volume = new FatVolume(editor);
  requireFree(volume, runs);
  requireApart(runs);
  const parts = splitRuns(runs, Math.floor((limits.fileSize ?? largestFile(volume)) / volume.clusterSize));
  const names = fileNames(name, parts.length);
  const chains = parts.map((part) => ({ runs: part }));
  requireFewRuns(chains);

  const free = new FreeClusters(volume, runs, request.avoid);
  const takeCluster = (): Cluster => free.take();
  const root = rootFolder(volume);
  const inRoot = [...readDirectory(volume, root)];
  const found = inRoot.find((entry) => isNamed(entry, CONTAINER_FOLDER));
  const listed = found === undefined ? [] : [...readDirectory(volume, requireFolder(volume, found, root))];
  requireNew(listed, name, names);
  const files = newFiles(volume, { parts, names, listed, time });
  // The folder that is there, or the root: whose entries appear last, when everything else is in place.
  const live = FolderEditor.open(
    volume,
    found === undefined ? root : folderOf(volume, found, root),
    takeCluster,
  );
  const made = found === undefined ? newFolder(volume, files, time, takeCluster) : undefined;
  if (made === undefined) for (const file of files) live.insert(file);
  else live.insert(folderEntry(made.growth[0]!, inRoot, time));

  // Nothing is refused from here on.
  made?.writeClusters(editor);
  live.writeClusters(editor);
  editor.barrier();
  const folders = [made?.growth ?? [], live.growth].filter((clusters) => clusters.length > 0).map(asRuns);
  linkChains(volume, editor, [...chains, ...folders.map((each) => ({ runs: each }))]);
  editor.barrier();
  live.writeLink(editor);
  editor.barrier();
  live.writeMarks(editor);
  editor.barrier();
  live.writeEntries(editor);
  editor.barrier();
  updateFsInfo(volume, editor, { taken: [...runs, ...folders.flat()] });
};

/** Throws `usage` if a cluster is asked for twice. */
const requireApart = (runs: readonly Run[]): void => {
  if (totalLength(normalise(runs)) === totalLength(runs)) return;
  throw usage('a container has no cluster twice', { code: 'claim.runs' });
};

const requireFolder = (volume: FatVolume, entry: DirectoryEntry, root: Folder): Folder => {
  if (entry.isFolder) return folderOf(volume, entry, root);
  throw refused(`/${CONTAINER_FOLDER} is not a folder`, {
    code: 'claim.name-taken',
    structure: 'FAT folder /',
    offset: entry.position,
    wayOut: 'Rename it and try again',
  });
};

/** A file that is only called like a further one of the container is not in its way. */
const requireNew = (listed: readonly DirectoryEntry[], name: string, names: readonly string[]): void => {
  const same = listed.find((entry) => names.some((each) => isNamed(entry, each)));
  if (same === undefined) return;
  throw refused(`a container named ${name} is there already`, {
    code: 'claim.exists',
    structure: `/${CONTAINER_FOLDER}`,
    offset: same.position,
    wayOut: 'Remove it first, or choose another name',
  });
};

/** Tells which short names are taken, in a folder and by what was chosen before. */
const shortNames = (listed: readonly DirectoryEntry[]) => {
  const key = (shortName: Uint8Array): string => Buffer.from(shortName).toString('latin1');
  const taken = new Set(listed.map(({ shortBytes }) => key(shortBytes)));
  return (name: string): Uint8Array => {
    const shortName = shortNameFor(name, (tried) => taken.has(key(tried)));
    taken.add(key(shortName));
    return shortName;
  };
};

const newFiles = (
  volume: FatVolume,
  {
    parts,
    names,
    listed,
    time,
  }: {
    readonly parts: readonly (readonly Run[])[];
    readonly names: readonly string[];
    readonly listed: readonly DirectoryEntry[];
    readonly time: number;
  },
): NewEntry[] => {
  const shortNameOf = shortNames(listed);
  return parts.map((part, index) => ({
    longName: names[index]!,
    shortName: shortNameOf(names[index]!),
    attributes: CONTAINER_FILE,
    first: part[0]!.start,
    size: totalLength(part) * volume.clusterSize,
    time,
  }));
};

const folderEntry = (first: Cluster, inRoot: readonly DirectoryEntry[], time: number): NewEntry => ({
  longName: CONTAINER_FOLDER,
  shortName: shortNames(inRoot)(CONTAINER_FOLDER),
  attributes: HIDDEN_FOLDER,
  first,
  size: 0,
  time,
});

const DOT = Buffer.from('.          ');
const DOT_DOT = Buffer.from('..         ');

const newFolder = (
  volume: FatVolume,
  files: readonly NewEntry[],
  time: number,
  takeCluster: () => Cluster,
): FolderEditor => {
  const folder = FolderEditor.create(volume, `/${CONTAINER_FOLDER}`, takeCluster);
  const common = { longName: undefined, attributes: ATTRIBUTE_DIRECTORY, size: 0, time };
  folder.insert({ ...common, shortName: DOT, first: folder.growth[0] });
  // 0 stands for the root, also where that has a cluster.
  folder.insert({ ...common, shortName: DOT_DOT, first: undefined });
  for (const file of files) folder.insert(file);
  return folder;
};

/** Clusters in the order of a chain. */
const asRuns = (clusters: readonly Cluster[]): Run[] => {
  const runs: { start: Cluster; length: number }[] = [];
  for (const cluster of clusters) {
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.length === cluster) last.length += 1;
    else runs.push({ start: cluster, length: 1 });
  }
  return runs;
};
