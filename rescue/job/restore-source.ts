import { corrupt, notFound, refused, usage } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { DEVICE_KIND } from '../image/layout.ts';
import { formatImageId } from '../image/slot.ts';
import { type Found, markSuperseded, resolveSiblings } from '../locate/found.ts';
import type { Located } from '../locate/locate.ts';
import type { JobContext } from './context.ts';
import { openElsewhere, openInPlace, type RestorePlace } from './destination.ts';
import { containerName } from './identity.ts';
import { isContainerFile, isMeant, locateOn, openContainerFile, selectImage } from './locating.ts';
import type { RestoreRequest } from './results.ts';
import { openSubject, type Subject } from './subject.ts';

/** The image, and what else is on the target. */
export interface RestoreSource {
  readonly chosen: Found;
  /** Images that survive, the chosen one among them if it lies on the target. */
  readonly kept: readonly Found[];
  /** Images that the person gives up, where the restore writes: nothing of them must be found afterwards. */
  readonly dropped: readonly Found[];
  /** Everything that was found on the target. */
  readonly found: readonly Found[];
  readonly subject: Subject;
  /** What TARGET is taken for, where that is not plain. */
  readonly reading?: string;
}

/** Finds the image and everything that must survive. What is opened here is closed by `closers`. */
export const findSource = async (
  context: JobContext,
  request: RestoreRequest,
  closers: (() => void)[],
): Promise<RestoreSource> => {
  const subject = openSubject(request.target, false);
  closers.push(() => subject.close());
  if (isContainerFile(subject)) {
    throw usage(`${request.target} is an image, not a place to restore to`, {
      code: 'target.image',
      wayOut: `Name the partition or disk, and give the image with --from ${request.target}.`,
    });
  }
  const { partition, aid } = request;
  const image = request.from === undefined ? request.image : 'latest';
  if (request.from !== undefined) {
    const file = openContainerFile(request.from);
    closers.push(() => file.close());
    const state = fitState(request.from, file.image, request);
    const { start, reading } = targetStart(subject, partition, file.image);
    const chosen: Found = {
      image: file.image,
      start,
      number: undefined,
      state,
      reason: file.image.reason,
      foundBy: 'filesystem',
    };
    const located = await locateOn(context, subject, { depth: 'quick', partition, image, aid });
    const all = await everythingAt(context, subject, located, start, request);
    const fates =
      request.to === undefined
        ? survivors(context, all, start, undefined, request)
        : { kept: [], dropped: [] };
    return { chosen, ...fates, found: all, subject, ...(reading === undefined ? {} : { reading }) };
  }
  const located = await locateOn(context, subject, { depth: 'quick', partition, image, aid });
  const chosen = selectImage(located, image);
  if (chosen.state === 'moved') {
    context.note(
      `Image ${chosen.image.id.slice(0, 8)} is not where it was made: ${chosen.reason}.`,
      'warning',
    );
  }
  if (request.to !== undefined) return { chosen, kept: [], dropped: [], found: located.images, subject };
  refuseDisplaced(chosen);
  refuseMapped(chosen);
  const found = await withSiblings(context, subject, located, chosen, request);
  const counting = asCounts(chosen, found);
  return {
    chosen: counting,
    ...survivors(context, found, counting.start, counting, request),
    found,
    subject,
  };
};

/**
 * The chosen image as a further look shows it: a newer generation of it may have been met there, and that is the image then.
 */
const asCounts = (chosen: Found, found: readonly Found[]): Found => {
  if (found.includes(chosen)) return chosen;
  const { identity, id } = chosen.image;
  const here = found.filter(({ image, start }) => image.id === id && start === chosen.start);
  return (
    here.find(
      ({ image, state }) => state === 'committed' && image.identity.generation > identity.generation,
    ) ??
    here.find(({ image }) => image.identity.generation === identity.generation) ??
    chosen
  );
};

/**
 * What the image in a container file is worth. Throws `refused` (`unusable`), `corrupt` (`image.truncated`, `image.damaged`),
 * `not-found` (`no-such-image`).
 */
