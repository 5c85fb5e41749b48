import { NumberSet } from '../../bytes/number-set.ts';
import { unsupported } from '../../errors.ts';
import type { FileEntry, FileType } from '../filesystem.ts';
import type { Attribute } from './attribute.ts';
import { directoryEntries, openNameIndex } from './directory.ts';
import { attributeRuns, type NtfsFile, openRecord } from './file.ts';
import {
  AT_DATA,
  AT_INDEX_ALLOCATION,
  AT_REPARSE_POINT,
  AT_STANDARD_INFORMATION,
  FILE_ROOT,
  NAME_INDEX,
  NAMESPACE_DOS,
  RECORD_IS_DIRECTORY,
  REPARSE_LX_SYMLINK,
  REPARSE_MOUNT_POINT,
  REPARSE_POINT,
  REPARSE_SYMLINK,
  STANDARD_INFORMATION,
} from './layout.ts';
import { requireMeant } from './record.ts';
import type { FileReference } from './reference.ts';
import { clustersOf } from './runlist.ts';
import { toSeconds } from './times.ts';
import type { Place } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

/** Levels of folders. Windows' longest path (32,767 units) reaches 16,384 with names of one letter; nothing makes so many. */
const DEEPEST = 2048;

export const isDirectory = (file: NtfsFile): boolean => (file.record.flags & RECORD_IS_DIRECTORY) !== 0;

/** The file that a reference means. Throws `corrupt` (`ntfs.reference`, ...) if it is not there any more. */
export const meantFile = (volume: NtfsVolume, reference: FileReference, by: Place): NtfsFile => {
  const record = volume.record(reference.number);
  requireMeant(record, reference, by);
  return openRecord(volume, record);
};

const LINKS = [REPARSE_SYMLINK, REPARSE_MOUNT_POINT, REPARSE_LX_SYMLINK];

/** Symbolic links and junctions are links; other reparse points are files or folders with a driver of their own. */
const isLink = (reparse: Attribute | undefined): boolean => {
  if (reparse === undefined || !reparse.resident || reparse.value.length < REPARSE_POINT.size) return false;
  const tag = REPARSE_POINT.get(reparse.value, 'reparse_tag');
  return LINKS.includes(tag);
};

const typeOf = (file: NtfsFile): FileType => {
  if (isLink(file.find(AT_REPARSE_POINT, ''))) return 'symlink';
  return isDirectory(file) ? 'directory' : 'file';
};

export const sizeOf = (attribute: Attribute | undefined): number => {
  if (attribute === undefined) return 0;
  return attribute.resident ? attribute.value.length : attribute.dataSize;
};

/** Content: the unnamed $DATA of a file, the index blocks of a folder. Named streams are in use, but no file of their own. */
export const fileEntry = (file: NtfsFile, path: string): FileEntry => {
  const information = file.find(AT_STANDARD_INFORMATION, '');
  const standard = information?.resident === true ? information.value : new Uint8Array();
  const known = standard.length >= STANDARD_INFORMATION.size;
  const [type, name] = isDirectory(file)
    ? ([AT_INDEX_ALLOCATION, NAME_INDEX] as const)
    : ([AT_DATA, ''] as const);
  return {
    path,
    type: typeOf(file),
    size: sizeOf(file.find(type, name)),
    modified: known ? toSeconds(STANDARD_INFORMATION.get(standard, 'last_data_change_time')) : 0,
    attributes: known ? STANDARD_INFORMATION.get(standard, 'file_attributes') : 0,
    node: file.record.number,
    runs: () => clustersOf(attributeRuns(file, type, name)),
  };
};

/**
 * Every file and folder once per name, the system files and the root included, a folder before what it holds. The short name
 * that accompanies a long one is none of its own. A folder that is listed a second time (damage) is given again but not entered
 * again, so the walk ends whatever the indexes say. Memory: one index block per level of the index and of folders, one bit per
 * record number near a folder's. Throws `corrupt`, `unsupported` (`ntfs.too-deep`), `io`.
 */
export function* walkFiles(volume: NtfsVolume): Generator<FileEntry> {
  const root = volume.file(FILE_ROOT);
  const entered = new NumberSet();
  entered.add(FILE_ROOT);
  yield fileEntry(root, '/');
  const stack = [{ path: '', entries: directoryEntries(openNameIndex(root)) }];
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const next = level.entries.next();
    if (next.done) {
      stack.pop();
      continue;
    }
    const { reference, name, namespace, place } = next.value;
    // The root lists itself as `.`.
    if (namespace === NAMESPACE_DOS || reference.number === FILE_ROOT) continue;
    const file = meantFile(volume, reference, place);
    const path = `${level.path}/${name.toWellFormed()}`;
    yield fileEntry(file, path);
    if (!isDirectory(file) || !entered.add(reference.number)) continue;
    if (stack.length >= DEEPEST) {
      throw unsupported(`has more than ${DEEPEST} folders inside each other`, {
        code: 'ntfs.too-deep',
        ...file.record.place,
      });
    }
    stack.push({ path, entries: directoryEntries(openNameIndex(file)) });
  }
}
