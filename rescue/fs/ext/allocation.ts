import { coalesce } from '../../bytes/runs.ts';
import type { Run } from '../../units.ts';
import { readBlockBitmap, setRuns } from './bitmaps.ts';
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

/** Clusters that the bad blocks inode (inode 1) lists, ascending. */
export const badRuns = (volume: ExtVolume): Iterable<Run> => ({
  [Symbol.iterator]: () => {
    const runs = [...clusterRuns(volume, readInode(volume, BAD_BLOCKS_INODE))];
    return coalesce(runs.sort((a, b) => a.start - b.start));
  },
});
