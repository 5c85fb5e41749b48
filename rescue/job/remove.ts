import type { ReadableDevice } from '../device/device.ts';
import { Guard } from '../device/guard.ts';
import { refused, usage } from '../errors.ts';
import { type Found, resolveSiblings } from '../locate/found.ts';
import type { Located } from '../locate/locate.ts';
import { JobContext, type JobOptions } from './context.ts';
import { committed } from './create-plan.ts';
import { containerName } from './identity.ts';
import { removeIntent } from './intents.ts';
import { isNamed, locateOn, refuseContainerFile, selectImage } from './locating.ts';
import { refreshLocatorRecord } from './locator-record.ts';
import { removeImage } from './removal.ts';
import type { RemoveRequest, RemoveResult } from './results.ts';
import { settle, tidy } from './settle.ts';
import { bystanders, protect, refreshSiblings } from './siblings.ts';
import { openPartition, openSubject, type Subject } from './subject.ts';
import { statsOf, summarise } from './summary.ts';
import { watchingWrites } from './unfinished.ts';
import { listContainers, openVolume, type PartitionAccess, refuseUnfit } from './volume.ts';

/** Removes one image: its clusters become free. An image that an earlier run began to remove is removed to the end. */
export const remove = async (request: RemoveRequest, options: JobOptions = {}): Promise<RemoveResult> => {
  const context = new JobContext(options);
  try {
    const found = await find(context, request);
    const number = found.number ?? request.partition;
    const partition = openPartition(request.target, { partition: number, write: !request.dryRun });
    try {
      refuseElsewhere(request.target, found, partition.offset);
      const identity = partition.subject.target.identity;
      const agreed = await request.confirm(removeIntent(request.target, identity, found));
      if (!agreed) throw refused('not confirmed: nothing was written', { code: 'unconfirmed' });
      if (!request.dryRun) await removeFrom(context, { ...partition, identity }, found);
      return {
        target: request.target,
        image: summarise(found),
        stats: statsOf(context, found.image, partition.traffic()),
        written: !request.dryRun,
      };
    } finally {
      partition.close();
    }
  } finally {
    await context.close();
  }
};

/** The image lies in the partition that was opened, and nowhere else: its homes count from that partition's start. */
const refuseElsewhere = (target: string, found: Found, offset: number): void => {
  if (found.start === offset) return;
  throw refused(`image ${found.image.id.slice(0, 8)} does not lie in a partition that ${target} lists`, {
    code: 'not-in-partition',
    expected: `a partition that begins at byte ${found.start}`,
    found: `one that begins at byte ${offset}`,
    wayOut: 'Bring the partition back first with restore; or name the partition itself.',
  });
};

/** Also finds an image that carries a tombstone: its removal was begun. */
const find = async (context: JobContext, request: RemoveRequest): Promise<Found> => {
  if (request.image === '') throw usage('remove needs --image', { code: 'image' });
  const subject = openSubject(request.target, false);
  try {
    refuseContainerFile(subject);
    const { partition, aid } = request;
    const located = await locateOn(context, subject, { depth: 'quick', partition, aid });
    const listed = listedSiblings(subject.device, located.images);
    const found =
      begunIn([...located.images, ...listed], request) ??
      (await selectNamed(context, subject, located, request));
    // What a defragmenter moved is still listed here, and goes as any other.
    if (found.image.displaced === true || !['moved', 'foreign'].includes(found.state)) return found;
    throw refused(`image ${found.image.id.slice(0, 8)} is not at home: ${found.reason}`, {
      code: 'not-at-home',
      wayOut: 'It goes with the file that it lies in: delete that file.',
    });
  } finally {
    subject.close();
  }
};

/** The image that is meant, if its removal was begun. */
const begunIn = (found: readonly Found[], { image: id }: RemoveRequest): Found | undefined =>
  found.find(({ image }) => image.state === 'removed' && id.length >= 4 && image.id.startsWith(id));

/** Where quick depth ended before the image that is meant was met, it is looked for until it is. */
const selectNamed = async (
  context: JobContext,
  subject: Subject,
  located: Located,
  request: RemoveRequest,
): Promise<Found> => {
  const { image, partition, aid } = request;
  if (located.depth === 'full' || located.images.some((each) => isNamed(each, image)))
    return selectImage(located, image);
  const further = await locateOn(context, subject, { depth: 'quick', partition, image, aid });
  return begunIn(further.images, request) ?? selectImage(further, image);
};

/** An image is in the lists of the others until all of it is removed; no file system lists it then, and no scan looks for it. */
const listedSiblings = (device: ReadableDevice, found: readonly Found[]): Found[] =>
  found
    .filter(({ state }) => state === 'committed')
    .flatMap((each) =>
      resolveSiblings(device, each).siblings.map(({ image, start }) => ({ ...each, image, start })),
    );

/** The same on a partition that is open. Throws `refused` when the volume may not be changed. */
export const removeFrom = (
  context: JobContext,
  access: PartitionAccess,
  found: Pick<Found, 'image' | 'state'>,
): Promise<void> =>
  watchingWrites(access.device, 'Run the same command again: it goes on where this one stopped.', (device) =>
    removeOn(context, { ...access, device }, found),
  );

const removeOn = async (
  context: JobContext,
  access: PartitionAccess,
  found: Pick<Found, 'image' | 'state'>,
): Promise<void> => {
  const guard = new Guard(access.device);
  await settle(context, guard, access);
  const { driver, fileSystem } = openVolume(guard);
  refuseUnfit(fileSystem);
  const listed = listContainers(guard, fileSystem);
  const images = committed(listed);
  const beside = bystanders(listed, found.image.id);
  protect(guard, [...images, ...beside.damaged]);
  // Not opened anew: of an image whose removal was begun, the anchors may be gone already.
  const { image } = found;
  tidy(guard);
  // Of a container whose file was changed, other clusters are listed than its own.
  const name = containerName(image.control.kind, image.id);
  await removeImage(context, guard, { driver, image, name });
  const left = images.filter((each) => each.id !== image.id);
  refreshSiblings(guard, left, beside);
  refreshLocatorRecord(context, guard, left, beside);
};