const fitState = (
  path: string,
  image: Image,
  { image: selector, salvage }: Pick<RestoreRequest, 'image' | 'salvage'>,
): 'committed' | 'damaged' => {
  const short = image.id.slice(0, 8);
  if (!isMeant(image, selector)) {
    throw notFound(`the image in ${path} is not "${selector}"`, {
      code: 'no-such-image',
      found: `${image.control.kind} image ${short} "${image.control.name}"`,
      wayOut: 'Leave out --image: the file holds one image only.',
    });
  }
  if (image.state === 'removed' || image.state === 'prepared') {
    throw refused(
      `the image in ${path} cannot be used: ${image.state === 'removed' ? 'it was removed' : 'it was never completed'}`,
      {
        code: 'unusable',
        found: image.id,
        wayOut: 'Give another file with --from.',
      },
    );
  }
  const { slotCount, slotSize } = image.homes;
  const whole = slotCount * slotSize;
  if (image.device.size < whole && !salvage) {
    throw corrupt(`${path} is cut short`, {
      code: 'image.truncated',
      structure: `image ${short}`,
      expected: `${whole} bytes`,
      found: image.device.size,
      wayOut: 'What is left can be restored with --salvage.',
    });
  }
  if (image.state === 'damaged' && !salvage) {
    throw corrupt(`the image in ${path} is damaged: ${image.reason ?? 'the reason is not known'}`, {
      code: 'image.damaged',
      structure: `image ${short}`,
      wayOut: 'What is left can be restored with --salvage.',
    });
  }
  // A superseded generation is whole where it was copied to.
  return image.state === 'damaged' ? 'damaged' : 'committed';
};

/**
 * Where on TARGET a container file's partition is to go: to the partition that is meant; where TARGET has no table, TARGET is
 * the partition, unless it is larger and can be the disk that the image was made on. `reading` says which, for the plan.
 */
const targetStart = (
  subject: Subject,
  number: number | undefined,
  image: Image,
): { readonly start: number; readonly reading?: string } => {
  const { table, target } = subject;
  const { offset, size } = image.control.partition;
  const entry = table?.partitions.find((each) =>
    number === undefined ? each.start === offset : each.number === number,
  );
  if (entry !== undefined) return { start: entry.start };
  if (table === undefined) return { start: 0 };
  if (table.valid && table.scheme !== 'none') return { start: offset };
  const { size: room } = target.device;
  if (room > size && offset > 0 && offset + size <= room) {
    const reading = `${target.path} has no partition table that can be trusted: it is taken for the disk on which the partition begins at byte ${offset}.`;
    return { start: offset, reading };
  }
  return {
    start: 0,
    reading: `${target.path} has no partition table that can be trusted: it is taken for the partition itself.`,
  };
};

/** All images on the target: the sibling lists if they resolve, else a scan to full depth. */
const withSiblings = async (
  context: JobContext,
  subject: Subject,
  located: Located,
  chosen: Found,
  request: Pick<RestoreRequest, 'partition' | 'drop'>,
): Promise<readonly Found[]> => {
  const { siblings, complete } = resolveSiblings(subject.device, chosen);
  const closed = (here: Located) =>
    here.unusable.some(({ start, opens }) => !opens && start === chosen.start);
  if ((!complete || closed(located)) && located.depth !== 'full') {
    context.note('The list of other images on this disk cannot be followed: looking at every byte for them.');
    const { partition } = request;
    const full = await locateOn(context, subject, { depth: 'full', partition });
    refuseClosed(full, chosen, request);
    return full.images;
  }
  refuseClosed(located, chosen, request);
  const known = new Set(located.images.map((each) => each.image.id));
  const more = siblings
    .filter(({ image }) => !known.has(image.id))
    .flatMap(({ image, start }): Found[] =>
      image.state === 'committed' || image.state === 'damaged'
        ? [{ ...chosen, image, start, state: image.state, reason: image.reason }]
        : [],
    );
  return markSuperseded([...located.images, ...more]);
};

/** A container that the file system lists, and of which not even single slots make an image, would be overwritten. */
const refuseClosed = (
  { unusable, images }: Located,
  chosen: Found,
  { drop }: Pick<RestoreRequest, 'drop'>,
): void => {
  const known = new Set(images.map(({ image }) => containerName(image.control.kind, image.id)));
  for (const { name, start } of unusable.filter(({ opens }) => !opens)) {
    if (start !== chosen.start || known.has(name)) continue;
    const id = /-([0-9a-f]{12})$/.exec(name)?.[1];
    const dropped = drop.some((each) => id !== undefined && each !== '' && id.startsWith(each.slice(0, 12)));
    if (dropped) continue;
    throw refused(`container ${name} cannot be opened, and the restore would overwrite it`, {
      code: 'container-closed',
      wayOut:
        id === undefined
          ? 'Copy it elsewhere and delete it first.'
          : `Let it be destroyed with --drop ${id}, or restore to another place with --to.`,
    });
  }
};

const everythingAt = async (
  context: JobContext,
  subject: Subject,
  located: Located,
  start: number,
  request: Pick<RestoreRequest, 'partition' | 'drop'>,
): Promise<readonly Found[]> => {
  const first = located.images.find((each) => each.start === start && each.state === 'committed');
  return first === undefined ? located.images : withSiblings(context, subject, located, first, request);
};

