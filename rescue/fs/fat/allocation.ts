import type { Run } from '../../units.ts';
import type { FatVolume } from './volume.ts';

/**
 * Clusters that the FAT does not call free, ascending, joined; bad ones and chains that no name leads to (lost clusters)
 * count as in use. Each iteration reads the FAT once, page by page. Throws `io`.
 */
export const allocatedRuns = (volume: FatVolume): Iterable<Run> => volume.table.usedRuns();

/** FAT does not say of a cluster in use whether anything was ever written to it. */
export const blankRuns = (_volume: FatVolume): Iterable<Run> => [];

/** Clusters marked as bad. They are in use too. Throws `io`. */
export const badRuns = (volume: FatVolume): Iterable<Run> => volume.table.badRuns();
