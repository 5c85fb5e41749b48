import { ioError } from '../errors.ts';
import type { ByteLength, ByteOffset } from '../units.ts';
import type { ReadableDevice } from './device.ts';

/**
 * Every device checks its own bounds before it allocates or touches anything: offsets and lengths come from disks.
 * Throws `io` (`beyond-end`) for a range that is not wholly inside, and for one that is not of whole bytes.
 */
export const checkBounds = (
  device: { readonly name: string; readonly size: ByteLength },
  offset: ByteOffset,
  length: ByteLength,
): void => {
  if (
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    // Not `offset + length`, which may round.
    length <= device.size - offset
  )
    return;
  throw ioError(`${device.name}: ${length} bytes are not all inside`, {
    code: 'beyond-end',
    ...(Number.isSafeInteger(offset) && offset >= 0 ? { offset } : {}),
    expected: `at most ${device.size} bytes in all`,
    found: `offset ${offset}, length ${length}`,
  });
};

/** What `ReadableDevice.read` does, by way of `readInto`. The bounds are checked before memory is taken. */
export const readNew = (
  device: Pick<ReadableDevice, 'name' | 'size' | 'readInto'>,
  offset: ByteOffset,
  length: ByteLength,
): Uint8Array => {
  checkBounds(device, offset, length);
  const bytes = new Uint8Array(length);
  device.readInto(offset, bytes);
  return bytes;
};

/** Logical sector sizes that disks have (and sysfs may report). */
export const isSectorSize = (bytes: number): boolean =>
  bytes === 512 || bytes === 1024 || bytes === 2048 || bytes === 4096;