/** Whether an image counts that is not the chosen one: at home or where all of its partition lies now, whole or damaged. */
const counts = ({ state, image }: Found): boolean =>
  state === 'committed' || state === 'damaged' || (state === 'moved' && image.state === 'committed');

/**
 * The image that an id names, which was here as far as anybody knows: a restore that was to destroy it, and was cut off, may
 * have overwritten it already, and must be able to go on. A mistyped beginning of an id is in no list.
 */
const wasHere = (id: string, chosen: Found | undefined): string | undefined => {
  const wanted = id.toLowerCase();
  if (/^[0-9a-f]{32}$/.test(wanted)) return wanted === chosen?.image.id ? undefined : wanted;
  const listed = (chosen?.image.commit?.siblings ?? []).map(({ imageId }) => formatImageId(imageId));
  const [only, ...more] = wanted === '' ? [] : listed.filter((each) => each.startsWith(wanted));
  return more.length === 0 ? only : undefined;
};

/**
 * Images of the same partition, and the chosen one: those that stay, and those that may be destroyed. Throws `refused`
 * (`drop-chosen`, `drop-unmatched`, `image-in-pieces`): what is to be destroyed must be named beyond doubt.
 */
const survivors = (
  context: JobContext,
  found: readonly Found[],
  start: number,
  chosen: Found | undefined,
  { drop }: Pick<RestoreRequest, 'drop'>,
): Pick<RestoreSource, 'kept' | 'dropped'> => {
  const here = found.filter((each) => each.start === start && (each === chosen || counts(each)));
  const dropped = drop.flatMap((id) => {
    const [only, ...more] = here.filter((each) => id !== '' && each.image.id.startsWith(id.toLowerCase()));
    const gone = only === undefined ? wasHere(id, chosen) : undefined;
    if (gone !== undefined) {
      context.note(`Image ${id}, which may be destroyed, is not there any more.`);
      return [gone];
    }
    if (only === undefined || more.length > 0) {
      throw refused(`--drop ${id} does not name exactly one image of this partition`, {
        code: 'drop-unmatched',
        found: here.map((each) => each.image.id).join(', '),
        wayOut: 'Give the id of the image that may be destroyed, or enough of its beginning.',
      });
    }
    if (only === chosen) {
      throw refused('the image that is to be restored cannot be dropped', { code: 'drop-chosen' });
    }
    return [only.image.id];
  });
  const kept = here.filter(({ image }) => !dropped.includes(image.id));
  kept.forEach(refuseDisplaced);
  for (const each of kept) {
    if (each === chosen || each.state !== 'damaged' || each.foundBy !== 'reassembly') continue;
    // Where its lost slots lie is not known, so nothing can be kept clear of them.
    throw refused(`image ${each.image.id.slice(0, 8)} is in pieces, and the restore could overwrite some`, {
      code: 'image-in-pieces',
      ...(each.reason === undefined ? {} : { found: each.reason }),
      wayOut: `Let it be destroyed with --drop ${each.image.id.slice(0, 8)}, or restore to another place with --to.`,
    });
  }
  // All generations: what is left over of one must not pass for the image some day.
  return { kept, dropped: found.filter((each) => each.start === start && dropped.includes(each.image.id)) };
};

/**
 * An image whose clusters were moved is found only while the file system lists it: a restore that was cut off could not be
 * repeated, and the image would be lost. Throws `refused` (`displaced`).
 */
const refuseDisplaced = ({ image, reason }: Found): void => {
  if (image.displaced !== true) return;
  const short = image.id.slice(0, 8);
  throw refused(`image ${short} does not lie where it says: ${reason ?? 'its clusters were moved'}`, {
    code: 'displaced',
    wayOut: `Put it right first with verify --repair --image ${short}, or restore to another place with --to.`,
  });
};

/** A volume that something else maps is not written through the disk below it. Throws `refused` (`mapped-volume`). */
const refuseMapped = ({ image, state, reason }: Found): void => {
  if (state !== 'moved' || image.identity.deviceKind !== DEVICE_KIND.mapped) return;
  throw refused(`image ${image.id.slice(0, 8)} belongs to a mapped volume: ${reason ?? 'it is not here'}`, {
    code: 'mapped-volume',
    wayOut: 'Name the volume itself, or restore to another place with --to.',
  });
};

/** Opens the place that is written to. */
export const openPlace = async (
  context: JobContext,
  request: RestoreRequest,
  source: RestoreSource,
): Promise<RestorePlace> => {
  const { chosen, kept, found, subject } = source;
  if (request.to !== undefined) {
    const { dryRun, from, drop } = request;
    return openElsewhere(context, request.to, chosen.image, { dryRun, subject, found, from, drop });
  }
  const options = { wholeDisk: request.companions };
  return openInPlace(request.target, chosen, kept, found.filter(counts), options);
};
