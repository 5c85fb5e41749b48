import { refused, usage } from '../../errors.ts';
import type { Run } from '../../units.ts';
import { fileNames, splitRuns } from '../container-files.ts';
import { type ClaimRequest, CONTAINER_FOLDER } from '../filesystem.ts';
import type { Editor } from '../patch.ts';
import { newFolder } from './container-folder.ts';
import { readDirectory } from './directory.ts';
import { DirectoryEditor, type EditContext } from './directory-editor.ts';
import type { NewEntry } from './directory-leaf.ts';
import { writeMap } from './file-map.ts';
import { GroupEditor } from './group-editor.ts';
import { isDirectory } from './inode.ts';
import { generationOf, newInode, writeInode } from './inode-editor.ts';
import { largestFile } from './largest-file.ts';
import {
  FILE_TYPE_DIRECTORY,
  FILE_TYPE_FILE,
  INODE_EXTENTS,
  INODE_IMMUTABLE,
  INODE_NODUMP,
  MODE_FILE,
  ROOT_INODE,
} from './layout.ts';
import { StagedEdits } from './staged-edits.ts';
import { ExtVolume } from './volume.ts';

const OWNER_READS = 0o400;
/** Above this size a file needs the feature large_file (super.rst). */
const LARGE_FILE = 2 ** 31;

export interface ClaimLimits {
  /** Largest file in bytes, a multiple of the cluster size; for tests. */
  readonly fileSize?: number;
}

/**
 * Makes the volume list the clusters as `/.holdfast/NAME.hfi` and further files where their size is limited.
 * See `FileSystemDriver.claim`; throws `refused` (`claim.exists`, `claim.not-free`, `claim.no-space`,
 * `claim.no-inode`, `claim.name-taken`, `claim.directory-full`, ...), `unsupported`, `corrupt`, `io`, `usage`.
 */
export const claim = (editor: Editor, request: ClaimRequest, limits: ClaimLimits = {}): void => {
  const { name, runs, avoid } = request;
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(name))
    throw usage('not a container name', { code: 'claim.name', found: name });
  if (runs.length === 0) throw usage('a container has at least one cluster', { code: 'claim.runs' });
  const edits = new StagedEdits(editor, 'claim');
  const volume = new ExtVolume(edits);
  const context = { volume, edits, groups: new GroupEditor(volume, edits), avoid };

  const root = new DirectoryEditor(context, ROOT_INODE);
  const folder = findFolder(context, root);
  const parts = splitRuns(runs, Math.floor((limits.fileSize ?? largestFile(volume)) / volume.clusterSize));
  const names = fileNames(name, parts.length);
  if (folder !== undefined) requireNew(volume, folder, name, names);
  for (const run of runs) context.groups.takeClusters(run);

  const entries = parts.map((part, index): NewEntry => {
    const inode = writeFile(context, { name: names[index]!, clusters: part, time: request.time });
    return { inode, name: Buffer.from(names[index]!), type: FILE_TYPE_FILE };
  });
  if (folder !== undefined) for (const entry of entries) folder.insert(entry);
  else {
    const inode = newFolder(context, entries, request.time);
    root.insert({ inode, name: Buffer.from(CONTAINER_FOLDER), type: FILE_TYPE_DIRECTORY });
    root.addLinks(1);
  }
  context.groups.finish();
  edits.apply();
};

/** The folder if it is there. Throws `refused` (`claim.name-taken`) if something else has its name. */
const findFolder = (context: EditContext, root: DirectoryEditor): DirectoryEditor | undefined => {
  const number = root.find(Buffer.from(CONTAINER_FOLDER));
  if (number === undefined) return undefined;
  const folder = new DirectoryEditor(context, number);
  if (isDirectory(folder.inode)) return folder;
  throw refused(`/${CONTAINER_FOLDER} is not a folder`, {
    code: 'claim.name-taken',
    structure: `ext inode ${number}`,
    wayOut: 'Rename it and try again',
  });
};

/** A file that is only called like a further one of the container is not in its way. */
const requireNew = (
  volume: ExtVolume,
  folder: DirectoryEditor,
  name: string,
  names: readonly string[],
): void => {
  const own = new Set(names);
  for (const entry of readDirectory(volume, folder.inode)) {
    if (!own.has(Buffer.from(entry.name).toString())) continue;
    throw refused(`a container named ${name} is there already`, {
      code: 'claim.exists',
      structure: `/${CONTAINER_FOLDER}`,
      wayOut: 'Remove it first, or choose another name',
    });
  }
};

/** Plans one file: its map, its inode. Gives the inode's number. */
const writeFile = (
  context: EditContext,
  file: { name: string; clusters: readonly Run[]; time: number },
): number => {
  const { volume, edits, groups } = context;
  const ratio = volume.parameters.clusterBlocks;
  const number = groups.takeInode(false);
  const generation = generationOf(file.name, file.time);
  const blocks = file.clusters.map(({ start, length }) => ({ start: start * ratio, length: length * ratio }));
  const clusters = file.clusters.reduce((sum, run) => sum + run.length, 0);
  const size = clusters * volume.clusterSize;
  const { map, nodes, extents } = writeMap(context, blocks, { number, generation });
  if (size >= LARGE_FILE) groups.addFeature('large_file');
  const bytes = newInode(volume, {
    mode: MODE_FILE | OWNER_READS,
    links: 1,
    flags: INODE_IMMUTABLE | INODE_NODUMP | (extents ? INODE_EXTENTS : 0),
    size,
    sectors: (clusters + nodes) * (volume.clusterSize / 512),
    map,
    generation,
    time: file.time,
  });
  writeInode(volume, edits, { phase: 'files', number, bytes });
  return number;
};
