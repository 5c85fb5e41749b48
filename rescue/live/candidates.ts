import type { KernelTarget } from '../cli/kernel-cmdline.ts';
import { notFound, refused } from '../errors.ts';
import type { Content, DiskFacts, PartitionFacts } from '../job/disks.ts';
import type { ImageSummary } from '../job/results.ts';
import { formatBytes } from '../units.ts';

/** What may be done without a person: only what can be meant in one way. Pure rules over what was found. */

export interface FoundImage {
  readonly disk: DiskFacts;
  readonly image: ImageSummary;
}

/** A disk as a person tells it from others. */
export const describeDisk = ({ path, model, serial, size }: DiskFacts): string =>
  [path, model, serial === '' ? '' : `serial ${serial}`, formatBytes(size)]
    .filter((part) => part !== '')
    .join(', ');

export const describeFound = ({ disk, image }: FoundImage): string =>
  `${image.kind} image ${image.id.slice(0, 8)} "${image.name}" of ${image.created} (${image.filesystem}, ${formatBytes(image.partition.size)} at byte ${image.partition.offset} of ${describeDisk(disk)})`;

/** Why this disk is never worked on without a person, or undefined. */
export const unfitDisk = (disk: DiskFacts): string | undefined => {
  if (disk.medium) return 'the rescue medium is on it';
  if (disk.trouble !== undefined) return disk.trouble;
  if (disk.readOnly) return 'it is read-only';
  return undefined;
};

/** `path` is the node itself, links followed. A partition's node stands for its disk and itself. */
const diskOfPath = (disks: readonly DiskFacts[], path: string): DiskFacts | undefined =>
  disks.find((disk) => disk.path === path || disk.partitions.some((each) => each.path === path));

/**
 * The disks to look at for `target`. Throws `refused` (`no-such-target`, `unfit-target`) when a disk that was named is not
 * there or must not be used.
 */
export const disksFor = (disks: readonly DiskFacts[], target: KernelTarget): DiskFacts[] => {
  if (target.by !== 'path' && target.by !== 'serial')
    return disks.filter((disk) => unfitDisk(disk) === undefined);
  const named =
    target.by === 'path'
      ? [diskOfPath(disks, target.value)].filter((disk) => disk !== undefined)
      : disks.filter(({ serial }) => serial === target.value);
  const [only, ...more] = named;
  if (only === undefined) {
    throw refused(`there is no disk ${target.value}`, {
      code: 'no-such-target',
      found: disks.map(describeDisk).join('; ') || 'no disk at all',
      wayOut: 'Correct holdfast.target, or plug the disk in.',
    });
  }
  if (more.length > 0) {
    throw refused(`several disks have the serial number ${target.value}`, {
      code: 'ambiguous',
      found: named.map(describeDisk).join('; '),
      wayOut: 'Name one by its path.',
    });
  }
  const unfit = unfitDisk(only);
  if (unfit !== undefined)
    throw refused(`${only.path} cannot be used: ${unfit}`, {
      code: 'unfit-target',
      wayOut: 'Name another disk.',
    });
  return [only];
};

/** Whether an image belongs to the partition that was asked for. */
export const isMeant = ({ disk, image }: FoundImage, target: KernelTarget): boolean => {
  switch (target.by) {
    case 'auto':
    case 'serial':
      return true;
    case 'path': {
      const partition = disk.partitions.find((each) => each.path === target.value);
      return partition === undefined || partition.offset === image.partition.offset;
    }
    case 'partuuid':
      return image.partition.partuuid?.toLowerCase() === target.value.toLowerCase();
    case 'uuid':
      return image.uuid.toLowerCase() === target.value.toLowerCase();
    case 'label':
      return image.label === target.value;
  }
};

const isSelected = (image: ImageSummary, selector: string): boolean => {
  if (selector === 'latest') return true;
  if (selector === 'factory') return image.kind === 'factory';
  const word = selector.toLowerCase();
  return (/^[0-9a-f]{4,32}$/.test(word) && image.id.startsWith(word)) || image.name === selector;
};

/** Latest: the highest sequence number among user images, else among factory images. */
const newestOf = (candidates: readonly FoundImage[]): FoundImage[] => {
  const users = candidates.filter(({ image }) => image.kind === 'user');
  const pool = users.length > 0 ? users : candidates;
  const newest = Math.max(...pool.map(({ image }) => image.sequence));
  return pool.filter(({ image }) => image.sequence === newest);
};

const listed = (found: readonly FoundImage[]): string =>
  found
    .map(
      (each) =>
        `${describeFound(each)}${each.image.state === 'committed' ? '' : `, ${each.image.state}: ${each.image.reason ?? 'no reason known'}`}`,
    )
    .join('; ');

