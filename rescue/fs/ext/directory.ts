import { corrupt, type HoldfastError } from '../../errors.ts';
import { isDamage } from '../tolerance.ts';
import { directoryLeafChecksumOk, dxChecksumOk, dxCountOffset, hasDirectoryTail } from './checksum.ts';
import { type Inode, isDirectory, usesInlineData } from './inode.ts';
import { DIRECTORY_ENTRY, DIRECTORY_TAIL, FILE_TYPE_UNKNOWN, INODE_INDEX } from './layout.ts';
import { dataRuns } from './mapping.ts';
import type { ExtVolume } from './volume.ts';
import { inlineParts } from './xattr.ts';

/** One name in a directory (directory.rst). `.` and `..` are given like any other where they are stored. */
export interface DirectoryEntry {
  readonly inode: number;
  /** As stored: usually UTF-8, but any bytes but `/` and NUL. */
  readonly name: Uint8Array;
  /** FILE_TYPE_*; FILE_TYPE_UNKNOWN without the filetype feature. */
  readonly type: number;
  /** Byte position of the entry on the device, for messages. */
  readonly position: number;
}

/** One block of a directory, checked. */
export interface DirectoryBlock {
  /** Number in the directory's file. */
  readonly logical: number;
  readonly block: number;
  /** A leaf holds names, an index block hashes (root: also `.` and `..`). */
  readonly kind: 'leaf' | 'index';
  readonly bytes: Uint8Array;
}

/** directory.rst: lengths that do not fit 16 bits, as they can occur with 64 KiB blocks only. */
export const decodeRecordLength = (stored: number, blockSize: number): number => {
  if (blockSize < 65536) return stored;
  if (stored === 0 || stored === 65535) return blockSize;
  return (stored & 65532) | ((stored & 3) << 16);
};

interface Span {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  /** Byte position of `bytes` on the device. */
  readonly position: number;
  readonly structure: string;
}

/**
 * All records of a span, unused ones (inode 0) included; each is checked to lie inside and to hold its name.
 * Throws `corrupt` (`ext.directory-entry`).
 */
export function* readRecords(
  volume: ExtVolume,
  span: Span,
): Generator<DirectoryEntry & { readonly at: number; readonly length: number }> {
  const { bytes, structure } = span;
  const typed = volume.has('filetype');
  for (let at = span.from; at < span.to; ) {
    const fail = (message: string, expected: string, found: number) =>
      corrupt(message, {
        code: 'ext.directory-entry',
        structure,
        offset: span.position + at,
        expected,
        found,
      });
    const left = span.to - at;
    if (left < DIRECTORY_ENTRY.size) throw fail('no room for an entry', 'at least 8 bytes', left);
    const length = decodeRecordLength(DIRECTORY_ENTRY.get(bytes, 'rec_len', at), volume.blockSize);
    if (length < DIRECTORY_ENTRY.size || length % 4 !== 0 || length > left)
      throw fail('wrong entry length', `a multiple of 4 from 8 to ${left}`, length);
    const inode = DIRECTORY_ENTRY.get(bytes, 'inode', at);
    const type = DIRECTORY_ENTRY.get(bytes, 'file_type', at);
    const nameLength = DIRECTORY_ENTRY.get(bytes, 'name_len', at) + (typed ? 0 : type * 256);
    if (inode !== 0) {
      if (nameLength === 0 || nameLength > Math.min(255, length - DIRECTORY_ENTRY.size))
        throw fail('wrong name length', `1 to ${Math.min(255, length - DIRECTORY_ENTRY.size)}`, nameLength);
      if (inode > volume.parameters.inodeCount)
        throw fail('no such inode', `1 to ${volume.parameters.inodeCount}`, inode);
    }
    const start = at + DIRECTORY_ENTRY.size;
    yield {
      inode,
      name: bytes.subarray(start, Math.min(start + nameLength, at + length)),
      type: typed ? type & 0x7f : FILE_TYPE_UNKNOWN,
      position: span.position + at,
      at,
      length,
    };
    at += length;
  }
}

/**
 * Blocks of a directory in file order, checksums verified. Blocks behind the directory's size do not count. One that cannot be read
 * is left out if `onLost` takes the error.
 * Throws `corrupt` (`ext.not-directory`, `ext.directory-...`).
 */
