import type { ReadableDevice } from '../device/device.ts';
import type { Guard } from '../device/guard.ts';
import { isHoldfastError } from '../errors.ts';
import { continueAudit, readAudit } from '../image/audit.ts';
import { type Commit, type MutableHomes, nextGeneration, readCommit, writeCommit } from '../image/commit.ts';
import type { Image } from '../image/image.ts';
import { COMMIT_POSITION } from '../image/layout.ts';
import { openImage } from '../image/reader.ts';
import { type RelocationPlan, writeRelocated } from '../image/relocation.ts';
import { type ByteOffset, type Extent, roundDown } from '../units.ts';
import type { JobContext } from './context.ts';
import { standingCommitHomes } from './own-slots.ts';
import { readBackContainer } from './read-back.ts';
import {
  type Bystanders,
  type CommitHomes,
  listFor,
  protect,
  refreshSiblings,
  siblingOf,
} from './siblings.ts';
import { mutableExtents } from './volume.ts';

/**
 * A container is written anew elsewhere as the next generation of its image, in the order of FORMAT.md, "Generations": begin,
 * write, commit, supersede, and later wipe the headers that are left. Cut off anywhere, one of the two is whole and counts.
 */

/** The generation that is to be superseded. */
export interface OldGeneration {
  readonly image: Image;
  /** Where its commit record stands in the partition. */
  readonly homes: MutableHomes;
  /** Homes of its first and its last anchor. */
  readonly anchors: readonly [ByteOffset, ByteOffset];
}

/** Undefined when neither slot of its commit record is its own any more. */
export const oldGeneration = (
  guard: Guard,
  image: Image,
  commitHomes: CommitHomes = standingCommitHomes,
): OldGeneration | undefined => {
  const homes = commitHomes(guard, image);
  if (homes === undefined) return undefined;
  const anchors = [image.homes.homeOf(0), image.homes.homeOf(image.homes.slotCount - 1)] as const;
  return { image, homes, anchors };
};

const currentCommit = (guard: Guard, { image, homes }: OldGeneration): Commit | undefined =>
  readCommit(guard, homes, image.identity.imageId)?.commit;

const rewrite = (guard: Guard, old: OldGeneration, change: Partial<Commit>): void => {
  const current = currentCommit(guard, old);
  if (current === undefined) throw new RangeError('an image without a commit record is not relocated');
  // No more than the sectors of the record: where clusters were moved, the rest of the slot may lie elsewhere.
  const unit = guard.sectorSize;
  const sectors = old.homes.map(
    (home): Extent => ({ start: roundDown(home + COMMIT_POSITION, unit), length: unit }),
  );
  guard.withOpened(sectors, (opened) => {
    writeCommit(opened, old.homes, { ...current, ...change });
  });
};

/** Step 1: the number of the copy is taken, for good. Flushed when this returns. Throws `refused` (`image.counter`). */
export const beginGeneration = (guard: Guard, old: OldGeneration): number => {
  const current = currentCommit(guard, old);
  const { generation } = old.image.identity;
  const begun = nextGeneration({ generation, begunGeneration: current?.begunGeneration });
  rewrite(guard, old, { begunGeneration: begun });
  return begun;
};

/** Step 2: writes the copy and reads it back from the medium. Returns the prepared container. Throws `io`, `corrupt`. */
export const writeCopy = async (context: JobContext, guard: Guard, plan: RelocationPlan): Promise<Image> => {
  const total = plan.image.storedBytes;
  const writing = writeRelocated(guard, plan);
  let told = 0;
  for (let step = writing.next(); ; step = writing.next()) {
    if (step.done) {
      guard.flush();
      await readBackContainer(context, guard, step.value.homes, plan.identity, 'relocate');
      return openImage({ device: guard, anchorHome: step.value.homes.homeOf(0) });
    }
    if (step.value - told < 1024 * 1024 && step.value < total) continue;
    told = step.value;
    context.progress('relocate', Math.min(told, total), total);
    await context.checkpoint();
  }
};

/** What it takes to put a copy in the place of the generation before. */
export interface Succession {
  readonly old: OldGeneration;
  /** The copy, prepared. */
  readonly copy: Image;
  /** All other committed images of the partition. */
  readonly others: readonly Image[];
  readonly beside: Bystanders;
  /** Seconds since 1970, for the audit record. */
  readonly now: number;
  readonly commitHomes?: CommitHomes;
}

/**
 * Steps 3 to 5: the others and the old generation list the copy, it is committed, the old one is superseded. The copy is protected
 * from here on; the protection of the old one is the caller's to end. Returns the copy as it is now.
 */
export const commitCopy = (guard: Guard, succession: Succession): Image => {
  const { old, copy, others, beside, now, commitHomes = standingCommitHomes } = succession;
  const before = currentCommit(guard, old);
  const { generation, imageId } = copy.identity;
  protect(guard, [copy]);
  const rest = listFor(copy, others, beside);
  // Both are listed until one of them is the image: whoever meets one image learns of all.
  refreshSiblings(guard, [...others, old.image, copy], beside, commitHomes);
  rewrite(guard, old, {
    siblings: [siblingOf(copy), ...rest.siblings],
    siblingTotal: rest.siblingTotal + 1,
  });
  guard.withOpened(mutableExtents(copy), (opened) => {
    writeCommit(opened, copy.mutableHomes!, {
      generation,
      sequence: before?.sequence ?? copy.control.sequence,
      imageId,
      rootDigest: copy.rootDigest,
      time: before?.time ?? copy.control.created,
      state: 'committed',
      ...rest,
      begunGeneration: generation,
      old: old.anchors,
    });
  });
  noteRelocated(guard, old, copy, now);
  supersede(guard, old);
  const committed = openImage({ device: guard, anchorHome: copy.homes.homeOf(0) });
  refreshSiblings(guard, [...others, committed], beside, commitHomes);
  return committed;
};

/** The history goes on in the copy. */
const noteRelocated = (guard: Guard, { image, homes }: OldGeneration, copy: Image, now: number): void => {
  const history =
    homes[0] === image.mutableHomes?.[0] ? readAudit(guard, homes, image.identity.imageId) : undefined;
  guard.withOpened(mutableExtents(copy), (opened) => {
    continueAudit(opened, copy.mutableHomes!, copy.identity.imageId, history, {
      action: 'relocated',
      time: now,
      salvaged: false,
    });
  });
};

/** Step 5, in both slots: one bad sector must not bring an old generation back. Harmless to do again. */
export const supersede = (guard: Guard, old: OldGeneration): void => {
  rewrite(guard, old, { state: 'superseded' });
  rewrite(guard, old, { state: 'superseded' });
};

/** The generation that an image names as the one before, if an anchor of it still stands. */
export const olderGeneration = (partition: ReadableDevice, image: Image): Image | undefined => {
  for (const anchorHome of image.commit?.old ?? []) {
    try {
      const older = openImage({ device: partition, anchorHome });
      if (older.id === image.id && older.identity.generation < image.identity.generation) return older;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
    }
  }
  return undefined;
};
