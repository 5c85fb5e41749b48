import { MemoryDevice } from '../../rescue/device/memory.ts';
import type { Image, Image as OpenedImage } from '../../rescue/image/image.ts';
import { openImage } from '../../rescue/image/reader.ts';
import { ImageView } from '../../rescue/image/view.ts';
import type { Extent, Run } from '../../rescue/units.ts';
import { type Captured, CLUSTER, captureInto } from '../locate/captured.ts';

export const PARTITION_SIZE = 512 * 1024;
const USED: readonly Run[] = [
  { start: 0, length: 10 },
  { start: 20, length: 3 },
];

export interface Small {
  readonly device: MemoryDevice;
  readonly captured: Captured;
  /** Of the used clusters, as captured. */
  readonly content: Buffer;
}

/** A partition of 512 KiB with a committed image in slots of 4 KiB, some of its frames not compressible. */
export const smallContainer = (): Small => {
  const device = new MemoryDevice(PARTITION_SIZE);
  let state = 12345;
  for (const { start, length } of USED) {
    for (let cluster = start; cluster < start + length; cluster += 1) {
      if (cluster % 4 === 3) continue; // stays zero
      const bytes = Buffer.alloc(CLUSTER, cluster + 1);
      // Every third cluster begins with noise, so that frames are not all tiny.
      if (cluster % 3 === 0) {
        for (let at = 0; at < 600; at += 1) {
          state = (state * 1103515245 + 12345) % 2 ** 31;
          bytes[at] = state >>> 16;
        }
      }
      device.write(cluster * CLUSTER, bytes);
    }
  }
  const placement: Extent[] = [
    { start: PARTITION_SIZE - CLUSTER, length: CLUSTER },
    { start: PARTITION_SIZE - 8 * CLUSTER, length: 6 * CLUSTER },
    { start: PARTITION_SIZE - 40 * CLUSTER, length: 30 * CLUSTER },
  ];
  const captured = captureInto(device, USED, placement, { slotSize: 4096 }, 5000);
  return { device, captured, content: contentOf(openAt(device, captured.homes.homeOf(0))) };
};

export const openAt = (device: MemoryDevice, anchorHome: number): OpenedImage =>
  openImage({ device, anchorHome });

/** All that an image says: which clusters were in use, and their content. */
export const contentOf = (image: Image): Buffer => {
  const view = new ImageView(image);
  const runs = [...image.inUse()];
  return Buffer.concat([
    Buffer.from(JSON.stringify(runs)),
    ...runs.map(({ start, length }) => view.read(start * CLUSTER, length * CLUSTER)),
  ]);
};
