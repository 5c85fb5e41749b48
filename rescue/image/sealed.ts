import { normalise } from '../bytes/runs.ts';
import type { Extent } from '../units.ts';
import type { SlotHomes } from './extents.ts';
import { skipAnchors } from './slot-order.ts';

/** Indices of the journal slots: they begin where the data ends; anchors among them are left out. */
export const journalSlotIndices = (dataEnd: number, journalSlots: number): number[] => {
  let next = dataEnd;
  return Array.from({ length: journalSlots }, () => {
    const index = skipAnchors(next);
    next = index + 1;
    return index;
  });
};

/** Index of the second mutable slot; the first is slot 1. */
export const mutableBIndex = (slotCount: number): number => slotCount - 2;

/** The container's bytes that never change after the commit: all but journal and mutable slots. Ascending. */
export const sealedExtents = (homes: SlotHomes, dataEnd: number, journalSlots: number): Extent[] => {
  const changing = [1, ...journalSlotIndices(dataEnd, journalSlots), mutableBIndex(homes.slotCount)];
  const sealed: Extent[] = [];
  let from = 0;
  const addUpTo = (end: number): void => {
    while (from < end) {
      const slots = Math.min(homes.contiguousFrom(from), end - from);
      sealed.push({ start: homes.homeOf(from), length: slots * homes.slotSize });
      from += slots;
    }
  };
  for (const index of changing.sort((a, b) => a - b)) {
    addUpTo(index);
    from = index + 1;
  }
  addUpTo(homes.slotCount);
  return normalise(sealed);
};
