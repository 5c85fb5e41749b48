import { crc32 } from 'node:zlib';
import type { Device } from '../device/device.ts';
import { corrupt, isHoldfastError, refused } from '../errors.ts';
import { type ByteLength, type Extent, roundUp } from '../units.ts';
import {
  type AnchorBody,
  encodeAnchor,
  encodeStreamTable,
  type ParsedAnchor,
  rootDigestOf,
  type StreamHead,
} from './anchor.ts';
import { encodeExtents, SlotHomes } from './extents.ts';
import type { Image } from './image.ts';
import { journalSlotsFor } from './journal.ts';
import { MAX_FRAME_SIZE, NO_RECORD, RECORD_ALIGNMENT, SLOT_HEADER, SLOT_HEADER_SIZE } from './layout.ts';
import { anchorIndices, placeIn, type StandingAnchor, standingAnchor, writeHeader } from './mend-slots.ts';
import { encodeRecordHead, recordLength, sha256 } from './record.ts';
import { controlBytes, extentsHead } from './relocation.ts';
import { journalSlotIndices, mutableBIndex } from './sealed.ts';
import { parseSlotHeader, payloadCapacity, type SlotPlace, sealSlot } from './slot.ts';
import { dataSlotIndex, dataSlotsBefore, isAnchorIndex } from './slot-order.ts';

/**
 * Makes a container whose clusters were moved say where it lies now: slot headers, extent table and anchors, in place. See FORMAT.md,
 * "Moved by a defragmenter": until the commit record changes, one anchor stays as it was, so that a cut leaves a container that
 * opens by the order of its slots.
 */
export interface MendPlan {
  readonly image: Image;
  readonly generation: number;
  /** Where the slots lie. */
  readonly homes: SlotHomes;
  readonly rootDigest: Uint8Array;
  /** The anchor that is rewritten last. */
  readonly keptAnchor: number;
  readonly anchors: readonly number[];
  readonly body: AnchorBody;
  readonly control: Uint8Array;
  /** A header of this container; place and checksums are set anew in each slot. */
  readonly template: Uint8Array;
  readonly tail: Tail;
}

/** The last data slots, in which the extent table lies. */
interface Tail {
  /** Number of the first of these data slots, and how many data slots there are in all. */
  readonly firstOrdinal: number;
  readonly dataSlots: number;
  /** Payloads one behind the other. */
  readonly bytes: Uint8Array;
  /** Log positions at which records of the table start. */
  readonly records: readonly number[];
  readonly head: StreamHead;
  readonly logLength: number;
  readonly journal: readonly number[];
}

const planTail = (image: Image, anchor: ParsedAnchor, homes: SlotHomes, patchLength: ByteLength): Tail => {
  const { slotSize } = homes;
  const capacity = payloadCapacity(slotSize);
  const { logOffset: position } = extentsHead(image);
  const table = encodeExtents(homes.extents);
  const parts: Uint8Array[] = [];
  const records: number[] = [];
  const digests: Uint8Array[] = [];
  let at = position;
  for (let from = 0, sequence = 0; from < table.length; from += MAX_FRAME_SIZE, sequence += 1) {
    const raw = table.subarray(from, from + MAX_FRAME_SIZE);
    const digest = sha256(raw);
    const head = encodeRecordHead({
      stream: 'extents',
      codec: 'store',
      space: 0,
      sequence,
      runs: [],
      rawLength: raw.length,
      storedLength: raw.length,
      storedCrc: crc32(raw),
      digest,
      firstUnit: 0,
    });
    const padding = new Uint8Array(
      roundUp(head.length + raw.length, RECORD_ALIGNMENT) - head.length - raw.length,
    );
    parts.push(head, raw, padding);
    records.push(at);
    digests.push(digest);
    at += recordLength(0, raw.length);
  }
  const firstOrdinal = Math.floor(position / capacity);
  const inside = position - firstOrdinal * capacity;
  const prefix = image.device.read(
    image.homes.homeOf(dataSlotIndex(firstOrdinal)) + SLOT_HEADER_SIZE,
    inside,
  );
  const before = dataSlotsBefore(anchor.dataEnd);
  const dataSlots = Math.max(before, Math.ceil(at / capacity));
  // What a longer table needs comes from the journal, which has some to spare.
  const journalSlots = anchor.journalSlots - (dataSlots - before);
  if (journalSlots < journalSlotsFor(patchLength, slotSize)) {
    throw refused(`the extent table of image ${image.id.slice(0, 8)} has grown too long for its place`, {
      code: 'mend.table',
      expected: `at most ${before * capacity - position} bytes`,
      found: at - position,
      wayOut: 'Make a new image.',
    });
  }
  const dataEnd = dataSlotIndex(dataSlots - 1) + 1;
  const slotIndex = dataSlotIndex(firstOrdinal);
  return {
    firstOrdinal,
    dataSlots,
    bytes: Buffer.concat([prefix, ...parts]),
    records,
    head: {
      stream: 'extents',
      records: records.length,
      logOffset: position,
      length: at - position,
      slotHome: homes.homeOf(slotIndex),
      slotIndex,
      digest: sha256(Buffer.concat(digests)),
    },
    logLength: at,
    journal: journalSlotIndices(dataEnd, journalSlots),
  };
};

