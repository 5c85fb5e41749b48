import { basename } from 'node:path';
import { totalLength } from '../bytes/runs.ts';
import type { Image } from '../image/image.ts';
import type { Found } from '../locate/found.ts';
import { isEfiSystemSpace } from '../partition/companion.ts';
import type { TablePlan } from '../partition/plan.ts';
import { formatBytes, formatSeconds } from '../units.ts';
import type { CompanionPlan } from './companions.ts';
import type { CreatePlan } from './create-plan.ts';
import type { RestorePlace } from './destination.ts';
import type { Losses } from './losses.ts';
import type { LostNames } from './lost-files.ts';
import type { Move } from './make-way.ts';
import { untouchedBytes } from './restore-plan.ts';
import type { RestoreSource } from './restore-source.ts';
import type { Intent } from './results.ts';
import { summarise } from './summary.ts';
import { countLosses } from './verify-image.ts';
import type { PartitionAccess } from './volume.ts';

/** What a create is about to do, for a person or a dry run. */
export const createIntent = (
  access: PartitionAccess,
  plan: CreatePlan,
  replaced: readonly Image[],
): Intent => {
  const { device, identity } = access;
  const { model, serial } = identity;
  return {
    action: 'create',
    deviceName: basename(device.name),
    target: {
      path: device.name,
      size: device.size,
      ...(model === undefined ? {} : { model }),
      ...(serial === undefined ? {} : { serial }),
      label: plan.fileSystem.label,
    },
    image: undefined,
    writes: [
      `An image of ${formatBytes(plan.usedBytes)} in use is written into free clusters, into ${formatBytes(totalLength(plan.placement.extents))} at most.`,
      'The file system lists it afterwards as a file in /.holdfast.',
    ],
    keeps: ['All files, and all other images.'],
    loses: replaced.map(
      (image) =>
        `The ${image.control.kind} image ${image.id.slice(0, 8)} "${image.control.name}" will be removed: the new one replaces it.`,
    ),
    table: undefined,
  };
};

const wouldBeMissed = ({ state, image }: Found): boolean =>
  state !== 'stale' && state !== 'foreign' && (image.state === 'committed' || image.state === 'damaged');

/** Whether an image of another partition lies in the one that is restored: the disk was partitioned anew in between. */
const liesUnder = (each: Found, { image, start }: Found): boolean => {
  const end = start + image.control.partition.size;
  return (
    each.start !== start &&
    wouldBeMissed(each) &&
    each.image.extents.some((own) => {
      const at = each.start + own.start;
      return at < end && at + own.length > start;
    })
  );
};

/** Files that a plan names; the result has more of them. */
const NAMED = 20;

const namesLost = (names: LostNames | undefined): string[] => {
  if (names === undefined) return [];
  const { files, fileCount, elsewhereBytes, unreadable } = names;
  const shown = [...new Set(files.map(({ path }) => path))].slice(0, NAMED);
  return [
    ...shown.map((path) => `Part of ${path}.`),
    ...(fileCount > shown.length ? [`Parts of ${fileCount - shown.length} files and folders more.`] : []),
    ...(elsewhereBytes === 0
      ? []
      : [
          `${formatBytes(elsewhereBytes)} that belong to no file that can be named${unreadable === undefined ? '' : ` (${unreadable})`}.`,
        ]),
  ];
};

