import type { Device } from '../device/device.ts';
import type { Guard } from '../device/guard.ts';
import { isHoldfastError, refused } from '../errors.ts';
import type { FileSystemDriver } from '../fs/filesystem.ts';
import type { Patch } from '../fs/patch.ts';
import { placesOf } from '../image/by-index.ts';
import { readCommit, writeCommit } from '../image/commit.ts';
import type { Image } from '../image/image.ts';
import { clearJournal, writeJournal } from '../image/journal.ts';
import { SLOT_HEADER_SIZE } from '../image/layout.ts';
import { openImage } from '../image/reader.ts';
import { parseSlotHeader } from '../image/slot.ts';
import type { ByteOffset } from '../units.ts';
import { applyPatch } from './apply.ts';
import type { JobContext } from './context.ts';
import { clustersInUse, isListing, isOwnSlot, ownCommitHomes, ownJournal } from './own-slots.ts';
import { olderGeneration } from './relocation.ts';
import { protectionKey } from './siblings.ts';
import { asRefusal, listContainers, mutableExtents, openVolume, openWith, refuseReadOnly } from './volume.ts';

export interface RemovalRequest {
  readonly driver: FileSystemDriver;
  readonly image: Image;
  /** The name under which the file system lists it, where only some of its clusters are listed. */
  readonly name?: string;
  /** A newer generation of the image, at home: its journal serves where the image's own slots do not lie where they say. */
  readonly successor?: Image;
}

/**
 * Says in the image's own commit record that it is removed: from here on it is no image any more. Where neither slot of the
 * record is the image's own any more, because its file was deleted and a new one lies there, there is nothing to say it in.
 */
export const writeTombstone = (guard: Guard, image: Image, now: number): void => {
  const { mutableHomes } = image;
  if (mutableHomes === undefined) {
    throw refused('the image has no commit record that could say so', { code: 'remove.no-commit' });
  }
  const current = readCommit(guard, mutableHomes, image.identity.imageId)?.commit;
  if (current?.state === 'removed') return;
  const own = ownCommitHomes(guard, image);
  if (own === undefined) return;
  guard.withOpened(mutableExtents(image), (opened) => {
    writeCommit(opened, own, {
      generation: image.identity.generation,
      sequence: current?.sequence ?? image.control.sequence,
      imageId: image.identity.imageId,
      rootDigest: image.rootDigest,
      time: now,
      state: 'removed',
      siblings: [],
      siblingTotal: 0,
    });
  });
};

/**
 * Removes an image: tombstone, release of its clusters by a journaled patch, then its slot headers. Safe to be cut off
 * anywhere: running it again goes on where it stopped.
 */
export const removeImage = async (
  context: JobContext,
  guard: Guard,
  request: RemovalRequest,
): Promise<void> => {
  const { image } = request;
  refuseReadOnly(image);
  // Computed in full before the tombstone: an image on a volume that cannot be changed is not given up.
  const patch = releasePatch(context, guard, request);
  const isListed = patch !== undefined || image.mutableHomes !== undefined;
  // A container whose clusters were moved has no place for a tombstone: its release is the file system's own transaction.
  if (isListed && image.displaced !== true) writeTombstone(guard, image, context.now);
  if (patch !== undefined) {
    context.progress('release', 0, 1);
    const keeper = request.successor ?? image;
    const opened = mutableExtents(keeper);
    const journal = ownJournal(guard, keeper);
    if (journal !== undefined) {
      guard.withOpened(opened, (device) => {
        const { imageId, generation } = image.identity;
        writeJournal(device, journal, { purpose: 'release', generation, imageId, patch });
      });
    }
    applyPatch(guard, patch);
    if (journal !== undefined) guard.withOpened(opened, (device) => clearJournal(device, journal));
    context.progress('release', 1, 1);
  }
  const key = protectionKey(image);
  if (guard.images.includes(key)) guard.giveUp(key);
  // What a relocation left of the generation before must not outlive it.
  const older = olderGeneration(guard, image);
  if (older?.state === 'superseded') await wipeHeaders(context, guard, older);
  const left = leftAtHome(guard, image);
  if (left !== undefined) await wipeHeaders(context, guard, left);
  await wipeHeaders(context, guard, image);
};

