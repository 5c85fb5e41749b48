import type { ReadableDevice } from '../../device/device.ts';
import { type Extent, KIB } from '../../units.ts';

/** $Boot has 8 KiB whatever the sectors and clusters (files/boot). Boot code begins at its start and does not fill it. */
const BOOT_FILE = 8 * KIB;
const UNUSED = 2 * KIB;

/** The last sectors of $Boot, the very last one first. */
export const unusedBootSectors = ({ sectorSize }: Pick<ReadableDevice, 'sectorSize'>): readonly Extent[] => {
  const count = Math.max(1, UNUSED / sectorSize);
  return Array.from({ length: count }, (_, index) => ({
    start: BOOT_FILE - (index + 1) * sectorSize,
    length: sectorSize,
  }));
};
