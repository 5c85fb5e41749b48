import { SpanSet, subtract, toExtents, totalLength } from '../bytes/runs.ts';
import type { Guard } from '../device/guard.ts';
import { Window } from '../device/window.ts';
import { isHoldfastError, refused } from '../errors.ts';
import type { Editor } from '../fs/patch.ts';
import { probeFileSystem } from '../fs/probe.ts';
import type { AddressSpace } from '../image/control.ts';
import type { Image } from '../image/image.ts';
import { type CompanionId, companionName, isEfiSystemSpace, writableRanges } from '../partition/companion.ts';
import type { TablePlan } from '../partition/plan.ts';
import type { Extent } from '../units.ts';
import { applyPatch } from './apply.ts';
import type { JobContext } from './context.ts';
import type { RestorePlace } from './destination.ts';
import { locateAllIn } from './locating.ts';
import type { Destination } from './write-image.ts';

/**
 * Companion ranges in a restore: the parts of the disk beside the partition that a machine boots from. They belong to no
 * image alone, so they are written only where the table had to be rebuilt, which means that the disk has lost them, or
 * where the person asks.
 */

/** One companion range that is written. */
export interface CompanionWrite {
  readonly space: AddressSpace;
  /** For people. */
  readonly name: string;
  /** Bytes of the disk that may be written. */
  readonly allowed: readonly Extent[];
}

export interface CompanionPlan {
  readonly writes: readonly CompanionWrite[];
  /** What the image holds and the restore leaves as it is: a sentence each. */
  readonly left: readonly string[];
}

const spacesOf = (image: Image): AddressSpace[] =>
  image.control.spaces.filter((space) => space.of === 'disk');

const namesOf = (spaces: readonly AddressSpace[]): string =>
  [...new Set(spaces.map(({ id }) => companionName(id)))].join(', ');

const refuseAsked = (image: Image, place: RestorePlace, table: TablePlan | undefined): void => {
  if (spacesOf(image).length === 0) {
    throw refused(`image ${image.id.slice(0, 8)} holds nothing of the disk beside its partition`, {
      code: 'companions.none',
      wayOut: 'Leave out --companions.',
    });
  }
  if (place.disk !== undefined && table !== undefined && table.action !== 'none') return;
  throw refused(
    `${place.path} is no disk with a partition table: nothing beside the partition can be written`,
    {
      code: 'companions.no-disk',
      wayOut: 'Name the whole disk, or leave out --companions.',
    },
  );
};

/** Why an EFI system partition must be left alone although the image has a copy of it. */
const reasonAgainst = async (
  context: JobContext,
  place: RestorePlace,
  { start, length }: Extent,
): Promise<string | undefined> => {
  if (place.subject === undefined) return undefined;
  const holder = place.disk?.holderIn({ start, length });
  if (holder !== undefined) return `image ${holder.slice(0, 8)} lies there`;
  const { images } = await locateAllIn(context, place.subject, { start, length });
  const [held] = images.filter(({ image }) => image.state === 'committed' || image.state === 'damaged');
  return held === undefined
    ? undefined
    : `image ${held.image.id.slice(0, 8)} lies in it, and brings it back by itself`;
};

/**
 * Throws `refused` (`table-holds-image`): an image of another partition lies where the table has to go, which only the guard would
 * notice, when it is too late.
 */
export const refuseTableOverImage = (place: RestorePlace, table: TablePlan | undefined): void => {
  if (place.disk === undefined || table === undefined) return;
  for (const { offset, after } of table.patch.phases.flat()) {
    const holder = place.disk.holderIn({ start: offset, length: after.length });
    if (holder === undefined) continue;
    throw refused(`image ${holder.slice(0, 8)} lies where the partition table has to be written`, {
      code: 'table-holds-image',
      offset,
      wayOut: 'Restore to another place with --to.',
    });
  }
};

