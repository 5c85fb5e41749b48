import { setBits } from '../../bytes/bitmap.ts';
import { corrupt } from '../../errors.ts';
import type { Run } from '../../units.ts';
import { bitmapChecksumOk } from './checksum.ts';
import type { ExtVolume, GroupDescriptor } from './volume.ts';

/** Blocks that hold a group's own structures, wherever they lie: copies, bitmaps, inode table. Any order. */
export const groupStructures = (volume: ExtVolume, group: GroupDescriptor): Run[] => {
  const { start, length } = volume.groupOverhead(group.index);
  const runs = [
    { start: group.blockBitmap, length: 1 },
    { start: group.inodeBitmap, length: 1 },
    { start: group.inodeTable, length: volume.parameters.inodeTableBlocks },
  ];
  if (length > 0) runs.unshift({ start, length });
  return runs;
};

/** The first `length` bytes: `bytes` itself if that is all. Most groups have as many clusters as a block has bits. */
const head = (bytes: Uint8Array, length: number): Uint8Array =>
  length === bytes.length ? bytes : bytes.subarray(0, length);

/**
 * The bitmap of a group whose bitmap was never written: only its own structures are in use, as far as they lie in
 * this group (the kernel's ext4_init_block_bitmap). Bits behind the group's end are set.
 */
export const synthesiseBlockBitmap = (
  volume: ExtVolume,
  group: GroupDescriptor,
  scratch: Uint8Array = new Uint8Array(volume.blockSize),
): Uint8Array => {
  const { clusterBlocks, clustersPerGroup } = volume.parameters;
  const bitmap = head(scratch, clustersPerGroup / 8).fill(0);
  const groupStart = volume.groupStart(group.index);
  const groupEnd = groupStart + volume.groupBlocks(group.index);
  for (const { start, length } of groupStructures(volume, group)) {
    const from = Math.max(start, groupStart);
    const to = Math.min(start + length, groupEnd);
    if (from >= to) continue;
    setBits(
      bitmap,
      Math.floor((from - groupStart) / clusterBlocks),
      Math.ceil((to - groupStart) / clusterBlocks),
    );
  }
  setBits(bitmap, volume.groupClusters(group.index), clustersPerGroup);
  return bitmap;
};

const readBitmap = (
  volume: ExtVolume,
  group: GroupDescriptor,
  kind: 'block' | 'inode',
  scratch: Uint8Array,
): Uint8Array => {
  const block = kind === 'block' ? group.blockBitmap : group.inodeBitmap;
  const { clustersPerGroup, inodesPerGroup } = volume.parameters;
  volume.device.readInto(volume.blockOffset(block), scratch);
  const bitmap = head(scratch, (kind === 'block' ? clustersPerGroup : inodesPerGroup) / 8);
  if (!bitmapChecksumOk(volume.parameters, kind, group.bytes, bitmap)) {
    throw corrupt('wrong checksum', {
      code: `ext.${kind}-bitmap-checksum`,
      structure: `ext ${kind} bitmap of group ${group.index}`,
      offset: volume.blockOffset(block),
    });
  }
  return bitmap;
};

/**
 * A group's block bitmap, one bit per cluster, `clustersPerGroup / 8` bytes; what stands behind the group's end means
 * nothing. Given `scratch` (one block), the result is a view of it: for whoever reads many and keeps none.
 * Throws `corrupt` (`ext.block-bitmap-checksum`), `io`.
 */
export const readBlockBitmap = (
  volume: ExtVolume,
  group: GroupDescriptor,
  scratch: Uint8Array = new Uint8Array(volume.blockSize),
): Uint8Array =>
  group.blockUninitialised
    ? synthesiseBlockBitmap(volume, group, scratch)
    : readBitmap(volume, group, 'block', scratch);

/** A group's inode bitmap, `inodesPerGroup / 8` bytes; all free where it was never written. Otherwise the same. */
export const readInodeBitmap = (
  volume: ExtVolume,
  group: GroupDescriptor,
  scratch: Uint8Array = new Uint8Array(volume.blockSize),
): Uint8Array =>
  group.inodeUninitialised
    ? head(scratch, volume.parameters.inodesPerGroup / 8).fill(0)
    : readBitmap(volume, group, 'inode', scratch);
