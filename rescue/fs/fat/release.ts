import { corrupt, refused } from '../../errors.ts';
import type { Run } from '../../units.ts';
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
  if (emptied) chains.push(chainFrom(volume, folder.first as number, folder.path));
  const given = chains.flatMap(({ runs }) => runs);
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
  return file.firstEntry === 0 ? [] : [chainFrom(volume, volume.clusterOf(file.firstEntry), path)];
};

const chainFrom = (volume: FatVolume, first: number, path: string): ClusterChain => {
  const runs: Run[] = [...volume.table.chainRuns(first, path)];
  const last = runs.at(-1)!;
  return { runs, end: volume.table.entry(volume.entryOf(last.start + last.length - 1)) };
};
