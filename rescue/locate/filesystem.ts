import { normalise, subtract, toExtents, totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { ReadableWindow } from '../device/window.ts';
import { isHoldfastError } from '../errors.ts';
import type { ContainerFile, FileSystem } from '../fs/filesystem.ts';
import { probeFileSystem } from '../fs/probe.ts';
import type { Image } from '../image/image.ts';
import { openFromExtents } from '../image/reader.ts';
import type { ByteOffset, Extent } from '../units.ts';
import { containerTest } from './container-test.ts';
import type { FileSystemAt } from './found.ts';
import type { Content } from './hiding.ts';

/** A container that the file system lists and that is no image: damaged, moved, or a copy. */
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
  /** The image, if these are its own clusters or some of them. */
  readonly image: Image | undefined;
  /** Whether an anchor opens, if only as the image of other clusters. */
  readonly opens: boolean;
  /** Why there is none. */
  readonly reason: string;
}

/**
 * Opens each container. Slots name places, so a copy opens as the image that it was copied from, and one that was moved as
 * whatever is left at the old place: only the listing of its own clusters is the image.
 */
export const openContainers = (partition: ReadableDevice, fileSystem: FileSystem): OpenedContainer[] => {
  const { clusterSize, clusterBase } = fileSystem.geometry;
  const opened = fileSystem.containers().map((container) => {
    const extents = [...toExtents(container.runs, clusterSize, clusterBase)];
    const failures: string[] = [];
    const image = openFromExtents(partition, extents, failures);
    const isOwn =
      image !== undefined && totalLength(subtract(normalise(extents), normalise(image.extents))) === 0;
    return { container, extents, image, isOwn, failures };
  });
  return opened.map(({ container, extents, image, isOwn, failures }) => {
    const opens = image !== undefined;
    if (isOwn) return { container, extents, image, opens, reason: '' };
    const isListed = opened.some((other) => other.isOwn && other.image?.id === image?.id);
    const reason =
      image === undefined
        ? `no anchor opens (${failures[0] ?? 'no slot'}); it may have been moved`
        : isListed
          ? `it is a copy of image ${image.id.slice(0, 8)}`
          : 'it was moved: its slots do not lie where they say';
    return { container, extents, image: undefined, opens, reason };
  });
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
      return nothing(`found: ${other}`, other.startsWith('empty') ? 'unknown' : 'other');
    }
    const fileSystem = probed.driver.open(partition, containerTest(partition));
    const opened = openContainers(partition, fileSystem);
    const containers = opened.map(({ extents }) => extents);
    const images = opened.flatMap(({ image }) => (image === undefined ? [] : [image]));
    const unusable = opened.flatMap(({ container, image, opens, reason }) =>
      image === undefined
        ? [{ name: container.name, path: container.paths[0] ?? container.name, start, opens, reason }]
        : [],
    );
    const notes = unusable.map(({ path, reason }) => `${path}: ${reason}`);
    return { start, at: { uuid: fileSystem.uuid, containers }, content: 'listed', images, unusable, notes };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return nothing(error.message, 'unknown');
  }
};
