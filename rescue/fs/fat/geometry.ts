import type { Extent } from '../../units.ts';
import type { Geometry } from '../filesystem.ts';
import { looksLikeBootSector } from './boot.ts';
import { BOOT_SECTOR_SIZE } from './layout.ts';
import type { FatVolume } from './volume.ts';

/** Where fatgen103 wants the copy of a FAT32 boot sector; Windows looks there whatever BPB_BkBootSec says. */
const USUAL_BACKUP = 6;

/**
 * Boot sectors: the one that a mount reads, and on FAT32 the copies from which chkdsk and others bring it back. FSInfo and
 * the FATs make nothing mountable by themselves.
 */
const bootSectors = (volume: FatVolume): Extent[] => {
  const { sectorSize, reservedLength, backupBoot, fsInfo } = volume.parameters;
  const found: Extent[] = [{ start: 0, length: sectorSize }];
  if (volume.bits !== 32) return found;
  const usual = USUAL_BACKUP * sectorSize;
  if (backupBoot !== undefined) found.push({ start: backupBoot, length: sectorSize });
  const isThere =
    usual !== backupBoot &&
    usual !== fsInfo &&
    usual < reservedLength &&
    looksLikeBootSector(volume.device.read(usual, BOOT_SECTOR_SIZE));
  if (isThere) found.push({ start: usual, length: sectorSize });
  return found.sort((a, b) => a.start - b.start);
};

/**
 * Cluster 0 is FAT entry 2, the first byte of the data. Before it lie, in no cluster, the reserved sectors with boot
 * sector, its copy and FSInfo, the FATs, and on FAT12 and FAT16 the root folder; all are imaged. Sectors behind the last
 * whole cluster belong to the volume, but nothing can ever be stored there.
 */
export const geometryOf = (volume: FatVolume): Geometry => {
  const { clusterSize, clusterCount, clusterBase, size } = volume.parameters;
  return {
    clusterSize,
    clusterCount,
    clusterBase,
    size,
    outside: [{ start: 0, length: Number(clusterBase) }],
    recognition: bootSectors(volume),
  };
};
