import type { ByteOffset } from '../units.ts';
import type { Device, ReadableDevice } from './device.ts';

/**
 * Transfers that the calling thread does not wait for, so that a disk and the processors work at the same time. Devices that have
 * no such calls do them at once. The array must be left alone until the promise is settled; all errors come through it.
 */

/** As `readInto`. */
export const readSoon = async (
  device: ReadableDevice,
  offset: ByteOffset,
  target: Uint8Array,
): Promise<void> => {
  if (device.readIntoSoon === undefined) device.readInto(offset, target);
  else await device.readIntoSoon(offset, target);
};

/** As `readUncachedInto`. */
export const readUncachedSoon = async (
  device: ReadableDevice,
  offset: ByteOffset,
  target: Uint8Array,
): Promise<void> => {
  if (device.readUncachedIntoSoon === undefined) device.readUncachedInto(offset, target);
  else await device.readUncachedIntoSoon(offset, target);
};

/** As `write`. Writes that are under way at the same time reach the device in any order, and none is part of a `flush`. */
export const writeSoon = async (device: Device, offset: ByteOffset, data: Uint8Array): Promise<void> => {
  if (device.writeSoon === undefined) device.write(offset, data);
  else await device.writeSoon(offset, data);
};

/** Waits for every transfer, even if one fails: their arrays are in use until then. Throws what the first failed one said. */
export const allSettled = async (transfers: readonly Promise<void>[]): Promise<void> => {
  await Promise.allSettled(transfers);
  await Promise.all(transfers);
};
