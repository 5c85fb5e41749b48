import { normalise, toExtents } from '../bytes/runs.ts';
import type { Extent } from '../units.ts';
import { MBR } from './boot-record.ts';
import type { GptCopy } from './gpt.ts';
import type { LiveTable } from './table.ts';

const copyRanges = (copy: GptCopy, sectorSize: number): Extent[] => [
  { start: copy.lba * sectorSize, length: sectorSize },
  { start: copy.entriesLba * sectorSize, length: Math.ceil(copy.entries.length / sectorSize) * sectorSize },
];

/** Bytes of LBA 0 that belong to the table: from the disk signature (after the boot code) to 55 aa. */
export const MBR_TABLE_RANGE: Extent = {
  start: MBR.offsetOf('UniqueMBRDiskSignature'),
  length: MBR.size - MBR.offsetOf('UniqueMBRDiskSignature'),
};

/**
 * The table's own bytes, ascending: bytes 440 to 511 of the disk, every EBR, both GPT headers and entry arrays. All
 * else before the first partition is boot code or unused, and no business of a table write. The first range does
 * not fill its sector: whoever writes around it must read that sector first.
 */
export const tableRanges = (table: LiveTable): Extent[] => {
  if (table.scheme === 'none' || table.mbr === null || table.gpt === null) return [];
  const ranges: Extent[] = [MBR_TABLE_RANGE];
  if (table.scheme === 'mbr') {
    const { sectorSize } = table;
    for (const ebr of table.mbr.ebrs) ranges.push({ start: ebr.lba * sectorSize, length: sectorSize });
  } else {
    for (const { copy } of [table.gpt.primary, table.gpt.backup])
      if (copy !== null) ranges.push(...copyRanges(copy, table.sectorSize));
  }
  return [...toExtents(normalise(ranges), 1)];
};
