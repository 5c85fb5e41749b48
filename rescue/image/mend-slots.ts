import type { Device } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import { encodeAnchor, type ParsedAnchor, parseAnchor } from './anchor.ts';
import { writeInSector } from './commit.ts';
import type { SlotHomes } from './extents.ts';
import type { Image } from './image.ts';
import { ANCHOR_INTERVAL, SLOT_HEADER_SIZE } from './layout.ts';
import { anchorHomeOf } from './log-writer.ts';
import { readSlot } from './reader.ts';
import { controlBytes } from './relocation.ts';
import { payloadCapacity, type SlotPlace, sealSlot } from './slot.ts';

/** Single slots that hold no data of their own, written anew from what the others say. */

/** Indices of a container's anchors. */
export const anchorIndices = (slotCount: number): number[] => {
  const indices: number[] = [];
  for (let index = 0; index < slotCount - 1; index += ANCHOR_INTERVAL) indices.push(index);
  return [...indices, slotCount - 1];
};

/** An intact anchor through which an image opens as it stands. */
export interface StandingAnchor {
  readonly index: number;
  readonly anchor: ParsedAnchor;
  /** The slot's header as stored. */
  readonly header: Uint8Array;
}

/** Undefined for an anchor that is lost, damaged, or of another generation. */
export const standingAnchor = (image: Image, index: number): StandingAnchor | undefined => {
  try {
    const home = image.homes.homeOf(index);
    const { header, payload } = readSlot(image.device, home, image.identity);
    if (header.kind !== 'anchor' || header.index !== index) return undefined;
    const anchor = parseAnchor(payload, home, header.partitionSize, header.slotSize);
    if (Buffer.compare(anchor.rootDigest, image.rootDigest) !== 0) return undefined;
    return { index, anchor, header: image.device.read(home, SLOT_HEADER_SIZE) };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

/** Anchors of an image that are lost, and one that is not. */
export const lostAnchors = (
  image: Image,
): { readonly lost: readonly number[]; readonly standing: StandingAnchor | undefined } => {
  const indices = anchorIndices(image.homes.slotCount);
  const found = indices.map((index) => standingAnchor(image, index));
  return {
    lost: indices.filter((_, at) => found[at] === undefined),
    standing: found.find((each) => each !== undefined),
  };
};

/** What a slot's header says of its place in the container. */
export const placeIn = (
  homes: SlotHomes,
  index: number,
  rest: Pick<SlotPlace, 'kind' | 'logOffset' | 'firstRecord'>,
): SlotPlace => {
  const home = homes.homeOf(index);
  const nextHome = index + 1 < homes.slotCount ? homes.homeOf(index + 1) : home;
  return { ...rest, index, home, nextHome, anchorHome: anchorHomeOf(homes, index) };
};

/** Writes the anchor in slot `index` as `standing` has it. */
export const rewriteAnchor = (
  device: Device,
  image: Image,
  standing: StandingAnchor,
  index: number,
): void => {
  const { homes } = image;
  const capacity = payloadCapacity(homes.slotSize);
  const payload = encodeAnchor(standing.anchor, controlBytes(image), homes, index, capacity);
  const slot = new Uint8Array(homes.slotSize);
  slot.set(payload, SLOT_HEADER_SIZE);
  sealSlot(slot, standing.header, placeIn(homes, index, { kind: 'anchor', logOffset: 0 }), payload.length);
  device.write(homes.homeOf(index), slot);
};

/** Writes a header over the one in a slot, all other bytes of its sector kept. */
export const writeHeader = (device: Device, homes: SlotHomes, index: number, header: Uint8Array): void =>
  writeInSector(device, homes.homeOf(index), header);

/** The header of a slot in the payload area of which everything has a checksum of its own. */
export const freshSlot = (
  device: Device,
  image: Image,
  { index, kind, logOffset }: Pick<SlotPlace, 'index' | 'kind' | 'logOffset'>,
): void => {
  const { standing } = lostAnchors(image);
  if (standing === undefined) return;
  const header = new Uint8Array(SLOT_HEADER_SIZE);
  sealSlot(header, standing.header, placeIn(image.homes, index, { kind, logOffset }), 0);
  writeHeader(device, image.homes, index, header);
};
