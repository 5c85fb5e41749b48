import { totalLength } from '../bytes/runs.ts';
import { Guard } from '../device/guard.ts';
import { isHoldfastError, refused } from '../errors.ts';
import { PatchBuilder } from '../fs/patch.ts';
import type { Image, ImageFacts } from '../image/image.ts';
import { openImage } from '../image/reader.ts';
import { formatImageId } from '../image/slot.ts';
import { formatBytes } from '../units.ts';
import { JobContext, type JobOptions } from './context.ts';
import { claimPatch, commitContainer, describeImage, writeContainer } from './create-container.ts';
import { type CreatePlan, committed, makePlan, type ViewedVolume } from './create-plan.ts';
import { findEfiSystems } from './efi-system.ts';
import { containerName, newImageId } from './identity.ts';
import { createIntent } from './intents.ts';
import { displacedImages, latestOf, refuseChanged, requireReleases, sequenceOf } from './listed-files.ts';
import { refreshLocatorRecord } from './locator-record.ts';
import { mendContainer } from './mend.ts';
import { removeImage } from './removal.ts';
import { type CreateRequest, type CreateResult, UnfinishedError } from './results.ts';
import { settle, tidy } from './settle.ts';
import { bystanders, protect, refreshSiblings } from './siblings.ts';
import { type OpenPartition, openPartition } from './subject.ts';
import { statsOf, summarise } from './summary.ts';
import { watchingWrites } from './unfinished.ts';
import {
  asRefusal,
  type ListedContainer,
  listContainers,
  openVolume,
  type PartitionAccess,
  refuseInconsistent,
  refuseReadOnly,
  refuseUnfit,
} from './volume.ts';

/** Makes an image of a partition inside that partition. */
export const create = async (request: CreateRequest, options: JobOptions = {}): Promise<CreateResult> => {
  const context = new JobContext(options);
  const partition = openPartition(request.target, { partition: request.partition, write: !request.dryRun });
  context.origin = partition.offset;
  noteChoice(context, request, partition);
  try {
    const access: PartitionAccess = { ...partition, identity: partition.subject.target.identity };
    const made = await createInPartition(context, access, request);
    const found = { ...made, start: partition.offset, number: partition.entry?.number };
    return {
      target: request.target,
      image: summarise({ ...found, foundBy: 'filesystem' }),
      stats: statsOf(context, made.image, partition.traffic()),
      replaced: made.replaced,
      written: !request.dryRun,
    };
  } finally {
    partition.close();
    await context.close();
  }
};

/** A person who named a disk must hear which of its partitions was meant. */
const noteChoice = (
  context: JobContext,
  { target, partition }: CreateRequest,
  { entry }: Pick<OpenPartition, 'entry'>,
): void => {
  if (entry === undefined || partition !== undefined) return;
  context.note(
    `Partition ${entry.number} of ${target} is imaged: no other one but an EFI system partition has a file system that Holdfast can handle.`,
  );
};

export interface Created {
  readonly image: ImageFacts;
  readonly state: 'committed' | 'prepared';
  readonly reason: string | undefined;
  readonly replaced: readonly string[];
}

/** The same on a partition that is open already. Offsets count from the partition's start. */
export const createInPartition = (
  context: JobContext,
  access: PartitionAccess,
  request: Omit<CreateRequest, 'target' | 'partition'>,
): Promise<Created> =>
  watchingWrites(
    access.device,
    'All files and all other images are as they were. Run the same command again.',
    (device) => createOn(context, { ...access, device }, request),
  );

