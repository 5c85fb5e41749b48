import { ANCHOR_INTERVAL } from './layout.ts';

/**
 * Which slot is what, by index alone:
 *
 *     0        anchor (at the very top of the container's highest extent)
 *     1        mutable slot A (commit record)
 *     2 ...    data; every multiple of ANCHOR_INTERVAL is an anchor
 *     end ...  journal slots (multiples of ANCHOR_INTERVAL remain anchors)
 *     n - 2    mutable slot B
 *     n - 1    anchor
 *
 * The data slots' payloads in index order are the log.
 */
export const FIRST_DATA_SLOT = 2;

export const isAnchorIndex = (index: number): boolean => index % ANCHOR_INTERVAL === 0;

/** How many data slots lie before slot `index`, `index` being in the data area or just behind it. */
export const dataSlotsBefore = (index: number): number =>
  index - FIRST_DATA_SLOT - (Math.ceil(index / ANCHOR_INTERVAL) - 1);

/** Index of data slot number `ordinal` (from 0). */
export const dataSlotIndex = (ordinal: number): number => {
  const perInterval = ANCHOR_INTERVAL - 1;
  // Slot 1 counts as data number 0 in this numbering, so that every interval holds the same number.
  const shifted = ordinal + 1;
  return Math.floor(shifted / perInterval) * ANCHOR_INTERVAL + (shifted % perInterval) + 1;
};

/** The next index at or after `index` that is not an anchor. */
export const skipAnchors = (index: number): number => (isAnchorIndex(index) ? index + 1 : index);

export interface TailPlan {
  /** Index after the last data slot. */
  readonly dataEnd: number;
  readonly journal: readonly number[];
  readonly mutableB: number;
  readonly lastAnchor: number;
  readonly slotCount: number;
}

/** Places the slots behind the data. Periodic anchors among them stay where the pattern wants them. */
export const planTail = (dataSlots: number, journalSlots: number): TailPlan => {
  const dataEnd = dataSlots === 0 ? FIRST_DATA_SLOT : dataSlotIndex(dataSlots - 1) + 1;
  let next = dataEnd;
  const take = (): number => {
    const index = skipAnchors(next);
    next = index + 1;
    return index;
  };
  const journal = Array.from({ length: journalSlots }, take);
  const mutableB = take();
  return { dataEnd, journal, mutableB, lastAnchor: next, slotCount: next + 1 };
};
