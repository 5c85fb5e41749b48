import { crc16, crc32c } from './crc.ts';
import {
  DIRECTORY_ENTRY,
  DIRECTORY_TAIL,
  DIRECTORY_TAIL_TYPE,
  DX_COUNT_LIMIT,
  DX_ENTRY,
  DX_NODE,
  DX_ROOT,
  DX_TAIL,
  EXTENT_HEADER,
  EXTENT_LEAF,
  EXTENT_TAIL,
  GOOD_OLD_INODE_SIZE,
  GROUP_DESCRIPTOR,
  INODE,
  MMP,
  ORPHAN_TAIL,
  SUPERBLOCK,
  XATTR_HEADER,
} from './layout.ts';

/**
 * Checksums of ext's structures (kernel docs, checksums.rst). For each structure: `...Checksum` computes,
 * `...ChecksumOk` compares (true where the volume has no such checksum), `set...Checksum` stores in place
 * (nothing where the volume has none). None of the first two changes its input.
 */
export interface ChecksumScheme {
  /** metadata_csum. */
  readonly metadataChecksums: boolean;
  /** What group descriptors carry. */
  readonly groupChecksums: 'none' | 'crc16' | 'crc32c';
  /** Start value: crc32c(~0, uuid), or s_checksum_seed. */
  readonly checksumSeed: number;
  /** `s_uuid`, 16 bytes. */
  readonly uuidBytes: Uint8Array;
}

const NONE = new Uint8Array(8);

const NUMBERS = new Uint8Array(8);
const NUMBERS_VIEW = new DataView(NUMBERS.buffer);

/** One or two 32-bit little-endian numbers, in memory that the next call uses again. */
const numbers = (first: number, second?: number): Uint8Array => {
  NUMBERS_VIEW.setUint32(0, first, true);
  if (second === undefined) return NUMBERS.subarray(0, 4);
  NUMBERS_VIEW.setUint32(4, second, true);
  return NUMBERS;
};

/** A 64-bit little-endian block number, likewise. */
const blockNumber = (block: number): Uint8Array =>
  numbers(block % 0x1_0000_0000, Math.floor(block / 0x1_0000_0000));

/** crc32c of bytes in which the field of `width` bytes at `hole` counts as zero. */
const crc32cWithHole = (seed: number, bytes: Uint8Array, hole: number, width: number): number => {
  let crc = crc32c(seed, bytes, 0, hole);
  crc = crc32c(crc, NONE, 0, width);
  return crc32c(crc, bytes, hole + width);
};

/** Start value for everything that belongs to one inode: the seed, its number, its generation. */
const inodeSeed = (scheme: ChecksumScheme, inode: number, generation: number): number =>
  crc32c(scheme.checksumSeed, numbers(inode, generation));

// --- superblock -------------------------------------------------------------------------------------------------

export const superblockChecksum = (superblock: Uint8Array): number =>
  crc32c(0xffff_ffff, superblock, 0, SUPERBLOCK.offsetOf('s_checksum'));

export const superblockChecksumOk = (scheme: ChecksumScheme, superblock: Uint8Array): boolean =>
  !scheme.metadataChecksums || SUPERBLOCK.get(superblock, 's_checksum') === superblockChecksum(superblock);

export const setSuperblockChecksum = (scheme: ChecksumScheme, superblock: Uint8Array): void => {
  if (scheme.metadataChecksums) SUPERBLOCK.set(superblock, 's_checksum', superblockChecksum(superblock));
};

// --- group descriptors ------------------------------------------------------------------------------------------

/** `descriptor` is exactly as long as the volume's descriptors. 0 where they carry no checksum. */
export const groupChecksum = (scheme: ChecksumScheme, group: number, descriptor: Uint8Array): number => {
  const hole = GROUP_DESCRIPTOR.offsetOf('bg_checksum');
  if (scheme.groupChecksums === 'none') return 0;
  if (scheme.groupChecksums === 'crc32c') {
    return crc32cWithHole(crc32c(scheme.checksumSeed, numbers(group)), descriptor, hole, 2) & 0xffff;
  }
  // uninit_bg: the checksum field is left out, not taken as zero.
  const crc = crc16(crc16(crc16(0xffff, scheme.uuidBytes), numbers(group)), descriptor, 0, hole);
  return crc16(crc, descriptor, hole + 2);
};

