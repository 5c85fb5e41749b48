import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import type { DroppedEntry, KnownPartition } from './merge.ts';
import { planTable, type TablePlan } from './plan.ts';
import type { LiveTable } from './table.ts';

export type ProposedPlan = Pick<TablePlan, 'action' | 'reason' | 'after' | 'dropped' | 'notes'>;

const droppedOf = ({ source, start, size }: KnownPartition, reason: string): DroppedEntry => ({
  source,
  number: null,
  name: '',
  start,
  size,
  reason,
});

/**
 * The table that all images imply together, best first, as a restore of the best one that fits the disk would write it.
 * Partitions that do not fit are dropped and named. Undefined if none fits. Writes nothing. Throws `io`.
 */
export const proposeTable = (
  device: ReadableDevice,
  live: LiveTable,
  known: readonly KnownPartition[],
): ProposedPlan | undefined => {
  const unfit: DroppedEntry[] = [];
  for (const [index, wanted] of known.entries()) {
    const others = known.filter((_, each) => each !== index);
    try {
      const { action, reason, after, dropped, notes } = planTable({ device, live, wanted, others });
      const named = [...unfit, ...dropped].filter(
        (entry, at, all) =>
          all.findIndex((each) => each.start === entry.start && each.size === entry.size) === at,
      );
      return { action, reason, after, dropped: named, notes };
    } catch (error) {
      if (!isHoldfastError(error, 'refused')) throw error;
      unfit.push(droppedOf(wanted, error.message));
    }
  }
  return undefined;
};
