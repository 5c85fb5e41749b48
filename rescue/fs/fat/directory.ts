import { corrupt, type HoldfastError } from '../../errors.ts';
import { type ByteLength, type ByteOffset, type Cluster, KIB } from '../../units.ts';
import { isDamage } from '../tolerance.ts';
import {
  ATTRIBUTE_DIRECTORY,
  ATTRIBUTE_LONG_NAME,
  ATTRIBUTE_LONG_NAME_MASK,
  ATTRIBUTE_VOLUME_ID,
  DIRECTORY_ENTRY,
  ENTRY_SIZE,
  FIRST_DATA_ENTRY,
  FOLDER_MOST,
  LAST_LONG_ENTRY,
  LONG_ENTRIES_MOST,
  LONG_ENTRY,
  NAME_DELETED,
  NAME_END,
} from './layout.ts';
import { longNameText, longNameUnits, shortNameChecksum, shortNameText } from './names.ts';
import { secondsOf } from './times.ts';
import type { FatVolume } from './volume.ts';

/** A folder: by its first cluster, or `fixed` for the root of FAT12 and FAT16, which lies outside the clusters. */
export interface Folder {
  readonly first: Cluster | 'fixed';
  /** For messages. */
  readonly path: string;
}

export const rootFolder = (volume: FatVolume): Folder => {
  const { root } = volume.parameters;
  return { first: 'entry' in root ? volume.clusterOf(root.entry) : 'fixed', path: '/' };
};

/** 32 bytes of a folder, whatever they are. */
export interface Slot {
  /** Number in the folder, from 0. */
  readonly index: number;
  readonly position: ByteOffset;
  readonly bytes: Uint8Array;
}

/** A piece of a folder that is contiguous on disk. */
export interface FolderPart {
  readonly position: ByteOffset;
  readonly length: ByteLength;
  /** Undefined in the fixed root. */
  readonly cluster: Cluster | undefined;
}

const structureOf = (folder: Folder): string => `FAT folder ${folder.path}`;

/**
 * A folder cluster by cluster, in order. Throws `corrupt` (`fat.chain-...`, `fat.folder-size` for more than 65536 entries).
 */
export function* folderParts(volume: FatVolume, folder: Folder): Generator<FolderPart> {
  const { root } = volume.parameters;
  if (folder.first === 'fixed') {
    if ('entry' in root) throw new RangeError('FAT32 has no fixed root folder');
    yield { position: root.offset, length: root.length, cluster: undefined };
    return;
  }
  let length = 0;
  for (const cluster of volume.table.chain(folder.first, structureOf(folder))) {
    if (length >= FOLDER_MOST) {
      throw corrupt('has more entries than a folder can have', {
        code: 'fat.folder-size',
        structure: structureOf(folder),
        offset: volume.clusterOffset(cluster),
        expected: FOLDER_MOST / ENTRY_SIZE,
      });
    }
    yield { position: volume.clusterOffset(cluster), length: volume.clusterSize, cluster };
    length += volume.clusterSize;
  }
}

/** Large clusters are read in pieces: a folder's end usually comes early. */
const PIECE = 16 * KIB;

/**
 * All slots of a folder in order, those behind the end mark included. `bytes` is the caller's to keep. A piece that cannot be read
 * is left out if `onLost` takes the error.
 */
export function* folderSlots(
  volume: FatVolume,
  folder: Folder,
  onLost?: (error: HoldfastError) => void,
): Generator<Slot> {
  let index = 0;
  for (const part of folderParts(volume, folder)) {
    for (let done = 0; done < part.length; done += PIECE) {
      const position = part.position + done;
      const length = Math.min(PIECE, part.length - done);
      let bytes: Uint8Array;
      try {
        bytes = volume.device.read(position, length);
      } catch (error) {
        if (onLost === undefined || !isDamage(error)) throw error;
        onLost(error);
        index += length / ENTRY_SIZE;
        continue;
      }
      for (let at = 0; at < bytes.length; at += ENTRY_SIZE) {
        yield { index, position: position + at, bytes: bytes.subarray(at, at + ENTRY_SIZE) };
        index += 1;
      }
    }
  }
}

