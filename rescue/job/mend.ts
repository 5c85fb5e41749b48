import { complement, intersect, normalise, SpanSet, subtract, totalLength } from '../bytes/runs.ts';
import type { Guard } from '../device/guard.ts';
import { isHoldfastError, refused } from '../errors.ts';
import type { FileSystem, FileSystemDriver } from '../fs/filesystem.ts';
import type { Patch } from '../fs/patch.ts';
import { appendAudit } from '../image/audit.ts';
import { placesOf } from '../image/by-index.ts';
import { type MutableHomes, readCommit, writeCommit } from '../image/commit.ts';
import type { Image } from '../image/image.ts';
import { clearJournal, writeJournal } from '../image/journal.ts';
import { COMMIT, COMMIT_POSITION } from '../image/layout.ts';
import { type MendPlan, mendAnchors, mendHeaders, mendTail, planMend, SPLIT } from '../image/mend.ts';
import { lostAnchors } from '../image/mend-slots.ts';
import { encodePatch } from '../image/patch-coding.ts';
import { planPlacement } from '../image/placement.ts';
import { openImage } from '../image/reader.ts';
import { planRelocation, roomForCopy } from '../image/relocation.ts';
import { mutableBIndex } from '../image/sealed.ts';
import { joinedInOrder } from '../locate/found.ts';
import type { ByteLength, Extent, Run } from '../units.ts';
import { applyPatch } from './apply.ts';
import type { JobContext } from './context.ts';
import { beginGeneration, commitCopy, type OldGeneration, writeCopy } from './relocation.ts';
import { removeImage, wipeHeaders } from './removal.ts';
import { bitmapDamage } from './salvage.ts';
import { bystanders, protect, protectionKey } from './siblings.ts';
import {
  clusterRuns,
  dataOf,
  type ListedContainer,
  listContainers,
  mutableExtents,
  openVolume,
  refuseReadOnly,
} from './volume.ts';

/**
 * Puts right containers whose clusters a defragmenter, or a file system that was made smaller, has moved: in place where every slot
 * lies in one piece and the image has no data of its own there, which takes no room; else as a copy in free space, the next generation. Cut off anywhere, the image opens
 * through its file, or is whole as the copy, and this can be run again.
 */

/** A journal must hold the release, twice, for the volume changes. */
const JOURNAL_FACTOR = 2;

/** Where a commit record stands whose slots are placed by the container's file: what `MutableHomes` counts from. */
const commitHomesOf = ({ extents, homes }: Image): MutableHomes => {
  const [first, second] = [1, mutableBIndex(homes.slotCount)].map((index) => {
    const start = index * homes.slotSize + COMMIT_POSITION;
    const [place] = placesOf(extents, { start, length: COMMIT.size });
    return place!.start - COMMIT_POSITION;
  });
  return [first!, second!];
};

const releaseLength = (
  driver: FileSystemDriver,
  guard: Guard,
  { name, paths }: ListedContainer,
  time: number,
): number =>
  encodePatch(driver.patch(guard, (editor) => driver.release(editor, { name, paths, time }))).length;

/** What is said of a container that was put right. */
export interface Mended {
  readonly id: string;
  readonly how: 'in place' | 'as a copy' | 'superseded';
}

/**
 * Puts one container right. All committed images of the volume are protected, this one by what is opened only. Throws `refused`
 * (`no-space`, `mend.table`, `mend.damaged`, `container.read-only`), `corrupt`, `io`; before the first write where it cannot be done.
 */
