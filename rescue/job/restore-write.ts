import { complement, SpanSet, subtract } from '../bytes/runs.ts';
import type { Guard } from '../device/guard.ts';
import { isHoldfastError, refused } from '../errors.ts';
import { isDamage } from '../fs/tolerance.ts';
import { appendAudit } from '../image/audit.ts';
import type { Image } from '../image/image.ts';
import type { TablePlan } from '../partition/plan.ts';
import { MBR_TABLE_RANGE } from '../partition/ranges.ts';
import { type Extent, roundDown } from '../units.ts';
import { beginCompanions, type CompanionWrite, releaseLostImages } from './companions.ts';
import type { JobContext } from './context.ts';
import type { RestorePlace } from './destination.ts';
import { refreshLocatorRecord } from './locator-record.ts';
import type { Losses } from './losses.ts';
import type { Move } from './make-way.ts';
import { copyImages, leftBehind, settleMoves, supersedeLeft, wipeMoved } from './moves.ts';
import { ownCommitHomes, standingCommitHomes } from './own-slots.ts';
import { readBackChanges, readBackFrames } from './read-back-image.ts';
import type { RestoreSource } from './restore-source.ts';
import { type CommitHomes, NO_BYSTANDERS, refreshSiblings } from './siblings.ts';
import type { Standing } from './standing.ts';
import { mutableExtents } from './volume.ts';
import { type Destination, type FinalView, writeChanges, writeFrames } from './write-image.ts';

export interface WritePlan {
  readonly final: FinalView;
  readonly table: TablePlan | undefined;
  readonly companions: readonly CompanionWrite[];
  readonly lost: Losses;
  readonly moves: readonly Move[];
  /** What need not be written, as it was when the image was checked. */
  readonly standing: Standing | undefined;
  /** Images that the person gave up: a search must not take them for images once the file system is gone. */
  readonly dropped: readonly Image[];
}

/** How far a restore has come: what was there stands, or is gone, or the volume is back and only leftovers are cleared away. */
export interface WriteProgress {
  stage: 'standing' | 'destroyed' | 'back';
}

/**
 * The order is what makes a cut harmless: images in the way are copied; unrecognisable; the copies count; then the data; recognisable
 * last.
 */
export const writeRestored = async (
  context: JobContext,
  verifyAfter: boolean,
  source: Pick<RestoreSource, 'chosen' | 'kept'>,
  place: RestorePlace,
  progress: WriteProgress,
  { final, table, companions, lost, moves, standing, dropped }: WritePlan,
): Promise<void> => {
  const { image } = source.chosen;
  const { partition } = place;
  const { geometry, spaces } = image.control;
  const recognition = new SpanSet(geometry.recognition);
  // A superblock that is lost stays wiped.
  const recognised = new SpanSet(subtract(recognition.spans, lost.partition.spans));
  const left = leftBehind(partition, source.kept);
  // Where all copies fit into what is free now, the volume stands until they are whole.
  const volumeStands = moves.every(({ overLive }) => !overLive);
  const early = volumeStands ? await copyImages(context, place, moves) : [];
  progress.stage = 'destroyed';
  for (const { start, length } of recognition.spans) partition.write(start, new Uint8Array(length));
  partition.flush();
  const copied = volumeStands ? early : await copyImages(context, place, moves);
  supersedeLeft(partition, left);
  const kept = settleMoves(context, place, source.kept, copied);
  const closed = new SpanSet([...recognition.spans, ...kept.flatMap((each) => each.image.extents)]);
  const allowed = new SpanSet(complement(closed.spans, { start: 0, length: partition.size }));
  const destinations = spaces
    .filter((each) => each.of === 'partition')
    .map((space): Destination => ({ space, device: partition, allowed }));
  const skip = lost.log;
  const failIfNew = lostLater(skip);
  const copies = copied.flatMap(({ move, copy }) => [move.from, copy]);
  standing?.disturb([...left, ...copies].flatMap(({ extents }) => extents));
  const written = await writeFrames(context, image, destinations, final, failIfNew, standing);
  writeChanges(partition, final, recognition);
  partition.flush();
  if (verifyAfter) {
    await readBackFrames(context, image, destinations, final, skip, written);
    await readBackChanges(partition, { ...final, changed: new SpanSet(outside(final.changed, recognition)) });
  }
  if (place.disk !== undefined && table !== undefined) {
    // Companion ranges go first: once there is a table, a restore that is run again takes the disk for whole.
    const ranges = beginCompanions(place.disk, companions);
    for (const part of [ranges.first, ranges.last]) {
      await writeFrames(context, image, part, undefined, failIfNew);
      place.disk.flush();
    }
    // Little, and written in two parts: all of it is read back.
    if (verifyAfter) await readBackFrames(context, image, ranges.whole, undefined, skip, new Map());
    releaseLostImages(context, place.disk, companions);
    writeTable(place.disk, table);
  }
  writeRecognition(partition, final, recognised);
  if (verifyAfter) await readBackChanges(partition, { view: final.view, changed: recognised });
  progress.stage = 'back';
  const salvaged = lost.count > 0;
  await wipeLeftovers(context, partition, [...left, ...moves.map(({ from }) => from), ...dropped], salvaged);
  noteRestored(context, { ...source, kept }, partition, salvaged);
  const images = kept.map((each) => each.image);
  refreshSiblings(partition, images, NO_BYSTANDERS, commitHomesAfter(salvaged));
  // The boot area came back as it was when the image was made.
  refreshLocatorRecord(context, partition, images);
};

