import { type DirectoryEntry, readRecords } from './directory.ts';
import { DIRECTORY_ENTRY, DIRECTORY_TAIL, DIRECTORY_TAIL_TYPE, FILE_TYPE_UNKNOWN } from './layout.ts';
import type { ExtVolume } from './volume.ts';

/**
 * Editing a list of directory entries in place (kernel docs, directory.rst "Linear (Classic) Directories"): in a
 * block, or in an area of inline data. Entries follow one another without gaps; what an entry has beyond its name is
 * room for another one.
 */
export interface NewEntry {
  readonly inode: number;
  readonly name: Uint8Array;
  /** FILE_TYPE_*; stored only where the volume has filetype. */
  readonly type: number;
}

/** A list of entries: bytes `from` to `to`, exclusive, of `bytes`. */
export interface EntryList {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  /** For messages: byte position of `bytes` on the device. */
  readonly position: number;
  readonly structure: string;
}

/** Bytes that an entry with such a name takes at least. */
export const entryLength = (nameLength: number): number =>
  Math.ceil((DIRECTORY_ENTRY.size + nameLength) / 4) * 4;

/** The reverse of `decodeRecordLength`: 65536, which occurs only with 64 KiB blocks, is stored as 65535. */
const encodeLength = (length: number): number => (length < 65536 ? length : 65535);

const setLength = (bytes: Uint8Array, at: number, length: number): void =>
  DIRECTORY_ENTRY.set(bytes, 'rec_len', encodeLength(length), at);

const putEntry = (
  volume: ExtVolume,
  bytes: Uint8Array,
  at: number,
  length: number,
  entry: NewEntry,
): void => {
  DIRECTORY_ENTRY.set(bytes, 'inode', entry.inode, at);
  setLength(bytes, at, length);
  DIRECTORY_ENTRY.set(bytes, 'name_len', entry.name.length, at);
  DIRECTORY_ENTRY.set(bytes, 'file_type', volume.has('filetype') ? entry.type : FILE_TYPE_UNKNOWN, at);
  bytes.set(entry.name, at + DIRECTORY_ENTRY.size);
};

/**
 * Puts the entry in the first room that is large enough. False if there is none: then nothing is changed.
 * Throws `corrupt` (`ext.directory-entry`).
 */
export const insertEntry = (volume: ExtVolume, list: EntryList, entry: NewEntry): boolean => {
  const needed = entryLength(entry.name.length);
  for (const record of readRecords(volume, list)) {
    const used = record.inode === 0 ? 0 : entryLength(record.name.length);
    if (record.length - used < needed) continue;
    if (used > 0) setLength(list.bytes, record.at, used);
    putEntry(volume, list.bytes, record.at + used, record.length - used, entry);
    return true;
  }
  return false;
};

/**
 * Removes an entry the kernel's way: the one before takes over its room; a first one is only marked as unused.
 * False if no entry has this name. Throws `corrupt` (`ext.directory-entry`).
 */
export const removeEntry = (volume: ExtVolume, list: EntryList, name: Uint8Array): boolean => {
  let before: { readonly at: number; readonly length: number } | undefined;
  for (const record of readRecords(volume, list)) {
    if (record.inode !== 0 && Buffer.compare(record.name, name) === 0) {
      if (before === undefined) DIRECTORY_ENTRY.set(list.bytes, 'inode', 0, record.at);
      else setLength(list.bytes, before.at, before.length + record.length);
      return true;
    }
    before = record;
  }
  return false;
};

/** The entries of a list that are in use, as they can be put into another one. */
export const usedEntries = (volume: ExtVolume, list: EntryList): NewEntry[] =>
  [...readRecords(volume, list)]
    .filter((record: DirectoryEntry) => record.inode !== 0)
    .map(({ inode, name, type }) => ({ inode, name: Uint8Array.from(name), type }));

/** How many of the entries fit in so many bytes. */
export const fittingEntries = (entries: readonly NewEntry[], room: number): number => {
  let left = room;
  const tooLong = entries.findIndex((entry) => {
    left -= entryLength(entry.name.length);
    return left < 0;
  });
  return tooLong < 0 ? entries.length : tooLong;
};

/** Lays entries out one after the other, the last one up to the list's end; they must fit. Clears the rest. */
export const packEntries = (
  volume: ExtVolume,
  { bytes, from, to }: Pick<EntryList, 'bytes' | 'from' | 'to'>,
  entries: readonly NewEntry[],
): void => {
  if (fittingEntries(entries, to - from) < entries.length)
    throw new RangeError('directory entries do not fit');
  bytes.fill(0, from, to);
  if (entries.length === 0) setLength(bytes, from, to - from);
  let at = from;
  entries.forEach((entry, index) => {
    const length = index === entries.length - 1 ? to - at : entryLength(entry.name.length);
    putEntry(volume, bytes, at, length, entry);
    at += length;
  });
};

/** A new block of entries, with a checksum tail where directories have one; the checksum is set when it is written. */
export const newLeaf = (volume: ExtVolume, entries: readonly NewEntry[]): Uint8Array => {
  const bytes = new Uint8Array(volume.blockSize);
  const to = leafRoom(volume);
  packEntries(volume, { bytes, from: 0, to }, entries);
  if (to < bytes.length) {
    DIRECTORY_TAIL.set(bytes, 'det_rec_len', DIRECTORY_TAIL.size, to);
    DIRECTORY_TAIL.set(bytes, 'det_reserved_ft', DIRECTORY_TAIL_TYPE, to);
  }
  return bytes;
};

/** Bytes of a new block that hold entries. */
export const leafRoom = (volume: ExtVolume): number =>
  volume.blockSize - (volume.parameters.metadataChecksums ? DIRECTORY_TAIL.size : 0);