/** Why a container cannot be put right in its place: slots that are torn apart between clusters. */
export const SPLIT = 'mend.split';

export interface MendRequest {
  /** Opened by the order of its slots, committed. */
  readonly image: Image;
  /** Its extents with neighbours joined. */
  readonly extents: readonly Extent[];
  readonly generation: number;
  /** Bytes that the journal must be able to hold. */
  readonly patchLength: ByteLength;
}

/** Throws `refused` (`mend.split` where slots are not contiguous, `mend.table`), `corrupt`, `io`. Writes nothing. */
export const planMend = ({ image, extents, generation, patchLength }: MendRequest): MendPlan => {
  const { slotSize, slotCount } = image.homes;
  const short = image.id.slice(0, 8);
  if (extents.some(({ length }) => length % slotSize !== 0)) {
    throw refused(`slots of image ${short} do not lie in one piece any more`, {
      code: SPLIT,
      expected: `pieces of whole slots of ${slotSize} bytes`,
    });
  }
  const homes = new SlotHomes(extents, slotSize);
  const anchors = anchorIndices(slotCount);
  // The last one: the first is where a search looks.
  let kept: StandingAnchor | undefined;
  for (const index of anchors) kept = standingAnchor(image, index) ?? kept;
  if (kept === undefined || homes.slotCount !== slotCount) {
    throw corrupt(`no anchor of image ${short} stands for what it is`, {
      code: 'image.anchor',
      structure: 'container',
    });
  }
  const { anchor } = kept;
  const tail = planTail(image, anchor, homes, patchLength);
  const control = controlBytes(image);
  const streams = image.streams.map((each) =>
    each.stream === 'extents' ? tail.head : { ...each, slotHome: homes.homeOf(each.slotIndex) },
  );
  const extentsDigest = sha256(encodeExtents(extents));
  const rootDigest = rootDigestOf(encodeStreamTable(streams), extentsDigest, control);
  const template = Uint8Array.from(kept.header);
  SLOT_HEADER.set(template, 'generation', generation);
  return {
    image,
    generation,
    homes,
    rootDigest,
    keptAnchor: kept.index,
    anchors,
    control,
    template,
    tail,
    body: {
      slotCount,
      dataEnd: dataSlotIndex(tail.dataSlots - 1) + 1,
      journalSlots: tail.journal.length,
      logLength: tail.logLength,
      usedBytes: anchor.usedBytes,
      rawBytes: anchor.rawBytes,
      storedBytes: anchor.storedBytes,
      extentCount: extents.length,
      extentsDigest,
      rootDigest,
      mutableHomes: [homes.homeOf(1), homes.homeOf(mutableBIndex(slotCount))],
      lastAnchorHome: homes.homeOf(slotCount - 1),
      streams,
    },
  };
};

