import { createHash } from 'node:crypto';
import { endOf } from '../../../rescue/bytes/runs.ts';
import { Guard } from '../../../rescue/device/guard.ts';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import type { Image } from '../../../rescue/image/image.ts';
import type { JobContext } from '../../../rescue/job/context.ts';
import { readBackContainer } from '../../../rescue/job/read-back.ts';
import { protect } from '../../../rescue/job/siblings.ts';
import { verifyFrames } from '../../../rescue/job/verify-image.ts';
import { listContainers, openVolume } from '../../../rescue/job/volume.ts';
import { resolveSiblings } from '../../../rescue/locate/found.ts';
import { roundDown } from '../../../rescue/units.ts';

/** What is wrong with the images on a medium, by the program's own reading: nobody else knows them. */

/** Committed images that the file system lists. */
export const imagesOn = (device: MemoryDevice): Image[] =>
  listContainers(device, openVolume(device).fileSystem).flatMap(({ image }) =>
    image?.state === 'committed' ? [image] : [],
  );

/** Containers that were found whole, by all that makes them: most media of a sweep hold the same ones. */
const whole = new Set<string>();

const contentOf = ({ device, extents, homes, identity }: Image): string => {
  const digest = createHash('sha256');
  digest.update(JSON.stringify([extents, homes.slotSize, homes.slotCount, identity.generation]));
  for (const { start, length } of extents) digest.update(device.read(start, length));
  return digest.digest('base64');
};

/** Everything that makes an image whole: each slot, each frame. */
export const faultsOfImage = async (context: JobContext, image: Image): Promise<string[]> => {
  const content = contentOf(image);
  if (whole.has(content)) return [];
  const faults: string[] = [];
  try {
    await readBackContainer(context, image.device, image.homes, image.identity);
    await verifyFrames(context, image, image.control.spaces, ({ reason }) => faults.push(reason));
  } catch (error) {
    faults.push(String(error));
  }
  if (faults.length === 0) whole.add(content);
  return faults.map((each) => `${image.control.kind} image ${image.id}: ${each}`);
};

/** A job's guard must refuse a write of one sector into the sealed slots of any image, wherever: some places are tried, and nothing may change. */
export const faultsOfGuard = (device: MemoryDevice, images: readonly Image[]): string[] => {
  const medium = device.snapshot();
  const guard = new Guard(medium);
  protect(guard, images);
  return images.flatMap(({ id, sealed }) =>
    [sealed[0]!.start, endOf(sealed.at(-1)!) - medium.sectorSize].flatMap((place) => {
      const offset = roundDown(place, medium.sectorSize);
      try {
        guard.write(offset, new Uint8Array(medium.sectorSize).fill(0xa5));
        return [`a write into image ${id} at ${offset} was let through`];
      } catch (error) {
        if (!isHoldfastError(error, 'refused') || error.detail.code !== 'guard.sealed') throw error;
        return [...medium.differences(device)].map(
          ({ start }) => `a write into image ${id} was refused, and done at ${start}`,
        );
      }
    }),
  );
};

/** What is wrong with the images: those listed must be committed, whole, of these kinds, and know each other. */
export const faultsOfImages = async (
  context: JobContext,
  device: MemoryDevice,
  kinds: readonly string[],
): Promise<string[]> => {
  const faults: string[] = [];
  const listed = listContainers(device, openVolume(device).fileSystem);
  const found = listed.map(({ image }) => (image?.state === 'committed' ? image.control.kind : image?.state));
  if (found.sort().join() !== [...kinds].sort().join())
    faults.push(`images: ${found.join() || 'none'}, not ${kinds.join()}`);
  faults.push(...faultsOfGuard(device, imagesOn(device)));
  for (const { image } of listed) {
    if (image === undefined) continue;
    faults.push(...(await faultsOfImage(context, image)));
    const { siblings, complete } = resolveSiblings(device, { image, start: 0 });
    if (!complete || siblings.length !== kinds.length - 1)
      faults.push(`${image.control.kind} image: ${siblings.length} siblings, complete: ${complete}`);
  }
  return faults;
};

/** A sibling list that is whole must name every image: a restore protects no others. */
export const faultsOfSiblings = (device: MemoryDevice, images: readonly Image[]): string[] =>
  images.flatMap((image) => {
    const { siblings, complete } = resolveSiblings(device, { image, start: 0 });
    const known = new Set([image.id, ...siblings.map((each) => each.image.id)]);
    const missing = images.filter(({ id }) => !known.has(id));
    return complete ? missing.map(({ id }) => `${image.id} does not know of its sibling ${id}`) : [];
  });

export const sameExtents = (a: MemoryDevice, b: MemoryDevice, image: Pick<Image, 'sealed'>): boolean =>
  image.sealed.every(
    ({ start, length }) => Buffer.compare(a.read(start, length), b.read(start, length)) === 0,
  );
