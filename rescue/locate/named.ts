import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { SLOT_HEADER_SIZE } from '../image/layout.ts';
import { openFromSlot } from '../image/reader.ts';
import { formatImageId, parseSlotHeader } from '../image/slot.ts';
import type { ByteOffset } from '../units.ts';
import { partitionWindow } from './found.ts';

/** An image as something that was written down earlier names it: a locator record, a recovery aid. */
export interface NamedImage {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly generation: number;
  /** Bytes from the start of the partition, in the order in which to try. */
  readonly anchorHomes: readonly ByteOffset[];
  readonly extentsDigest: Uint8Array;
}

/**
 * Opens the image of a partition that starts at `start` through one of the anchors that are named. Undefined unless exactly that
 * container is there: what was written down may be out of date, or forged. Throws nothing but what is no `HoldfastError`.
 */
export const openNamed = (
  device: ReadableDevice,
  start: ByteOffset,
  { id, generation, anchorHomes, extentsDigest }: NamedImage,
): Image | undefined => {
  for (const home of anchorHomes) {
    try {
      const position = start + home;
      if (start < 0 || position + SLOT_HEADER_SIZE > device.size) continue;
      const header = parseSlotHeader(device.read(position, SLOT_HEADER_SIZE), position);
      // Before anything that the anchor leads to is read.
      const isIts = formatImageId(header.imageId) === id && header.generation === generation;
      if (!isIts || header.home !== home || header.kind !== 'anchor') continue;
      const image = openFromSlot(partitionWindow(device, start, header.partitionSize), header);
      if (image !== undefined && Buffer.compare(image.extentsDigest, extentsDigest) === 0) return image;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
    }
  }
  return undefined;
};
