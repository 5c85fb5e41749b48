import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError, refused } from '../errors.ts';
import { CONTAINER_FOLDER, type FileSystem, type FileSystemDriver } from '../fs/filesystem.ts';
import { PatchBuilder } from '../fs/patch.ts';
import type { Image } from '../image/image.ts';
import { MIN_SLOT_SIZE, SLOT_HEADER_SIZE } from '../image/layout.ts';
import { openFromSlot } from '../image/reader.ts';
import { hasSlotMagic, parseSlotHeader } from '../image/slot.ts';
import type { JobContext } from './context.ts';
import { asRefusal, type ListedContainer } from './volume.ts';

/** What an owner may have done with the files of containers, which a new image must not build upon unseen. */

/**
 * Refuses where the file of a container was cut short or written to: part of its clusters are free or hold other files, so nothing
 * can be kept clear of it. Throws `refused` (`container-changed`).
 */
export const refuseChanged = (listed: readonly ListedContainer[]): void => {
  for (const { paths, image } of listed) {
    if (image?.fileChanged !== true) continue;
    const short = image.id.slice(0, 8);
    throw refused(`image ${short} is not whole any more: ${image.reason ?? 'its file was changed'}`, {
      code: 'container-changed',
      structure: paths[0] ?? 'container',
      wayOut: `Remove what is left of it with holdfast remove --image ${short}, then run this again.`,
    });
  }
};

/**
 * Releases every listed container in memory: the old image goes after the new one is committed, and a restore of the new one
 * releases them all. One that cannot be released, because its file has another name, say, must be known before the first write.
 * Throws `refused` (`release.linked`, ...), `unsupported`.
 */
export const requireReleases = (
  driver: FileSystemDriver,
  device: ReadableDevice,
  listed: readonly ListedContainer[],
  time: number,
): void => {
  const view = new PatchBuilder(device);
  try {
    for (const { name, paths } of listed) driver.release(view, { name, paths, time });
  } catch (error) {
    throw asRefusal(error, driver);
  }
};

/** A container at home whose file is not in the folder any more. */
interface Stray {
  readonly path: string;
  readonly image: Image;
}

/**
 * Containers that their owner moved out of the folder. They are ordinary files now and imaged as such; but their slots are at home,
 * so that a search without a file system finds them, and the newest image must be told from them.
 */
function* strays(
  device: ReadableDevice,
  fileSystem: FileSystem,
  listed: readonly ListedContainer[],
): Generator<Stray> {
  const { clusterSize, clusterBase } = fileSystem.geometry;
  const known = new Set(listed.flatMap(({ paths }) => paths));
  const folder = `/${CONTAINER_FOLDER}/`;
  for (const { path, type, size, runs } of fileSystem.walk()) {
    // A container is whole slots; few files are.
    if (type !== 'file' || size === 0 || size % MIN_SLOT_SIZE !== 0) continue;
    if (path.startsWith(folder) && known.has(path)) continue;
    const [first] = runs();
    if (first === undefined) continue;
    const image = openAt(device, clusterBase + first.start * clusterSize);
    if (image !== undefined) yield { path, image };
  }
}

const openAt = (device: ReadableDevice, position: number): Image | undefined => {
  try {
    const bytes = device.read(position, SLOT_HEADER_SIZE);
    if (!hasSlotMagic(bytes)) return undefined;
    const header = parseSlotHeader(bytes, position);
    return header.home === position ? openFromSlot(device, header) : undefined;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

export const sequenceOf = (image: Image): number => image.commit?.sequence ?? image.control.sequence;

/** Containers that are whole, but for their place. */
export const displacedImages = (listed: readonly ListedContainer[]): Image[] =>
  listed.flatMap(({ displaced }) => (displaced?.state === 'committed' ? [displaced] : []));

/** The highest sequence number of all images, those included that a search without a file system would meet. */
export const latestOf = (
  context: JobContext,
  device: ReadableDevice,
  fileSystem: FileSystem,
  listed: readonly ListedContainer[],
): number => {
  let latest = 0;
  for (const { image, displaced } of listed) {
    const known = image ?? displaced;
    if (known !== undefined) latest = Math.max(latest, sequenceOf(known));
  }
  try {
    for (const { path, image } of strays(device, fileSystem, listed)) {
      latest = Math.max(latest, sequenceOf(image));
      context.note(
        `${path} is image ${image.id.slice(0, 8)}, moved out of its folder: it is imaged like any other file, and neither replaced nor kept by a restore as an image.`,
        'warning',
      );
    }
  } catch (error) {
    // Folders too deep to walk, say: nothing that an image depends on.
    if (!isHoldfastError(error) || error.kind === 'io') throw error;
  }
  return latest;
};
