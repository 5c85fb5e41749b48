import { isLocalFailure } from '../device/bad-sectors.ts';
import { type HoldfastError, isHoldfastError } from '../errors.ts';
import type { WalkDamage } from './filesystem.ts';

/** Who walks over a damaged volume and wants to know what cannot be read; undefined: the first damage ends it. */
export type OnDamage = ((damage: WalkDamage) => void) | undefined;

/** Whether it concerns one place of the volume: what is elsewhere can still be read. */
export const isDamage = (error: unknown): error is HoldfastError =>
  isHoldfastError(error, 'corrupt') || isHoldfastError(error, 'unsupported') || isLocalFailure(error);

/** What `read` gives, or undefined if there is damage that `onDamage` takes. Throws it otherwise. */
export const tolerating = <T>(
  onDamage: OnDamage,
  what: WalkDamage['what'],
  path: string,
  read: () => T,
): T | undefined => {
  try {
    return read();
  } catch (error) {
    if (onDamage === undefined || !isDamage(error)) throw error;
    onDamage({ path, what, error });
    return undefined;
  }
};
