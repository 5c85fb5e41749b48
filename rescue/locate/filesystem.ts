import { toExtents } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { ReadableWindow } from '../device/window.ts';
import { isHoldfastError } from '../errors.ts';
import { probeFileSystem } from '../fs/probe.ts';
import type { Image } from '../image/image.ts';
import { openFromExtents } from '../image/reader.ts';
import type { ByteOffset, Extent } from '../units.ts';
import type { FileSystemAt } from './found.ts';
import type { Content } from './hiding.ts';

/** What the file system in one partition says about containers. */
export interface Listed {
  readonly start: ByteOffset;
  readonly at: FileSystemAt | undefined;
  readonly content: Content;
  readonly images: readonly Image[];
  /** Names of containers of which neither the first nor the last slot opens. */
  readonly unreadable: readonly string[];
  /** For people: why nothing more was learnt here. */
  readonly notes: readonly string[];
}

/** The first step of the ladder: read `/.holdfast` of the file system in `region`. Damage becomes notes. */
export const listThroughFileSystem = (device: ReadableDevice, region: Extent): Listed => {
  const { start } = region;
  const notes: string[] = [];
  const nothing = (note: string, content: Content): Listed => ({
    start,
    at: undefined,
    content,
    images: [],
    unreadable: [],
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
    const fileSystem = probed.driver.open(partition);
    const { clusterSize, clusterBase } = fileSystem.geometry;
    const images: Image[] = [];
    const unreadable: string[] = [];
    const containers = fileSystem.containers().map((container) => {
      const extents = [...toExtents(container.runs, clusterSize, clusterBase)];
      const failures: string[] = [];
      const image = openFromExtents(partition, extents, failures);
      if (image !== undefined) images.push(image);
      else {
        unreadable.push(container.name);
        notes.push(...failures.map((failure) => `${container.paths[0] ?? container.name}: ${failure}`));
      }
      return extents;
    });
    return { start, at: { uuid: fileSystem.uuid, containers }, content: 'listed', images, unreadable, notes };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return nothing(error.message, 'unknown');
  }
};
