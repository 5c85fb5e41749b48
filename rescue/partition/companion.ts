import { normalise, subtract, toExtents } from '../bytes/runs.ts';
import { type ByteLength, type Extent, MIB } from '../units.ts';
import type { Table } from './model.ts';
import { tableRanges } from './ranges.ts';
import type { LiveTable } from './table.ts';

/**
 * Parts of the disk outside the partition without which a BIOS machine does not boot. They are captured as address
 * spaces of their own; 0 is the partition itself.
 */
export const COMPANION_SPACES = { bootGap: 1, biosBoot: 2, /** Not captured yet. */ efiSystem: 3 } as const;
export type CompanionId = (typeof COMPANION_SPACES)[keyof typeof COMPANION_SPACES];

export interface CompanionSpace extends Extent {
  readonly id: CompanionId;
}

/** GRUB manual, "BIOS installation": core.img lives in a partition of this type on GPT disks. */
export const BIOS_BOOT_TYPE = '21686148-6449-6e6f-744e-656564454649';

/**
 * Longest boot gap that is captured. GRUB needs less than 1 MiB; some boards keep boot loaders in the first 16 MiB.
 * Mostly zeros, which cost nothing.
 */
export const BOOT_GAP_LIMIT: ByteLength = 16 * MIB;
/** Longest BIOS boot partition that is captured; 1 MiB is usual. */
export const BIOS_BOOT_LIMIT: ByteLength = 16 * MIB;

/**
 * The companion spaces of a disk with this table: the boot gap (from byte 0, boot code included, to the first
 * partition) and the first BIOS boot partition. None for a table that is not valid.
 */
export const companionSpaces = (table: Table): CompanionSpace[] => {
  if (!table.valid) return [];
  const starts = [...table.partitions, ...table.extended].map((partition) => partition.start);
  const spaces: CompanionSpace[] = [];
  const length = Math.min(BOOT_GAP_LIMIT, table.diskSize, ...starts);
  if (length > 0) spaces.push({ id: COMPANION_SPACES.bootGap, start: 0, length });
  const boot = table.partitions.find((partition) => partition.type === BIOS_BOOT_TYPE);
  if (boot !== undefined)
    spaces.push({
      id: COMPANION_SPACES.biosBoot,
      start: boot.start,
      length: Math.min(boot.size, BIOS_BOOT_LIMIT),
    });
  return spaces;
};

/**
 * Which bytes of a captured space may be written to a disk whose table is (or will be) `table`: never the table's own;
 * of the boot gap nothing inside a partition; of a BIOS boot partition only what is one still, at the same start.
 */
export const writableRanges = (space: CompanionSpace, table: LiveTable): Extent[] => {
  if (!table.valid) return [];
  const own = tableRanges(table);
  if (space.id === COMPANION_SPACES.bootGap) {
    const taken = [...table.partitions, ...table.extended].map(({ start, size }) => ({
      start,
      length: size,
    }));
    const length = Math.max(0, Math.min(space.length, table.diskSize - space.start));
    return [...toExtents(subtract([{ start: space.start, length }], normalise([...own, ...taken])), 1)];
  }
  if (space.id !== COMPANION_SPACES.biosBoot) return [];
  const boot = table.partitions.find(({ type, start }) => type === BIOS_BOOT_TYPE && start === space.start);
  if (boot === undefined) return [];
  const length = Math.min(space.length, boot.size);
  return [...toExtents(subtract([{ start: space.start, length }], own), 1)];
};
