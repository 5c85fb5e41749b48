import type { Extent } from '../../units.ts';
import type { Geometry } from '../filesystem.ts';
import { SUPERBLOCK, SUPERBLOCK_OFFSET } from './layout.ts';
import type { ExtVolume } from './volume.ts';

/** As many extents as an image can name; the lowest backups are those that repair programs try. */
const MOST_SUPERBLOCKS = 64;

/** All superblocks: with its primary gone, a volume is brought back by `e2fsck -y` from any backup. */
const superblocks = (volume: ExtVolume): Extent[] => {
  const found: Extent[] = [{ start: SUPERBLOCK_OFFSET, length: SUPERBLOCK.size }];
  const { groupCount } = volume.parameters;
  for (let group = 1; group < groupCount && found.length < MOST_SUPERBLOCKS; group += 1) {
    if (!volume.groupHasSuperblock(group)) continue;
    found.push({ start: volume.groupStart(group) * volume.blockSize, length: SUPERBLOCK.size });
  }
  return found;
};

/**
 * Holdfast's cluster is ext's: a block, or with bigalloc a cluster of blocks. They are counted from byte 0 of the
 * partition, so that with 1 KiB blocks cluster 0 is the boot block, which ext's own bitmaps leave out, and nothing
 * lies outside. A mount recognises the volume by the primary superblock, a repair by any.
 */
export const geometryOf = (volume: ExtVolume): Geometry => ({
  clusterSize: volume.clusterSize,
  clusterCount: volume.clusterCount,
  clusterBase: 0,
  size: volume.blockCount * volume.blockSize,
  outside: [],
  recognition: superblocks(volume),
});