export function* directoryBlocks(
  volume: ExtVolume,
  inode: Inode,
  onLost?: (error: HoldfastError) => void,
): Generator<DirectoryBlock> {
  const structure = `ext directory ${inode.number}`;
  const fail = (code: string, message: string, block?: number) =>
    corrupt(message, {
      code: `ext.${code}`,
      structure,
      offset: block === undefined ? inode.offset : volume.blockOffset(block),
    });
  if (!isDirectory(inode)) throw fail('not-directory', 'not a directory');
  if (inode.size % volume.blockSize !== 0) throw fail('directory-size', 'not a whole number of blocks');
  const end = inode.size / volume.blockSize;
  const indexed = (inode.flags & INODE_INDEX) !== 0;
  for (const run of dataRuns(volume, inode)) {
    if (run.uninitialised) throw fail('directory-uninitialised', 'preallocated block');
    for (let index = 0; index < run.length && run.logical + index < end; index += 1) {
      const block = run.start + index;
      const logical = run.logical + index;
      let read: DirectoryBlock;
      try {
        const bytes = volume.readBlock(block, structure);
        // Told by the first entry alone: the kernel leaves remains of a leaf's tail at the end of a new root.
        const isIndex = indexed && dxCountOffset(bytes) !== undefined;
        const sound = isIndex
          ? dxChecksumOk(volume.parameters, inode, bytes)
          : directoryLeafChecksumOk(volume.parameters, inode, bytes);
        if (!sound) throw fail('directory-checksum', `wrong checksum in block ${logical} of it`, block);
        read = { logical, block, kind: isIndex ? 'index' : 'leaf', bytes };
      } catch (error) {
        if (onLost === undefined || !isDamage(error)) throw error;
        onLost(error);
        continue;
      }
      yield read;
    }
  }
}

/** Bytes of a directory leaf that hold entries: what its checksum tail leaves. */
export const entriesEnd = (volume: ExtVolume, bytes: Uint8Array): number =>
  volume.parameters.metadataChecksums && hasDirectoryTail(bytes)
    ? bytes.length - DIRECTORY_TAIL.size
    : bytes.length;

/**
 * All names of a directory, in the order in which they are stored, whether it is indexed or not. An index root shows
 * `.` and `..`, an inner index block one unused entry, so indexed directories read like linear ones. What is left of a block
 * behind damage is left out if `onLost` takes the error.
 * Throws `corrupt`.
 */
export function* readDirectory(
  volume: ExtVolume,
  inode: Inode,
  onLost?: (error: HoldfastError) => void,
): Generator<DirectoryEntry> {
  if (usesInlineData(inode)) {
    yield* readInlineDirectory(volume, inode);
    return;
  }
  const structure = `ext directory ${inode.number}`;
  for (const { block, kind, bytes } of directoryBlocks(volume, inode, onLost)) {
    const span = {
      bytes,
      from: 0,
      to: kind === 'leaf' ? entriesEnd(volume, bytes) : bytes.length,
      position: volume.blockOffset(block),
      structure,
    };
    const records = readRecords(volume, span);
    for (;;) {
      let next: ReturnType<typeof records.next>;
      try {
        next = records.next();
      } catch (error) {
        if (onLost === undefined || !isDamage(error)) throw error;
        onLost(error);
        break;
      }
      if (next.done) break;
      if (next.value.inode !== 0) yield next.value;
    }
  }
}

/** inlinedata.rst: four bytes parent inode, then entries; further ones in the attribute. No `.` and `..`. */
function* readInlineDirectory(volume: ExtVolume, inode: Inode): Generator<DirectoryEntry> {
  const structure = `ext inline directory ${inode.number}`;
  if (!isDirectory(inode)) {
    throw corrupt('not a directory', { code: 'ext.not-directory', structure, offset: inode.offset });
  }
  const [first, second] = inlineParts(inode);
  const parts = [
    { bytes: first, from: INLINE_PARENT, to: first.length },
    { bytes: second, from: 0, to: second.length },
  ];
  for (const part of parts) {
    const span = { ...part, position: inode.offset, structure };
    for (const record of readRecords(volume, span)) if (record.inode !== 0) yield record;
  }
}

/** Bytes in front of an inline directory's entries: the inode of its parent. */
const INLINE_PARENT = 4;

/** The entry of that name, compared byte by byte; undefined if there is none. Reads the directory from its start. */
export const lookup = (
  volume: ExtVolume,
  directory: Inode,
  name: string | Uint8Array,
): DirectoryEntry | undefined => {
  const wanted = Buffer.from(name as string);
  for (const entry of readDirectory(volume, directory)) if (wanted.equals(entry.name)) return entry;
  return undefined;
};
