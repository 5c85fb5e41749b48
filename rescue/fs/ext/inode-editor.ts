import { crc32 } from 'node:zlib';
import { setInodeChecksum } from './checksum.ts';
import { type Inode, parseInode } from './inode.ts';
import { GOOD_OLD_INODE_SIZE, INODE, MODE_DIRECTORY, MODE_TYPE, SUPERBLOCK } from './layout.ts';
import type { Phase, StagedEdits } from './staged-edits.ts';
import type { ExtVolume } from './volume.ts';

/** Values of an inode, in the units of the on-disk fields unless said otherwise. */
export interface InodeValues {
  readonly mode?: number;
  readonly links?: number;
  readonly flags?: number;
  /** Bytes. */
  readonly size?: number;
  /** 512-byte units: content and the blocks that map it. */
  readonly sectors?: number;
  /** `i_block`, 60 bytes. */
  readonly map?: Uint8Array;
}

/** Changes the given fields of an inode in place, and no other. The checksum is set by `writeInode`. */
export const setInodeValues = (bytes: Uint8Array, values: InodeValues): void => {
  if (values.mode !== undefined) INODE.set(bytes, 'i_mode', values.mode);
  if (values.links !== undefined) INODE.set(bytes, 'i_links_count', values.links);
  if (values.flags !== undefined) INODE.set(bytes, 'i_flags', values.flags >>> 0);
  if (values.size !== undefined) {
    INODE.set(bytes, 'i_size_lo', values.size % 0x1_0000_0000);
    const high = Math.floor(values.size / 0x1_0000_0000);
    // The field means something else for folders that cannot be that large.
    if (high > 0 || (INODE.get(bytes, 'i_mode') & MODE_TYPE) !== MODE_DIRECTORY)
      INODE.set(bytes, 'i_size_high', high);
  }
  if (values.sectors !== undefined) {
    INODE.set(bytes, 'i_blocks_lo', values.sectors % 0x1_0000_0000);
    INODE.set(bytes, 'i_blocks_high', Math.floor(values.sectors / 0x1_0000_0000));
  }
  if (values.map !== undefined) INODE.set(bytes, 'i_block', values.map);
};

/** The kernel draws it at random; here equal input has to give equal bytes. */
export const generationOf = (name: string, time: number): number => crc32(`${name} ${time}`) >>> 0;

/** How many bytes a new inode uses beyond the first 128. */
const extraSize = (volume: ExtVolume): number => {
  const room = volume.parameters.inodeSize - GOOD_OLD_INODE_SIZE;
  if (room === 0) return 0;
  const wanted = Math.max(
    SUPERBLOCK.get(volume.parameters.superblock, 's_want_extra_isize'),
    SUPERBLOCK.get(volume.parameters.superblock, 's_min_extra_isize'),
  );
  // As the kernel does without the feature: all fields that it knows.
  const size = volume.has('extra_isize') && wanted > 0 ? wanted : INODE.size - GOOD_OLD_INODE_SIZE;
  return Math.min(room, size - (size % 4));
};

/**
 * A new inode of root's, all its times the same.
 * `time`: seconds since 1970; the two bits beyond 32 go where the inode has room for them.
 */
export const newInode = (
  volume: ExtVolume,
  values: Required<InodeValues> & { generation: number; time: number },
): Uint8Array => {
  const bytes = new Uint8Array(volume.parameters.inodeSize);
  setInodeValues(bytes, values);
  INODE.set(bytes, 'i_generation', values.generation);
  const seconds = values.time | 0;
  const epoch = Math.floor((values.time - seconds) / 0x1_0000_0000) & 3;
  const extra = extraSize(volume);
  const reaches = (field: 'i_crtime_extra' | 'i_atime_extra'): boolean =>
    GOOD_OLD_INODE_SIZE + extra >= INODE.offsetOf(field) + INODE.widthOf(field);
  for (const field of ['i_atime', 'i_ctime', 'i_mtime'] as const) INODE.set(bytes, field, seconds);
  if (extra > 0) INODE.set(bytes, 'i_extra_isize', extra);
  if (reaches('i_atime_extra')) {
    for (const field of ['i_atime_extra', 'i_ctime_extra', 'i_mtime_extra'] as const)
      INODE.set(bytes, field, epoch);
  }
  if (reaches('i_crtime_extra')) {
    INODE.set(bytes, 'i_crtime', seconds);
    INODE.set(bytes, 'i_crtime_extra', epoch);
  }
  return bytes;
};

/** Sets the checksum and plans the inode's new bytes. Gives them parsed. */
export const writeInode = (
  volume: ExtVolume,
  edits: StagedEdits,
  options: { phase: Phase; number: number; bytes: Uint8Array },
): Inode => {
  const { phase, number, bytes } = options;
  setInodeChecksum(volume.parameters, number, bytes);
  const offset = volume.inodeOffset(number);
  edits.write(phase, offset, bytes);
  return parseInode(volume, number, Uint8Array.from(bytes), offset);
};

/**
 * What is left of a freed inode: no links, no mode, nothing mapped, a deletion time. e2fsck(8) takes an inode for
 * deleted if it has no links, and wants a deletion time unless the mode is zero.
 */
export const freedInode = (inode: Inode, time: number): Uint8Array => {
  const bytes = Uint8Array.from(inode.bytes);
  setInodeValues(bytes, { mode: 0, links: 0, flags: 0, size: 0, sectors: 0, map: new Uint8Array(60) });
  INODE.set(bytes, 'i_dtime', Math.max(1, time >>> 0));
  return bytes;
};
