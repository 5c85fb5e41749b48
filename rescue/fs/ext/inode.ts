import { corrupt } from '../../errors.ts';
import type { ByteLength, ByteOffset } from '../../units.ts';
import { inodeChecksumOk } from './checksum.ts';
import {
  GOOD_OLD_INODE_SIZE,
  INODE,
  INODE_EXTENTS,
  INODE_HUGE_FILE,
  INODE_INLINE_DATA,
  MODE_DIRECTORY,
  MODE_FILE,
  MODE_SYMLINK,
  MODE_TYPE,
} from './layout.ts';
import type { ExtVolume } from './volume.ts';

/** An inode, its halves put together (inodes.rst). */
export interface Inode {
  readonly number: number;
  readonly offset: ByteOffset;
  /** The whole inode, a copy of `inodeSize` bytes. */
  readonly bytes: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: ByteLength;
  readonly links: number;
  readonly flags: number;
  readonly generation: number;
  /** Space that the inode accounts for, in 512-byte units. */
  readonly sectors: number;
  /** Block of extended attributes, 0 for none. */
  readonly attributeBlock: number;
  /** Seconds since 1970, with the epoch bits where the inode has them. */
  readonly accessed: number;
  readonly changed: number;
  readonly modified: number;
  /** Deletion time, or next inode in the orphan list. */
  readonly deleted: number;
  /** Bytes used beyond the first 128. */
  readonly extraSize: number;
  /** `i_block`, 60 bytes: a view of `bytes`. */
  readonly map: Uint8Array;
}

export const typeOf = (inode: Pick<Inode, 'mode'>): number => inode.mode & MODE_TYPE;
export const isDirectory = (inode: Pick<Inode, 'mode'>): boolean => typeOf(inode) === MODE_DIRECTORY;
export const isRegularFile = (inode: Pick<Inode, 'mode'>): boolean => typeOf(inode) === MODE_FILE;
export const isSymlink = (inode: Pick<Inode, 'mode'>): boolean => typeOf(inode) === MODE_SYMLINK;
export const usesExtents = (inode: Pick<Inode, 'flags'>): boolean => (inode.flags & INODE_EXTENTS) !== 0;
export const usesInlineData = (inode: Pick<Inode, 'flags'>): boolean =>
  (inode.flags & INODE_INLINE_DATA) !== 0;

/**
 * Whether `i_block` maps blocks at all: devices, pipes and sockets keep a device number there or nothing, inline
 * content itself, short symbolic links their target (no blocks but the attribute block's are accounted).
 */
export const mapsBlocks = (volume: ExtVolume, inode: Inode): boolean => {
  if (usesInlineData(inode)) return false;
  if (isDirectory(inode) || isRegularFile(inode)) return true;
  if (!isSymlink(inode)) {
    // Reserved inodes (bad blocks, boot loader, resize, ...) may have no type at all and still map blocks.
    return inode.mode === 0 && inode.number < volume.parameters.firstInode;
  }
  // As the kernel decides (ext4_inode_is_fast_symlink): attribute inodes are accounted in sectors too.
  if (volume.has('ea_inode')) return inode.size === 0 || inode.size >= inode.map.length;
  const attributes = inode.attributeBlock === 0 ? 0 : volume.clusterSize / 512;
  return inode.sectors > attributes;
};

/** Decodes an on-disk inode; checks nothing but that it is long enough. */
export const parseInode = (
  volume: ExtVolume,
  number: number,
  bytes: Uint8Array,
  offset: ByteOffset,
): Inode => {
  const field = (name: Parameters<typeof INODE.get>[1]): number => INODE.get(bytes, name) as number;
  const extraSize = bytes.length > GOOD_OLD_INODE_SIZE ? field('i_extra_isize') : 0;
  const has = (name: Parameters<typeof INODE.get>[1]): boolean =>
    INODE.offsetOf(name) + INODE.widthOf(name) <= Math.min(GOOD_OLD_INODE_SIZE + extraSize, bytes.length);
  // inodes.rst "Inode Timestamps": the two lowest bits of the extra word extend the 32-bit seconds.
  const time = (name: 'i_atime' | 'i_ctime' | 'i_mtime'): number =>
    field(name) + (has(`${name}_extra`) ? (field(`${name}_extra`) & 3) * 0x1_0000_0000 : 0);
  const flags = field('i_flags');
  const wideBlocks = volume.has('huge_file') ? field('i_blocks_high') * 0x1_0000_0000 : 0;
  const unit = volume.has('huge_file') && (flags & INODE_HUGE_FILE) !== 0 ? volume.blockSize / 512 : 1;
  const has64bit = volume.has('64bit');
  // The upper half of a folder's size means something else where folders cannot be that large.
  const type = field('i_mode') & MODE_TYPE;
  const wideSize = type === MODE_FILE || (type === MODE_DIRECTORY && volume.has('large_dir'));
  return {
    number,
    offset,
    bytes,
    mode: field('i_mode'),
    uid: field('i_uid') + field('i_uid_high') * 0x1_0000,
    gid: field('i_gid') + field('i_gid_high') * 0x1_0000,
    size: field('i_size_lo') + (wideSize ? field('i_size_high') * 0x1_0000_0000 : 0),
    links: field('i_links_count'),
    flags,
    generation: field('i_generation'),
    sectors: (field('i_blocks_lo') + wideBlocks) * unit,
    attributeBlock: field('i_file_acl_lo') + (has64bit ? field('i_file_acl_high') * 0x1_0000_0000 : 0),
    accessed: time('i_atime'),
    changed: time('i_ctime'),
    modified: time('i_mtime'),
    deleted: field('i_dtime'),
    extraSize,
    map: INODE.get(bytes, 'i_block'),
  };
};

/** Throws `corrupt` (`ext.inode-checksum`, `ext.inode-size`, `ext.inode-extra`) if the inode contradicts itself. */
export const requireSound = (volume: ExtVolume, inode: Inode): void => {
  const fail = (code: string, message: string, expected?: string, found?: number): never => {
    throw corrupt(message, {
      code,
      structure: `ext inode ${inode.number}`,
      offset: inode.offset,
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
    });
  };
  if (!inodeChecksumOk(volume.parameters, inode.number, inode.bytes))
    fail('ext.inode-checksum', 'wrong checksum');
  if (inode.size > Number.MAX_SAFE_INTEGER) fail('ext.inode-size', 'size out of range');
  const room = inode.bytes.length - GOOD_OLD_INODE_SIZE;
  if (inode.extraSize > room || inode.extraSize % 4 !== 0) {
    fail('ext.inode-extra', 'extra size out of range', `a multiple of 4 up to ${room}`, inode.extraSize);
  }
};

/** Reads one inode and checks it. Throws `corrupt` (`ext.inode-range` too), `io`. */
export const readInode = (volume: ExtVolume, number: number): Inode =>
  readInodeFrom(volume, number, volume.device.read(volume.inodeOffset(number), volume.parameters.inodeSize));

/** The same from its bytes, which must not change any more. */
export const readInodeFrom = (volume: ExtVolume, number: number, bytes: Uint8Array): Inode => {
  const inode = parseInode(volume, number, bytes, volume.inodeOffset(number));
  requireSound(volume, inode);
  return inode;
};
