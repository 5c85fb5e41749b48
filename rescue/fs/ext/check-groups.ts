import { countSet } from '../../bytes/bitmap.ts';
import type { Problem } from '../filesystem.ts';
import { groupStructures, readInodeBitmap } from './bitmaps.ts';
import type { AllocationView } from './claims.ts';
import { SUPERBLOCK, SUPERBLOCK_OFFSET } from './layout.ts';
import { at, atBlock, gathered, type Put, problem } from './problems.ts';
import { superblockCount } from './superblock.ts';
import type { ExtVolume } from './volume.ts';

/** Sums over all groups. `complete`: no group was too damaged to count. */
export interface GroupTotals {
  freeClusters: number;
  freeInodes: number;
  complete: boolean;
}

/** Descriptors and bitmaps: checksums, counts, and that the file system's own structures are marked as in use. */
export function* groupProblems(
  volume: ExtVolume,
  view: AllocationView,
  totals: GroupTotals,
): Generator<Problem> {
  const scratch = new Uint8Array(volume.blockSize);
  for (let index = 0; index < volume.groupCount; index += 1) {
    let finished = false;
    const found = gathered((put) => {
      oneGroup({ volume, view, totals, scratch, put }, index);
      finished = true;
    });
    if (!finished) totals.complete = false;
    if (found.length > 0) yield* found;
  }
  if (totals.complete) yield* totalProblems(volume, totals);
}

interface GroupCheck {
  readonly volume: ExtVolume;
  readonly view: AllocationView;
  readonly totals: GroupTotals;
  readonly scratch: Uint8Array;
  readonly put: Put;
}

const oneGroup = ({ volume, view, totals, scratch, put }: GroupCheck, index: number): void => {
  const { inodesPerGroup, clusterBlocks } = volume.parameters;
  const group = volume.group(index);
  const where = (): string => at(`ext group descriptor ${index}`, group.offset);
  const clusters = volume.groupClusters(index);
  // The bitmap is there: an unreadable one has just thrown.
  const freeClusters = clusters - countSet(view.bitmap(index)!, clusters);
  const freeInodes = inodesPerGroup - countSet(readInodeBitmap(volume, group, scratch), inodesPerGroup);
  totals.freeClusters += freeClusters;
  totals.freeInodes += freeInodes;
  if (group.freeClusters !== freeClusters)
    put(problem('ext.free-clusters', where(), { expected: freeClusters, found: group.freeClusters }));
  if (group.freeInodes !== freeInodes)
    put(problem('ext.free-inodes', where(), { expected: freeInodes, found: group.freeInodes }));
  if (group.unusedInodes > inodesPerGroup)
    put(problem('ext.unused-inodes', where(), { expected: inodesPerGroup, found: group.unusedInodes }));
  for (const { start, length } of groupStructures(volume, group)) {
    const first = Math.floor(start / clusterBlocks);
    const end = Math.ceil((start + length) / clusterBlocks);
    const free = view.firstFree({ start: first, length: end - first });
    if (free !== undefined)
      put(problem('ext.structure-free', atBlock(volume, free, `ext structures of group ${index}`)));
  }
};

function* totalProblems(volume: ExtVolume, totals: GroupTotals): Generator<Problem> {
  const where = (field: 's_free_blocks_count_lo' | 's_free_inodes_count'): string =>
    at(`ext superblock, ${field}`, SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf(field));
  // The superblock counts blocks where the groups count clusters.
  const expected = totals.freeClusters * volume.parameters.clusterBlocks;
  const blocks = superblockCount(volume.parameters, 's_free_blocks_count');
  if (blocks !== expected)
    yield problem('ext.free-blocks-total', where('s_free_blocks_count_lo'), { expected, found: blocks });
  const inodes = SUPERBLOCK.get(volume.parameters.superblock, 's_free_inodes_count');
  if (inodes !== totals.freeInodes) {
    yield problem('ext.free-inodes-total', where('s_free_inodes_count'), {
      expected: totals.freeInodes,
      found: inodes,
    });
  }
}
