import { normalise, subtract, toExtents } from '../bytes/runs.ts';
import { type ByteLength, type Extent, MIB } from '../units.ts';
import type { Partition, Table } from './model.ts';
import { tableRanges } from './ranges.ts';
import type { LiveTable } from './table.ts';

/**
 * Parts of the disk outside the partition without which a machine does not boot. They are captured as address
 * spaces of their own; 0 is the partition itself. Some disks have several EFI system partitions.
 */
export const COMPANION_SPACES = {
  bootGap: 1,
  biosBoot: 2,
  efiSystem: 3,
  efiSystem2: 5,
  efiSystem3: 6,
  efiSystem4: 7,
} as const;
export type CompanionId = (typeof COMPANION_SPACES)[keyof typeof COMPANION_SPACES];

const EFI_SYSTEM_SPACES: readonly CompanionId[] = [
  COMPANION_SPACES.efiSystem,
  COMPANION_SPACES.efiSystem2,
  COMPANION_SPACES.efiSystem3,
  COMPANION_SPACES.efiSystem4,
];

export const isEfiSystemSpace = (id: number): boolean => EFI_SYSTEM_SPACES.some((each) => each === id);

/** For people. */
export const companionName = (id: number): string => {
  if (id === COMPANION_SPACES.bootGap) return 'boot gap';
  return id === COMPANION_SPACES.biosBoot ? 'BIOS boot partition' : 'EFI system partition';
};

export interface CompanionSpace extends Extent {
  readonly id: CompanionId;
}

/** GRUB manual, "BIOS installation": core.img lives in a partition of this type on GPT disks. */
export const BIOS_BOOT_TYPE = '21686148-6449-6e6f-744e-656564454649';
/** UEFI specification, section 5.3.3, "GPT Partition Entry Array": EFI system partition. */
export const EFI_SYSTEM_TYPE = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
/** UEFI specification, section 5.2.2, "OS Types": the same in an MBR. */
export const EFI_SYSTEM_MBR_TYPE = 'ef';

/**
 * Longest boot gap that is captured. GRUB needs less than 1 MiB; some boards keep boot loaders in the first 16 MiB.
 * Mostly zeros, which cost nothing.
 */
export const BOOT_GAP_LIMIT: ByteLength = 16 * MIB;
/** Longest BIOS boot partition that is captured; 1 MiB is usual. */
export const BIOS_BOOT_LIMIT: ByteLength = 16 * MIB;
/** Most bytes in use in all EFI system partitions of a disk that are captured; some hold whole kernels. */
export const EFI_SYSTEM_LIMIT: ByteLength = 512 * MIB;

/** By the type in the table; what two digits and what a GUID mean cannot be mixed up. */
export const isEfiSystem = ({ type }: Pick<Partition, 'type'>): boolean =>
  type === EFI_SYSTEM_TYPE || type === EFI_SYSTEM_MBR_TYPE;

/** The EFI system partitions in the order of their places, more than there are address spaces for included. */
export const efiSystemPartitions = (table: Table): Partition[] =>
  table.partitions.filter(isEfiSystem).sort((a, b) => a.start - b.start);

/**
 * The companion spaces of a disk with this table, ascending by id: the boot gap (from byte 0, boot code included, to the
 * first partition), the first BIOS boot partition, and the first four EFI system partitions, of which not everything
 * is captured. None for a table that is not valid.
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
  for (const [index, { start, size }] of efiSystemPartitions(table).entries()) {
    const id = EFI_SYSTEM_SPACES[index];
    if (id !== undefined) spaces.push({ id, start, length: size });
  }
  return spaces;
};

/**
 * Which bytes of a captured space may be written to a disk whose table is (or will be) `table`: never the table's own;
 * of the boot gap nothing inside a partition; of a BIOS boot or EFI system partition only what is one still, at the same
 * start; and an EFI system partition only whole, since its file system fills it.
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
  if (isEfiSystemSpace(space.id)) {
    const esp = efiSystemPartitions(table).find(({ start }) => start === space.start);
    const fits = esp !== undefined && esp.size >= space.length;
    return fits ? [...toExtents(subtract([{ start: space.start, length: space.length }], own), 1)] : [];
  }
  if (space.id !== COMPANION_SPACES.biosBoot) return [];
  const boot = table.partitions.find(({ type, start }) => type === BIOS_BOOT_TYPE && start === space.start);
  if (boot === undefined) return [];
  const length = Math.min(space.length, boot.size);
  return [...toExtents(subtract([{ start: space.start, length }], own), 1)];
};
