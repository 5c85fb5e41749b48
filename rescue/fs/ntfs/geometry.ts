import type { Extent } from '../../units.ts';
import type { Geometry } from '../filesystem.ts';
import { backupPositions } from './boot-sector.ts';
import type { NtfsVolume } from './volume.ts';

/**
 * Clusters are counted from byte 0 of the partition; the boot sector is in cluster 0 like any file's content ($Boot).
 * Outside lie the sectors that do not fill a cluster, and the backup of the boot sector behind them, which in a partition
 * that is larger than its volume may also be in the partition's last sector.
 */
export const geometryOf = (volume: NtfsVolume): Geometry => {
  const { clusterSize, clusterCount, sectorSize, sectorCount } = volume.parameters;
  const backups = backupPositions(volume.device, volume.parameters).map(
    (start): Extent => ({ start, length: sectorSize }),
  );
  const clustersEnd = clusterCount * clusterSize;
  const volumeEnd = sectorCount * sectorSize;
  const [behind, ...last] = backups;
  const end = behind === undefined ? volumeEnd : volumeEnd + sectorSize;
  const rest = end > clustersEnd ? [{ start: clustersEnd, length: end - clustersEnd }] : [];
  return {
    clusterSize,
    clusterCount,
    clusterBase: 0,
    size: end,
    outside: [...rest, ...last],
    recognition: [{ start: 0, length: sectorSize }, ...backups],
  };
};
