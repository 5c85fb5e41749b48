import type { ByteLength, Extent } from '../../units.ts';
import { BOOT_AREA } from '../filesystem.ts';
import type { FatParameters } from './boot.ts';

/** Sectors of boot code from the boot sector on, FSInfo among them (fatgen103: the FAT32 boot record is three sectors long). */
const BOOT_RECORD = 3;
/** Where Windows 2000 and later keep more of their boot code on FAT32. */
const MORE_BOOT_CODE = 12;

/**
 * Reserved sectors that are neither the boot record nor its copy, nor where Windows keeps boot code; the highest first, within the
 * boot area. FAT12 and FAT16 usually have one reserved sector and none to spare.
 */
export const unusedBootSectors = (
  {
    sectorSize,
    reservedLength,
    fsInfo,
    backupBoot,
  }: Pick<FatParameters, 'sectorSize' | 'reservedLength' | 'fsInfo' | 'backupBoot'>,
  /** Of the disk: what is written whole or not at all. */
  logicalSector: ByteLength,
): readonly Extent[] => {
  const backup = (backupBoot ?? 0) / sectorSize;
  const isBoot = (sector: number, from: number): boolean => sector >= from && sector < from + BOOT_RECORD;
  const sectors: Extent[] = [];
  for (let sector = Math.min(reservedLength, BOOT_AREA) / sectorSize - 1; sector > 0; sector -= 1) {
    const start = sector * sectorSize;
    if (isBoot(sector, 0) || isBoot(sector, backup) || sector === MORE_BOOT_CODE || start === fsInfo)
      continue;
    sectors.push({ start, length: logicalSector });
  }
  return sectors;
};
