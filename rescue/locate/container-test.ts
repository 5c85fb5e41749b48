import { totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import type { ContainerTest } from '../fs/filesystem.ts';
import { MAX_SLOT_SIZE, SLOT_HEADER, SLOT_HEADER_SIZE } from '../image/layout.ts';
import { hasSlotMagic, parseSlotHeader } from '../image/slot.ts';
import type { ByteOffset, Extent } from '../units.ts';

/** Places in a file that are looked at: its first and last slot, and some in between, for one that is damaged. */
const PLACES = 9;
const SECTOR = 512;

/** Whether a slot header stands at `at`: magic and checksum. One of a newer version counts. */
const isHeader = (bytes: Uint8Array, at: number): boolean => {
  if (!hasSlotMagic(bytes, at)) return false;
  try {
    parseSlotHeader(bytes, at, at);
    return true;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return !['slot.magic', 'slot.header-crc', 'slot.cut-short'].includes(error.detail.code);
  }
};

/** Positions of slot headers among the bytes of `extent`. What cannot be read holds none. */
const headersIn = (
  device: ReadableDevice,
  { start, length }: Extent,
): { readonly position: ByteOffset; readonly slotSize: number }[] => {
  try {
    const bytes = device.read(start, length);
    const found = [];
    for (let at = 0; at + SLOT_HEADER_SIZE <= length; at += SECTOR) {
      if (isHeader(bytes, at))
        found.push({ position: start + at, slotSize: 2 ** SLOT_HEADER.get(bytes, 'slot_size_log2', at) });
    }
    return found;
  } catch (error) {
    if (!isHoldfastError(error, 'io')) throw error;
    return [];
  }
};

/** The piece of a file in which the slot at `position` of it begins: slots are counted from the start of an extent. */
const pieceAt = (extents: readonly Extent[], position: number): Extent => {
  let from = 0;
  for (const { start, length } of extents) {
    if (position < from + length) {
      const at = position - from - ((position - from) % MAX_SLOT_SIZE);
      return { start: start + at, length: Math.min(MAX_SLOT_SIZE, length - at) };
    }
    from += length;
  }
  throw new RangeError(`no byte ${position} in the file`);
};

/** Whether the last slot of a file goes on behind its end. */
const goesOn = (device: ReadableDevice, extents: readonly Extent[]): boolean => {
  const { start, length } = extents.at(-1)!;
  const end = start + length;
  const tail = Math.min(length, MAX_SLOT_SIZE);
  const last = headersIn(device, { start: end - tail, length: tail }).at(-1);
  return last !== undefined && last.position + last.slotSize > end;
};

/**
 * Tells a container's files from others that are only called so: somewhere in them stands a valid slot header. A last file
 * that is too short for one goes on with the slot that the file before it ends in.
 */
export const containerTest =
  (device: ReadableDevice): ContainerTest =>
  (extents, before) => {
    const size = totalLength(extents);
    if (size === 0) return false;
    for (let place = 0; place < PLACES; place += 1) {
      const position = Math.floor((place * (size - 1)) / (PLACES - 1));
      if (headersIn(device, pieceAt(extents, position)).length > 0) return true;
    }
    return before !== undefined && size < MAX_SLOT_SIZE && goesOn(device, before);
  };
