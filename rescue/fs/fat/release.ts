import { normalise, totalLength } from '../../bytes/runs.ts';
import { corrupt, refused } from '../../errors.ts';
import type { ByteLength, Cluster, Run } from '../../units.ts';
import { isFileOf } from '../container-files.ts';
import { CONTAINER_FOLDER, type ReleaseRequest } from '../filesystem.ts';
import type { Editor } from '../patch.ts';
import {
  containerFileName,
  type DirectoryEntry,
  type Folder,
  folderOf,
  lookup,
  readDirectory,
  rootFolder,
} from './directory.ts';
import { removeEntry } from './folder-editor.ts';
import { updateFsInfo } from './fsinfo-editor.ts';
import { FOLDER_MOST } from './layout.ts';
import { type ClusterChain, freeChains, requireAlike } from './table-editor.ts';
import { FatVolume } from './volume.ts';

/**
 * Removes a container's files, and the folder when it is empty then. See `FileSystemDriver.release`.
 * Throws `refused` (`release.not-found`), `corrupt`, `io`.
 */
export const release = (editor: Editor, request: ReleaseRequest): void => {
  const volume = new FatVolume(editor);
  const root = rootFolder(volume);
  const entry = lookup(volume, root, CONTAINER_FOLDER);
  if (entry === undefined || !entry.isFolder) throw absent(request.name);
  const folder = folderOf(volume, entry, root);
  const listed = [...readDirectory(volume, folder)].filter(
    ({ name, isLabel }) => !isLabel && name !== '.' && name !== '..',
  );
  const ours = listed.filter((each) => isOurs(request, containerFileName(each)));
  if (ours.length === 0) throw absent(request.name);
  const chains = ours.flatMap((file) => chainOf(volume, file, folder));
  const emptied = ours.length === listed.length;
  if (emptied)
    chains.push(chainFrom(volume, { first: folder.first as number, path: folder.path, most: FOLDER_MOST }));
  const given = chains.flatMap(({ runs }) => runs);
  requireApart(given, folder);
  requireAlike(volume, given);

  // Nothing is refused from here on.
  for (const gone of emptied ? [entry] : ours) removeEntry(volume, editor, gone);
  editor.barrier();
  freeChains(volume, editor, chains);
  editor.barrier();
  updateFsInfo(volume, editor, { given });
};

const isOurs = ({ name, paths }: ReleaseRequest, file: string): boolean =>
  isFileOf(name, file) && (paths?.includes(`/${CONTAINER_FOLDER}/${file}`) ?? true);

const absent = (name: string) =>
  refused(`no container named ${name} is there`, {
    code: 'release.not-found',
    structure: `/${CONTAINER_FOLDER}`,
  });

/** The clusters of a file: none of an empty one. */
const chainOf = (volume: FatVolume, file: DirectoryEntry, folder: Folder): ClusterChain[] => {
  const path = `${folder.path}/${file.name}`;
  if (file.isFolder) {
    throw corrupt('not a regular file', { code: 'fat.not-file', structure: path, offset: file.position });
  }
  if (file.firstEntry === 0) return [];
  return [chainFrom(volume, { first: volume.clusterOf(file.firstEntry), path, most: file.size })];
};

interface Owner {
  readonly first: Cluster;
  readonly path: string;
  /** Bytes that its chain may hold, rounded up to whole clusters. */
  readonly most: ByteLength;
}

const chainFrom = (volume: FatVolume, { first, path, most }: Owner): ClusterChain => {
  const runs: Run[] = [];
  let clusters = 0;
  for (const run of volume.table.chainRuns(first, path)) {
    runs.push(run);
    clusters += run.length;
    if (clusters > Math.max(1, Math.ceil(most / volume.clusterSize))) {
      throw corrupt('the chain of clusters is longer than what it holds', {
        code: 'fat.chain-length',
        structure: path,
        offset: volume.table.positionOf(volume.entryOf(run.start)),
        wayOut: 'Run fsck.fat on the partition first',
      });
    }
  }
  const last = runs.at(-1)!;
  return { runs, end: volume.table.entry(volume.entryOf(last.start + last.length - 1)) };
};

/** What is freed once must not be freed twice. */
const requireApart = (given: readonly Run[], folder: Folder): void => {
  if (totalLength(normalise(given)) === totalLength(given)) return;
  throw corrupt('two files share clusters', {
    code: 'fat.cross-linked',
    structure: folder.path,
    wayOut: 'Run fsck.fat on the partition first',
  });
};
