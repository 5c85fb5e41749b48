import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';

/** Volume id of the rescue medium. */
export const MEDIUM_ID = 'HOLDFAST';

/** The primary volume descriptor is in logical sector 16 of 2048 bytes (ECMA-119, 6.7.1.1 and 8.4). */
const DESCRIPTOR = 16 * 2048;
const IDENTIFIER = { offset: 1, length: 5 };
const VOLUME_ID = { offset: 40, length: 32 };

/** Whether the rescue medium is on this disk, as on a stick: its own image must not be offered as a target. */
export const carriesMedium = (device: ReadableDevice): boolean => {
  if (device.size < DESCRIPTOR + 2048) return false;
  try {
    const descriptor = Buffer.from(device.read(DESCRIPTOR, 2048));
    const text = ({ offset, length }: typeof VOLUME_ID): string =>
      descriptor.toString('latin1', offset, offset + length);
    return text(IDENTIFIER) === 'CD001' && text(VOLUME_ID).trimEnd() === MEDIUM_ID;
  } catch (error) {
    if (!isHoldfastError(error, 'io')) throw error;
    return false;
  }
};
