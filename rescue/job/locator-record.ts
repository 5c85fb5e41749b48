import type { Device, ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { LOCATOR_RECORD, MAX_COUNTER, MAX_LOCATED } from '../image/layout.ts';
import {
  encodeLocatorRecord,
  type LocatedImage,
  type LocatorRecord,
  parseLocatorRecord,
} from '../image/locator-record.ts';
import type { ByteOffset, Extent } from '../units.ts';
import type { JobContext } from './context.ts';
import { type Bystanders, NO_BYSTANDERS } from './siblings.ts';
import { openVolume } from './volume.ts';

/** A sector that a locator record may go into. */
interface Place {
  readonly start: ByteOffset;
  readonly bytes: Uint8Array;
  /** The record that stands there. Where there is none, the sector is all zeros. */
  readonly record: LocatorRecord | undefined;
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/**
 * What may be written over: zeros, or a whole valid record of ours with zeros behind. A sector lies in this partition's boot area, so
 * any record in it was written for this partition, or came with a copy of it. Everything else stays, a record that was torn or is
 * of a newer version too: a sector is written whole or not at all, so a torn one is not to be expected.
 */
const placesOf = (partition: ReadableDevice, sectors: readonly Extent[]): Place[] =>
  sectors.flatMap(({ start, length }): Place[] => {
    const bytes = partition.read(start, length);
    if (isZero(bytes)) return [{ start, bytes, record: undefined }];
    const record = parseLocatorRecord(bytes);
    const own = record !== undefined && isZero(bytes.subarray(LOCATOR_RECORD.size));
    return own ? [{ start, bytes, record }] : [];
  });

const locatedOf = (image: Image): LocatedImage => ({
  imageId: image.identity.imageId,
  generation: image.identity.generation,
  sequence: image.commit?.sequence ?? image.control.sequence,
  firstAnchorHome: image.homes.homeOf(0),
  lastAnchorHome: image.homes.homeOf(image.homes.slotCount - 1),
  extentsDigest: image.extentsDigest,
  kind: image.control.kind,
  state: image.state === 'committed' ? 'committed' : 'damaged',
});

/** Later images before earlier ones. Those of which an anchor is lost, or whose slots were moved, cannot be opened through it. */
const namedImages = (partition: ReadableDevice, images: readonly Image[]): Image[] =>
  images
    .filter(({ displaced }) => displaced !== true)
    .filter(({ homes }) =>
      [0, homes.slotCount - 1].every((slot) => homes.homeOf(slot) + homes.slotSize <= partition.size),
    )
    .sort(
      (a, b) => locatedOf(b).sequence - locatedOf(a).sequence || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
    );

const recordOf = (
  partition: ReadableDevice,
  named: readonly Image[],
  total: number,
): Omit<LocatorRecord, 'serial' | 'home'> | undefined => {
  const [newest] = named;
  if (newest === undefined) return undefined;
  const { fileSystem, fileSystemUuid, partitionOffset } = newest.identity;
  const images = named.slice(0, MAX_LOCATED).map(locatedOf);
  return {
    fileSystem,
    fileSystemUuid,
    partitionOffset,
    partitionSize: partition.size,
    images,
    imageTotal: total,
  };
};

/** What `partition` holds now must be what was written. */
const writeSector = (partition: Device, start: ByteOffset, bytes: Uint8Array): boolean => {
  partition.write(start, bytes);
  partition.flush();
  const found = new Uint8Array(bytes.length);
  partition.readUncachedInto(start, found);
  return Buffer.compare(found, bytes) === 0;
};

/** Why there is no up-to-date record, or undefined. */
const refresh = (
  partition: Device,
  images: readonly Image[],
  { damaged, closed }: Bystanders,
): string | undefined => {
  const { fileSystem } = openVolume(partition);
  const sectors = fileSystem.unusedBootSectors();
  const places = placesOf(partition, sectors);
  const records = places.flatMap(({ record }) => (record === undefined ? [] : [record]));
  const wanted = recordOf(
    partition,
    namedImages(partition, [...images, ...damaged]),
    images.length + damaged.length + closed,
  );
  const [place] = places;
  if (wanted !== undefined && place === undefined) {
    return sectors.length === 0
      ? 'its boot area has no sector to spare'
      : 'something else stands in its boot area, which is left as it is';
  }
  const serial = Math.max(0, ...records.map((each) => each.serial));
  // A forged one may have no next; the records beside it go, so it can begin again.
  const next = serial < MAX_COUNTER ? serial + 1 : 1;
  const sectorOf = (at: ByteOffset, number: number): Uint8Array => {
    const bytes = new Uint8Array(partition.sectorSize);
    if (wanted !== undefined && at === place?.start)
      bytes.set(encodeLocatorRecord({ ...wanted, serial: number, home: at }));
    return bytes;
  };
  // The new record first, then those that it takes the place of.
  for (const { start, bytes, record } of places) {
    const unchanged = record !== undefined && record.serial === serial;
    if (Buffer.compare(sectorOf(start, unchanged ? serial : next), bytes) === 0) continue;
    if (!writeSector(partition, start, sectorOf(start, next)))
      return 'the disk does not hold what was written';
  }
  return undefined;
};

/**
 * Brings the locator record in the partition's boot area up to date: the last thing that a job does, when all else is on the disk.
 * Without images there is none. It only saves a search, so nothing depends on it: what keeps it from being written is noted.
 */
export const refreshLocatorRecord = (
  context: JobContext,
  partition: Device,
  images: readonly Image[],
  beside: Bystanders = NO_BYSTANDERS,
): void => {
  let reason: string | undefined;
  try {
    reason = refresh(partition, images, beside);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    reason = error.message;
  }
  if (reason === undefined) return;
  context.note(
    `No locator record could be written (${reason}): should the file system be lost, images are found by a search.`,
  );
};
