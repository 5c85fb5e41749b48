import type { Cleanup } from '../../support/cleanup.ts';
import { noiseSource } from '../../support/noise.ts';

/** A number from 0 to `below`, exclusive: the next of a series that depends on the seed and the specimen alone. */
export type Dice = (below: number) => number;

export const diceOf = (seed: number, name: string): Dice => {
  const next = noiseSource(`foreign ${seed} ${name}`);
  return (below) => next(6).readUIntLE(0, 6) % below;
};

/** Makes a sound volume, or one that is odd from the start, in a new file. */
export type Make = (cleanup: Cleanup, path: string) => void;

/** One disk image of the collection that the proof makes for itself. */
export interface Specimen {
  /** Unlike all others. */
  readonly name: string;
  /** The class of damage or oddity that it stands for. */
  readonly kind: string;
  /** Name of what it is made from; specimens of one base are made from copies of one volume. */
  readonly base: string;
  /** What happens to it then; without it, the base itself is odd. */
  readonly damage?: (path: string, dice: Dice) => void;
}

/** Specimens and what they are made from. */
export interface Collection {
  readonly bases: Readonly<Record<string, Make>>;
  readonly specimens: readonly Specimen[];
}