/**
 * The one image that `target` and `selector` can mean. Throws `not-found` (`no-image`), or `refused`: `not-at-home` when all
 * that fit are moved, damaged or the like, `ambiguous` when several partitions or images could be meant.
 */
export const chooseImage = (
  found: readonly FoundImage[],
  target: KernelTarget,
  selector: string,
): FoundImage => {
  const meant = found.filter((each) => isMeant(each, target) && isSelected(each.image, selector));
  const fit = meant.filter(({ image }) => image.state === 'committed');
  if (meant.length === 0) {
    throw notFound('no image was found that could be meant', {
      code: 'no-image',
      ...(found.length === 0 ? {} : { found: listed(found) }),
      wayOut: 'The screen of the rescue medium looks further.',
    });
  }
  if (fit.length === 0) {
    throw refused('no image that was found may be used without a person', {
      code: 'not-at-home',
      found: listed(meant),
      wayOut: 'Choose it on the screen of the rescue medium.',
    });
  }
  const places = new Set(fit.map(({ disk, image }) => `${disk.path} ${image.partition.offset}`));
  const best = newestOf(fit);
  if (places.size > 1 || best.length > 1) {
    throw refused('several images could be meant', {
      code: 'ambiguous',
      found: listed(places.size > 1 ? fit : best),
      wayOut: 'Say which with holdfast.target and holdfast.image.',
    });
  }
  const twins = fit.filter(({ image }) => image.id === best[0]!.image.id);
  if (twins.length > 1) {
    throw refused('two images have the same id', {
      code: 'ambiguous',
      found: listed(twins),
      wayOut: 'Choose one on the screen of the rescue medium.',
    });
  }
  return best[0]!;
};

/**
 * A valid partition table that has no such partition disagrees with the image: then nothing is done unless the target was
 * named. Throws `refused` (`table-disagrees`).
 */
export const refuseDisagreement = ({ disk, image }: FoundImage, target: KernelTarget): void => {
  if (target.by !== 'auto' || !disk.table.valid || disk.table.scheme === 'none') return;
  const { offset, size } = image.partition;
  if (disk.partitions.some((each) => each.offset === offset && each.size === size)) return;
  throw refused(`${disk.path} has a valid partition table without the partition of the image`, {
    code: 'table-disagrees',
    expected: `a partition of ${size} bytes at byte ${offset}`,
    found:
      disk.partitions.map((each) => `${each.size} bytes at byte ${each.offset}`).join('; ') || 'no partition',
    wayOut: 'Name the disk with holdfast.target, or restore on the screen of the rescue medium.',
  });
};

/** A partition that an image can be made of. */
export interface Source {
  readonly disk: DiskFacts;
  /** Undefined for a disk without a table. */
  readonly partition: PartitionFacts | undefined;
}

const contentOf = ({ disk, partition }: Source): Content | null => partition?.content ?? disk.content;

const isSource = (source: Source): boolean => {
  const content = contentOf(source);
  return content !== null && content.filesystem !== null;
};

const isMeantSource = (source: Source, target: KernelTarget): boolean => {
  const { disk, partition } = source;
  switch (target.by) {
    case 'auto':
    case 'serial':
      return true;
    case 'path':
      return target.value === disk.path || target.value === partition?.path;
    case 'partuuid':
      return partition?.partuuid.toLowerCase() === target.value.toLowerCase();
    case 'uuid':
      return contentOf(source)?.uuid.toLowerCase() === target.value.toLowerCase();
    case 'label':
      return contentOf(source)?.label === target.value;
  }
};

/** The one partition that `holdfast.action=create` can mean. Throws `refused` (`no-source`, `ambiguous`). */
export const chooseSource = (disks: readonly DiskFacts[], target: KernelTarget): Source => {
  const all = disksFor(disks, target).flatMap((disk): Source[] => [
    ...disk.partitions.map((partition) => ({ disk, partition })),
    ...(disk.content === null ? [] : [{ disk, partition: undefined }]),
  ]);
  const fit = all.filter((each) => isSource(each) && isMeantSource(each, target));
  const systems = fit.filter(({ partition }) => partition?.efiSystem !== true);
  // An EFI system partition is meant where it is named, or where there is nothing else.
  const named = systems.length > 0 ? systems : fit;
  const [only, ...more] = named;
  const names = named.map(({ disk, partition }) => partition?.path ?? disk.path).join(', ');
  if (only === undefined) {
    throw refused('no partition was found that an image can be made of', {
      code: 'no-source',
      wayOut: 'Name one with holdfast.target.',
    });
  }
  if (more.length > 0) {
    throw refused('an image could be made of several partitions', {
      code: 'ambiguous',
      found: names,
      wayOut: 'Name one with holdfast.target.',
    });
  }
  return only;
};
