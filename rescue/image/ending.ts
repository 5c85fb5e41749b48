import type { Device } from '../device/device.ts';
import { refused } from '../errors.ts';
import { type ByteLength, type Extent, formatBytes } from '../units.ts';
import { type AnchorBody, encodeAnchor } from './anchor.ts';
import { encodeExtents, type SlotHomes } from './extents.ts';
import { type JournalPlace, journalSlotsFor } from './journal.ts';
import { ANCHOR_INTERVAL, MAX_FRAME_SIZE } from './layout.ts';
import { anchorHomeOf } from './log-writer.ts';
import { recordLength } from './record.ts';
import { sealedExtents } from './sealed.ts';
import { payloadCapacity, type SlotPlace, sealSlot } from './slot.ts';
import { planTail, type TailPlan } from './slot-order.ts';
import type { StreamWriter } from './streams.ts';

/** The end of a container: the extent table, the last stream of its log, and the slots behind the data. */

/** What stands on the medium when a container is written: a prepared one, not yet claimed or committed. */
export interface WrittenContainer {
  readonly homes: SlotHomes;
  /** In slot order. */
  readonly extents: readonly Extent[];
  readonly sealed: readonly Extent[];
  readonly extentsDigest: Uint8Array;
  readonly rootDigest: Uint8Array;
  readonly journal: JournalPlace;
  readonly mutableHomes: readonly [number, number];
  readonly rawBytes: ByteLength;
  readonly storedBytes: ByteLength;
}

export interface EndRequest {
  /** Log position at which the extent table begins. */
  readonly position: number;
  /** All the room there is. */
  readonly planned: SlotHomes;
  readonly clusterSize: ByteLength;
  /** Bytes that the largest patch may take that the journal must hold, for given container extents. */
  readonly patchLength: (extents: readonly Extent[]) => ByteLength;
}

export interface EndPlan {
  readonly tail: TailPlan & { readonly dataSlots: number };
  /** The part of the planned extents that is used. */
  readonly extents: readonly Extent[];
}

/**
 * A container's end depends on itself: its extent table lies in its log, and its journal must hold the patch that
 * claims its extents. Both only grow, so repeating until nothing grows ends. Throws `refused` (`no-space`).
 */
export const planEnd = ({ position, planned, clusterSize, patchLength }: EndRequest): EndPlan => {
  const { slotSize } = planned;
  const unit = Math.max(slotSize, clusterSize) / slotSize;
  let tableLength = 0;
  let journalSlots = 2;
  for (;;) {
    const records = Math.ceil(tableLength / MAX_FRAME_SIZE);
    const end = position + records * recordLength(0, Math.min(tableLength, MAX_FRAME_SIZE));
    const dataSlots = Math.ceil(end / payloadCapacity(slotSize));
    let tail = planTail(dataSlots, journalSlots);
    for (let more = 1; tail.slotCount % unit !== 0; more += 1)
      tail = planTail(dataSlots, journalSlots + more);
    const extents = firstSlots(planned, tail.slotCount);
    const length = encodeExtents(extents).length;
    const needed = journalSlotsFor(patchLength(extents), slotSize);
    if (length <= tableLength && needed <= tail.journal.length) {
      return { tail: { ...tail, dataSlots }, extents };
    }
    tableLength = Math.max(tableLength, length);
    journalSlots = Math.max(journalSlots, needed);
  }
};

/** The extents of the first `count` planned slots. Throws `refused` (`no-space`). */
const firstSlots = ({ slotSize, slotCount, extents: planned }: SlotHomes, count: number): Extent[] => {
  if (count > slotCount) {
    throw refused('the image does not fit into the free space', {
      code: 'no-space',
      expected: formatBytes(count * slotSize),
      found: formatBytes(slotCount * slotSize),
      wayOut: 'Free some space, or use a stronger compression level.',
    });
  }
  const extents: Extent[] = [];
  let left = count * slotSize;
  for (const { start, length } of planned) {
    if (left === 0) break;
    const taken = Math.min(left, length);
    extents.push({ start, length: taken });
    left -= taken;
  }
  return extents;
};

/** Appends the extent table, coded as `encodeExtents` does, to the log. */
export const appendExtents = (streams: StreamWriter, table: Uint8Array): void => {
  for (let at = 0; at < table.length; at += MAX_FRAME_SIZE) {
    streams.appendContent('extents', table.subarray(at, at + MAX_FRAME_SIZE));
  }
};

export interface EndPlace {
  /** The partition. */
  readonly device: Device;
  /** As `headerTemplate` makes it. */
  readonly template: Uint8Array;
  /** The control document, encoded. */
  readonly control: Uint8Array;
  /** Exactly the container's slots. */
  readonly homes: SlotHomes;
  readonly tail: TailPlan;
}

/** What anchors say and what does not follow from the places. */
export type EndFacts = Pick<
  AnchorBody,
  'logLength' | 'usedBytes' | 'rawBytes' | 'extentsDigest' | 'rootDigest' | 'streams'
>;

/** Writes journal, mutable slots and anchors: everything but the log. Does not flush. */
export const writeEnd = (place: EndPlace, facts: EndFacts): WrittenContainer => {
  const { homes, tail } = place;
  const storedBytes = homes.slotCount * homes.slotSize;
  const mutableHomes = [homes.homeOf(1), homes.homeOf(tail.mutableB)] as const;
  writeSpecial(place, {
    ...facts,
    slotCount: homes.slotCount,
    dataEnd: tail.dataEnd,
    journalSlots: tail.journal.length,
    storedBytes,
    extentCount: homes.extents.length,
    mutableHomes,
    lastAnchorHome: homes.homeOf(tail.lastAnchor),
  });
  return {
    homes,
    extents: homes.extents,
    sealed: sealedExtents(homes, tail.dataEnd, tail.journal.length),
    extentsDigest: facts.extentsDigest,
    rootDigest: facts.rootDigest,
    journal: { homes, slots: tail.journal },
    mutableHomes,
    rawBytes: facts.rawBytes,
    storedBytes,
  };
};

const writeSpecial = ({ device, template, control, homes, tail }: EndPlace, body: AnchorBody): void => {
  const capacity = payloadCapacity(homes.slotSize);
  const write = (kind: SlotPlace['kind'], index: number, payload: Uint8Array, logOffset: number): void => {
    const slot = new Uint8Array(homes.slotSize);
    slot.set(payload, homes.slotSize - capacity);
    const home = homes.homeOf(index);
    const nextHome = index + 1 < homes.slotCount ? homes.homeOf(index + 1) : home;
    const place = { kind, index, home, nextHome, anchorHome: anchorHomeOf(homes, index), logOffset };
    sealSlot(slot, template, place, payload.length);
    device.write(home, slot);
  };
  const empty = new Uint8Array(0);
  write('mutable', 1, empty, 0);
  tail.journal.forEach((index, ordinal) => {
    write('journal', index, empty, ordinal * capacity);
  });
  write('mutable', tail.mutableB, empty, 0);
  const anchors = new Set([tail.lastAnchor]);
  for (let index = 0; index < homes.slotCount; index += ANCHOR_INTERVAL) anchors.add(index);
  for (const index of anchors) {
    write('anchor', index, encodeAnchor(body, control, homes, index, capacity), 0);
  }
};
