import { intersect, normalise, SpanSet, subtract, toExtents, totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { type HoldfastError, isHoldfastError, refused } from '../errors.ts';
import type { ContainerTest, FileSystemDriver } from '../fs/filesystem.ts';
import { PatchBuilder } from '../fs/patch.ts';
import { inPieces } from '../fs/patch-operation.ts';
import { driverFor } from '../fs/probe.ts';
import { isDamage } from '../fs/tolerance.ts';
import type { Image } from '../image/image.ts';
import { PARTITION_SCHEME } from '../image/layout.ts';
import { ImageView } from '../image/view.ts';
import type { Found } from '../locate/found.ts';
import { guidText } from '../partition/guid.ts';
import type { KnownPartition } from '../partition/merge.ts';
import { planTable, type TablePlan } from '../partition/plan.ts';
import { parseSavedTable, type SavedTable } from '../partition/saved.ts';
import { type LiveTable, readTable } from '../partition/table.ts';
import type { ByteOffset, Run } from '../units.ts';
import type { JobContext } from './context.ts';
import { containerName } from './identity.ts';
import { LostView } from './lost-view.ts';
import { type Ground, inTheWay, type Move, makeWay, runsWithin } from './make-way.ts';
import { clusterRuns } from './volume.ts';
import type { FinalView } from './write-image.ts';
import { decodeXzBlocking } from './xz-blocking.ts';

/** The file system that an image names, if it is in the image itself: it must be sound before it replaces anything. */
const driverOf = (image: Image, view: ReadableDevice): FileSystemDriver => {
  const { kind } = image.control.fileSystem;
  const driver = driverFor(kind, view);
  if (driver !== undefined) return driver;
  throw refused(`image ${image.id.slice(0, 8)} does not begin like the ${kind} that it names`, {
    code: 'unknown-filesystem',
  });
};

/** Tells the containers in an image from other files: what lies in them was left out. */
const isNotStored = (image: Image): ContainerTest => {
  const { clusterSize, clusterBase } = image.control.geometry;
  return (extents) =>
    extents.length > 0 &&
    totalLength(intersect(image.inUse(), normalise(clusterRuns(extents, clusterSize, clusterBase)))) === 0;
};

/** What the volume is to be, and which images must be moved for it. */
export interface VolumePlan extends FinalView {
  readonly moves: readonly Move[];
  /** What could not be read to claim the survivors: the volume comes back as the image has it, and does not list them. */
  readonly unlisted?: HoldfastError;
}

/** Zeroed, not stored: what must not come back to life, such as the head of a hibernation file. */
const zeroOnRestore = (image: Image, editor: PatchBuilder): void => {
  for (const { start, length } of image.control.zeroOnRestore) editor.write(start, new Uint8Array(length));
};

/**
 * The same for an image of which parts are lost, bytes of the partition. Where the claims depend on what is lost, there are none:
 * the survivors' clusters are kept clear all the same. Throws `refused` if survivors would have to be moved for that.
 */
export const planSalvagedView = (
  context: JobContext,
  image: Image,
  survivors: readonly Image[],
  ground: Ground,
  diskOffset: ByteOffset,
  lost: SpanSet,
): VolumePlan => {
  const view = new LostView(new ImageView(image, decodeXzBlocking), lost);
  try {
    const plan = planOn(view, context, image, survivors, ground, diskOffset);
    // Whatever is going to be read of it when it is written.
    for (const { start, length } of inPieces(plan.changed.spans)) plan.view.read(start, length);
    return plan;
  } catch (error) {
    const unreadable = isHoldfastError(error, 'refused') && error.detail.code === 'unknown-filesystem';
    if (!unreadable && !isDamage(error)) throw error;
    if (inTheWay(image, survivors).length > 0) throw error;
    const editor = new PatchBuilder(view);
    zeroOnRestore(image, editor);
    return { view: editor, changed: new SpanSet(editor.changedExtents()), moves: [], unlisted: error };
  }
};

/**
 * What the partition is to look like: the image, with the containers released that its metadata lists, and all survivors claimed:
 * those that are in the way where they are moved to. Throws `refused`, `corrupt`, `unsupported`: before anything is written.
 */
export const planView = (
  context: JobContext,
  image: Image,
  survivors: readonly Image[],
  ground: Ground,
  /** Where the volume comes to lie on its disk, in bytes; 0 where no disk is known around it. */
  diskOffset: ByteOffset,
): VolumePlan =>
  planOn(new ImageView(image, decodeXzBlocking), context, image, survivors, ground, diskOffset);

const planOn = (
  view: ReadableDevice,
  context: JobContext,
  image: Image,
  survivors: readonly Image[],
  ground: Ground,
  diskOffset: ByteOffset,
): VolumePlan => {
  const driver = driverOf(image, view);
  const movers = inTheWay(image, survivors);
  const editor = new PatchBuilder(view);
  const listed = driver.open(editor, isNotStored(image)).containers();
  for (const { name } of image.control.containers) {
    const paths = listed.find((each) => each.name === name)?.paths ?? [];
    driver.release(editor, { name, paths, time: context.now });
  }
  const avoid = new SpanSet(survivors.flatMap((each) => runsWithin(each.extents, image)));
  for (const survivor of survivors) {
    if (movers.includes(survivor)) continue;
    const { kind } = survivor.control;
    driver.claim(editor, {
      name: containerName(kind, survivor.id),
      runs: runsWithin(survivor.extents, image),
      time: survivor.control.created,
      avoid,
    });
  }
  const moves = makeWay({ driver, editor, image, survivors }, ground, movers);
  if (survivors.length > 0 || image.control.containers.length > 0) driver.emptyLog(editor);
  // A file, or a disk without a table, may be a copy that goes back to where it came from.
  const { partitionOffset } = image.identity;
  if (diskOffset > 0) driver.moved(editor, { from: partitionOffset, to: diskOffset });
  zeroOnRestore(image, editor);
  const changed = wholeWhereFree(image, new SpanSet(editor.changedExtents()));
  const { geometry } = driver.open(editor);
  if (geometry.size > image.control.partition.size) {
    throw refused('the restored file system would be larger than its partition', { code: 'geometry' });
  }
  return { view: editor, changed, moves };
};

/**
 * Clusters that were free in the image read as zeros in its view, but the disk holds anything there: where one is put to
 * use, all of it is written, not only what differs from zeros.
 */
const wholeWhereFree = (image: Image, changed: SpanSet): SpanSet => {
  const { clusterSize, clusterBase, clusterCount } = image.control.geometry;
  const touched = changed.spans.flatMap(({ start, length }): Run[] => {
    const first = Math.floor((start - clusterBase) / clusterSize);
    const last = Math.floor((start + length - 1 - clusterBase) / clusterSize);
    return first < 0 || last >= clusterCount ? [] : [{ start: first, length: last - first + 1 }];
  });
  const free = subtract(normalise(touched), image.inUse());
  return new SpanSet([...changed.spans, ...toExtents(free, clusterSize, clusterBase)]);
};

const savedOf = (image: Image): SavedTable | null => {
  if (image.control.table === null || image.control.table === undefined) return null;
  try {
    return parseSavedTable(image.control.table);
  } catch {
    // A damaged copy is no copy: the slots still say where the partition was.
    return null;
  }
};

/** What an image knows of its partition, for the table rules. */
export const knownPartition = (image: Image, start: number): KnownPartition => {
  const { identity, control } = image;
  const gpt = identity.partitionScheme === PARTITION_SCHEME.gpt;
  const mbr = identity.partitionScheme === PARTITION_SCHEME.mbr;
  const type =
    control.partition.type ??
    (gpt
      ? guidText(identity.partitionType)
      : mbr
        ? identity.partitionType[0]!.toString(16).padStart(2, '0')
        : null);
  return {
    source: `image ${image.id.slice(0, 8)} "${control.name}"`,
    start,
    size: identity.partitionSize,
    sectorSize: identity.sectorSize,
    type,
    uuid: control.partition.uuid ?? (gpt ? guidText(identity.partitionUuid) : null),
    diskSize: identity.diskSize === 0 ? null : identity.diskSize,
    saved: savedOf(image),
  };
};

/** The table rules applied to a whole disk; undefined where there is no disk around the partition. */
export const planDiskTable = (
  disk: ReadableDevice,
  live: LiveTable | undefined,
  chosen: Pick<Found, 'image' | 'start'>,
  others: readonly Pick<Found, 'image' | 'start'>[],
): TablePlan =>
  planTable({
    device: disk,
    live: live ?? readTable(disk),
    wanted: knownPartition(chosen.image, chosen.start),
    others: others.map((each) => knownPartition(each.image, each.start)),
  });

/** Bytes of clusters that are free in the image: they are left as they are. */
export const untouchedBytes = (image: Image): number => {
  const { clusterCount, clusterSize } = image.control.geometry;
  const all = [{ start: 0, length: clusterCount }];
  return totalLength(subtract(all, image.inUse())) * clusterSize;
};
