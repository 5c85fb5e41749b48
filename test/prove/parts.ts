import { cuts } from './cuts/cuts.ts';
import { damage } from './damage/part.ts';
import { endurance } from './endurance/endurance.ts';
import { foreign } from './foreign/part.ts';
import { hostile } from './hostile/part.ts';
import type { Part } from './part.ts';
import { planted } from './planted/planted.ts';
import { scale } from './scale/scale.ts';

/** All parts of the proof, in the order of RELIABILITY.md. */
export const PARTS: readonly Part[] = [cuts, damage, hostile, foreign, scale, endurance, planted];

/** Throws for a name that no part has. */
export const partNamed = (name: string): Part => {
  const part = PARTS.find((each) => each.name === name);
  if (part === undefined) throw new Error(`${name}: there is no such part`);
  return part;
};
