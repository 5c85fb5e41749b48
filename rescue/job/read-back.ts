import { isLocalFailure } from '../device/bad-sectors.ts';
import type { ReadableDevice } from '../device/device.ts';
import { type HoldfastError, ioError } from '../errors.ts';
import type { SlotHomes } from '../image/extents.ts';
import { parseSlotHeader, payloadIntact, type SlotIdentity } from '../image/slot.ts';
import { MIB } from '../units.ts';
import type { JobContext, Phase } from './context.ts';

/**
 * Calls `visit` with every slot of a container in order, read from the medium, not from the page cache. Slots that cannot be
 * read go to `onUnreadable`; without it, and when the device is gone, throws `io`.
 */
export const forEachSlot = async (
  context: JobContext,
  phase: Phase,
  device: ReadableDevice,
  homes: SlotHomes,
  visit: (index: number, home: number, slot: Uint8Array) => void,
  onUnreadable?: (index: number, home: number, error: HoldfastError) => void,
): Promise<void> => {
  const { slotSize, slotCount } = homes;
  const buffer = new Uint8Array(MIB);
  /** Slots that are still to be read one by one. */
  let slow = 0;
  for (let index = 0; index < slotCount; ) {
    const most = slow > 0 ? 1 : MIB / slotSize;
    const slots = Math.min(homes.contiguousFrom(index), most);
    const home = homes.homeOf(index);
    const bytes = buffer.subarray(0, slots * slotSize);
    try {
      device.readUncachedInto(home, bytes);
    } catch (error) {
      if (onUnreadable === undefined || !isLocalFailure(error)) throw error;
      if (slots > 1) {
        // Again, slot by slot.
        slow = slots;
        continue;
      }
      onUnreadable(index, home, error);
      index += 1;
      slow = Math.max(0, slow - 1);
      continue;
    }
    for (let at = 0; at < slots; at += 1) {
      visit(index + at, home + at * slotSize, bytes.subarray(at * slotSize, (at + 1) * slotSize));
    }
    index += slots;
    slow = Math.max(0, slow - slots);
    context.progress(phase, index * slotSize, slotCount * slotSize);
    if (index % 64 < slots) await context.checkpoint();
  }
};

/**
 * Reads a generation of a container back and compares every slot with the checksums it was written with. Throws `io`
 * (`read-back`).
 */
export const readBackContainer = (
  context: JobContext,
  device: ReadableDevice,
  homes: SlotHomes,
  { imageId, generation }: Pick<SlotIdentity, 'imageId' | 'generation'>,
  phase: Phase = 'read-back',
): Promise<void> =>
  forEachSlot(context, phase, device, homes, (index, home, slot) => {
    try {
      const header = parseSlotHeader(slot, home);
      const same =
        header.index === index &&
        header.home === home &&
        header.generation === generation &&
        Buffer.compare(header.imageId, imageId) === 0;
      if (same && payloadIntact(slot, header)) return;
    } catch (cause) {
      throw readBackError(index, home, cause);
    }
    throw readBackError(index, home);
  });

const readBackError = (index: number, home: number, cause?: unknown) =>
  ioError(`slot ${index} does not read back as it was written`, {
    code: 'read-back',
    structure: 'slot',
    offset: home,
    wayOut: 'The device is failing: do not rely on it.',
    ...(cause === undefined ? {} : { cause }),
  });
