import { existsSync } from 'node:fs';
import { openFile } from '../device/file.ts';
import { JoinedDevice } from '../device/joined.ts';
import { corrupt, type HoldfastError, isHoldfastError, notFound, refused, usage } from '../errors.ts';
import { CONTAINER_EXTENSION } from '../fs/filesystem.ts';
import type { Image } from '../image/image.ts';
import { MIN_SLOT_SIZE } from '../image/layout.ts';
import { openImage } from '../image/reader.ts';
import { hasSlotMagic } from '../image/slot.ts';
import type { Found } from '../locate/found.ts';
import { type Located, type LocateOptions, locate } from '../locate/locate.ts';
import type { LocateProgress } from '../locate/rungs.ts';
import { describePartition } from '../partition/model.ts';
import type { Extent } from '../units.ts';
import { readAid } from './aid.ts';
import type { JobContext } from './context.ts';
import { readAheadOn } from './scan-ahead.ts';
import type { Subject } from './subject.ts';

/** Where on TARGET a request wants to look: one partition of its table, or everywhere. */
export const rangeOf = (subject: Subject, number: number | undefined): Extent | undefined => {
  if (number === undefined) return undefined;
  const entry = subject.table?.partitions.find((each) => each.number === number);
  if (entry !== undefined) return { start: entry.start, length: entry.size };
  throw usage(`there is no partition ${number} on ${subject.target.path}`, {
    code: 'partition.missing',
    expected: subject.table?.partitions.map(describePartition).join('; ') || 'no partition table',
  });
};

/** Climbs the ladder with progress; can be cancelled between any two reads. */
export const locateOn = async (
  context: JobContext,
  subject: Subject,
  options: {
    readonly depth: 'quick' | 'full';
    readonly partition: number | undefined;
    /** SEL: an image that is meant by id or name is looked for until it is met. */
    readonly image?: string;
    /** Path of a recovery aid. */
    readonly aid?: string | undefined;
  },
): Promise<Located> => {
  const within = rangeOf(subject, options.partition);
  const { image } = options;
  const aid = options.aid === undefined ? undefined : readAid(context, options.aid, subject.target.identity);
  return climb(context, subject, {
    depth: options.depth,
    // Of several partitions, the one that is meant cannot be told by whichever image is met first.
    exhaustive: within === undefined,
    wanted: image === undefined || isRule(image) ? undefined : (found) => isNamed(found, image),
    ...(within === undefined ? {} : { within }),
    ...(aid === undefined ? {} : { aid }),
  });
};

/** What images lie in a range that is to be overwritten: the file system is asked and the range sampled, no more. */
export const locateIn = (context: JobContext, subject: Subject, within: Extent): Promise<Located> =>
  climb(context, subject, { depth: 'quick', exhaustive: true, within, deepen: false, reassemble: false });

/** What images lie in a range, every byte of it looked at. */
export const locateAllIn = (context: JobContext, subject: Subject, within: Extent): Promise<Located> =>
  climb(context, subject, { depth: 'full', exhaustive: true, within });

const climb = async (
  context: JobContext,
  subject: Subject,
  options: Omit<LocateOptions, 'device' | 'diskOffset' | 'table' | 'rotational' | 'readAhead'>,
): Promise<Located> => {
  const { device, diskOffset, table } = subject;
  const { rotational } = subject.target.identity;
  const readAhead = readAheadOn(device, options.within?.length ?? device.size, rotational);
  try {
    return await watch(context, locate({ device, diskOffset, table, rotational, readAhead, ...options }));
  } finally {
    await readAhead?.close();
  }
};

const watch = async (context: JobContext, ladder: Generator<LocateProgress, Located>): Promise<Located> => {
  let last = 0;
  for (;;) {
    const step = ladder.next();
    if (step.done) return step.value;
    const { note, looked } = step.value;
    if (note !== undefined) context.note(note);
    if (looked !== undefined) {
      context.touch('read', looked.at);
      for (const start of looked.slots) context.touch('slot', { start, length: MIN_SLOT_SIZE });
    }
    // A pause per request would cost more than the request.
    if (performance.now() - last > 50) {
      context.progress('scan', step.value.covered, step.value.total);
      await context.checkpoint();
      last = performance.now();
    }
  }
};

