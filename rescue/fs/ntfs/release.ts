import { corrupt, refused } from '../../errors.ts';
import { isFileOf } from '../container-files.ts';
import { CONTAINER_FOLDER, type ReleaseRequest } from '../filesystem.ts';
import type { Editor } from '../patch.ts';
import { ClusterEditor } from './cluster-editor.ts';
import { directoryEntries, openNameIndex } from './directory.ts';
import { extentRuns, type NtfsFile } from './file.ts';
import { IndexEditor } from './index-editor.ts';
import { AT_ATTRIBUTE_LIST, AT_FILE_NAME, FILE_ROOT, NAMESPACE_DOS } from './layout.ts';
import { MftEditor } from './mft-editor.ts';
import { parseFileName, readUpCase } from './names.ts';
import type { EditContext } from './new-file.ts';
import { ownAttributes } from './record.ts';
import { findInRoot } from './root-files.ts';
import { clustersOf } from './runlist.ts';
import { StagedEdits } from './staged-edits.ts';
import { NtfsVolume } from './volume.ts';
import { isDirectory, meantFile } from './walk.ts';

const NOTHING = { has: (): boolean => false };

/**
 * Removes a container's files, and the folder when it is empty then. See `FileSystemDriver.release`.
 * Throws `refused` (`release.not-found`, `release.linked`), `corrupt`, `io`.
 */
export const release = (editor: Editor, request: ReleaseRequest): void => {
  const volume = new NtfsVolume(editor);
  const edits = new StagedEdits(editor);
  const [found] = findInRoot(volume, [CONTAINER_FOLDER]).filter(({ file }) => isDirectory(file));
  if (found === undefined) throw absent(request.name);
  const folder = found.file;
  const listed = [...directoryEntries(openNameIndex(folder))];
  const meant = listed.filter(({ name, namespace }) => namespace !== NAMESPACE_DOS && isOurs(request, name));
  if (meant.length === 0) throw absent(request.name);
  const clusters = new ClusterEditor(volume, edits, [], NOTHING);
  const mft = new MftEditor(volume, edits, clusters);
  const context = { volume, edits, clusters, mft };
  const upCase = readUpCase(volume);
  for (const { reference, place } of meant) {
    const file = meantFile(volume, reference, place);
    requireOneName(file);
    freeFile(context, file);
  }
  // With the short names that Windows gives when a file gets its name there.
  const freed = new Set(meant.map(({ reference }) => reference.number));
  const ours = listed.filter(({ reference }) => freed.has(reference.number));
  const number = folder.record.number;
  if (ours.length === listed.length) {
    freeFile(context, folder);
    const index = new IndexEditor(context, upCase, mft.open(FILE_ROOT), false);
    const own = [...directoryEntries(openNameIndex(volume.file(FILE_ROOT)))].filter(
      ({ reference }) => reference.number === number,
    );
    for (const { name } of own) index.remove(name);
    index.finish();
  } else {
    const index = new IndexEditor(context, upCase, mft.open(number), false);
    for (const { name } of ours) index.remove(name);
    index.finish();
  }
  mft.finish();
  clusters.finish();
  edits.apply();
};

const isOurs = ({ name, paths }: ReleaseRequest, file: string): boolean =>
  isFileOf(name, file) && (paths?.includes(`/${CONTAINER_FOLDER}/${file}`) ?? true);

const absent = (name: string) =>
  refused(`no container named ${name} is there`, {
    code: 'release.not-found',
    structure: `/${CONTAINER_FOLDER}`,
  });

/** A file that somebody gave another name would be lost there, too. A short name beside a long one is none of its own. */
const requireOneName = (file: NtfsFile): void => {
  const { record } = file;
  if (isDirectory(file))
    throw corrupt('is a folder, not a container', { code: 'ntfs.not-file', ...record.place });
  const links = [...file.attributes()].filter(
    (each) =>
      each.type === AT_FILE_NAME &&
      each.resident &&
      parseFileName(each.value, record.place).namespace !== NAMESPACE_DOS,
  ).length;
  if (links <= 1) return;
  throw refused("the container's file has more than one name", {
    code: 'release.linked',
    ...record.place,
    expected: 1,
    found: links,
    wayOut: 'Delete the other names',
  });
};

/** Frees all clusters of a file, whatever attribute they belong to, and all its records. */
const freeFile = ({ volume, clusters, mft }: EditContext, file: NtfsFile): void => {
  const records = new Set([file.record.number]);
  for (const { reference } of file.list ?? []) records.add(reference.number);
  for (const attribute of file.attributes())
    if (!attribute.resident) clusters.give(clustersOf(extentRuns(volume, attribute)));
  for (const attribute of ownAttributes(file.record))
    if (attribute.type === AT_ATTRIBUTE_LIST && !attribute.resident)
      clusters.give(clustersOf(extentRuns(volume, attribute)));
  for (const number of records) mft.free(number, number === file.record.number ? 'unused' : 'unextended');
};
