import { SpanSet, toExtents } from '../bytes/runs.ts';
import type { Guard } from '../device/guard.ts';
import { isHoldfastError } from '../errors.ts';
import type { FileSystem } from '../fs/filesystem.ts';
import { type Patch, stepExtents, withPatch } from '../fs/patch.ts';
import type { Image, ImageState } from '../image/image.ts';
import { clearJournal, type JournalEntry, readJournal } from '../image/journal.ts';
import { locate } from '../locate/locate.ts';
import { GIB } from '../units.ts';
import { applyPatch, patchMayBeFinished } from './apply.ts';
import type { JobContext } from './context.ts';
import { isListing, ownJournal } from './own-slots.ts';
import { readBackContainer } from './read-back.ts';
import { removeImage, wipeHeaders } from './removal.ts';
import { bystanders, commitImage, protect, refreshSiblings } from './siblings.ts';
import { listContainers, mutableExtents, openVolume, type PartitionAccess } from './volume.ts';

/** States of listed containers that are no images. */
const LEFTOVER: ReadonlySet<ImageState> = new Set(['prepared', 'removed', 'superseded']);

/** On volumes up to this size the search is exhaustive: it takes seconds. */
const SMALL = 4 * GIB;

/**
 * Finishes or undoes what an earlier run was cut off in, so that the volume lists committed images only.
 *
 * A volume that is not clean: the claim or the release of the container whose journal is active is finished, if every
 * sector of the patch is as the patch left or found it, the volume is consistent once it is applied, and all slots of the
 * container are intact. Otherwise nothing is touched, and the file system's own repair is the way out.
 *
 * A clean volume: a container that is listed but not committed is committed if its claim stands exactly as it was planned;
 * else (the owner's system has run) it is removed, as is one that carries a tombstone.
 */
export const settle = async (context: JobContext, guard: Guard, access: PartitionAccess): Promise<void> => {
  if (!isClean(guard)) {
    context.note('The volume was not left cleanly: looking whether an earlier run was cut off.');
    await finishOnUnclean(context, guard, access);
  }
  const { driver, fileSystem } = openVolume(guard);
  if (fileSystem.refusals().length > 0) return;
  const listed = listContainers(guard, fileSystem);
  protect(guard, [...committedOf(listed), ...bystanders(listed).damaged]);
  const unfinished = listed.filter(({ image }) => image !== undefined && LEFTOVER.has(image.state));
  // Whatever is damaged is for `check` to name; it is not made worse.
  if (unfinished.length === 0 || fileSystem.check(1).length > 0) return;
  for (const { name, image } of unfinished) {
    if (image === undefined) continue;
    const entry = activeJournal(guard, image);
    if (entry !== undefined && (await finish(context, guard, image, entry))) continue;
    context.note(`Removing image ${image.id.slice(0, 8)}, which an earlier run did not finish.`);
    await removeImage(context, guard, { driver, image, name });
  }
};

/**
 * Brings up to date what the images say of each other, and closes journals that have nothing left to do: what a run that was cut
 * off at its end may have left. Harmless if it is not done, so it is left until the job is sure to write: a refusal writes nothing.
 */
export const tidy = (guard: Guard): void => {
  const listed = listContainers(guard, openVolume(guard).fileSystem);
  const images = committedOf(listed);
  for (const image of images) closeJournal(guard, image);
  refreshSiblings(guard, images, bystanders(listed));
};

/** A superblock with a checksum is two sectors of 512 bytes: a torn write of it leaves what no one can open. */
const isClean = (guard: Guard): boolean => {
  try {
    return openVolume(guard).fileSystem.refusals().length === 0;
  } catch (error) {
    if (isHoldfastError(error, 'refused') && error.detail.code === 'source-damaged') return false;
    throw error;
  }
};

const committedOf = (listed: ReturnType<typeof listContainers>): Image[] =>
  listed.flatMap(({ image }) => (image?.state === 'committed' ? [image] : []));

/** The journal of a committed image has nothing left to do: its claim was whole before it was committed. */
const closeJournal = (guard: Guard, image: Image): void => {
  if (image.unknownRoCompat === 0 && activeJournal(guard, image) !== undefined) {
    clear(guard, image);
  }
};

const clear = (guard: Guard, image: Image): void => {
  const journal = ownJournal(guard, image);
  if (journal !== undefined)
    guard.withOpened(mutableExtents(image), (device) => clearJournal(device, journal));
};

const finishOnUnclean = async (context: JobContext, guard: Guard, access: PartitionAccess): Promise<void> => {
  // Asked again for every image after each that is found.
  const begun = new Map<Image, boolean>();
  const isKnownAsBegun = (image: Image): boolean => {
    const known = begun.get(image) ?? isBegun(guard, image);
    begun.set(image, known);
    return known;
  };
  const looking = locate({
    device: guard,
    diskOffset: access.diskOffset,
    table: undefined,
    depth: 'quick',
    deepen: guard.size <= SMALL,
    rotational: false,
    accept: isKnownAsBegun,
  });
  for (let step = looking.next(); ; step = looking.next()) {
    if (step.done) {
      for (const { image } of step.value.images) {
        const entry = activeJournal(guard, image);
        if (entry !== undefined && (await finish(context, guard, image, entry))) return;
      }
      return;
    }
    context.progress('scan', step.value.covered, step.value.total);
    await context.checkpoint();
  }
};