/** What a restore is about to write, keep and lose. */
export const restoreIntent = (
  source: Pick<RestoreSource, 'chosen' | 'kept' | 'found' | 'reading'>,
  place: RestorePlace,
  table: TablePlan | undefined,
  companions: CompanionPlan,
  damage: {
    readonly lost: Losses;
    readonly names?: LostNames | undefined;
    readonly unlisted?: string | undefined;
  },
  moves: readonly Move[] = [],
): Intent => {
  const { chosen, kept, found } = source;
  const { image } = chosen;
  const { lost } = damage;
  const { identity } = place;
  const gone = place.inPlace
    ? found.filter((each) => each.start === chosen.start && !kept.includes(each) && wouldBeMissed(each))
    : place.destroyed;
  const overlapped = place.inPlace ? found.filter((each) => liesUnder(each, chosen)) : [];
  const name = (each: Found): string =>
    `${each.image.control.kind} image ${each.image.id.slice(0, 8)} "${each.image.control.name}"`;
  return {
    action: 'restore',
    deviceName: basename(place.path),
    target: {
      path: place.path,
      // Through the partition's own node, what is shown is the partition; otherwise the disk, which has no label.
      size: place.disk === undefined ? place.partition.size : identity.size,
      ...(identity.model === undefined ? {} : { model: identity.model }),
      ...(identity.serial === undefined ? {} : { serial: identity.serial }),
      ...(place.disk === undefined ? { label: image.control.fileSystem.label } : {}),
    },
    image: summarise(chosen),
    writes: [
      ...(source.reading === undefined || !place.inPlace ? [] : [source.reading]),
      `The partition of ${formatBytes(image.control.partition.size)} at byte ${place.start} gets back ${formatBytes(image.usedBytes)} as of ${formatSeconds(image.control.created)}.`,
      ...(table === undefined ? [] : [`Partition table: ${table.action} (${table.reason}).`]),
      ...companions.writes.map(
        (each) => `The ${each.name} at byte ${each.space.start} is written as it was then.`,
      ),
    ],
    keeps: [
      ...kept.map((each) =>
        moves.some(({ from }) => from === each.image)
          ? `${name(each)} lies where this image has data: its ${formatBytes(each.image.storedBytes)} are moved out of the way first.`
          : `${name(each)} stays where it is.`,
      ),
      ...(place.isNew
        ? []
        : [
            ...companions.left,
            `${formatBytes(untouchedBytes(image))} that were free then are left as they are, but for what lists the images.`,
          ]),
    ],
    loses: [
      ...(place.isNew ? [] : [`Everything that is on this partition now and is not in the image.`]),
      ...companions.writes
        .filter(({ space }) => !place.isNew && isEfiSystemSpace(space.id))
        .map(
          (each) =>
            `Everything that is on the ${each.name} at byte ${each.space.start} now and is not in the image.`,
        ),
      ...gone.map((each) => `${name(each)} will be destroyed.`),
      ...overlapped.map(
        (each) =>
          `${name(each)}, of another partition that overlaps this one (at byte ${each.start}), will be overwritten wherever this image has data.`,
      ),
      ...(table?.dropped ?? []).map(
        (each) => `Partition entry ${each.number ?? ''} "${each.name}": ${each.reason}.`,
      ),
      ...(lost.count === 0 ? [] : [`Of the image, ${countLosses(lost)} cannot be restored.`]),
      ...namesLost(damage.names),
      ...(damage.unlisted === undefined
        ? []
        : [
            `What the file system needs to list the images is lost (${damage.unlisted}): they stay where they are, but it takes their clusters for free, and whatever is written to it may destroy them.`,
          ]),
    ],
    table,
  };
};

/** What a removal is about to do. */
export const removeIntent = (
  target: string,
  identity: { readonly size: number; readonly model?: string; readonly serial?: string },
  found: Found,
): Intent => {
  const { image } = found;
  const { size, model, serial } = identity;
  return {
    action: 'remove',
    deviceName: basename(target),
    target: {
      path: target,
      size,
      ...(model === undefined ? {} : { model }),
      ...(serial === undefined ? {} : { serial }),
      label: image.control.fileSystem.label,
    },
    image: summarise(found),
    writes: [`${formatBytes(image.storedBytes)} become free in the file system.`],
    keeps: ['All files, and all other images.'],
    loses: [
      `The ${image.control.kind} image ${image.id.slice(0, 8)} "${image.control.name}": it cannot be brought back.`,
    ],
    table: undefined,
  };
};
