import type { Geometry } from '../filesystem.ts';
import { SUPERBLOCK, SUPERBLOCK_OFFSET } from './layout.ts';
import type { ExtVolume } from './volume.ts';

/**
 * Holdfast's cluster is ext's: a block, or with bigalloc a cluster of blocks. They are counted from byte 0 of the
 * partition, so that with 1 KiB blocks cluster 0 is the boot block, which ext's own bitmaps leave out, and nothing
 * lies outside. A mount recognises the volume by the primary superblock.
 */
export const geometryOf = (volume: ExtVolume): Geometry => ({
  clusterSize: volume.clusterSize,
  clusterCount: volume.clusterCount,
  clusterBase: 0,
  size: volume.blockCount * volume.blockSize,
  outside: [],
  recognition: [{ start: SUPERBLOCK_OFFSET, length: SUPERBLOCK.size }],
});
