import type { ReadableDevice } from '../../device/device.ts';
import type { Extent } from '../../units.ts';
import { SUPERBLOCK_OFFSET } from './layout.ts';

/**
 * The sectors of the 1024 bytes before the superblock that boot code leaves alone: all but the first, into which boot loaders
 * go (extlinux and GRUB put 512 bytes there, and find the rest by block lists). With sectors of 4096 bytes the superblock is in the
 * first sector, and none is left.
 */
export const unusedBootSectors = ({ sectorSize }: Pick<ReadableDevice, 'sectorSize'>): readonly Extent[] => {
  const sectors: Extent[] = [];
  for (let start = sectorSize; start + sectorSize <= SUPERBLOCK_OFFSET; start += sectorSize) {
    sectors.push({ start, length: sectorSize });
  }
  return sectors;
};