export const mendContainer = async (
  context: JobContext,
  guard: Guard,
  container: ListedContainer,
): Promise<Mended> => {
  const image = container.displaced;
  if (image === undefined) throw new RangeError('a container that lies where it says needs no repair');
  refuseReadOnly(image);
  const key = protectionKey(image);
  if (guard.images.includes(key)) guard.giveUp(key);
  const short = image.id.slice(0, 8);
  const { driver, fileSystem } = openVolume(guard);
  const listed = listContainers(guard, fileSystem);
  const newer = listed.find(({ image: other }) => other?.id === image.id && other.state === 'committed');
  const isOver = image.state === 'superseded' || image.state === 'removed';
  if (newer !== undefined || isOver) {
    const successor = newer?.image;
    protect(guard, successor === undefined ? [] : [successor]);
    await removeImage(context, guard, {
      driver,
      image,
      name: container.name,
      ...(successor === undefined ? {} : { successor }),
    });
    return { id: image.id, how: 'superseded' };
  }
  if (image.state !== 'committed') {
    throw refused(`image ${short} was moved and is damaged: ${image.reason ?? image.state}`, {
      code: 'mend.damaged',
      wayOut: 'What is left can be restored with --salvage from a copy of its file, with --from.',
    });
  }
  const patchLength = JOURNAL_FACTOR * releaseLength(driver, guard, container, context.now);
  const others = listed
    .filter(({ image: other }) => other?.state === 'committed')
    .map(({ image: other }) => other!);
  protect(guard, [...others, ...bystanders(listed).damaged]);
  const plan = planInPlace(image, patchLength);
  const runs = clusterRuns(image.extents, fileSystem.geometry.clusterSize, fileSystem.geometry.clusterBase);
  const data = knownData(image, fileSystem.geometry);
  const isInItsWay = totalLength(intersect(data(), normalise(runs))) > 0;
  if (plan !== undefined && !isInItsWay) {
    await mendInPlace(context, guard, image, plan);
    return { id: image.id, how: 'in place' };
  }
  const old: OldGeneration = {
    image,
    homes: commitHomesOf(image),
    anchors: [image.extents[0]!.start, image.extents[0]!.start],
  };
  const request = { old, container, others, driver, listed, patchLength };
  try {
    await mendAsCopy(context, guard, { ...request, avoid: data });
    return { id: image.id, how: 'as a copy' };
  } catch (error) {
    if (!isHoldfastError(error, 'refused') || error.detail.code !== 'no-space' || !isInItsWay) throw error;
  }
  context.note(
    `Image ${short} lies where it has data itself, and there is no other room for it: it can be restored to another place only, with --to.`,
    'warning',
  );
  if (plan === undefined) await mendAsCopy(context, guard, { ...request, avoid: () => [] });
  else await mendInPlace(context, guard, image, plan);
  return { id: image.id, how: plan === undefined ? 'as a copy' : 'in place' };
};

/** Clusters in which the image has data; none where that is lost: a restore needs --salvage then, and takes what it gets. */
const knownData = (image: Image, geometry: FileSystem['geometry']): (() => Iterable<Run>) => {
  if (bitmapDamage(image) !== undefined) return () => [];
  return () => dataOf(image, geometry);
};

/** Undefined where slots lie in pieces. The generation is set when it is begun. */
const planInPlace = (image: Image, patchLength: ByteLength): MendPlan | undefined => {
  try {
    return planMend({
      image,
      extents: joinedInOrder(image.extents),
      generation: image.identity.generation,
      patchLength,
    });
  } catch (error) {
    if (isHoldfastError(error, 'refused') && error.detail.code === SPLIT) return undefined;
    throw error;
  }
};

/** Slots that are rewritten between two looks at whether to stop. */
const BATCH = 512;

const mendInPlace = async (
  context: JobContext,
  guard: Guard,
  image: Image,
  draft: MendPlan,
): Promise<void> => {
  const { homes } = draft;
  const own: Extent[] = [...image.extents];
  const commitHomes = commitHomesOf(image);
  const stale = staleCopy(guard, image);
  const old: OldGeneration = { image, homes: commitHomes, anchors: [0, 0] };
  const generation = beginGeneration(guard, old);
  const plan = planMend({ image, extents: homes.extents, generation, patchLength: 0 });
  const total = image.storedBytes;
  for (let index = 0; index < homes.slotCount; index += BATCH) {
    await context.checkpoint();
    context.progress('mend', index * homes.slotSize, total);
    guard.withOpened(own, (device) => mendHeaders(device, plan, index, BATCH));
  }
  guard.withOpened(own, (device) => {
    mendTail(device, plan);
    device.flush();
    mendAnchors(
      device,
      plan,
      plan.anchors.filter((index) => index !== plan.keptAnchor),
    );
    device.flush();
    commitMended(device, commitHomes, plan);
    mendAnchors(device, plan, [plan.keptAnchor]);
    device.flush();
    appendAudit(device, commitHomes, image.identity.imageId, {
      action: 'relocated',
      time: context.now,
      salvaged: false,
    });
  });
  const mended = openImage({ device: guard, anchorHome: homes.homeOf(0) });
  protect(guard, [mended]);
  if (stale !== undefined) await wipeHeaders(context, guard, stale);
  context.progress('mend', total, total);
};