/** A volume of which parts are lost cannot be asked whose clusters are whose: the restore kept clear of all images that are kept. */
const commitHomesAfter = (salvaged: boolean): CommitHomes =>
  salvaged ? standingCommitHomes : ownCommitHomes;

/** Headers of what is no image any more. Where the volume cannot be read, they stay: its free clusters are not known. */
const wipeLeftovers = async (
  context: JobContext,
  partition: Guard,
  images: readonly Image[],
  salvaged: boolean,
): Promise<void> => {
  try {
    await wipeMoved(context, partition, images);
  } catch (error) {
    if (!salvaged || !(isDamage(error) || isHoldfastError(error, 'refused'))) throw error;
    context.note(
      `What is left of images that were given up stays where it is (${error.reason}): a search may find it once more.`,
      'warning',
    );
  }
};

/** The image remembers that it was used; only where it lies in the partition itself. */
const noteRestored = (
  context: JobContext,
  { chosen, kept }: Pick<RestoreSource, 'chosen' | 'kept'>,
  partition: Guard,
  salvaged: boolean,
): void => {
  const { image } = chosen;
  if (!kept.includes(chosen) || image.unknownRoCompat !== 0) return;
  // The record stands in the first of the two slots only.
  const own = commitHomesAfter(salvaged)(partition, image);
  if (own === undefined || own[0] !== image.mutableHomes?.[0]) return;
  partition.withOpened(mutableExtents(image), (opened) => {
    appendAudit(opened, own, image.identity.imageId, {
      action: 'restored',
      time: context.now,
      salvaged,
    });
  });
};

/** The sectors by which the volume is known go last, each whole or not at all: no half superblock is ever mounted. */
const writeRecognition = (partition: Guard, final: FinalView, recognition: SpanSet): void => {
  const firstSectorEnd = ({ start, length }: Extent): number =>
    Math.min(start + length, roundDown(start, partition.sectorSize) + partition.sectorSize);
  const write = (from: number, to: number): void => {
    if (to > from) partition.write(from, final.view.read(from, to - from));
  };
  const spans = recognition.spans.map(({ start, length }): Extent => ({ start, length }));
  for (const span of spans) write(firstSectorEnd(span), span.start + span.length);
  partition.flush();
  for (const span of spans) write(span.start, firstSectorEnd(span));
  partition.flush();
};

function* outside(changed: SpanSet, recognition: SpanSet): Generator<Extent> {
  for (const part of complement(recognition.spans, { start: 0, length: Number.MAX_SAFE_INTEGER })) {
    yield* changed.within(part);
  }
}

/** A frame that was whole when it was checked and is not any more: the device is failing under our hands. */
const lostLater =
  (known: SpanSet) =>
  (frame: { readonly entries: readonly { readonly logOffset: number }[] }, reason: string): void => {
    if (known.has(frame.entries[0]!.logOffset)) return;
    throw refused(`the image can no longer be read: ${reason}`, { code: 'image-lost' });
  };

/** Boot code shares a sector with the table: what is not the table's own stays as it is there now. */
const writeTable = (disk: Guard, table: TablePlan): void => {
  const { start, length } = MBR_TABLE_RANGE;
  for (const phase of table.patch.phases) {
    for (const { offset, after } of phase) {
      if (offset > start) disk.write(offset, after);
      else {
        const bytes = Uint8Array.from(after);
        const now = disk.read(offset, disk.sectorSize);
        bytes.set(now.subarray(0, start));
        bytes.set(now.subarray(start + length), start + length);
        disk.write(offset, bytes);
      }
    }
    disk.flush();
  }
};