const RULES = ['latest', 'factory'] as const;
const isRule = (selector: string): selector is (typeof RULES)[number] =>
  RULES.some((rule) => rule === selector);

const hasId = (image: Pick<Image, 'id'>, selector: string): boolean => {
  const wanted = selector.toLowerCase();
  return /^[0-9a-f]{4,32}$/.test(wanted) && image.id.startsWith(wanted);
};

/** Whether an image is meant by its id, the beginning of it, or its name. */
export const isNamed = ({ image }: Pick<Found, 'image'>, selector: string): boolean =>
  hasId(image, selector) || image.control.name === selector;

/** Whether SEL can mean an image that is alone. */
export const isMeant = (image: Image, selector: string): boolean =>
  isRule(selector) ? selector === 'latest' || image.control.kind === 'factory' : isNamed({ image }, selector);

const describe = ({ image, state, start }: Found): string =>
  `${image.id.slice(0, 8)} (${image.control.kind} image "${image.control.name}", ${state}, at byte ${start + (image.extents[0]?.start ?? 0)} in the partition that begins at byte ${start})`;

const places = (found: readonly Found[]): number => new Set(found.map((each) => each.start)).size;

const ambiguous = (what: string, found: readonly Found[]) =>
  refused(`several images could be meant by ${what}`, {
    code: 'ambiguous',
    found: found.map(describe).join('; '),
    wayOut: 'Name one by its id with --image ID, or one partition with --partition N.',
  });

export interface SelectOptions {
  /** A container whose clusters were moved is as good as one at home: it is only looked at, or put right. */
  readonly displaced?: boolean;
}

const isDisplaced = ({ image, state }: Found): boolean => image.displaced === true && state === 'moved';

/**
 * The image that SEL means. `latest` and `factory` look at committed images at home only, in one partition; an id or a name
 * may choose any that is listed, but one that is foreign or was removed. Throws `not-found`, `refused` (`ambiguous`, `unusable`),
 * `corrupt` (`image.damaged`) when there are only damaged ones,
 * `unsupported` when there are only images of a newer version.
 */
export const selectImage = (
  { images, newer, unusable }: Pick<Located, 'images' | 'newer' | 'unusable'>,
  selector: string,
  options: SelectOptions = {},
): Found => {
  try {
    return select(images, selector, newer, options);
  } catch (error) {
    const isAbsent = isHoldfastError(error, 'not-found') && error.detail.code === 'no-image';
    if (!isAbsent || unusable.length === 0) throw error;
    // What was moved or copied is whole as a file, whatever lies where its slots say.
    throw notFound('no image was found that can be used', {
      code: error.detail.code,
      found: unusable.map(({ path, reason }) => `${path}: ${reason}`).join('; '),
      wayOut:
        'Copy the file to another disk, then restore from the copy with --from; with --to if it does not fit here any more.',
    });
  }
};

const select = (
  images: readonly Found[],
  selector: string,
  newer: HoldfastError | undefined,
  options: SelectOptions,
): Found => {
  if (images.length === 0) {
    if (newer !== undefined) throw newer;
    throw notFound('no image was found', {
      code: 'no-image',
      wayOut:
        'Every byte of it was looked at. An image lies inside its own partition: try another partition or disk.',
    });
  }
  if (isRule(selector)) return selectByRule(images, selector, options);
  const byId = images.filter((each) => hasId(each.image, selector));
  const matching = byId.length > 0 ? byId : images.filter((each) => each.image.control.name === selector);
  const [only, ...more] = mostFit(matching);
  if (only === undefined) {
    throw notFound(`no image is called "${selector}"`, {
      code: 'no-such-image',
      found: images.map(describe).join('; '),
    });
  }
  if (more.length > 0) throw ambiguous(`"${selector}"`, [only, ...more]);
  // What no file system lists any more may still be whole: a volume that was made anew knows nothing of it.
  if (only.state === 'foreign' || only.image.state === 'removed') {
    throw refused(`image ${describe(only)} cannot be used: ${only.reason ?? only.state}`, {
      code: 'unusable',
      wayOut:
        only.state === 'foreign'
          ? 'It belongs to the file or the volume that it lies in: work on that.'
          : 'Choose another one.',
    });
  }
  return only;
};

