import type { ReadableDevice } from '../device/device.ts';
import { PiecesReader } from '../device/pieces.ts';
import { corrupt, type HoldfastError, isHoldfastError } from '../errors.ts';
import type { ByteOffset, Extent } from '../units.ts';
import type { Image } from './image.ts';
import { ANCHOR_INTERVAL, MAX_SLOT_SIZE, MIN_SLOT_SIZE, SLOT_HEADER_SIZE } from './layout.ts';
import { openImage } from './reader.ts';
import { parseSlotHeader } from './slot.ts';

/**
 * Containers whose slots are placed by their order in a file and not by their homes: a copy on another disk, or a container whose
 * clusters a defragmenter has moved. Such a container may be in the middle of a repair; see FORMAT.md, "Moved by a defragmenter".
 */

/** Positions in the file where an anchor may stand: the first slot, the last, and those between; the slot size is a guess. */
function* anchorPlaces(size: number): Generator<ByteOffset> {
  yield 0;
  for (let slotSize = MAX_SLOT_SIZE; slotSize >= MIN_SLOT_SIZE; slotSize /= 2) {
    if (size >= slotSize && size % slotSize === 0) yield size - slotSize;
  }
  for (let slotSize = MAX_SLOT_SIZE; slotSize >= MIN_SLOT_SIZE; slotSize /= 2) {
    const step = ANCHOR_INTERVAL * slotSize;
    for (let at = step; at + slotSize <= size; at += step) yield at;
  }
}

/** Anchors that are tried beyond the first and the last. */
const MOST_TRIED = 64;

/**
 * Opens a container file, in `file` one slot behind the other, through the first anchor for which the commit record vouches; else
 * through the first that opens at all. Throws what the first one threw if none does: `corrupt`, `unsupported`, `io`.
 */
export const openFileByIndex = (file: ReadableDevice): Image => {
  let fallback: Image | undefined;
  let first: HoldfastError | undefined;
  let tried = 0;
  for (const at of anchorPlaces(file.size)) {
    if (tried > MOST_TRIED) break;
    tried += 1;
    try {
      if (at + SLOT_HEADER_SIZE > file.size) continue;
      const header = parseSlotHeader(file.read(at, SLOT_HEADER_SIZE), at);
      if (header.kind !== 'anchor' || header.index * header.slotSize !== at) continue;
      const image = openImage({ device: file, anchorHome: at, asFile: true });
      if (image.state !== 'damaged' && image.state !== 'prepared') return image;
      fallback ??= image;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      first ??= error;
    }
  }
  if (fallback !== undefined) return fallback;
  throw first ?? corrupt('no anchor opens', { code: 'image.anchor', structure: 'container', offset: 0 });
};

/** Bytes of a partition that hold bytes `from` to `from + length` of a file that lies in `extents`. */
export function* placesOf(extents: readonly Extent[], { start: from, length }: Extent): Generator<Extent> {
  let at = 0;
  const to = from + length;
  for (const extent of extents) {
    const low = Math.max(from, at);
    const high = Math.min(to, at + extent.length);
    if (low < high) yield { start: extent.start + low - at, length: high - low };
    at += extent.length;
    if (at >= to) return;
  }
}

/**
 * Opens the container that a file system lists in `extents` of the partition, wherever its slots say that they belong. What it
 * gives is marked as `displaced`. Throws as `openFileByIndex` does.
 */
export const openDisplaced = (partition: ReadableDevice, extents: readonly Extent[], name: string): Image => {
  const image = openFileByIndex(new PiecesReader(partition, extents, name));
  const sealed = image.sealed.flatMap((each) => [...placesOf(extents, each)]);
  return {
    ...image,
    extents,
    sealed: [...sealed].sort((a, b) => a.start - b.start),
    // Nothing writes into it by homes that do not hold.
    journal: undefined,
    mutableHomes: undefined,
    displaced: true,
  };
};
