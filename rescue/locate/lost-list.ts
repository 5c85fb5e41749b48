import { normalise, SpanSet, subtract, toExtents } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import type { FileEntry, FileSystem } from '../fs/filesystem.ts';
import { probeFileSystem } from '../fs/probe.ts';
import { isDamage } from '../fs/tolerance.ts';
import type { Image } from '../image/image.ts';
import { roundUp } from '../units.ts';

/** Images of one volume that are asked about: each takes a walk over all its files. Somebody may have put any number there. */
const MOST_IMAGES = 16;

/**
 * Tells a file system that has lost its list of containers from one that gave an image up. Where folders do not show damage, noise
 * and zeros in the root or in the containers' folder read as folders with other names, or none. But a file that was deleted leaves
 * free clusters, and one that was moved is still there; so clusters that are in use and belong to no file are what is left of a list
 * that was lost.
 */
export class LostList {
  readonly #asked = new Map<string, boolean>();

  /** `partition`: the volume as it is opened by a driver. Reads its allocation, and all its folders if need be. */
  covers(partition: ReadableDevice, image: Image): boolean {
    if (image.state !== 'committed' && image.state !== 'damaged') return false;
    const key = `${image.id}/${image.identity.generation}/${image.extents[0]?.start}`;
    const known = this.#asked.get(key);
    if (known !== undefined) return known;
    const covers = this.#asked.size < MOST_IMAGES && isOrphan(partition, image);
    this.#asked.set(key, covers);
    return covers;
  }
}

/** Where damage leaves it open the answer is no: then a person has to name the image. */
const isOrphan = (partition: ReadableDevice, { control, extents }: Image): boolean => {
  try {
    const probed = probeFileSystem(partition);
    if (!('driver' in probed)) return false;
    const fileSystem = probed.driver.open(partition);
    const { uuid } = control.fileSystem;
    // A volume that was made anew never had the image in its list.
    if (fileSystem.foldersShowDamage || fileSystem.uuid !== uuid) return false;
    return areInUse(fileSystem, extents) && !areInFiles(fileSystem, extents);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return false;
  }
};

const areInUse = (fileSystem: FileSystem, extents: Image['extents']): boolean => {
  const { clusterSize, clusterBase } = fileSystem.geometry;
  const inUse = toExtents(fileSystem.allocation(), clusterSize, clusterBase);
  return subtract(normalise(extents), inUse).next().done === true;
};

/**
 * Whether any file has any of the clusters, as far as files can be read. Noise in a folder reads as files too, which seem to have clusters of
 * others: they do not have as many as their sizes say.
 */
const areInFiles = (fileSystem: FileSystem, extents: Image['extents']): boolean => {
  const { clusterSize, clusterBase } = fileSystem.geometry;
  const places = new SpanSet(extents);
  const isAmong = ({ size, runs }: FileEntry): boolean => {
    let among = false;
    const whole = roundUp(size, clusterSize);
    let length = 0;
    try {
      for (const each of toExtents(runs(), clusterSize, clusterBase)) {
        among ||= places.intersects(each);
        length += each.length;
        if (length > whole) return false;
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
      return false;
    }
    return among && length === whole;
  };
  // What is damaged names nothing: it is why the list may be lost.
  for (const file of fileSystem.walk(() => {})) if (file.type === 'file' && isAmong(file)) return true;
  return false;
};