export const isEnd = (slot: Slot): boolean => slot.bytes[0] === NAME_END;
export const isDeleted = (slot: Slot): boolean => slot.bytes[0] === NAME_DELETED;
export const isLongPart = (slot: Slot): boolean =>
  (DIRECTORY_ENTRY.get(slot.bytes, 'DIR_Attr') & ATTRIBUTE_LONG_NAME_MASK) === ATTRIBUTE_LONG_NAME;

/** One name in a folder; `.` and `..` and the volume's label are given like any other. */
export interface DirectoryEntry {
  /** The long name if there is one, else the short one. */
  readonly name: string;
  readonly longName: string | undefined;
  /** As a person writes it, e.g. `HOLDFA~1`. */
  readonly shortName: string;
  /** DIR_Name: eleven bytes. */
  readonly shortBytes: Uint8Array;
  /** DIR_Attr: ATTRIBUTE_* bits. */
  readonly attributes: number;
  readonly isFolder: boolean;
  readonly isLabel: boolean;
  /** Number of the FAT entry of its first cluster as stored, not checked; 0 for none. */
  readonly firstEntry: number;
  /** DIR_FileSize: bytes; 0 for folders. */
  readonly size: ByteLength;
  /** Seconds since 1970, 0 for none. */
  readonly modified: number;
  readonly created: number;
  /** Slots that make it up: those of the long name in front, then the short entry's, which is the last. */
  readonly slots: readonly Slot[];
  /** Byte position of the short entry. */
  readonly position: ByteOffset;
}

/** Parts of a long name that belong to no short entry: left by a driver that does not know them. Harmless. */
export interface StrayParts {
  readonly stray: readonly Slot[];
}

/** Collects the parts of a long name as they stand on disk: the last part first, each marked with its number. */
class LongParts {
  #slots: Slot[] = [];
  /** Number that the next part must have; 0 when all are there. */
  #wanted = 0;
  #checksum = 0;

  /** Takes a part; gives the slots that turn out to belong to nothing. */
  add(slot: Slot): readonly Slot[] {
    const order = LONG_ENTRY.get(slot.bytes, 'LDIR_Ord');
    const checksum = LONG_ENTRY.get(slot.bytes, 'LDIR_Chksum');
    const number = order & ~LAST_LONG_ENTRY;
    const sound = LONG_ENTRY.get(slot.bytes, 'LDIR_Type') === 0;
    if (sound && (order & LAST_LONG_ENTRY) !== 0 && number >= 1 && number <= LONG_ENTRIES_MOST) {
      const stray = this.#slots;
      this.#slots = [slot];
      this.#wanted = number - 1;
      this.#checksum = checksum;
      return stray;
    }
    if (sound && this.#wanted > 0 && order === this.#wanted && checksum === this.#checksum) {
      this.#slots.push(slot);
      this.#wanted -= 1;
      return [];
    }
    return [...this.drop(), slot];
  }

  /** Forgets what was collected, and gives it. */
  drop(): readonly Slot[] {
    const slots = this.#slots;
    this.#slots = [];
    this.#wanted = 0;
    return slots;
  }