export const groupChecksumOk = (scheme: ChecksumScheme, group: number, descriptor: Uint8Array): boolean =>
  scheme.groupChecksums === 'none' ||
  GROUP_DESCRIPTOR.get(descriptor, 'bg_checksum') === groupChecksum(scheme, group, descriptor);

export const setGroupChecksum = (scheme: ChecksumScheme, group: number, descriptor: Uint8Array): void => {
  if (scheme.groupChecksums === 'none') return;
  GROUP_DESCRIPTOR.set(descriptor, 'bg_checksum', groupChecksum(scheme, group, descriptor));
};

/**
 * Of a block or inode bitmap. `bitmap` is what counts of it: clusters (inodes) per group / 8 bytes.
 * The result is stored in the group descriptor, its upper half only if descriptors have 64 bytes.
 */
export const bitmapChecksum = (scheme: ChecksumScheme, bitmap: Uint8Array): number =>
  crc32c(scheme.checksumSeed, bitmap);

type BitmapKind = 'block' | 'inode';

export const bitmapChecksumOk = (
  scheme: ChecksumScheme,
  kind: BitmapKind,
  descriptor: Uint8Array,
  bitmap: Uint8Array,
): boolean => {
  if (!scheme.metadataChecksums) return true;
  const checksum = bitmapChecksum(scheme, bitmap);
  const low = GROUP_DESCRIPTOR.get(descriptor, `bg_${kind}_bitmap_csum_lo`);
  if (low !== (checksum & 0xffff)) return false;
  if (descriptor.length < GROUP_DESCRIPTOR.size) return true;
  return GROUP_DESCRIPTOR.get(descriptor, `bg_${kind}_bitmap_csum_hi`) === checksum >>> 16;
};

/** Stores into the descriptor; the descriptor's own checksum has to be set afterwards. */
export const setBitmapChecksum = (
  scheme: ChecksumScheme,
  kind: BitmapKind,
  descriptor: Uint8Array,
  bitmap: Uint8Array,
): void => {
  if (!scheme.metadataChecksums) return;
  const checksum = bitmapChecksum(scheme, bitmap);
  GROUP_DESCRIPTOR.set(descriptor, `bg_${kind}_bitmap_csum_lo`, checksum & 0xffff);
  if (descriptor.length < GROUP_DESCRIPTOR.size) return;
  GROUP_DESCRIPTOR.set(descriptor, `bg_${kind}_bitmap_csum_hi`, checksum >>> 16);
};

// --- inodes -----------------------------------------------------------------------------------------------------

/** True if the inode is large enough to hold the upper half of its checksum. */
const hasUpperHalf = (inode: Uint8Array): boolean =>
  inode.length > GOOD_OLD_INODE_SIZE &&
  INODE.get(inode, 'i_extra_isize') >= INODE.offsetOf('i_checksum_hi') + 2 - GOOD_OLD_INODE_SIZE;

/** `inode` is the whole on-disk inode, as long as the volume's inodes. 32 bits. */
export const inodeChecksum = (scheme: ChecksumScheme, number: number, inode: Uint8Array): number => {
  const low = INODE.offsetOf('i_checksum_lo');
  const high = INODE.offsetOf('i_checksum_hi');
  let crc = inodeSeed(scheme, number, INODE.get(inode, 'i_generation'));
  crc = crc32c(crc, inode, 0, low);
  crc = crc32c(crc, NONE, 0, 2);
  if (!hasUpperHalf(inode)) return crc32c(crc, inode, low + 2);
  crc = crc32c(crc, inode, low + 2, high);
  crc = crc32c(crc, NONE, 0, 2);
  return crc32c(crc, inode, high + 2);
};

/** An inode that was never written (all zero in its first 128 bytes) needs no checksum. */
export const inodeChecksumOk = (scheme: ChecksumScheme, number: number, inode: Uint8Array): boolean => {
  if (!scheme.metadataChecksums) return true;
  const checksum = inodeChecksum(scheme, number, inode);
  const same =
    INODE.get(inode, 'i_checksum_lo') === (checksum & 0xffff) &&
    (!hasUpperHalf(inode) || INODE.get(inode, 'i_checksum_hi') === checksum >>> 16);
  return same || inode.subarray(0, GOOD_OLD_INODE_SIZE).every((byte) => byte === 0);
};