const createOn = async (
  context: JobContext,
  given: PartitionAccess,
  request: Omit<CreateRequest, 'target' | 'partition'>,
): Promise<Created> => {
  const guard = new Guard(given.device);
  if (!request.dryRun) await settle(context, guard, given);
  const opened = openAndCheck(context, guard);
  const listed = listContainers(guard, opened.fileSystem);
  refuseChanged(listed);
  const images = [...committed(listed), ...displacedImages(listed)];
  protect(guard, [...images, ...bystanders(listed).damaged]);
  const replaced = replacedImages(images, request);
  replaced.forEach(refuseReadOnly);
  requireReleases(opened.driver, guard, listed, context.now);
  const above = latestOf(context, guard, opened.fileSystem, listed);
  for (const each of listed) {
    const { id } = each.image ?? each.displaced ?? {};
    if (each.image?.state === 'committed' || isLeftover(each)) continue;
    if (replaced.some((image) => image.id === id)) continue;
    if (each.displaced !== undefined) {
      context.note(`The clusters of image ${id?.slice(0, 8)} were moved: it is put right first.`);
      continue;
    }
    context.note(
      `Container ${each.name} cannot be used: ${each.image?.reason ?? each.reason}. It is left alone, and not imaged.`,
      'warning',
    );
  }
  for (const { path, reason, runs } of opened.fileSystem.excludes()) {
    if (reason === 'container') continue;
    const bytes = formatBytes(totalLength(runs) * opened.fileSystem.geometry.clusterSize);
    context.note(
      `${path} is a ${reason} file: ${bytes} of it are not imaged; a restore leaves any content there.`,
    );
  }
  const access: PartitionAccess = { ...given, efiSystems: findEfiSystems(context, given) };
  if (access.tableFault !== undefined) {
    context.note(
      `The image gets no copy of the partition table, which is damaged: ${access.tableFault}. ` +
        'A restore can put back this partition, but not the others.',
      'warning',
    );
  }
  const situation = { opened, listed, replaced, above };
  const { early, preview } = planWithRoom(context, guard, access, situation, request);
  requireClaim(context, preview, request.kind);
  const agreed = (await request.confirm?.(createIntent(access, preview, replaced))) ?? true;
  if (!agreed) throw refused('not confirmed: nothing was written', { code: 'unconfirmed' });
  if (request.dryRun) return dryRun(context, access, preview, request, replaced);
  tidy(guard);
  const moved = await mendMoved(context, guard, listed, replaced);
  const isAsPlanned = early.length === 0 && !moved;
  const plan = isAsPlanned ? preview : await makeRoom(context, guard, access, preview, early, request);
  const written = await writeContainer(context, guard, access, plan, request);
  const image = await commitContainer(context, guard, plan, written);
  try {
    for (const old of [...plan.siblings, ...displacedImages(plan.listed)]) {
      if (!replaced.some(({ id }) => id === old.id)) continue;
      await removeImage(context, guard, { driver: plan.driver, image: old });
    }
    const left = plan.siblings.filter(({ id }) => !replaced.some((old) => old.id === id));
    refreshSiblings(guard, [...left, image], plan.beside);
    refreshLocatorRecord(context, guard, [...left, image], plan.beside);
    return {
      image: reopened(guard, image),
      state: 'committed',
      reason: undefined,
      replaced: [...new Set(replaced.map((each) => each.id))],
    };
  } catch (error) {
    throw new UnfinishedError(
      error as Error,
      'The new image is complete and committed; run the same command again to remove the old one.',
    );
  }
};

/** Puts right the containers that were moved and are to stay; whether there were any. One that cannot be is left alone, and said. */
const mendMoved = async (
  context: JobContext,
  guard: Guard,
  listed: readonly ListedContainer[],
  replaced: readonly Image[],
): Promise<boolean> => {
  let any = false;
  for (const container of listed) {
    const { displaced } = container;
    if (displaced === undefined || replaced.some(({ id }) => id === displaced.id)) continue;
    try {
      await mendContainer(context, guard, container);
      any = true;
    } catch (error) {
      if (!isHoldfastError(error, 'refused') && !isHoldfastError(error, 'corrupt')) throw error;
      protect(guard, [displaced]);
      context.note(`It is left as it is: ${error.message}`, 'warning');
    }
  }
  return any;
};

/**
 * Claims the planned clusters in memory: a volume that could not list the image, for want of an inode or because something
 * else has the folder's name, must say so before its free space is full of slots. Throws what the claim would throw.
 */
const requireClaim = (context: JobContext, plan: CreatePlan, kind: CreateRequest['kind']): void => {
  const name = containerName(kind, formatImageId(newImageId()));
  try {
    claimPatch(context, plan, name, plan.placement.extents);
  } catch (error) {
    // The image takes less than the room that is planned at most, and leaves some to the claim.
    if (isHoldfastError(error, 'refused') && error.detail.code === 'claim.no-space') return;
    throw asRefusal(error, plan.driver);
  }
};

interface Situation {
  readonly opened: ViewedVolume;
  readonly listed: readonly ListedContainer[];
  readonly replaced: readonly Image[];
  /** The highest sequence number that any image here has. */
  readonly above: number;
}

/**
 * Plans. `early` are the images that must go first: those that are replaced, where that was asked for; or, where there is no
 * room for one more, those that a later one has replaced already but for their removal, in which a run was cut off. Writes
 * nothing: the plan is that of the volume without them.
 */
