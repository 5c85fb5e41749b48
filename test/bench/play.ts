import { availableParallelism } from 'node:os';
import { CACHES, type Cache } from './cache.ts';
import type { Contestant, Outcome, Row } from './rows/row.ts';
import { figuresOf } from './summary.ts';

/** All runs of each contestant, for each content of the page cache that was tried. */
export type Played = ReadonlyMap<Contestant, ReadonlyMap<Cache, readonly Outcome[]>>;

/** `auto`: cold, and warm as well where the disk is the limit. */
export const CACHE_CHOICES = [...CACHES, 'both', 'auto'] as const;
export type CacheChoice = (typeof CACHE_CHOICES)[number];

export interface PlayOptions {
  readonly runs: number;
  readonly cache: CacheChoice;
  readonly say: (line: string) => void;
}

/** Share of the processors below which our program waits for the disk more than it computes. */
const COMPUTES = 0.5;

export const isDiskBound = (runs: readonly Outcome[], cpus = availableParallelism()): boolean => {
  const { cpu, seconds } = figuresOf(runs);
  return cpu < COMPUTES * cpus * seconds;
};

const allOf = (rows: readonly Row[]): Contestant[] => [
  ...new Set(rows.flatMap(({ contestants }) => Object.values(contestants))),
];

/**
 * Every contestant once per round, in turns. Each goes first in turn: who comes second finds the machine as the first one left it. (In the
 * first round ours come first: dd is told what they moved.)
 */
export const play = async (rows: readonly Row[], { runs, cache, say }: PlayOptions): Promise<Played> => {
  const played = new Map<Contestant, Map<Cache, Outcome[]>>();
  const rounds = async (contestants: readonly Contestant[], state: Cache): Promise<void> => {
    for (let index = 0; index < runs; index += 1) {
      say(`run ${index + 1} of ${runs}, page cache ${state}`);
      for (const each of index % 2 === 0 ? contestants : [...contestants].reverse()) {
        const outcome = await each.run(state);
        const states = played.get(each) ?? new Map<Cache, Outcome[]>();
        states.set(state, [...(states.get(state) ?? []), outcome]);
        played.set(each, states);
        say(`  ${each.label}: ${outcome.seconds.toFixed(2)} s, checked`);
      }
    }
  };
  const playing = (which: readonly Row[], state: Cache): Contestant[] =>
    allOf(which).filter(({ only }) => only === undefined || only === state);
  const first = cache === 'warm' ? 'warm' : 'cold';
  await rounds(playing(rows, first), first);
  // What makes sense in one state only plays whatever was asked for.
  const fixed = allOf(rows).filter(({ only }) => only !== undefined && only !== first);
  for (const state of CACHES) {
    const these = fixed.filter(({ only }) => only === state);
    if (these.length > 0) await rounds(these, state);
  }
  if (cache === 'cold' || cache === 'warm') return played;
  const again = rows.filter(({ contestants: { ours } }) => {
    const cold = played.get(ours)?.get('cold');
    return ours.only === undefined && (cache === 'both' || (cold !== undefined && isDiskBound(cold)));
  });
  const warm = playing(again, 'warm').filter(({ only }) => only === undefined);
  if (warm.length > 0) await rounds(warm, 'warm');
  return played;
};