export const setInodeChecksum = (scheme: ChecksumScheme, number: number, inode: Uint8Array): void => {
  if (!scheme.metadataChecksums) return;
  const checksum = inodeChecksum(scheme, number, inode);
  INODE.set(inode, 'i_checksum_lo', checksum & 0xffff);
  if (hasUpperHalf(inode)) INODE.set(inode, 'i_checksum_hi', checksum >>> 16);
};

// --- blocks that belong to an inode -----------------------------------------------------------------------------

/** The inode that a block belongs to, as its checksum needs it. */
export interface Owner {
  readonly number: number;
  readonly generation: number;
}

/** Where the checksum of an extent tree block stands: after `eh_max` entries. */
export const extentTailOffset = (block: Uint8Array): number =>
  EXTENT_HEADER.size + EXTENT_LEAF.size * EXTENT_HEADER.get(block, 'eh_max');

export const extentBlockChecksum = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): number =>
  crc32c(inodeSeed(scheme, owner.number, owner.generation), block, 0, extentTailOffset(block));

/** False too if `eh_max` leaves no room for the tail. */
export const extentBlockChecksumOk = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): boolean => {
  if (!scheme.metadataChecksums) return true;
  const tail = extentTailOffset(block);
  if (tail + EXTENT_TAIL.size > block.length) return false;
  return EXTENT_TAIL.get(block, 'eb_checksum', tail) === extentBlockChecksum(scheme, owner, block);
};

export const setExtentBlockChecksum = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): void => {
  if (!scheme.metadataChecksums) return;
  EXTENT_TAIL.set(block, 'eb_checksum', extentBlockChecksum(scheme, owner, block), extentTailOffset(block));
};

/** True if a directory block ends in the entry-like tail that holds its checksum. */
export const hasDirectoryTail = (block: Uint8Array): boolean => {
  const at = block.length - DIRECTORY_TAIL.size;
  return (
    DIRECTORY_TAIL.get(block, 'det_reserved_zero1', at) === 0 &&
    DIRECTORY_TAIL.get(block, 'det_rec_len', at) === DIRECTORY_TAIL.size &&
    DIRECTORY_TAIL.get(block, 'det_reserved_zero2', at) === 0 &&
    DIRECTORY_TAIL.get(block, 'det_reserved_ft', at) === DIRECTORY_TAIL_TYPE
  );
};

export const directoryLeafChecksum = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): number =>
  crc32c(inodeSeed(scheme, owner.number, owner.generation), block, 0, block.length - DIRECTORY_TAIL.size);

/** False too if there is no tail. */
export const directoryLeafChecksumOk = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): boolean => {
  if (!scheme.metadataChecksums) return true;
  const at = block.length - DIRECTORY_TAIL.size;
  return (
    hasDirectoryTail(block) &&
    DIRECTORY_TAIL.get(block, 'det_checksum', at) === directoryLeafChecksum(scheme, owner, block)
  );
};

/** The block must already end in a tail. */
export const setDirectoryLeafChecksum = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): void => {
  if (!scheme.metadataChecksums) return;
  const at = block.length - DIRECTORY_TAIL.size;
  DIRECTORY_TAIL.set(block, 'det_checksum', directoryLeafChecksum(scheme, owner, block), at);
};

/**
 * Where limit and count stand in an htree block: 32 in a root, 8 in a node; undefined if it looks like neither.
 * A root shows the entries `.` (12 bytes) and `..` (the rest of the block), a node one empty entry over all of it.
 */
export const dxCountOffset = (block: Uint8Array): number | undefined => {
  const length = DIRECTORY_ENTRY.get(block, 'rec_len');
  const whole = block.length >= 65536 ? [0, 65535, 65536] : [block.length];
  if (whole.includes(length) && DIRECTORY_ENTRY.get(block, 'name_len') === 0)
    return DX_NODE.offsetOf('limit');
  if (length !== 12) return undefined;
  const rest = DX_ROOT.get(block, 'dotdot_rec_len');
  if (rest !== block.length - 12 || DX_ROOT.get(block, 'reserved_zero') !== 0) return undefined;
  return DX_ROOT.get(block, 'info_length') === 8 ? DX_ROOT.offsetOf('limit') : undefined;
};

