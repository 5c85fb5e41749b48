import type { Guard } from '../device/guard.ts';
import type { Image } from '../image/image.ts';
import type { Found } from '../locate/found.ts';
import { formatBytes } from '../units.ts';
import type { JobContext } from './context.ts';
import { giveUpAt, type RestorePlace } from './destination.ts';
import type { Move } from './make-way.ts';
import {
  beginGeneration,
  commitCopy,
  type OldGeneration,
  olderGeneration,
  oldGeneration,
  supersede,
  writeCopy,
} from './relocation.ts';
import { wipeHeaders } from './removal.ts';
import { NO_BYSTANDERS } from './siblings.ts';

/** A copy that is written and read back, but not committed. */
interface Copied {
  readonly move: Move;
  readonly old: OldGeneration;
  readonly copy: Image;
}

/** Writes all copies: the images that they are copies of count until `settleMoves`. */
export const copyImages = async (
  context: JobContext,
  { partition }: Pick<RestorePlace, 'partition'>,
  moves: readonly Move[],
): Promise<Copied[]> => {
  const copied: Copied[] = [];
  for (const move of moves) {
    const { from, plan } = move;
    const old = oldGeneration(partition, from);
    if (old === undefined) throw new RangeError('an image without a commit record is not moved');
    const generation = beginGeneration(partition, old);
    const identity = { ...plan.identity, generation };
    context.note(
      `Image ${from.id.slice(0, 8)} is moved out of the way: ${formatBytes(from.storedBytes)} are copied.`,
    );
    const copy = await writeCopy(context, partition, { ...plan, identity });
    copied.push({ move, old, copy });
  }
  return copied;
};

/**
 * Commits the copies: from here on they are the images, protected like the others, and what they are copies of may be overwritten. Nothing
 * must be recognisable on the partition, or the owner's system could overwrite them. Returns what is kept from now on.
 */
export const settleMoves = (
  context: JobContext,
  { partition }: Pick<RestorePlace, 'partition'>,
  kept: readonly Found[],
  copied: readonly Copied[],
): Found[] => {
  let now: readonly Found[] = kept;
  for (const { move, old, copy } of copied) {
    const others = now.filter(({ image }) => image !== move.from).map(({ image }) => image);
    const committed = commitCopy(partition, {
      old,
      copy,
      others,
      beside: NO_BYSTANDERS,
      now: context.now,
    });
    giveUpAt(partition, move.from, 0);
    now = now.map((each) => (each.image === move.from ? { ...each, image: committed } : each));
  }
  return [...now];
};

/** The generations before those that are kept, of which something still stands: an earlier run was cut off before their end. */
export const leftBehind = (partition: Guard, kept: readonly Found[]): Image[] =>
  kept.flatMap(({ image }) => olderGeneration(partition, image) ?? []);

/** An earlier run may have been cut off between the commit of a copy and the mark on the generation before. */
export const supersedeLeft = (partition: Guard, left: readonly Image[]): void => {
  for (const image of left.filter(({ state }) => state === 'committed')) {
    const old = oldGeneration(partition, image);
    if (old !== undefined) supersede(partition, old);
  }
};

/** Headers of superseded generations, where they still stand in clusters that are free in the restored volume. */
export const wipeMoved = async (
  context: JobContext,
  partition: Guard,
  images: readonly Image[],
): Promise<void> => {
  for (const image of images) await wipeHeaders(context, partition, image);
};