  /** The long name of the short entry that comes now, with its slots; undefined if the parts do not belong to it. */
  take(shortBytes: Uint8Array): { readonly name: string; readonly slots: readonly Slot[] } | undefined {
    if (this.#slots.length === 0 || this.#wanted !== 0) return undefined;
    if (this.#checksum !== shortNameChecksum(shortBytes)) return undefined;
    const name = longNameText(this.#slots.toReversed().flatMap((slot) => longNameUnits(slot.bytes)));
    return name === undefined ? undefined : { name, slots: this.drop() };
  }
}

const entryFrom = (
  volume: FatVolume,
  slot: Slot,
  long: { readonly name: string; readonly slots: readonly Slot[] } | undefined,
): DirectoryEntry => {
  const entry = DIRECTORY_ENTRY.decode(slot.bytes);
  const shortName = shortNameText(entry.DIR_Name, entry.DIR_NTRes);
  const high = volume.bits === 32 ? entry.DIR_FstClusHI * 0x10000 : 0;
  const isLabel = (entry.DIR_Attr & ATTRIBUTE_VOLUME_ID) !== 0;
  return {
    name: long?.name ?? shortName,
    longName: long?.name,
    shortName,
    shortBytes: entry.DIR_Name,
    attributes: entry.DIR_Attr,
    isFolder: !isLabel && (entry.DIR_Attr & ATTRIBUTE_DIRECTORY) !== 0,
    isLabel,
    firstEntry: high + entry.DIR_FstClusLO,
    size: entry.DIR_FileSize,
    modified: secondsOf(entry.DIR_WrtDate, entry.DIR_WrtTime),
    created: secondsOf(entry.DIR_CrtDate, entry.DIR_CrtTime, entry.DIR_CrtTimeTenth),
    slots: [...(long?.slots ?? []), slot],
    position: slot.position,
  };
};

/** Entries and stray parts of long names, in the order in which they are stored, up to the end mark. */
export function* readSlots(
  volume: FatVolume,
  folder: Folder,
  onLost?: (error: HoldfastError) => void,
): Generator<DirectoryEntry | StrayParts> {
  const parts = new LongParts();
  for (const slot of folderSlots(volume, folder, onLost)) {
    if (isEnd(slot)) break;
    let stray: readonly Slot[] = [];
    if (isDeleted(slot)) stray = parts.drop();
    else if (isLongPart(slot)) stray = parts.add(slot);
    else {
      const long = parts.take(DIRECTORY_ENTRY.get(slot.bytes, 'DIR_Name'));
      stray = parts.drop();
      if (stray.length > 0) yield { stray };
      yield entryFrom(volume, slot, long);
      continue;
    }
    if (stray.length > 0) yield { stray };
  }
  const stray = parts.drop();
  if (stray.length > 0) yield { stray };
}

/** All names of a folder. Throws `corrupt` (`fat.chain-...`, `fat.folder-size`), `io`. */
export function* readDirectory(
  volume: FatVolume,
  folder: Folder,
  onLost?: (error: HoldfastError) => void,
): Generator<DirectoryEntry> {
  for (const each of readSlots(volume, folder, onLost)) if (!('stray' in each)) yield each;
}

/** FAT compares names without regard to case: long ones, and the short ones beside them. */
const folded = (name: string): string => name.toUpperCase();

/** Whether `name` is one of the two names of an entry. */
export const isNamed = (entry: DirectoryEntry, name: string): boolean =>
  !entry.isLabel && (folded(entry.name) === folded(name) || folded(entry.shortName) === folded(name));

/**
 * The name of a container's file as it was written. Case counts for nothing on FAT, and there are programs that write names in
 * capitals only: a container goes by its name all the same.
 */
export const containerFileName = ({ name }: DirectoryEntry): string =>
  name === name.toUpperCase() ? name.toLowerCase() : name;

/** The entry of that name, long or short, in either case; undefined if there is none. */
export const lookup = (volume: FatVolume, folder: Folder, name: string): DirectoryEntry | undefined => {
  for (const entry of readDirectory(volume, folder)) if (isNamed(entry, name)) return entry;
  return undefined;
};

const joined = (folder: Folder, name: string): string =>
  folder.path === '/' ? `/${name}` : `${folder.path}/${name}`;

export const pathOf = joined;

/**
 * The folder that an entry stands for. Entry 0 stands for the root, as `..` has it.
 * Throws `corrupt` (`fat.cluster-range`) for a first cluster that the volume does not have.
 */
export const folderOf = (volume: FatVolume, entry: DirectoryEntry, parent: Folder): Folder => {
  const path = joined(parent, entry.name);
  if (entry.firstEntry === 0 && entry.shortName === '..') return rootFolder(volume);
  const first = entry.firstEntry - FIRST_DATA_ENTRY;
  volume.clusterOffset(first, `FAT folder ${path}`);
  return { first, path };
};