/** The commit record vouches for the new anchors, in both slots: one bad sector must not bring the old ones back. */
const commitMended = (
  device: Parameters<typeof writeCommit>[0],
  homes: MutableHomes,
  plan: MendPlan,
): void => {
  const { imageId } = plan.image.identity;
  for (let slot = 0; slot < 2; slot += 1) {
    const current = readCommit(device, homes, imageId)?.commit;
    if (current === undefined) throw new RangeError('an image without a commit record is not put right');
    const { generation, rootDigest } = plan;
    writeCommit(device, homes, { ...current, generation, rootDigest, begunGeneration: generation });
  }
};

/** What was left behind at the old place, if an anchor of it still opens there. */
const staleCopy = (guard: Guard, image: Image): Image | undefined => {
  const last = lostAnchors(image).standing?.anchor.lastAnchorHome;
  if (last === undefined) return undefined;
  try {
    const found = openImage({ device: guard, anchorHome: last });
    return found.id === image.id && found.identity.generation === image.identity.generation
      ? found
      : undefined;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

interface CopyRequest {
  readonly old: OldGeneration;
  readonly container: ListedContainer;
  readonly others: readonly Image[];
  readonly driver: FileSystemDriver;
  readonly listed: readonly ListedContainer[];
  readonly patchLength: ByteLength;
  /** Clusters that are of no use though they are free now: the image has data there. */
  readonly avoid: () => Iterable<Run>;
}

/** The name of a copy while the old file has the usual one; a restore gives it that again. */
const nameOfCopy = ({ control, id }: Image, generation: number): string =>
  `${control.kind}-${generation}-${id.slice(0, 12)}`;

const mendAsCopy = async (context: JobContext, guard: Guard, request: CopyRequest): Promise<void> => {
  const { old, container, others, driver, listed, patchLength, avoid } = request;
  const { image } = old;
  const { fileSystem } = openVolume(guard);
  const { clusterSize, clusterBase, clusterCount } = fileSystem.geometry;
  const all = { start: 0, length: clusterCount };
  const needed = roomForCopy(image, 2 * patchLength);
  const placement = planPlacement({
    free: () => subtract(subtract(complement(fileSystem.allocation(), all), fileSystem.bad()), avoid()),
    reserved: () => fileSystem.reserved(),
    clusterSize,
    clusterBase,
    wanted: needed,
    enough: needed,
    slotSize: image.homes.slotSize,
  });
  const claimOf = (extents: readonly Extent[], name: string): Patch => {
    const runs = clusterRuns(extents, clusterSize, clusterBase);
    return driver.patch(guard, (editor) =>
      driver.claim(editor, { name, runs, time: context.now, avoid: new SpanSet(runs) }),
    );
  };
  const draft = nameOfCopy(image, image.identity.generation + 1);
  const lengthOf = (extents: readonly Extent[]): number =>
    2 * encodePatch(claimOf(extents, draft)).length + patchLength;
  // All that can be refused is refused before the first write.
  const planned = planRelocation({
    image,
    generation: image.identity.generation + 1,
    placement,
    patchLength: lengthOf,
  });
  const stale = staleCopy(guard, image);
  protect(guard, [image]);
  const generation = beginGeneration(guard, old);
  const plan = { ...planned, identity: { ...planned.identity, generation } };
  const copy = await writeCopy(context, guard, plan);
  const name = nameOfCopy(image, generation);
  const patch = claimOf(copy.extents, name);
  protect(guard, [copy]);
  const open = mutableExtents(copy);
  const { journal } = copy;
  if (journal === undefined) throw new RangeError('a container that was just written has a journal');
  const { imageId } = image.identity;
  guard.withOpened(open, (device) =>
    writeJournal(device, journal, { purpose: 'claim', generation, imageId, patch }),
  );
  applyPatch(guard, patch);
  commitCopy(guard, { old, copy, others, beside: bystanders(listed), now: context.now });
  guard.withOpened(open, (device) => clearJournal(device, journal));
  guard.giveUp(protectionKey(image));
  const successor = openImage({ device: guard, anchorHome: copy.homes.homeOf(0) });
  await removeImage(context, guard, { driver, image, name: container.name, successor });
  if (stale !== undefined) await wipeHeaders(context, guard, stale);
};
