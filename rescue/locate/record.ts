import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import { BOOT_AREA } from '../fs/filesystem.ts';
import type { Image } from '../image/image.ts';
import { type LocatorRecord, parseLocatorRecord } from '../image/locator-record.ts';
import { formatImageId } from '../image/slot.ts';
import type { LiveTable } from '../partition/table.ts';
import { type ByteOffset, type Extent, MIB, roundUp } from '../units.ts';
import { openNamed } from './named.ts';

/** Records stand at the start of a sector of this size. */
const SECTOR = 512;
/** Places that are looked at, so that a table full of entries costs no search of its own. */
const MOST_STARTS = 256;

/**
 * Where partitions begin on most disks, for one whose table is lost: behind 63 sectors (before 2009); at 1 or 4 MiB; there
 * behind a first partition (EFI, BIOS boot, or Windows' system partition) of a usual size, with or without
 * Microsoft's reserved 16 MiB.
 */
const USUAL_STARTS: readonly ByteOffset[] = [
  0,
  63 * SECTOR,
  MIB,
  4 * MIB,
  ...[0, 16].flatMap((reserved) =>
    [1, 100, 200, 256, 260, 300, 500, 512, 513, 550, 600, 1024].map((first) => (1 + first + reserved) * MIB),
  ),
];

/**
 * Starts of partitions in `whole` at which a record may stand: those of the table; if it cannot be trusted, the usual ones too; and
 * where a part of the disk begins of which nothing is known (`unknown`). `table` is undefined where the device is one partition.
 */
export const recordStarts = (
  table: LiveTable | undefined,
  whole: Extent,
  unknown: readonly Extent[],
): ByteOffset[] => {
  const end = whole.start + whole.length;
  const listed = table?.partitions.map(({ start }) => start) ?? [];
  const trusted = table === undefined || (table.valid && table.scheme !== 'none');
  const starts = [
    ...listed,
    whole.start,
    ...unknown.flatMap(({ start }) => [start, roundUp(start, MIB)]),
    ...(trusted ? [] : USUAL_STARTS),
  ].filter((start) => start >= whole.start && start + SECTOR <= end);
  return [...new Set(starts)].slice(0, MOST_STARTS);
};

/** The newest record in the boot area of a partition that starts at `start`; undefined if there is none. */
const recordAt = (device: ReadableDevice, start: ByteOffset): LocatorRecord | undefined => {
  const bytes = readBootArea(device, start);
  let newest: LocatorRecord | undefined;
  for (let home = 0; home + SECTOR <= bytes.length; home += SECTOR) {
    const record = parseLocatorRecord(bytes, home);
    // One that says that it lies elsewhere was copied.
    if (record?.home === home && record.serial > (newest?.serial ?? -1)) newest = record;
  }
  return newest;
};

/** Whether a record in the boot area of a partition names any image. */
export const hasRecord = (partition: ReadableDevice): boolean =>
  (recordAt(partition, 0)?.images.length ?? 0) > 0;

/** As much of it as can be read. */
const readBootArea = (device: ReadableDevice, start: ByteOffset): Uint8Array => {
  const length = Math.min(BOOT_AREA, device.size - start);
  try {
    return device.read(start, length);
  } catch (error) {
    if (!isHoldfastError(error, 'io')) throw error;
  }
  const bytes = new Uint8Array(length);
  for (let at = 0; at + device.sectorSize <= length; at += device.sectorSize) {
    try {
      device.readInto(start + at, bytes.subarray(at, at + device.sectorSize));
    } catch (error) {
      if (!isHoldfastError(error, 'io')) throw error;
    }
  }
  return bytes;
};

export interface ByRecords {
  readonly images: readonly { readonly image: Image; readonly start: ByteOffset }[];
  /** For people. */
  readonly notes: readonly string[];
}

/** Opens the images that locator records at `starts` name. A record that is out of date names some that do not open. */
export const openByRecords = (device: ReadableDevice, starts: readonly ByteOffset[]): ByRecords => {
  const images: { image: Image; start: ByteOffset }[] = [];
  const notes: string[] = [];
  let records = 0;
  for (const start of starts) {
    const record = recordAt(device, start);
    if (record === undefined) continue;
    records += 1;
    const at = `record at byte ${start + record.home}`;
    for (const each of record.images) {
      const id = formatImageId(each.imageId);
      const { generation, extentsDigest, firstAnchorHome, lastAnchorHome } = each;
      const anchorHomes = [firstAnchorHome, lastAnchorHome];
      const named = { id, generation, extentsDigest, anchorHomes };
      const image = openNamed(device, start, named);
      if (image !== undefined) images.push({ image, start });
      else notes.push(`${at}: image ${id.slice(0, 8)} does not open where it says`);
    }
    const more = record.imageTotal - record.images.length;
    if (more > 0) notes.push(`${at}: ${more} more than it names`);
  }
  if (records === 0)
    notes.push(`no record at ${starts.length === 1 ? 'its place' : `${starts.length} places`}`);
  return { images, notes };
};
