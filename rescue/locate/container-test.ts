import { totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import type { ContainerTest } from '../fs/filesystem.ts';
import { probeFileSystem } from '../fs/probe.ts';
import { MAX_SLOT_SIZE, SLOT_HEADER, SLOT_HEADER_SIZE } from '../image/layout.ts';
import {
  fileSystemUuidBytes,
  formatImageId,
  hasSlotMagic,
  parseSlotHeader,
  type SlotHeader,
} from '../image/slot.ts';
import type { ByteOffset, Extent } from '../units.ts';

/** Places in a file that are looked at: its first and last slot, and some in between, for one that is damaged. */
const PLACES = 9;
const SECTOR = 512;

interface HeaderAt {
  readonly position: ByteOffset;
  readonly slotSize: number;
  /** Undefined where only a newer version can read it. */
  readonly header: SlotHeader | undefined;
}

/** The slot header at `at`, if its magic and its checksum are right. One of a newer version counts. */
const headerAt = (bytes: Uint8Array, at: number, position: ByteOffset): HeaderAt | undefined => {
  if (!hasSlotMagic(bytes, at)) return undefined;
  const slotSize = 2 ** SLOT_HEADER.get(bytes, 'slot_size_log2', at);
  try {
    return { position, slotSize, header: parseSlotHeader(bytes, position, at) };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    const none = ['slot.magic', 'slot.header-crc', 'slot.cut-short'].includes(error.detail.code);
    return none ? undefined : { position, slotSize, header: undefined };
  }
};

/** Slot headers among the bytes of `extent`. What cannot be read holds none. */
const headersIn = (device: ReadableDevice, { start, length }: Extent): HeaderAt[] => {
  try {
    const bytes = device.read(start, length);
    const found: HeaderAt[] = [];
    for (let at = 0; at + SLOT_HEADER_SIZE <= length; at += SECTOR) {
      const header = headerAt(bytes, at, start + at);
      if (header !== undefined) found.push(header);
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

/** UUID of the file system on `device`, as slots keep it; undefined where none can be read. */
const uuidOf = (device: ReadableDevice): Uint8Array | undefined => {
  try {
    const probed = probeFileSystem(device);
    return 'driver' in probed ? fileSystemUuidBytes(probed.driver.open(device).uuid) : undefined;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

/** Whether a file is called like the container of this image. */
const isNameOf = (name: string, imageId: Uint8Array): boolean =>
  name.endsWith(`-${formatImageId(imageId).slice(0, 12)}`);

/**
 * Tells a container's files from others in the folder: somewhere in them stands a valid slot header that belongs there. It does
 * where it is at home; or, for a container that a defragmenter has moved, in a file with the image's own name in the file system
 * that was imaged. Any other file with slots in it is a copy, the owner's file. A last file that is too short for a header goes on
 * with the slot that the file before it ends in. Without a name any header will do.
 */
export const containerTest = (device: ReadableDevice): ContainerTest => {
  let known: { readonly uuid: Uint8Array | undefined } | undefined;
  const isOfThisVolume = ({ fileSystemUuid }: SlotHeader): boolean => {
    known ??= { uuid: uuidOf(device) };
    return known.uuid !== undefined && Buffer.compare(known.uuid, fileSystemUuid) === 0;
  };
  const belongs = ({ position, header }: HeaderAt, name: string | undefined): boolean =>
    name === undefined ||
    header === undefined ||
    header.home === position ||
    (isNameOf(name, header.imageId) && isOfThisVolume(header));
  return (extents, before, name) => {
    const size = totalLength(extents);
    if (size === 0) return false;
    for (let place = 0; place < PLACES; place += 1) {
      const position = Math.floor((place * (size - 1)) / (PLACES - 1));
      const headers = headersIn(device, pieceAt(extents, position));
      if (headers.some((each) => belongs(each, name))) return true;
    }
    return before !== undefined && size < MAX_SLOT_SIZE && goesOn(device, before);
  };
};
