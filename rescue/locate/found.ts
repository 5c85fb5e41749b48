import type { ReadableDevice } from '../device/device.ts';
import { ReadableWindow } from '../device/window.ts';
import { isHoldfastError } from '../errors.ts';
import type { Sibling } from '../image/commit.ts';
import type { Image } from '../image/image.ts';
import { DEVICE_KIND, SLOT_HEADER_SIZE } from '../image/layout.ts';
import { openImage, SUPERSEDED } from '../image/reader.ts';
import { formatImageId, parseSlotHeader } from '../image/slot.ts';
import type { LiveTable } from '../partition/table.ts';
import type { ByteOffset, Extent } from '../units.ts';
import type { LostList } from './lost-list.ts';

export type Way = 'filesystem' | 'record' | 'aid' | 'scan' | 'reassembly';

/** An image on a target, and what is to be thought of it. */
export interface Found {
  readonly image: Image;
  /** Where its partition starts, in bytes from the start of the target. */
  readonly start: ByteOffset;
  /** Number of the partition in a valid table, if one starts there. */
  readonly number: number | undefined;
  readonly state: 'committed' | 'prepared' | 'stale' | 'moved' | 'foreign' | 'damaged';
  readonly reason: string | undefined;
  readonly foundBy: Way;
  /** What says that its partition starts there; none: it is not at home. */
  readonly confirmedBy?: Confirmation;
}

/** What is known of the target before any image is found. */
export interface Surroundings {
  readonly device: ReadableDevice;
  /** Where the target starts on its disk: not 0 for a partition node. */
  readonly diskOffset: ByteOffset;
  /** The table on the target, if it has one. */
  readonly table: LiveTable | undefined;
  /** Starts at which a file system of which the UUID is known was recognised. */
  readonly fileSystems: ReadonlyMap<ByteOffset, FileSystemAt>;
}

export interface FileSystemAt {
  readonly uuid: string;
  /** Bytes that it spans. */
  readonly size: number;
  /** Container extents in bytes from the partition start, as the directory lists them; undefined: not readable. */
  readonly containers: readonly (readonly Extent[])[] | undefined;
  /** Ids of images that the directory lists at other clusters than their slots say. */
  readonly displaced: readonly string[];
  /** Asked about images that are not listed. */
  readonly lostList: LostList;
}

/** The partition that starts at `start`, as far as it lies on the device. */
export const partitionWindow = (device: ReadableDevice, start: ByteOffset, size: number): ReadableWindow =>
  new ReadableWindow(device, { start, length: Math.min(size, device.size - start) });

/** What says that a partition is where an image's slots imply. */
export type Confirmation = 'recorded' | 'table' | 'superblock';

/**
 * The at-home rule: the slots lie where they say, counted from where the partition was when the image was made; or a valid
 * table or the file system itself confirms that the partition is here now. A volume that something else maps (LVM, dm-crypt) has
 * its place from that, so its superblock on the disk below confirms nothing.
 */
const confirmation = (image: Image, start: ByteOffset, around: Surroundings): Confirmation | undefined => {
  const { partitionOffset, partitionSize, deviceKind } = image.identity;
  if (start + around.diskOffset === partitionOffset) return 'recorded';
  if (around.diskOffset > 0 && start === 0) return 'table';
  const { table } = around;
  if (table?.valid === true) {
    if (table.partitions.some((each) => each.start === start && each.size >= partitionSize)) return 'table';
  }
  if (deviceKind === DEVICE_KIND.mapped) return undefined;
  return around.fileSystems.get(start)?.uuid === image.control.fileSystem.uuid ? 'superblock' : undefined;
};

export const sameExtents = (a: readonly Extent[], b: readonly Extent[]): boolean =>
  a.length === b.length &&
  a.every((each, index) => each.start === b[index]!.start && each.length === b[index]!.length);

/** Extents in slot order with neighbours joined, as a file's mapping would show them. */
export const joinedInOrder = (extents: readonly Extent[]): Extent[] => {
  const joined: Extent[] = [];
  for (const extent of extents) {
    const last = joined.at(-1);
    if (last !== undefined && last.start + last.length === extent.start) {
      joined[joined.length - 1] = { start: last.start, length: last.length + extent.length };
    } else joined.push(extent);
  }
  return joined;
};

const movedBecause = ({ identity, displaced }: Image, start: ByteOffset, around: Surroundings): string => {
  if (displaced === true)
    return 'its clusters were moved, as a defragmenter does: its slots do not lie where they say (verify --repair puts that right, and so does the next create)';
  const here = start + around.diskOffset;
  if (identity.deviceKind === DEVICE_KIND.mapped)
    return `it was made on a mapped volume (LVM, dm-crypt and the like), which begins at byte ${here} of this disk: activate that volume and work on it`;
  return `its partition began at byte ${identity.partitionOffset} of the disk, its slots say ${here}`;
};