const activeJournal = (guard: Guard, image: Image): JournalEntry | undefined => {
  if (image.journal === undefined) return undefined;
  try {
    return readJournal(guard, image.journal);
  } catch (error) {
    if (!isHoldfastError(error, 'corrupt')) throw error;
    return undefined;
  }
};

/**
 * Whether the entry is one that can be under way: a claim is, until the image is committed; a release, once it carries a
 * tombstone.
 */
const isUnderWay = (image: Image, entry: JournalEntry): boolean => {
  const { purpose, imageId } = entry;
  const state = purpose === 'claim' ? 'prepared' : isOfOlder(image, entry) ? 'committed' : 'removed';
  // Else only a newer version may write into it.
  const isOurs = image.unknownRoCompat === 0;
  return isOurs && Buffer.compare(imageId, image.identity.imageId) === 0 && image.state === state;
};

/** The release of a moved container, the copy of which this is: see FORMAT.md, "Moved by a defragmenter". */
const isOfOlder = ({ identity }: Image, { purpose, generation }: JournalEntry): boolean =>
  purpose === 'release' && generation < identity.generation;

/** Whether this is the change that was cut off, and can be finished. */
const isBegun = (guard: Guard, image: Image): boolean => {
  const entry = activeJournal(guard, image);
  if (entry === undefined || !isUnderWay(image, entry) || touches(image, entry)) return false;
  return patchMayBeFinished(guard, entry.patch) && isSoundWhenApplied(guard, image, entry);
};

const finish = async (
  context: JobContext,
  guard: Guard,
  image: Image,
  entry: JournalEntry,
): Promise<boolean> => {
  if (!isBegun(guard, image)) return false;
  try {
    // Journal and mutable slots carry no payload checksum, all others are checked in full.
    await readBackContainer(context, guard, image.homes, image.identity);
  } catch (error) {
    if (!isHoldfastError(error, 'io')) throw error;
    return false;
  }
  // The volume may not have been one that could be asked before.
  const view = withPatch(guard, entry.patch);
  const standing = listContainers(view, openVolume(view).fileSystem);
  protect(guard, [...committedOf(standing), ...bystanders(standing, image.id).damaged]);
  applyPatch(guard, entry.patch);
  const listed = listContainers(guard, openVolume(guard).fileSystem);
  const others = committedOf(listed);
  const beside = bystanders(listed, image.id);
  if (entry.purpose === 'claim') {
    const { sequence, created } = image.control;
    commitImage(guard, { image, sequence, time: created, others, beside });
    clear(guard, image);
  } else {
    clear(guard, image);
    if (!isOfOlder(image, entry)) await wipeHeaders(context, guard, image);
    refreshSiblings(guard, others, beside);
  }
  context.note(
    `Finished the ${entry.purpose} of image ${image.id.slice(0, 8)}, which an earlier run had begun.`,
  );
  return true;
};

/** A patch never touches its own container. */
const touches = (image: Image, entry: JournalEntry): boolean => {
  const own = new SpanSet(image.extents);
  return patchIntersects(entry.patch, own);
};

const patchIntersects = ({ phases, sectorSize }: Patch, set: SpanSet): boolean => {
  for (const step of phases.flat())
    for (const extent of stepExtents(step, sectorSize)) if (set.intersects(extent)) return true;
  return false;
};

/** No claim and no release changes a container that the volume lists. */
const touchesContainers = ({ geometry, ...fileSystem }: FileSystem, patch: Patch): boolean => {
  const { clusterSize, clusterBase } = geometry;
  const held = new SpanSet(
    fileSystem.containers().flatMap(({ runs }) => [...toExtents(runs, clusterSize, clusterBase)]),
  );
  return patchIntersects(patch, held);
};

/**
 * Looks at the volume as it will be. The patch's own sectors cannot tell whether another change is under way elsewhere, to which
 * this patch, left over from an earlier run, would add the mark that all is well.
 */
const isSoundWhenApplied = (guard: Guard, image: Image, entry: JournalEntry): boolean => {
  const { purpose, patch } = entry;
  try {
    const { fileSystem } = openVolume(withPatch(guard, patch));
    if (fileSystem.refusals().length > 0 || fileSystem.check(1).length > 0) return false;
    if (touchesContainers(fileSystem, patch)) return false;
    const listed = fileSystem.containers().some(({ runs }) => isListing(runs, image, fileSystem.geometry));
    return listed === (purpose === 'claim' || isOfOlder(image, entry));
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return false;
  }
};
