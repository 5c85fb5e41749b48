import type { Guard } from '../device/guard.ts';
import { type MutableHomes, readCommit, type Sibling, writeCommit } from '../image/commit.ts';
import type { Image } from '../image/image.ts';
import { MAX_SIBLINGS } from '../image/layout.ts';
import { ownCommitHomes } from './own-slots.ts';
import { type ListedContainer, mutableExtents } from './volume.ts';

/** What the other images' commit records say of this one. */
export const siblingOf = (image: Image): Sibling => ({
  imageId: image.identity.imageId,
  generation: image.identity.generation,
  size: image.storedBytes,
  firstAnchorHome: image.homes.homeOf(0),
  lastAnchorHome: image.homes.homeOf(image.homes.slotCount - 1),
  partitionOffset: image.identity.partitionOffset,
  extentsDigest: image.extentsDigest,
});

/** Under what name a guard knows a generation of an image. */
export const protectionKey = ({ id, identity }: Pick<Image, 'id' | 'identity'>): string =>
  `${id}/${identity.generation}`;

/** Protects sealed slots and mutable areas of committed images against every write that does not ask for them. */
export const protect = (guard: Guard, images: readonly Image[]): void => {
  for (const image of images)
    guard.protect(protectionKey(image), { sealed: image.sealed, mutable: mutableExtents(image) });
};

/** Containers of a partition that are listed beside its committed images, and are not given up either. */
export interface Bystanders {
  /** Such as those of which both commit records are lost. */
  readonly damaged: readonly Image[];
  /** How many of them no anchor opens. They may be put together from single slots, which only full depth does. */
  readonly closed: number;
}

export const bystanders = (listed: readonly ListedContainer[], without?: string): Bystanders => ({
  damaged: listed.flatMap(({ image }) => (image?.state === 'damaged' && image.id !== without ? [image] : [])),
  closed: listed.filter(({ image }) => image === undefined).length,
});

/** No container beside the committed images. */
export const NO_BYSTANDERS: Bystanders = { damaged: [], closed: 0 };

/**
 * What the commit record of `image` says of the others: of those that no anchor opens only that there are more. Always in the
 * same order, whichever order the file system lists them in.
 */
export const listFor = (
  image: Pick<Image, 'id'>,
  images: readonly Image[],
  { damaged, closed }: Bystanders,
) => {
  const siblings = [...images, ...damaged]
    .filter((each) => each.id !== image.id)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(siblingOf);
  return { siblings, siblingTotal: siblings.length + closed };
};

/**
 * Makes every image's commit record list all the others. An image whose list is right already, or that only a newer
 * version may write, is not written. Each write is one sector into the older of two slots, so that a cut leaves the commit as it was.
 *
 * A list that names too many only costs a longer search; one that names too few lets a restore lose an image. So an image
 * is listed by the others before it is committed, and until after it is removed.
 */
export const refreshSiblings = (
  guard: Guard,
  images: readonly Image[],
  beside: Bystanders = NO_BYSTANDERS,
  commitHomes: CommitHomes = ownCommitHomes,
): void => {
  for (const image of images) {
    const others = listFor(image, images, beside);
    const { mutableHomes } = image;
    const current = mutableHomes && readCommit(guard, mutableHomes, image.identity.imageId)?.commit;
    if (current === undefined || current.state !== 'committed') continue;
    if (image.unknownRoCompat !== 0 || image.state === 'damaged') continue;
    const key = (siblings: readonly Sibling[]): string =>
      siblings
        .map((each) => `${Buffer.from(each.imageId).toString('hex')}/${each.generation}`)
        .sort()
        .join();
    const listed = others.siblings.slice(0, MAX_SIBLINGS);
    if (key(current.siblings) === key(listed) && current.siblingTotal === others.siblingTotal) continue;
    const own = commitHomes(guard, image);
    if (own === undefined) continue;
    guard.withOpened(mutableExtents(image), (opened) => {
      writeCommit(opened, own, { ...current, ...others });
    });
  }
};

/** Where the commit record of an image may be written; see `ownCommitHomes`. */
export type CommitHomes = (guard: Guard, image: Image) => MutableHomes | undefined;

/** What it takes to commit a container whose slots are written and whose clusters the file system lists. */
export interface Commitment {
  /** The container, not committed yet. */
  readonly image: Image;
  readonly sequence: number;
  /** Seconds since 1970. */
  readonly time: number;
  /** All committed images of the partition. */
  readonly others: readonly Image[];
  readonly beside: Bystanders;
}

/** Commits a container: from here on it is an image. The others know of it before, and it knows of them at once. */
export const commitImage = (guard: Guard, { image, sequence, time, others, beside }: Commitment): void => {
  const { mutableHomes, identity, rootDigest } = image;
  if (mutableHomes === undefined) throw new RangeError('a container that was just written has commit slots');
  refreshSiblings(guard, [...others, image], beside);
  guard.withOpened(mutableExtents(image), (opened) => {
    writeCommit(opened, mutableHomes, {
      generation: identity.generation,
      sequence,
      imageId: identity.imageId,
      rootDigest,
      time,
      state: 'committed',
      ...listFor(image, others, beside),
    });
  });
};