const planWithRoom = (
  context: JobContext,
  guard: Guard,
  access: PartitionAccess,
  { opened, listed, replaced, above }: Situation,
  request: Omit<CreateRequest, 'target' | 'partition'>,
): { readonly early: readonly Image[]; readonly preview: CreatePlan } => {
  const planWithout = (early: readonly Image[]) => {
    const view = new PatchBuilder(guard);
    const gone = listed.filter(({ image, displaced }) =>
      early.some((each) => each.id === (image ?? displaced)?.id),
    );
    for (const { name, paths } of gone) opened.driver.release(view, { name, paths, time: context.now });
    const left = listed.filter((each) => !gone.includes(each));
    const preview = makePlan(context, access, { ...openVolume(view), view }, left, { ...request, above });
    return { early, preview };
  };
  if (request.replaceFirst && replaced.length > 0) return planWithout(replaced);
  try {
    return { early: [], preview: makePlan(context, access, opened, listed, { ...request, above }) };
  } catch (error) {
    const superseded = replaced.filter((image) =>
      replaced.some((other) => sequenceOf(other) > sequenceOf(image)),
    );
    const crowded = isHoldfastError(error, 'refused') && error.detail.code === 'no-space';
    if (!crowded || superseded.length === 0) throw error;
    return planWithout(superseded);
  }
};

/** Removes the images that must go first, and plans on what is left. */
const makeRoom = async (
  context: JobContext,
  guard: Guard,
  access: PartitionAccess,
  { driver, above }: CreatePlan,
  early: readonly Image[],
  request: Omit<CreateRequest, 'target' | 'partition'>,
): Promise<CreatePlan> => {
  try {
    for (const image of early) await removeImage(context, guard, { driver, image });
    const opened = openAndCheck(context, guard);
    const listed = listContainers(guard, opened.fileSystem);
    return makePlan(context, access, opened, listed, { ...request, above });
  } catch (error) {
    throw new UnfinishedError(
      error as Error,
      'An image that was to be replaced is removed already, or one that was moved is put right. Run the same command again.',
    );
  }
};

const reopened = (guard: Guard, image: Image): Image =>
  openImage({ device: guard, anchorHome: image.homes.homeOf(0) });

const openAndCheck = (context: JobContext, guard: Guard): ViewedVolume => {
  const opened = { ...openVolume(guard), view: guard };
  try {
    refuseUnfit(opened.fileSystem);
    context.progress('check', 0, 1);
    refuseInconsistent(opened);
    context.progress('check', 1, 1);
  } catch (error) {
    throw asRefusal(error, opened.driver);
  }
  return opened;
};

/** The images that the new one takes the place of. Throws `refused` (`factory-exists`). */
const replacedImages = (
  images: readonly Image[],
  { kind, keepOld, forceFactory }: Pick<CreateRequest, 'kind' | 'keepOld' | 'forceFactory'>,
): Image[] => {
  const same = images.filter((image) => image.control.kind === kind);
  if (kind === 'factory') {
    if (same.length > 0 && !forceFactory) {
      throw refused('there is a factory image already, and it is made only once', {
        code: 'factory-exists',
        found: same[0]!.id,
        wayOut: 'Make a user image, or replace it with --force-factory.',
      });
    }
    return same;
  }
  return keepOld ? [] : same;
};

/**
 * Containers that never became an image, or that are none any more: only these are given up without being asked for. One
 * that cannot be opened may still be put together again, or be one of a newer version.
 */
const isLeftover = ({ image }: ListedContainer): boolean =>
  image?.state === 'prepared' || image?.state === 'removed' || image?.state === 'superseded';

/** Plans as far as is possible without writing. */
const dryRun = (
  context: JobContext,
  access: PartitionAccess,
  plan: CreatePlan,
  request: Pick<CreateRequest, 'kind' | 'name' | 'codec'>,
  replaced: readonly Image[],
): Created => {
  const { control, identity } = describeImage(context, access, plan, request, newImageId());
  const extents = plan.placement.extents;
  const patch = claimPatch(context, plan, containerName(request.kind, control.id), extents);
  const steps = patch.phases.flat().length;
  context.note(`The file system would be changed by ${steps} steps in ${patch.phases.length} phases.`);
  const image: ImageFacts = {
    id: control.id,
    identity,
    control,
    extents,
    sealed: extents,
    usedBytes: plan.usedBytes,
    rawBytes: plan.rawBytes,
    storedBytes: totalLength(extents),
  };
  const reason = 'dry run: nothing was written; extents are the room that would be used at most';
  return { image, state: 'prepared', reason, replaced: replaced.map((each) => each.id) };
};
