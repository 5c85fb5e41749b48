import { normalise, subtract, toExtents, totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { ReadableWindow } from '../device/window.ts';
import { isHoldfastError } from '../errors.ts';
import type { ContainerFile, FileSystem } from '../fs/filesystem.ts';
import { probeFileSystem } from '../fs/probe.ts';
import { openDisplaced, placesOf } from '../image/by-index.ts';
import type { Image } from '../image/image.ts';
import { openFromExtents } from '../image/reader.ts';
import type { ByteOffset, Extent } from '../units.ts';
import { containerTest } from './container-test.ts';
import { type FileSystemAt, joinedInOrder, sameExtents } from './found.ts';
import type { Content } from './hiding.ts';
import { LostList } from './lost-list.ts';
import { hasRecord } from './record.ts';

/** A container that the file system lists and that opens as no image: damaged, or of a newer version. */
export interface UnusableContainer {
  readonly name: string;
  /** Of its first file. */
  readonly path: string;
  /** Where its partition starts. */
  readonly start: ByteOffset;
  /** Whether an image opens through it, though it is not that image. */
  readonly opens: boolean;
  readonly reason: string;
}

/** Containers as a file system lists them, with what opens through each of them. */
export interface OpenedContainer {
  readonly container: ContainerFile;
  readonly extents: readonly Extent[];
  /** The image, if these are its own clusters or what is left of them. */
  readonly image: Image | undefined;
  /** The image, if its slots lie in these clusters in order, but not where they say. */
  readonly displaced: Image | undefined;
  /** Whether an anchor opens, if only as the image of other clusters. */
  readonly opens: boolean;
  /** Why there is none. */
  readonly reason: string;
}

/**
 * What the file system lists of an image that opens at home through these clusters: the image if they are all its own, with its
 * file cut short or made longer as the damage that this is; undefined when they are others.
 */
const asListed = (image: Image, extents: readonly Extent[]): Image | undefined => {
  const own = totalLength(image.extents);
  const listed = totalLength(extents);
  const head = [...placesOf(extents, { start: 0, length: Math.min(own, listed) })];
  const whole = [...placesOf(image.extents, { start: 0, length: Math.min(own, listed) })];
  if (!sameExtents(joinedInOrder(head), joinedInOrder(whole))) {
    const isPart = totalLength(subtract(normalise(extents), normalise(image.extents))) === 0;
    if (!isPart || listed >= own) return undefined;
  }
  if (listed === own || (image.state !== 'committed' && image.state !== 'damaged')) return image;
  const reason =
    listed < own
      ? `its file was cut short: ${listed} of ${own} bytes are left, the rest may hold other files`
      : `its file was written to: it has ${listed} bytes, the image ${own}`;
  return { ...image, state: 'damaged', reason, fileChanged: true };
};

/**
 * Opens each container. Slots name places, so one that was moved opens as whatever is left at the old place: only the listing of
 * its own clusters is the image. Otherwise its slots are taken in the order in which the file has them.
 */
export const openContainers = (partition: ReadableDevice, fileSystem: FileSystem): OpenedContainer[] => {
  const { clusterSize, clusterBase } = fileSystem.geometry;
  return fileSystem.containers().map((container) => {
    const extents = [...toExtents(container.runs, clusterSize, clusterBase)];
    const failures: string[] = [];
    const opened = openFromExtents(partition, extents, failures);
    const image = opened === undefined ? undefined : asListed(opened, extents);
    const opens = opened !== undefined;
    const here = { container, extents, image };
    const whole = image !== undefined && (image.state !== 'damaged' || image.fileChanged === true);
    if (whole) return { ...here, displaced: undefined, opens, reason: '' };
    const displaced = openMoved(partition, container, extents, failures);
    if (image !== undefined) {
      // A repair that was cut off: the first anchor says already where it is to lie, the commit record does not yet.
      return displaced?.state === 'committed'
        ? { ...here, image: undefined, displaced, opens, reason: '' }
        : { ...here, displaced: undefined, opens, reason: '' };
    }
    const reason = displaced?.reason ?? `no anchor opens (${failures[0] ?? 'no slot'})`;
    return { ...here, displaced, opens: opens || displaced !== undefined, reason };
  });
};

/** The image whose slots fill a file in order, if the file has its name. */
const openMoved = (
  partition: ReadableDevice,
  { name, paths }: ContainerFile,
  extents: readonly Extent[],
  failures: string[],
): Image | undefined => {
  try {
    const image = openDisplaced(partition, extents, paths[0] ?? name);
    if (name.endsWith(`-${image.id.slice(0, 12)}`)) return image;
    failures.push(`it holds a copy of image ${image.id.slice(0, 8)}`);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    failures.push(error.message);
  }
  return undefined;
};

/** What the file system in one partition says about containers. */
export interface Listed {
  readonly start: ByteOffset;
  readonly at: FileSystemAt | undefined;
  readonly content: Content;
  readonly images: readonly Image[];
  /** Containers that hold no image of their own here, by path. */
  readonly unusable: readonly UnusableContainer[];
  /** For people: why nothing more was learnt here. */
  readonly notes: readonly string[];
}

/** The first step of the ladder: read `/.holdfast` of the file system in `region`. Damage becomes notes. */
export const listThroughFileSystem = (device: ReadableDevice, region: Extent): Listed => {
  const { start } = region;
  const nothing = (note: string, content: Content): Listed => ({
    start,
    at: undefined,
    content,
    images: [],
    unusable: [],
    notes: [note],
  });
  const partition = new ReadableWindow(device, region);
  try {
    const probed = probeFileSystem(partition);
    if (!('driver' in probed)) {
      const { other } = probed;
      if (other === 'unknown') return nothing('no file system is recognised', 'unknown');
      return nothing(other, other.startsWith('empty') ? 'unknown' : 'other');
    }
    const fileSystem = probed.driver.open(partition, containerTest(partition));
    const opened = openContainers(partition, fileSystem);
    const containers = opened.map(({ extents }) => extents);
    const images = opened.flatMap(({ image, displaced }) => image ?? displaced ?? []);
    const displaced = opened.flatMap((each) => each.displaced?.id ?? []);
    const unusable = opened.flatMap(({ container, image, displaced, opens, reason }) =>
      image === undefined && displaced === undefined
        ? [{ name: container.name, path: container.paths[0] ?? container.name, start, opens, reason }]
        : [],
    );
    const notes = unusable.map(({ path, reason }) => `${path}: ${reason}`);
    const { uuid, geometry } = fileSystem;
    const at = { uuid, size: geometry.size, containers, displaced, lostList: new LostList() };
    // Where an empty list proves little, and a record says that there are images, other places than the list are looked at.
    const isInDoubt = containers.length === 0 && !fileSystem.foldersShowDamage && hasRecord(partition);
    return { start, at, content: isInDoubt ? 'unknown' : 'listed', images, unusable, notes };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return nothing(error.message, 'unknown');
  }
};
