import { type HoldfastError, isHoldfastError } from '../errors.ts';
import { type Extent, roundUp } from '../units.ts';
import type { ReadableDevice } from './device.ts';

/**
 * Failures that concern a place on the device, by the names that Linux gives them (block/blk-core.c, `blk_errors`);
 * after any other there is no use in trying elsewhere. A short read is the end of a device shorter than it says.
 */
const OF_A_PLACE = new Set([
  'EIO',
  'ENODATA',
  'EILSEQ',
  'EREMOTEIO',
  'EBADE',
  'ETIMEDOUT',
  'short-read',
  // A container that was cut short names places behind the end.
  'beyond-end',
]);

/** Whether another place of the device may still be readable after this. */
export const isLocalFailure = (error: unknown): error is HoldfastError =>
  isHoldfastError(error, 'io') && OF_A_PLACE.has(error.detail.code);

/**
 * Fills `target` from `range`, whose reading as a whole failed with `error`, by halving down to single sectors. What
 * stays unreadable is zeroed and returned, ascending, neighbours joined. Throws `io` when the device is gone.
 */
export const readAround = (
  device: ReadableDevice,
  range: Extent,
  target: Uint8Array,
  error: HoldfastError,
): Extent[] => {
  const lost: { start: number; length: number }[] = [];
  const lose = (from: number, to: number): void => {
    target.fill(0, from, to);
    const before = lost.at(-1);
    if (before !== undefined && before.start + before.length === range.start + from) {
      before.length += to - from;
    } else lost.push({ start: range.start + from, length: to - from });
  };
  const failureOf = (from: number, to: number): HoldfastError | undefined => {
    try {
      device.readInto(range.start + from, target.subarray(from, to));
      return undefined;
    } catch (failure) {
      if (isLocalFailure(failure)) return failure;
      throw failure;
    }
  };
  const divide = (from: number, to: number, failure: HoldfastError): void => {
    const unit = device.sectorSize;
    // Behind the end of a device nothing follows: one sector tells, not thousands.
    const ended = (): boolean =>
      failure.detail.code === 'short-read' && failureOf(from, from + unit)?.detail.code === 'short-read';
    if (to - from <= unit || ended()) {
      lose(from, to);
      return;
    }
    const half = from + roundUp((to - from) / 2, unit);
    for (const [low, high] of [
      [from, half],
      [half, to],
    ] as const) {
      const inner = failureOf(low, high);
      if (inner !== undefined) divide(low, high, inner);
    }
  };
  if (!isLocalFailure(error)) throw error;
  divide(0, range.length, error);
  return lost;
};