/** What states are worth of two images with one id: what is at home is the image, what is left over elsewhere is not. */
const WORTH: Record<Found['state'], number> = {
  committed: 0,
  moved: 1,
  damaged: 2,
  prepared: 3,
  stale: 4,
  foreign: 5,
};

/** Of those with one and the same id, the ones that are worth most; others are others. */
const mostFit = (matching: readonly Found[]): Found[] =>
  matching.filter(
    (each) =>
      !matching.some((other) => other.image.id === each.image.id && WORTH[other.state] < WORTH[each.state]),
  );

const selectByRule = (
  images: readonly Found[],
  selector: 'latest' | 'factory',
  options: SelectOptions,
): Found => {
  const committed = images.filter(
    (each) => each.state === 'committed' || (options.displaced === true && isDisplaced(each)),
  );
  const damaged = images.find((each) => each.state === 'damaged');
  const users = committed.filter((each) => each.image.control.kind === 'user');
  const factories = committed.filter((each) => each.image.control.kind === 'factory');
  const candidates = selector === 'latest' && users.length > 0 ? users : factories;
  if (candidates.length === 0) {
    const mend = images.some(isDisplaced) ? 'Put right what was moved with verify --repair. ' : '';
    const wayOut = `${mend}Choose one with --image ID: ${images.map(describe).join('; ')}.`;
    if (damaged !== undefined && (selector === 'latest' || damaged.image.control.kind === selector)) {
      throw corrupt(`the image is damaged: ${damaged.reason ?? 'the reason is not known'}`, {
        code: 'image.damaged',
        structure: `image ${damaged.image.id.slice(0, 8)}`,
        wayOut,
      });
    }
    throw notFound(`no committed ${selector === 'factory' ? 'factory ' : ''}image was found`, {
      code: 'no-image',
      wayOut,
    });
  }
  if (places(committed) > 1) throw ambiguous(`"${selector}"`, committed);
  const sequence = (each: Found): number => each.image.commit?.sequence ?? each.image.control.sequence;
  const newest = Math.max(...candidates.map(sequence));
  const [best, ...more] = candidates.filter((each) => sequence(each) === newest);
  if (more.length > 0) throw ambiguous(`"${selector}"`, candidates);
  const twins = committed.filter(({ image }) => image.id === best!.image.id);
  if (twins.length > 1) throw ambiguous(`"${selector}"`, twins);
  return best!;
};

/** Whether a path names a container file rather than a disk: it begins with a slot. */
export const isContainerFile = (subject: Subject): boolean =>
  subject.target.kind === 'file' && subject.device.size >= 4096 && hasSlotMagic(subject.device.read(0, 16));

/** Throws `usage` (`target.image`): a container file has no partition in it that could be changed. */
export const refuseContainerFile = (subject: Subject): void => {
  if (!isContainerFile(subject)) return;
  throw usage(`${subject.target.path} is an image file, not a disk or a partition`, {
    code: 'target.image',
    wayOut:
      'Name the partition. An image file can be looked at with info and verify, or restored with --from.',
  });
};

/** Opens NAME.hfi with its following parts NAME.001, ... Throws `corrupt`, `usage`, `io`. */
export const openContainerFile = (path: string): { readonly image: Image; close(): void } => {
  const first = openFile(path);
  const parts = [first];
  const stem = path.endsWith(CONTAINER_EXTENSION) ? path.slice(0, -CONTAINER_EXTENSION.length) : undefined;
  const close = (): void => {
    for (const part of parts) part.close();
  };
  try {
    if (stem !== undefined) {
      for (let number = 1; number < 1000; number += 1) {
        const next = `${stem}.${String(number).padStart(3, '0')}`;
        if (!existsSync(next)) break;
        parts.push(openFile(next));
      }
    }
    if (first.size < 4096 || !hasSlotMagic(first.read(0, 16))) {
      throw usage(`${path} is not an image file`, {
        code: 'image.no-slot',
        wayOut: 'Name a container file (.hfi) that was copied whole.',
      });
    }
    const device = new JoinedDevice([first, ...parts.slice(1)]);
    return { image: openImage({ device, anchorHome: 0, asFile: true }), close };
  } catch (error) {
    close();
    throw error;
  }
};