/**
 * Which companion ranges are written, by what the table will be. An EFI system partition that holds an image is not: the
 * copy knows nothing of that image, and its files would be listed no more. Writes nothing. Throws `refused`
 * (`companions.none`, `companions.no-disk`) where the person asks for what cannot be done.
 */
export const planCompanions = async (
  context: JobContext,
  image: Image,
  place: RestorePlace,
  table: TablePlan | undefined,
  asked: boolean,
): Promise<CompanionPlan> => {
  if (asked) refuseAsked(image, place, table);
  const spaces = spacesOf(image);
  if (table === undefined || place.disk === undefined || !(asked || table.action === 'rebuilt')) {
    if (spaces.length === 0 || !place.inPlace) return { writes: [], left: [] };
    const left = `What the image holds of the disk beside the partition (${namesOf(spaces)}) is left as it is there; --companions would write it.`;
    return { writes: [], left: [left] };
  }
  const writes: CompanionWrite[] = [];
  const left: string[] = [];
  for (const space of spaces) {
    const { id, start, length } = space;
    const name = companionName(id);
    const allowed = writableRanges({ id: id as CompanionId, start, length }, table.after);
    if (!isEfiSystemSpace(id)) {
      const free = [...toExtents(subtract(allowed, place.disk.held.spans), 1)];
      if (totalLength(free) < totalLength(allowed))
        left.push(`Of the ${name}, what lies where another image lies is not written.`);
      if (free.length > 0) writes.push({ space, name, allowed: free });
      continue;
    }
    const reason =
      allowed.length === 0
        ? 'the partition table has none there that is large enough'
        : await reasonAgainst(context, place, space);
    if (reason === undefined) writes.push({ space, name, allowed });
    else left.push(`The ${name} at byte ${start} is not written: ${reason}.`);
  }
  return { writes, left };
};

/** The sector that makes an EFI system partition one that can be mounted; nothing of the other ranges. */
const lastOf = ({ sectorSize }: Guard, { space }: CompanionWrite): Extent[] =>
  isEfiSystemSpace(space.id) ? [{ start: space.start, length: sectorSize }] : [];

/**
 * Where companion ranges go: first everything but the sectors by which EFI system partitions are recognised, then those. Makes
 * them unrecognisable before it returns.
 */
export const beginCompanions = (
  disk: Guard,
  writes: readonly CompanionWrite[],
): Record<'first' | 'last' | 'whole', Destination[]> => {
  for (const { start, length } of writes.flatMap((each) => lastOf(disk, each)))
    disk.write(start, new Uint8Array(length));
  disk.flush();
  const to = (extents: (each: CompanionWrite) => Iterable<Extent>): Destination[] =>
    writes.map((each) => ({ space: each.space, device: disk, allowed: new SpanSet(extents(each)) }));
  return {
    first: to((each) => toExtents(subtract(each.allowed, lastOf(disk, each)), 1)),
    last: to((each) => lastOf(disk, each)),
    whole: to((each) => each.allowed),
  };
};

/**
 * Images inside a copied EFI system partition were not copied, and are gone if the copy is written at all. Its file system lists
 * them no more afterwards. What it does not let go of is said, and harms nothing but its free space.
 */
export const releaseLostImages = (
  context: JobContext,
  disk: Guard,
  writes: readonly CompanionWrite[],
): void => {
  for (const { space } of writes.filter((each) => isEfiSystemSpace(each.space.id))) {
    const window = new Window(disk, { start: space.start, length: space.length });
    try {
      const probed = probeFileSystem(window);
      if (!('driver' in probed)) continue;
      const { driver } = probed;
      for (const { name, paths } of driver.open(window).containers()) {
        const release = (editor: Editor): void => driver.release(editor, { name, paths, time: context.now });
        applyPatch(window, driver.patch(window, release));
      }
    } catch (error) {
      if (!isHoldfastError(error) || error.kind === 'io') throw error;
      context.note(
        `The EFI system partition at byte ${space.start} lists an image that is gone: ${error.message}.`,
        'warning',
      );
    }
  }
};
