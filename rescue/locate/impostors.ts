import { normalise, SpanSet } from '../bytes/runs.ts';
import type { LiveTable } from '../partition/table.ts';
import type { ByteOffset } from '../units.ts';
import { type Found, type Surroundings, standsAt } from './found.ts';

/**
 * What only the sight of all that was found tells: images inside the partition of another one, over another one, and images that are there twice.
 * Each keeps its entry, with the state that it deserves and the reason.
 */

interface Range {
  readonly start: ByteOffset;
  readonly size: number;
}

/**
 * Whether an image's partition would begin in the midst of another range. Where a superblock confirms it, all of it must lie there: a
 * partition that was moved by less than its length overlaps its old place, and reaches beyond it.
 */
const isInside = ({ start, image, confirmedBy }: Found, around: Range): boolean => {
  const end = confirmedBy === undefined ? start : start + image.identity.partitionSize;
  return start > around.start && start < around.start + around.size && end <= around.start + around.size;
};

/** Whether an image may turn out to be foreign: nothing but its own superblock says that a partition starts there. */
const isDoubtful = ({ state, image, confirmedBy }: Found): boolean =>
  image.displaced !== true &&
  (state === 'moved' || confirmedBy === 'superblock' || (state === 'damaged' && confirmedBy === undefined));

/** What an image with a start of its own lies in, if it does: for people. */
const enclosing = (each: Found, all: readonly Found[], around: Surroundings): string | undefined => {
  const { image } = each;
  const other = all.find(
    (one) =>
      one.state === 'committed' &&
      one.confirmedBy !== undefined &&
      isInside(each, { start: one.start, size: one.image.identity.partitionSize }),
  );
  if (other?.image.id === image.id) return 'its own partition, as a copy';
  if (other !== undefined) return `the partition of image ${other.image.id.slice(0, 8)}`;
  const { table, fileSystems } = around;
  const entry =
    table?.valid === true && table.scheme !== 'none'
      ? table.partitions.find((one) => isInside(each, one))
      : undefined;
  if (entry !== undefined) return `partition ${entry.number}`;
  for (const [at, { size }] of fileSystems) {
    if (isInside(each, { start: at, size })) return `the file system that begins at byte ${at}`;
  }
  return undefined;
};

/**
 * An image at a start of its own inside a partition of a valid table, a file system, or the partition of another image: a virtual
 * machine's disk file, a copied container, a volume of LVM.
 */
const markForeign = (all: readonly Found[], around: Surroundings): Found[] =>
  all.map((each) => {
    const where = isDoubtful(each) ? enclosing(each, all, around) : undefined;
    if (where === undefined) return each;
    const also = each.reason === undefined ? '' : ` (${each.reason})`;
    return { ...each, state: 'foreign', reason: `it lies inside ${where}, at a start of its own${also}` };
  });

const isWhole = ({ state }: Found): boolean => state === 'committed';

const placeOf = ({ image, start }: Found): ByteOffset => start + (image.extents[0]?.start ?? 0);

/**
 * Two whole images with one id. A valid partition table tells which of them was left behind when a partition was moved; otherwise
 * both are named, and neither is chosen without being told which.
 */
const markTwins = (all: readonly Found[], table: LiveTable | undefined): Found[] => {
  const isListed = ({ start }: Found): boolean =>
    table?.valid === true && table.partitions.some((each) => each.start === start);
  return all.map((each) => {
    if (!isWhole(each)) return each;
    const twins = all.filter((other) => other !== each && isWhole(other) && other.image.id === each.image.id);
    const moved = isListed(each) ? undefined : twins.find(isListed);
    if (moved !== undefined) {
      const reason = `the partition table has its partition at byte ${moved.start} now: it was left behind`;
      return { ...each, state: 'stale', reason };
    }
    const twin = twins.find((other) => !isListed(each) || isListed(other));
    if (twin === undefined) return each;
    return { ...each, reason: `another image with the same id lies at byte ${placeOf(twin)}` };
  });
};

/** Index of a slot that an image claims within `taken`, bytes of the device, and that does not stand there; the first of each extent is looked at. */
const absentWithin = ({ image, start }: Found, taken: SpanSet): number | undefined => {
  const { homes } = image;
  for (const [extent, { start: home, length }] of homes.extents.entries()) {
    const [over] = taken.within({ start: home + start, length });
    if (over === undefined) continue;
    const index = homes.firstSlotOf(extent) + Math.floor((over.start - start - home) / homes.slotSize);
    if (!standsAt(image, index)) return index;
  }
  return undefined;
};

/** Of two images whose extents lie over one another, only one can have its slots there: anchors may say anything. */
const markIntruders = (all: readonly Found[]): Found[] => {
  const places = all
    .filter((each) => isWhole(each) || each.state === 'damaged')
    .map(({ image, start }) => {
      const extents = image.extents.map((extent) => ({ ...extent, start: extent.start + start }));
      return { id: image.id, taken: new SpanSet(normalise(extents)) };
    });
  return all.map((each) => {
    if (!isWhole(each)) return each;
    const under = places.find(
      ({ id, taken }) => id !== each.image.id && absentWithin(each, taken) !== undefined,
    );
    if (under === undefined) return each;
    const reason = `its extents lie over those of image ${under.id.slice(0, 8)}, where its slots are not`;
    return { ...each, state: 'damaged', reason };
  });
};

/** What single slots of a moved container imply, each piece by itself, is no image besides it. */
const withoutPieces = (all: readonly Found[]): Found[] => {
  const moved = all
    .filter(({ image }) => image.displaced === true)
    .map(({ image, start }) => ({
      id: image.id,
      held: new SpanSet(image.extents.map((each) => ({ ...each, start: each.start + start }))),
    }));
  return all.filter(
    (each) =>
      each.image.displaced === true ||
      each.confirmedBy !== undefined ||
      !moved.some(
        ({ id, held }) =>
          id === each.image.id &&
          each.image.extents.some(({ start, length }) =>
            held.intersects({ start: start + each.start, length }),
          ),
      ),
  );
};

/** Judges all that was found together. */
export const judgeTogether = (all: readonly Found[], around: Surroundings): Found[] =>
  markTwins(markIntruders(markForeign(withoutPieces(all), around)), around.table);
