import { normalise, SpanSet, subtract } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import type { FileSystem } from '../fs/filesystem.ts';
import type { MutableHomes } from '../image/commit.ts';
import type { Image } from '../image/image.ts';
import type { JournalPlace } from '../image/journal.ts';
import { SLOT_HEADER_SIZE } from '../image/layout.ts';
import { mutableBIndex } from '../image/sealed.ts';
import { hasSlotMagic, parseSlotHeader } from '../image/slot.ts';
import type { ByteOffset, Run } from '../units.ts';
import { containerName } from './identity.ts';
import { clusterRuns, clustersAround, openVolume } from './volume.ts';

/**
 * What still belongs to an image. A container's file may have been deleted, and its clusters may hold a file of the
 * owner's now: nothing of an image is written where this was not asked first.
 */

/** Whether these clusters of a volume are exactly the image's, in its order. The image may have been made with others. */
export const isListing = (
  runs: readonly Run[],
  image: Image,
  { clusterSize, clusterBase }: FileSystem['geometry'],
): boolean => {
  const own = clusterRuns(image.extents, clusterSize, clusterBase);
  return (
    own.length === runs.length &&
    own.every((each, index) => each.start === runs[index]!.start && each.length === runs[index]!.length)
  );
};

/** Whether a slot of this image stands here: with the index `index`, if that is given. */
export const isOwnSlot = (
  partition: ReadableDevice,
  home: ByteOffset,
  image: Image,
  index?: number,
): boolean => {
  try {
    const bytes = partition.read(home, SLOT_HEADER_SIZE);
    if (!hasSlotMagic(bytes)) return false;
    const header = parseSlotHeader(bytes, home);
    return (
      ((header.home === home && header.generation === image.identity.generation) ||
        image.displaced === true) &&
      (index === undefined || header.index === index) &&
      Buffer.compare(header.imageId, image.identity.imageId) === 0
    );
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return false;
  }
};

/** Clusters of the container that something else uses now, by what the file system says. */
const takenClusters = (fileSystem: FileSystem, image: Image): SpanSet => {
  const { geometry } = fileSystem;
  const name = containerName(image.control.kind, image.id);
  // Of a container that was cut short, only some clusters are listed.
  const listed = fileSystem
    .containers()
    .filter((each) => each.name === name || isListing(each.runs, image, geometry));
  if (listed.some(({ runs }) => isListing(runs, image, geometry))) return new SpanSet([]);
  const inUse = clustersInUse(fileSystem, image);
  return new SpanSet(subtract(inUse.spans, normalise(listed.flatMap(({ runs }) => runs))));
};

/** Clusters of the container that are not free. */
export const clustersInUse = (fileSystem: FileSystem, image: Image): SpanSet => {
  const { clusterSize, clusterBase } = fileSystem.geometry;
  const own = new SpanSet(clustersAround(image.extents, clusterSize, clusterBase));
  return new SpanSet(
    (function* () {
      for (const run of fileSystem.allocation()) yield* own.within(run);
    })(),
  );
};

/** The slots with these indices that are the image's own, by what they say themselves. */
const standingHomes = (partition: ReadableDevice, image: Image, indices: readonly number[]): ByteOffset[] =>
  indices.flatMap((index) => {
    const home = image.homes.homeOf(index);
    return isOwnSlot(partition, home, image, index) ? [home] : [];
  });

/** The slots with these indices that are the image's own, and in clusters that are listed as its own or free. */
const ownHomes = (partition: ReadableDevice, image: Image, indices: readonly number[]): ByteOffset[] => {
  const homes = standingHomes(partition, image, indices);
  if (homes.length === 0) return [];
  const { slotSize } = image.homes;
  const { fileSystem } = openVolume(partition);
  const { clusterSize, clusterBase } = fileSystem.geometry;
  const taken = takenClusters(fileSystem, image);
  return homes.filter((home) => {
    const first = Math.floor((home - clusterBase) / clusterSize);
    const last = Math.floor((home + slotSize - 1 - clusterBase) / clusterSize);
    return !taken.intersects({ start: first, length: last - first + 1 });
  });
};

/** Where the image's commit record may be written: twice the same place where only one is left. */
export const ownCommitHomes = (partition: ReadableDevice, image: Image): MutableHomes | undefined =>
  commitHomesAmong(image, (indices) => ownHomes(partition, image, indices));

/** The same while no file system stands that could be asked: in the midst of a restore, of an image that it keeps. */
export const standingCommitHomes = (partition: ReadableDevice, image: Image): MutableHomes | undefined =>
  commitHomesAmong(image, (indices) => standingHomes(partition, image, indices));

const commitHomesAmong = (
  { mutableHomes, homes }: Image,
  ownOf: (indices: readonly number[]) => ByteOffset[],
): MutableHomes | undefined => {
  if (mutableHomes === undefined) return undefined;
  const [first, second = first] = ownOf([1, mutableBIndex(homes.slotCount)]);
  return first === undefined || second === undefined ? undefined : [first, second];
};

/** The image's journal, if all of it is still its own. */
export const ownJournal = (partition: ReadableDevice, image: Image): JournalPlace | undefined => {
  const { journal } = image;
  if (journal === undefined) return undefined;
  return ownHomes(partition, image, journal.slots).length === journal.slots.length ? journal : undefined;
};