/** Decides what an image that was opened at `start` is. */
export const judge = (image: Image, start: ByteOffset, foundBy: Way, around: Surroundings): Found => {
  const number =
    around.table?.valid === true
      ? around.table.partitions.find((each) => each.start === start)?.number
      : undefined;
  const confirmedBy = confirmation(image, start, around);
  const found = (state: Found['state'], reason: string | undefined): Found => ({
    image,
    start,
    number,
    state,
    reason,
    foundBy,
    ...(confirmedBy === undefined ? {} : { confirmedBy }),
  });
  const also = image.state === 'committed' || image.reason === undefined ? '' : `; ${image.reason}`;
  if (image.displaced === true && image.state === 'committed')
    return found('moved', movedBecause(image, start, around));
  if (confirmedBy === undefined && image.displaced !== true) {
    const because = movedBecause(image, start, around);
    return slotsAgree(image)
      ? found('moved', `${because}${also}`)
      : found('damaged', `${because}; not all of its slots lie where this start would have them`);
  }
  if (image.state === 'removed') return found('stale', 'it was removed');
  if (image.state === 'superseded') return found('stale', SUPERSEDED);
  if (foundBy !== 'filesystem') {
    const at = around.fileSystems.get(start);
    const own = joinedInOrder(image.extents);
    const isUnlisted = at?.containers?.some((each) => sameExtents(joinedInOrder(each), own)) === false;
    if (isUnlisted && !isListLost(image, start, at, around)) {
      const left = at.displaced.includes(image.id);
      const why = left
        ? 'the file system lists this image at other clusters, to which they were moved: these slots were left behind'
        : 'the file system does not list it: its clusters may be overwritten at any time';
      return found('stale', `${why}${also}`);
    }
  }
  return found(
    image.state === 'committed' || image.state === 'prepared' ? image.state : 'damaged',
    image.reason,
  );
};

/** Whether the file system lists no container at all because its list is lost, and not because this one was given up. */
const isListLost = (image: Image, start: ByteOffset, at: FileSystemAt, { device }: Surroundings): boolean =>
  at.containers?.length === 0 &&
  at.lostList.covers(partitionWindow(device, start, image.identity.partitionSize), image);

/** Slots that are looked at to see whether an image lies where one start would have it. */
const SAMPLE = 16;

/** Whether slot `index` of an image stands where its extents have it. */
export const standsAt = ({ device, homes, identity }: Image, index: number): boolean => {
  try {
    const home = homes.homeOf(index);
    const header = parseSlotHeader(device.read(home, SLOT_HEADER_SIZE), home);
    return (
      header.index === index && header.home === home && Buffer.compare(header.imageId, identity.imageId) === 0
    );
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return false;
  }
};

/**
 * Whether slots from all over the container stand where they say. A file with a disk in it may lie in pieces: each piece then
 * implies a start of its own, at which the other pieces are not.
 */
const slotsAgree = (image: Image): boolean => {
  const last = image.homes.slotCount - 1;
  const steps = Math.min(SAMPLE, last);
  for (let step = 0; step <= steps; step += 1)
    if (!standsAt(image, steps === 0 ? 0 : Math.round((step * last) / steps))) return false;
  return true;
};

/** Whether what was found was committed once: its own commit record says so, even if parts of it are lost. */
const wasCommitted = ({ image, state }: Found): boolean =>
  (state === 'committed' || state === 'damaged' || state === 'moved') &&
  image.commit?.state === 'committed' &&
  image.commit.generation === image.identity.generation;

/**
 * Of several generations of one image at one place, the newest that was committed counts; every other is stale: an older one was
 * superseded, a later one never completed.
 */
export const markSuperseded = (all: readonly Found[]): Found[] =>
  all.map((each) => {
    const { generation } = each.image.identity;
    const others = all.filter(
      (other) => other !== each && other.start === each.start && other.image.id === each.image.id,
    );
    const counting = [each, ...others]
      .filter(wasCommitted)
      .reduce<number | undefined>(
        (newest, { image }) => Math.max(newest ?? 0, image.identity.generation),
        undefined,
      );
    if (others.length === 0 || counting === undefined || counting === generation) return each;
    const reason =
      counting > generation
        ? `${SUPERSEDED}: generation ${counting}`
        : `a copy of generation ${counting} that was never completed`;
    return { ...each, state: 'stale', reason };
  });

/**
 * Opens the images that a commit record names. `complete` is false when some could not be opened as described, or when there
 * are more than the record has room for: then only a full-depth scan knows all images.
 */
export const resolveSiblings = (
  device: ReadableDevice,
  found: Pick<Found, 'image' | 'start'>,
): { readonly siblings: readonly { image: Image; start: ByteOffset }[]; readonly complete: boolean } => {
  const { commit, identity } = found.image;
  if (commit === undefined) return { siblings: [], complete: false };
  const siblings: { image: Image; start: ByteOffset }[] = [];
  let complete = commit.siblingTotal === commit.siblings.length;
  for (const sibling of commit.siblings) {
    const start = found.start + sibling.partitionOffset - identity.partitionOffset;
    const image = openSibling(device, start, sibling, identity.partitionSize);
    if (image === undefined) complete = false;
    else siblings.push({ image, start });
  }
  return { siblings, complete };
};

const openSibling = (
  device: ReadableDevice,
  start: ByteOffset,
  sibling: Sibling,
  partitionSize: number,
): Image | undefined => {
  if (start < 0 || start >= device.size) return undefined;
  for (const anchorHome of [sibling.firstAnchorHome, sibling.lastAnchorHome]) {
    try {
      const image = openImage({ device: partitionWindow(device, start, partitionSize), anchorHome });
      const same =
        image.id === formatImageId(sibling.imageId) &&
        Buffer.compare(image.extentsDigest, sibling.extentsDigest) === 0;
      if (same) return image;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
    }
  }
  return undefined;
};