/**
 * What a defragmenter left where a container lay that it moved: whole, but for what was written there since. It must not pass for
 * the image once the file system is gone. Undefined unless an anchor of the same generation opens there.
 */
const leftAtHome = (guard: Guard, image: Image): Image | undefined => {
  if (image.displaced !== true) return undefined;
  const { homes, identity } = image;
  for (const index of [0, homes.slotCount - 1]) {
    try {
      const place = placeOfSlot(image, index);
      const { home } = parseSlotHeader(guard.read(place, SLOT_HEADER_SIZE), place);
      const found = openImage({ device: guard, anchorHome: home });
      if (found.id === image.id && found.identity.generation === identity.generation) return found;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
    }
  }
  return undefined;
};

/** Undefined when the file system lists the container no more. Throws `refused` (`source-damaged`), `unsupported`, `io`. */
const releasePatch = (
  context: JobContext,
  guard: Guard,
  { driver, image, name }: RemovalRequest,
): Patch | undefined => {
  try {
    const fileSystem = openWith(driver, guard);
    const listed = listContainers(guard, fileSystem).find(
      (each) => each.name === name || isListing(each.runs, image, fileSystem.geometry),
    );
    if (listed === undefined) return undefined;
    const { paths } = listed;
    return driver.patch(guard, (editor) =>
      driver.release(editor, { name: listed.name, paths, time: context.now }),
    );
  } catch (error) {
    throw asRefusal(error, driver);
  }
};

/**
 * Overwrites the headers of slots that lie in clusters that are free now and still carry this image's valid header. The
 * first slot, an anchor, goes last: until then the image is found, and its removal can go on.
 */
export const wipeHeaders = async (context: JobContext, partition: Device, image: Image): Promise<void> => {
  const { fileSystem } = openVolume(partition);
  const { clusterSize, clusterBase } = fileSystem.geometry;
  const inUse = clustersInUse(fileSystem, image);
  const { homes } = image;
  const unit = partition.sectorSize;
  const zeros = new Uint8Array(Math.max(unit, SLOT_HEADER_SIZE));
  let left = 0;
  for (let done = 0; done < homes.slotCount; done += 1) {
    const index = homes.slotCount - 1 - done;
    if (index === 0) partition.flush();
    const home = image.displaced === true ? placeOfSlot(image, index) : homes.homeOf(index);
    // A lost slot of an image that was put together from single slots has no place in the partition.
    if (home + homes.slotSize > partition.size) continue;
    const cluster = Math.floor((home - clusterBase) / clusterSize);
    if (isOwnSlot(partition, home, image, index)) {
      if (inUse.has(cluster)) left += 1;
      else partition.write(home, zeros);
    }
    if (done % 1024 === 0) {
      context.progress('wipe', done * homes.slotSize, image.storedBytes);
      await context.checkpoint();
    }
  }
  partition.flush();
  context.progress('wipe', image.storedBytes, image.storedBytes);
  if (left === 0) return;
  context.note(
    `${left} of ${homes.slotCount} slots of image ${image.id.slice(0, 8)} are left: their clusters are in use, but not by a container that is ` +
      'listed. They go with the file that has them now: delete it; or, if there is none, have the file system repaired.',
    'warning',
  );
};

/** Where a slot begins of a container whose clusters were moved. */
export const placeOfSlot = ({ extents, homes }: Image, index: number): ByteOffset => {
  const [place] = placesOf(extents, { start: index * homes.slotSize, length: SLOT_HEADER_SIZE });
  return place!.start;
};
