import { setRuns } from '../../bytes/bitmap.ts';
import { coalesce, normalise } from '../../bytes/runs.ts';
import type { Run } from '../../units.ts';
import { readBlockBitmap } from './bitmaps.ts';
import { readInode } from './inode.ts';
import { BAD_BLOCKS_INODE } from './layout.ts';
import { clusterRuns } from './mapping.ts';
import type { ExtVolume } from './volume.ts';

/**
 * Clusters in use, ascending, joined, read group by group. With 1 KiB blocks the boot block (cluster 0) has no bit and
 * counts as in use. Throws `corrupt` (descriptors, bitmaps), `io`.
 */
export const allocatedRuns = (volume: ExtVolume): Iterable<Run> => ({
  [Symbol.iterator]: () => coalesce(groupRuns(volume)),
});

function* groupRuns(volume: ExtVolume): Generator<Run> {
  const { clusterBlocks, firstDataBlock, groupCount } = volume.parameters;
  if (firstDataBlock > 0) yield { start: 0, length: firstDataBlock };
  const scratch = new Uint8Array(volume.blockSize);
  for (let index = 0; index < groupCount; index += 1) {
    const bitmap = readBlockBitmap(volume, volume.group(index), scratch);
    const base = volume.groupStart(index) / clusterBlocks;
    for (const { start, length } of setRuns(bitmap, volume.groupClusters(index)))
      yield { start: base + start, length };
  }
}

/**
 * Whole clusters of inode tables and bitmaps that their group descriptors, which must have checksums, call never used: kernel and
 * e2fsck do not read them either. Ascending, joined, for all groups at once: with flex_bg they lie in each other's groups.
 */
export const blankRuns = (volume: ExtVolume): Iterable<Run> => ({
  [Symbol.iterator]: () => normalise(blankOfGroups(volume))[Symbol.iterator](),
});

function* blankOfGroups(volume: ExtVolume): Generator<Run> {
  const { clusterBlocks, groupCount, inodesPerGroup, inodeSize, inodeTableBlocks } = volume.parameters;
  for (let index = 0; index < groupCount; index += 1) {
    const group = volume.group(index);
    const written = group.inodeUninitialised ? 0 : Math.max(0, inodesPerGroup - group.unusedInodes);
    const used = Math.ceil((written * inodeSize) / volume.blockSize);
    const first = Math.ceil((group.inodeTable + used) / clusterBlocks);
    const end = Math.floor((group.inodeTable + inodeTableBlocks) / clusterBlocks);
    if (end > first) yield { start: first, length: end - first };
    // A cluster of several blocks may hold something else beside a bitmap.
    if (clusterBlocks > 1) continue;
    if (group.inodeUninitialised) yield { start: group.inodeBitmap, length: 1 };
    if (group.blockUninitialised) yield { start: group.blockBitmap, length: 1 };
  }
}

/** Clusters that the bad blocks inode (inode 1) lists, ascending. */
export const badRuns = (volume: ExtVolume): Iterable<Run> => ({
  [Symbol.iterator]: () => {
    const runs = [...clusterRuns(volume, readInode(volume, BAD_BLOCKS_INODE))];
    return coalesce(runs.sort((a, b) => a.start - b.start));
  },
});
