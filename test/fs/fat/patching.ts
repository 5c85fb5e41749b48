import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { makeFile } from '../../support/volume.ts';

/** What no program at hand can make, by patching bytes with offsets of its own: not with the program's field tables. */

export const bytesAt = (path: string, offset: number, length: number): Buffer => {
  const handle = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(length);
    readSync(handle, bytes, 0, length, offset);
    return bytes;
  } finally {
    closeSync(handle);
  }
};

/** Overwrites bytes of a file. */
export const patchBytes = (path: string, offset: number, bytes: Uint8Array): void => {
  const handle = openSync(path, 'r+');
  try {
    writeSync(handle, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(handle);
  }
};

/** The few numbers of a boot sector that patching needs, read anew from the specification (fatgen103). */
export interface FatPlaces {
  readonly bits: 12 | 16 | 32;
  readonly sectorSize: number;
  readonly clusterSize: number;
  readonly clusterCount: number;
  /** Where each FAT begins in the file, and how long one is. */
  readonly tables: readonly number[];
  readonly tableLength: number;
  /** Where the fixed root folder or the root's first cluster begins. */
  readonly root: number;
  /** Where FAT entry 2 begins. */
  readonly data: number;
  /** Bytes of the volume by its boot sector: mkfs.fat may leave out some sectors at the end. */
  readonly size: number;
}

export const placesOf = (path: string, offset = 0): FatPlaces => {
  const boot = bytesAt(path, offset, 512);
  const sectorSize = boot.readUInt16LE(11);
  const clusterSize = boot[13]! * sectorSize;
  const tableSectors = boot.readUInt16LE(22) || boot.readUInt32LE(36);
  const tableLength = tableSectors * sectorSize;
  const first = offset + boot.readUInt16LE(14) * sectorSize;
  const afterTables = first + boot[16]! * tableLength;
  const data = afterTables + boot.readUInt16LE(17) * 32;
  const total = (boot.readUInt16LE(19) || boot.readUInt32LE(32)) * sectorSize;
  const clusterCount = Math.floor((offset + total - data) / clusterSize);
  const wide = boot.readUInt16LE(22) === 0;
  return {
    bits: wide ? 32 : clusterCount < 4085 ? 12 : 16,
    sectorSize,
    clusterSize,
    clusterCount,
    tables: Array.from({ length: boot[16]! }, (_, index) => first + index * tableLength),
    tableLength,
    root: wide ? data + (boot.readUInt32LE(44) - 2) * clusterSize : afterTables,
    data,
    size: total,
  };
};

/** Sets an entry of the given FATs (default: all). `entry` counts as in the FAT: the data begins with 2. */
export const setFatEntry = (
  path: string,
  entry: number,
  value: number,
  { tables, offset = 0 }: { readonly tables?: readonly number[]; readonly offset?: number } = {},
): void => {
  const places = placesOf(path, offset);
  for (const index of tables ?? places.tables.keys()) {
    const at = places.tables[index]! + Math.floor((entry * places.bits) / 8);
    const bytes = bytesAt(path, at, 4);
    if (places.bits === 32)
      bytes.writeUInt32LE(((bytes.readUInt32LE() & 0xf0000000) | (value & 0x0fffffff)) >>> 0);
    else if (places.bits === 16) bytes.writeUInt16LE(value & 0xffff);
    else {
      const pair = bytes.readUInt16LE();
      bytes.writeUInt16LE(
        entry % 2 === 0 ? (pair & 0xf000) | (value & 0xfff) : (pair & 0x000f) | ((value & 0xfff) << 4),
      );
    }
    patchBytes(path, at, bytes.subarray(0, places.bits === 32 ? 4 : 2));
  }
};

export const fatEntry = (path: string, entry: number, offset = 0): number => {
  const places = placesOf(path, offset);
  const bytes = bytesAt(path, places.tables[0]! + Math.floor((entry * places.bits) / 8), 4);
  if (places.bits === 32) return bytes.readUInt32LE() & 0x0fffffff;
  if (places.bits === 16) return bytes.readUInt16LE();
  return entry % 2 === 0 ? bytes.readUInt16LE() & 0xfff : bytes.readUInt16LE() >>> 4;
};

const BAD_MARK = 0x0ffffff7;

/** Marks free clusters as bad, from the end of the volume down, every third one: no program at hand can do that. Gives their FAT entries. */
export const markBad = (path: string, count: number, offset = 0): number[] => {
  const { clusterCount } = placesOf(path, offset);
  const marked: number[] = [];
  for (let entry = clusterCount + 1; entry >= 2 && marked.length < count; entry -= 3) {
    if (fatEntry(path, entry, offset) !== 0) continue;
    setFatEntry(path, entry, BAD_MARK, { offset });
    marked.unshift(entry);
  }
  forgetFreeCount(path, offset);
  return marked;
};

/** BPB_ExtFlags in both boot sectors; the FAT that is not in use is filled with nonsense. */
export const setActiveTable = (path: string, active: 0 | 1, offset = 0): void => {
  const { tables, tableLength, sectorSize } = placesOf(path, offset);
  const backup = bytesAt(path, offset + 50, 2).readUInt16LE() * sectorSize;
  for (const boot of [0, backup]) patchBytes(path, offset + boot + 40, Uint8Array.of(0x80 | active, 0));
  if (tables.length > 1) patchBytes(path, tables[1 - active]!, Buffer.alloc(tableLength, 'stale'));
};

/** One of FSInfo's two hints, where there is an FSInfo: 488 free clusters, 492 where to look for free ones. */
const setHint = (path: string, at: 488 | 492, value: number, offset = 0): void => {
  const { bits, sectorSize } = placesOf(path, offset);
  if (bits !== 32) return;
  const hint = Buffer.alloc(4);
  hint.writeUInt32LE(value);
  patchBytes(path, offset + bytesAt(path, offset + 48, 2).readUInt16LE() * sectorSize + at, hint);
};

/** The next program looks for free clusters from the first on. */
export const forgetNextFree = (path: string, offset = 0): void => setNextFree(path, 2, offset);
/** The next program looks for free clusters from this FAT entry on. */
export const setNextFree = (path: string, entry: number, offset = 0): void =>
  setHint(path, 492, entry, offset);
/** Nobody knows how many clusters are free. */
export const forgetFreeCount = (path: string, offset = 0): void => setHint(path, 488, 0xffffffff, offset);

/** BPB_TotSec32 in both boot sectors and the file's length; FSInfo's count of free clusters is then not known. */
export const shorten = (path: string, size: number): void => {
  const { sectorSize } = placesOf(path);
  const boot = bytesAt(path, 0, 512);
  const sectors = Buffer.alloc(4);
  sectors.writeUInt32LE(size / sectorSize);
  for (const at of [0, boot.readUInt16LE(50) * sectorSize]) patchBytes(path, at + 32, sectors);
  forgetFreeCount(path);
  makeFile(path, size);
};