const dxTailOffset = (block: Uint8Array, countOffset: number): number | undefined => {
  const limit = DX_COUNT_LIMIT.get(block, 'limit', countOffset);
  const count = DX_COUNT_LIMIT.get(block, 'count', countOffset);
  const tail = countOffset + limit * DX_ENTRY.size;
  return count <= limit && tail + DX_TAIL.size <= block.length ? tail : undefined;
};

/** Undefined if the block is no htree block or has no room for a checksum. */
export const dxChecksum = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): number | undefined => {
  const at = dxCountOffset(block);
  const tail = at === undefined ? undefined : dxTailOffset(block, at);
  if (at === undefined || tail === undefined) return undefined;
  const end = at + DX_COUNT_LIMIT.get(block, 'count', at) * DX_ENTRY.size;
  let crc = inodeSeed(scheme, owner.number, owner.generation);
  crc = crc32c(crc, block, 0, end);
  crc = crc32c(crc, block, tail, tail + 4);
  return crc32c(crc, NONE, 0, 4);
};

export const dxChecksumOk = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): boolean => {
  if (!scheme.metadataChecksums) return true;
  const checksum = dxChecksum(scheme, owner, block);
  if (checksum === undefined) return false;
  return DX_TAIL.get(block, 'dt_checksum', dxTailOffset(block, dxCountOffset(block)!)!) === checksum;
};

export const setDxChecksum = (scheme: ChecksumScheme, owner: Owner, block: Uint8Array): void => {
  if (!scheme.metadataChecksums) return;
  const checksum = dxChecksum(scheme, owner, block);
  if (checksum === undefined) throw new RangeError('not an htree block with room for a checksum');
  DX_TAIL.set(block, 'dt_checksum', checksum, dxTailOffset(block, dxCountOffset(block)!)!);
};

// --- other blocks -----------------------------------------------------------------------------------------------

/** `at` is the block's number. */
export const xattrBlockChecksum = (scheme: ChecksumScheme, at: number, block: Uint8Array): number =>
  crc32cWithHole(
    crc32c(scheme.checksumSeed, blockNumber(at)),
    block,
    XATTR_HEADER.offsetOf('h_checksum'),
    XATTR_HEADER.widthOf('h_checksum'),
  );

export const xattrBlockChecksumOk = (scheme: ChecksumScheme, at: number, block: Uint8Array): boolean =>
  !scheme.metadataChecksums ||
  XATTR_HEADER.get(block, 'h_checksum') === xattrBlockChecksum(scheme, at, block);

export const setXattrBlockChecksum = (scheme: ChecksumScheme, at: number, block: Uint8Array): void => {
  if (scheme.metadataChecksums) XATTR_HEADER.set(block, 'h_checksum', xattrBlockChecksum(scheme, at, block));
};

/** Of a block of the orphan file; `at` is the block's number. */
export const orphanBlockChecksum = (
  scheme: ChecksumScheme,
  owner: Owner,
  at: number,
  block: Uint8Array,
): number =>
  crc32c(
    crc32c(inodeSeed(scheme, owner.number, owner.generation), blockNumber(at)),
    block,
    0,
    Math.floor((block.length - ORPHAN_TAIL.size) / 4) * 4,
  );

export const orphanBlockChecksumOk = (
  scheme: ChecksumScheme,
  owner: Owner,
  at: number,
  block: Uint8Array,
): boolean =>
  !scheme.metadataChecksums ||
  ORPHAN_TAIL.get(block, 'ob_checksum', block.length - ORPHAN_TAIL.size) ===
    orphanBlockChecksum(scheme, owner, at, block);

export const mmpChecksum = (scheme: ChecksumScheme, block: Uint8Array): number =>
  crc32c(scheme.checksumSeed, block, 0, MMP.offsetOf('mmp_checksum'));

export const mmpChecksumOk = (scheme: ChecksumScheme, block: Uint8Array): boolean =>
  !scheme.metadataChecksums || MMP.get(block, 'mmp_checksum') === mmpChecksum(scheme, block);
