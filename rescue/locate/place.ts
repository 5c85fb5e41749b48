import { subtract } from '../bytes/runs.ts';
import { SlotHomes } from '../image/extents.ts';
import { mutableBIndex } from '../image/sealed.ts';
import { payloadCapacity } from '../image/slot.ts';
import { dataSlotsBefore, skipAnchors } from '../image/slot-order.ts';
import type { ByteLength, ByteOffset, Extent, Run } from '../units.ts';
import type { ContainerTraces, SlotRun } from './collect.ts';

/** A run of slots by index, and where it lies in the partition. */
interface Piece {
  readonly index: number;
  readonly count: number;
  readonly home: ByteOffset;
  readonly nextHome: ByteOffset;
}

/**
 * Where the partition starts on the device, by what the slots say: the start on which most of them agree, but the one
 * that was recorded if at least half as many agree on that. (Moving a partition leaves a few slots at the old place;
 * a copy of the container elsewhere may be the more complete one.) `recorded` is in bytes of the device. Undefined when no start lies on the device.
 */
export const partitionStart = (traces: ContainerTraces, recorded: ByteOffset): ByteOffset | undefined => {
  const slots = new Map<number, number>();
  for (const { position, home, count } of traces.runs) {
    const start = position - home;
    if (start >= 0) slots.set(start, (slots.get(start) ?? 0) + count);
  }
  let best: { start: number; slots: number } | undefined;
  for (const [start, count] of slots) {
    if (best === undefined || count > best.slots || (count === best.slots && start === recorded)) {
      best = { start, slots: count };
    }
  }
  if (best === undefined) return undefined;
  return (slots.get(recorded) ?? 0) * 2 >= best.slots ? recorded : best.start;
};

/** The runs in index order, each index once: the first of two runs that hold the same. */
const once = (runs: readonly SlotRun[], start: ByteOffset, slotSize: ByteLength): Piece[] => {
  const pieces: Piece[] = [];
  let next = 0;
  for (const { index, count, position, nextHome } of [...runs].sort((a, b) => a.index - b.index)) {
    const skipped = Math.max(0, next - index);
    if (skipped >= count) continue;
    const home = position - start + skipped * slotSize;
    pieces.push({ index: index + skipped, count: count - skipped, home, nextHome });
    next = index + count;
  }
  return pieces;
};

/** `first`, and what of `second` it does not hold. */
const merged = (
  first: readonly Piece[],
  second: readonly Piece[],
  slotSize: ByteLength,
): readonly Piece[] => {
  const spans = (pieces: readonly Piece[]) =>
    pieces.map(({ index, count }) => ({ start: index, length: count }));
  const added: Piece[] = [];
  let at = 0;
  for (const { start, length } of subtract(spans(second), spans(first))) {
    while (second[at]!.index + second[at]!.count <= start) at += 1;
    const { index, home, nextHome } = second[at]!;
    added.push({ index: start, count: length, home: home + (start - index) * slotSize, nextHome });
  }
  return [...first, ...added].sort((a, b) => a.index - b.index);
};

/**
 * Where the log may end: with the last data slot that was found unless that one is full, for then there may be more of them, up to
 * the first slot that is known to be something else. `slots`: index of the slot after the last that may hold data.
 */
export const endOfLog = (
  traces: ContainerTraces,
): { readonly slots: number; readonly length: ByteLength } => {
  const { dataEnd, logLength, journal, slotCount, identity } = traces;
  const capacity = payloadCapacity(identity.slotSize);
  if (logLength < dataSlotsBefore(dataEnd) * capacity) return { slots: dataEnd, length: logLength };
  // There is always a slot behind the data.
  const last = slotCount === undefined ? skipAnchors(dataEnd) + 1 : mutableBIndex(slotCount);
  const slots = Math.max(dataEnd, Math.min(journal?.first ?? last, last));
  return { slots, length: dataSlotsBefore(slots) * capacity };
};

/** Where the slots of a container lie, as far as single slots tell. */
export interface FoundSlots {
  /** Slots whose place is not known lie behind the end of the partition: reading one gives `slot.lost`. */
  readonly homes: SlotHomes;
  /** Indices of the slots that were not found, ascending. */
  readonly lost: readonly Run[];
}

/** Whether slot `index` has a place at all. */
export const isPlaced = (homes: SlotHomes, index: number, partitionSize: ByteLength): boolean =>
  homes.homeOf(index) + homes.slotSize <= partitionSize;

/**
 * Puts the slots in order for a partition that starts at `start`. Of two slots with one index that at home counts;
 * slots that were moved fill what is missing. A lost slot is placed where the slot before it says that it was, and so
 * are more of them when they lead exactly to the next one found.
 */
export const placeSlots = (traces: ContainerTraces, start: ByteOffset): FoundSlots => {
  const { slotSize, partitionSize } = traces.identity;
  const inside = traces.runs.filter(
    ({ position, count }) => position >= start && position - start + count * slotSize <= partitionSize,
  );
  const atHome = inside.filter(({ position, home }) => position - home === start);
  const moved = inside.filter(({ position, home }) => position - home !== start);
  const found = merged(once(atHome, start, slotSize), once(moved, start, slotSize), slotSize);
  const extents: { start: number; length: number }[] = [];
  const lost: Run[] = [];
  const place = (home: ByteOffset, count: number): void => {
    const before = extents.at(-1);
    const length = count * slotSize;
    if (before !== undefined && before.start + before.length === home) before.length += length;
    else extents.push({ start: home, length });
  };
  const nowhere = Math.ceil(partitionSize / slotSize) * slotSize;
  /** Home that slot `next` should have, by the slot before it. */
  let expected = traces.firstAnchorHome ?? nowhere;
  let next = 0;
  const lose = (count: number, leadsTo: ByteOffset | undefined): void => {
    if (count <= 0) return;
    lost.push({ start: next, length: count });
    const straight = leadsTo !== undefined && expected + count * slotSize === leadsTo;
    const placed = expected === nowhere ? 0 : straight ? count : 1;
    if (placed > 0) place(expected, placed);
    // Each by itself, so that none seems to continue the one before.
    if (placed < count) extents.push({ start: nowhere + slotSize, length: (count - placed) * slotSize });
  };
  for (const piece of found) {
    lose(piece.index - next, piece.home);
    place(piece.home, piece.count);
    next = piece.index + piece.count;
    expected = piece.nextHome;
  }
  lose((traces.slotCount ?? Math.max(next, endOfLog(traces).slots)) - next, undefined);
  return { homes: new SlotHomes(extents, slotSize), lost };
};

/** The extents that have a place. */
export const placedExtents = (homes: SlotHomes, partitionSize: ByteLength): Extent[] =>
  homes.extents.filter((extent) => extent.start + extent.length <= partitionSize);
