import { isLocalFailure } from '../device/bad-sectors.ts';
import type { ReadableDevice } from '../device/device.ts';
import { allocatePageAligned } from '../device/direct.ts';
import { readUncachedSoon } from '../device/soon.ts';
import { type HoldfastError, ioError } from '../errors.ts';
import type { SlotHomes } from '../image/extents.ts';
import { parseSlotHeader, payloadIntact, type SlotIdentity } from '../image/slot.ts';
import { MIB } from '../units.ts';
import type { JobContext, Phase } from './context.ts';

/** Slots that lie one behind the other, read with one request. */
interface Stretch {
  readonly index: number;
  readonly home: number;
  readonly slots: number;
}

function* stretchesOf(homes: SlotHomes): Generator<Stretch> {
  for (let index = 0; index < homes.slotCount; ) {
    const slots = Math.min(homes.contiguousFrom(index), MIB / homes.slotSize);
    yield { index, home: homes.homeOf(index), slots };
    index += slots;
  }
}

/**
 * Calls `visit` with every slot of a container in order, read from the medium, not from the page cache. Slots that cannot be
 * read go to `onUnreadable`; without it, and when the device is gone, throws `io`. While slots are visited, the next ones are read.
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
  const spare = [allocatePageAligned(MIB), allocatePageAligned(MIB)];
  const begin = (stretch: Stretch) => {
    const buffer = spare.pop()!;
    const bytes = buffer.subarray(0, stretch.slots * slotSize);
    const read = readUncachedSoon(device, stretch.home, bytes);
    read.catch(() => {});
    return { ...stretch, buffer, bytes, read };
  };
  const visitOne = (index: number, home: number, bytes: Uint8Array): void => {
    try {
      device.readUncachedInto(home, bytes);
    } catch (error) {
      if (onUnreadable === undefined || !isLocalFailure(error)) throw error;
      onUnreadable(index, home, error);
      return;
    }
    visit(index, home, bytes);
  };
  const stretches = stretchesOf(homes);
  const next = () => {
    const { value, done } = stretches.next();
    return done === true ? undefined : begin(value);
  };
  let ahead = next();
  try {
    while (ahead !== undefined) {
      const { index, home, slots, buffer, bytes, read } = ahead;
      ahead = next();
      const failure = await read.then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      if (failure !== undefined && (onUnreadable === undefined || !isLocalFailure(failure.error)))
        throw failure.error;
      for (let at = 0; at < slots; at += 1) {
        const slot = bytes.subarray(at * slotSize, (at + 1) * slotSize);
        // What failed as a whole is read once more, slot by slot.
        const each = failure === undefined ? visit : visitOne;
        each(index + at, home + at * slotSize, slot);
      }
      spare.push(buffer);
      context.progress(phase, (index + slots) * slotSize, slotCount * slotSize);
      if (index % 64 < slots) await context.checkpoint();
    }
  } finally {
    await ahead?.read.catch(() => {});
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
