import { NumberSet } from '../../bytes/number-set.ts';
import { type HoldfastError, unsupported } from '../../errors.ts';
import type { ContentPiece, FileEntry, FileType } from '../filesystem.ts';
import { type OnDamage, tolerating } from '../tolerance.ts';
import { type Attribute, isCompressed } from './attribute.ts';
import { type DirectoryEntry, directoryEntries, openNameIndex } from './directory.ts';
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

/** The attributes of a file that lie in clusters: what it is called in front of them, undefined for the content itself. */
const streamName = ({ type, name }: Attribute, content: readonly [number, string]): string | undefined => {
  if (type === content[0] && name === content[1]) return undefined;
  return type === AT_DATA ? name : `$${type.toString(16)}${name === '' ? '' : `:${name}`}`;
};

/** All that a file has in clusters: the content first, then its other streams and attributes. */
function* contentPieces(file: NtfsFile, content: readonly [number, string]): Generator<ContentPiece> {
  const { clusterSize } = file.volume;
  // The first extent of each: it says how long the attribute is.
  const firsts = [...file.attributes()].filter((each) => !each.resident && each.pairs.lowestVcn === 0);
  firsts.sort(
    (a, b) => Number(streamName(a, content) !== undefined) - Number(streamName(b, content) !== undefined),
  );
  for (const first of firsts) {
    if (first.resident) continue;
    const stream = streamName(first, content);
    const end = Math.min(first.dataSize, first.initializedSize);
    const more = {
      ...(stream === undefined ? {} : { stream }),
      ...(isCompressed(first) ? { granule: clusterSize * 2 ** first.compressionUnit } : {}),
    };
    for (const { vcn, start, length } of attributeRuns(file, first.type, first.name)) {
      const offset = vcn * clusterSize;
      if (start === undefined) continue;
      // Of a compressed unit that is longer than what is in use of it, all clusters count.
      const inside =
        more.granule === undefined ? Math.min(length * clusterSize, end - offset) : length * clusterSize;
      if (inside <= 0) break;
      yield { offset, start: start * clusterSize, length: inside, ...more };
    }
  }
}

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
    pieces: () => contentPieces(file, [type, name]),
  };
};

/**
 * Every file and folder once per name, the system files and the root included, a folder before what it holds. The short name
 * that accompanies a long one is none of its own. A folder that is listed a second time (damage) is given again but not entered
 * again, so the walk ends whatever the indexes say. Memory: one index block per level of the index and of folders, one bit per
 * record number near a folder's. Throws `corrupt`, `unsupported` (`ntfs.too-deep`), `io`.
 */
export function* walkFiles(volume: NtfsVolume, onDamage?: OnDamage): Generator<FileEntry> {
  const root = tolerating(onDamage, 'record', '/', () => volume.file(FILE_ROOT));
  if (root === undefined) return;
  const entered = new NumberSet();
  entered.add(FILE_ROOT);
  yield fileEntry(root, '/');
  const enter = (path: string, file: NtfsFile) => {
    const onLost =
      onDamage === undefined
        ? undefined
        : (error: HoldfastError): void => onDamage({ path: path || '/', what: 'folder', error });
    const index = tolerating(onDamage, 'folder', path || '/', () => openNameIndex(file));
    return { path, entries: index === undefined ? [].values() : directoryEntries(index, undefined, onLost) };
  };
  const stack: { path: string; entries: Iterator<DirectoryEntry> }[] = [enter('', root)];
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const { entries, path: parent } = level;
    const next = tolerating(onDamage, 'folder', parent || '/', () => entries.next());
    if (next === undefined || next.done) {
      stack.pop();
      continue;
    }
    const { reference, name, namespace, place } = next.value;
    // The root lists itself as `.`.
    if (namespace === NAMESPACE_DOS || reference.number === FILE_ROOT) continue;
    const path = `${parent}/${name.toWellFormed()}`;
    const read = tolerating(onDamage, 'record', path, () => {
      const file = meantFile(volume, reference, place);
      return { file, entry: fileEntry(file, path) };
    });
    if (read === undefined) continue;
    const { file, entry } = read;
    yield entry;
    if (!isDirectory(file) || !entered.add(reference.number)) continue;
    if (stack.length >= DEEPEST) {
      throw unsupported(`has more than ${DEEPEST} folders inside each other`, {
        code: 'ntfs.too-deep',
        ...file.record.place,
      });
    }
    stack.push(enter(path, file));
  }
}