/** Sets place and generation in a header that is the container's own; undefined for a slot that is lost. */
const rehomed = (plan: MendPlan, index: number, bytes: Uint8Array): Uint8Array | undefined => {
  try {
    const found = parseSlotHeader(bytes, plan.homes.homeOf(index));
    const isOwn = found.index === index && Buffer.compare(found.imageId, plan.image.identity.imageId) === 0;
    if (!isOwn) return undefined;
    const header = Uint8Array.from(bytes);
    const { home, nextHome, anchorHome } = placeIn(plan.homes, index, found);
    SLOT_HEADER.set(header, 'generation', plan.generation);
    SLOT_HEADER.set(header, 'home', home);
    SLOT_HEADER.set(header, 'next_home', nextHome);
    SLOT_HEADER.set(header, 'anchor_home', anchorHome);
    SLOT_HEADER.set(header, 'header_crc', crc32(header.subarray(0, SLOT_HEADER.offsetOf('header_crc'))));
    return header;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

/** The header of a slot whose payload area has checksums of its own: made new, whatever stands there. */
const freshHeader = (
  plan: MendPlan,
  index: number,
  place: Pick<SlotPlace, 'kind' | 'logOffset'>,
): Uint8Array => {
  const header = new Uint8Array(SLOT_HEADER_SIZE);
  sealSlot(header, plan.template, placeIn(plan.homes, index, place), 0);
  return header;
};

/** Headers of slots `first` to `first + count`, but for anchors and the last data slots: one sector each. */
export const mendHeaders = (device: Device, plan: MendPlan, first: number, count: number): void => {
  const { homes, tail } = plan;
  const end = Math.min(first + count, homes.slotCount - 1);
  const tailIndex = dataSlotIndex(tail.firstOrdinal);
  for (let index = Math.max(1, first); index < end; index += 1) {
    if (isAnchorIndex(index)) continue;
    const home = homes.homeOf(index);
    if (index > 1 && index < tailIndex) {
      const header = rehomed(plan, index, device.read(home, SLOT_HEADER_SIZE));
      if (header !== undefined) writeHeader(device, homes, index, header);
    } else if (index === 1 || index === mutableBIndex(homes.slotCount)) {
      writeHeader(device, homes, index, freshHeader(plan, index, { kind: 'mutable', logOffset: 0 }));
    }
  }
};

/** The last data slots with the new extent table, and the journal slots behind them. */
export const mendTail = (device: Device, plan: MendPlan): void => {
  const { homes, tail, template } = plan;
  const capacity = payloadCapacity(homes.slotSize);
  for (let ordinal = tail.firstOrdinal; ordinal < tail.dataSlots; ordinal += 1) {
    const index = dataSlotIndex(ordinal);
    const from = ordinal * capacity;
    const at = (ordinal - tail.firstOrdinal) * capacity;
    const payload = tail.bytes.subarray(at, at + capacity);
    const slot = new Uint8Array(homes.slotSize);
    slot.set(payload, SLOT_HEADER_SIZE);
    const firstRecord = firstRecordIn(plan, index, from);
    sealSlot(
      slot,
      template,
      placeIn(plan.homes, index, { kind: 'data', logOffset: from, firstRecord }),
      payload.length,
    );
    device.write(homes.homeOf(index), slot);
  }
  tail.journal.forEach((index, ordinal) => {
    const header = freshHeader(plan, index, { kind: 'journal', logOffset: ordinal * capacity });
    writeHeader(device, homes, index, header);
  });
};

/** Where the first record starts in a slot of the tail: one that was there before, or one of the table. */
const firstRecordIn = ({ image, tail }: MendPlan, index: number, from: number): number | undefined => {
  const { slotSize } = image.homes;
  const ofTable = tail.records.find((at) => at >= from && at < from + payloadCapacity(slotSize));
  const before = tail.head.slotIndex === index ? firstRecordBefore(image, index) : undefined;
  const inTable = ofTable === undefined ? undefined : ofTable - from;
  if (before === undefined || inTable === undefined) return before ?? inTable;
  return Math.min(before, inTable);
};

const firstRecordBefore = (image: Image, index: number): number | undefined => {
  const bytes = image.device.read(image.homes.homeOf(index), SLOT_HEADER_SIZE);
  const found = SLOT_HEADER.get(bytes, 'first_record');
  return found === NO_RECORD || found >= payloadCapacity(image.homes.slotSize) ? undefined : found;
};

/** Writes these anchors whole. */
export const mendAnchors = (device: Device, plan: MendPlan, indices: readonly number[]): void => {
  const { homes, body, control, template } = plan;
  const capacity = payloadCapacity(homes.slotSize);
  for (const index of indices) {
    const payload = encodeAnchor(body, control, homes, index, capacity);
    const slot = new Uint8Array(homes.slotSize);
    slot.set(payload, SLOT_HEADER_SIZE);
    sealSlot(slot, template, placeIn(plan.homes, index, { kind: 'anchor', logOffset: 0 }), payload.length);
    device.write(homes.homeOf(index), slot);
  }
};
