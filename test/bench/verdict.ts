import { formatBytes } from '../../rescue/units.ts';
import { CACHES, type Cache } from './cache.ts';
import type { Played } from './play.ts';
import { ROLES, type Role, type Row } from './rows/row.ts';
import { type Figures, figuresOf } from './summary.ts';
import { type Goal, type RowId, type Target, targetsOf } from './targets.ts';

/** One row under one state of the page cache. */
export interface RowSummary {
  readonly id: RowId;
  readonly cache: Cache;
  readonly bytes: number;
  readonly sides: readonly { readonly role: Role; readonly label: string; readonly figures: Figures }[];
  readonly verdicts: readonly Verdict[];
}

export interface Verdict {
  readonly goal: Goal;
  /** The figure that was seen, in the goal's own measure. */
  readonly got: number;
  readonly reached: boolean;
  /** By which share the goal is missed; 0 where it is reached. */
  readonly missedBy: number;
}

type Sides = { readonly [role in Role]?: Figures };

const got = (goal: Goal, bytes: number, sides: Sides): number | undefined => {
  const { ours } = sides;
  if (ours === undefined) return undefined;
  switch (goal.what) {
    case 'speed': {
      const theirs = sides[goal.against];
      return theirs === undefined ? undefined : theirs.seconds / ours.seconds;
    }
    case 'stored': {
      const theirs = sides[goal.against]?.stored;
      return theirs === undefined || ours.stored === undefined ? undefined : ours.stored / theirs;
    }
    case 'read':
    case 'written':
      return goal.unit === 'share' ? ours[goal.what] / bytes : ours[goal.what];
    case 'seconds':
      return ours.seconds;
    case 'rate': {
      const side = sides[goal.of ?? 'ours'];
      return side === undefined ? undefined : bytes / side.seconds;
    }
    case 'memory':
      return ours.peak;
  }
};

/** The goal of a target that is reached, or the one that is nearest to it. Undefined where nothing was measured for it. */
export const judgeTarget = (target: Target, bytes: number, sides: Sides): Verdict | undefined => {
  const verdicts = target.flatMap((goal): Verdict[] => {
    const value = got(goal, bytes, sides);
    if (value === undefined) return [];
    const missedBy = 'atLeast' in goal ? 1 - value / goal.atLeast : value / goal.atMost - 1;
    return [{ goal, got: value, reached: missedBy <= 0, missedBy: Math.max(0, missedBy) }];
  });
  return verdicts.find(({ reached }) => reached) ?? verdicts.sort((a, b) => a.missedBy - b.missedBy)[0];
};

export const summariseRow = ({ id, bytes, contestants }: Row, played: Played): RowSummary[] =>
  CACHES.flatMap((cache) => {
    const sides = ROLES.flatMap((role) => {
      const contestant = contestants[role];
      const runs = contestant === undefined ? undefined : played.get(contestant)?.get(cache);
      return contestant === undefined || runs === undefined
        ? []
        : [{ role, label: contestant.label, figures: figuresOf(runs) }];
    });
    if (!sides.some(({ role }) => role === 'ours')) return [];
    const byRole = Object.fromEntries(sides.map(({ role, figures }) => [role, figures])) as Sides;
    const verdicts = targetsOf(id).flatMap((target) => judgeTarget(target, bytes, byRole) ?? []);
    return [{ id, cache, bytes, sides, verdicts }];
  });

const percent = (share: number): string =>
  `${(share * 100).toFixed(share < 0.01 ? 2 : share < 0.1 ? 1 : 0)} %`;

/** The goal and what came of it, in words. */
export const inWords = (
  { goal, got: value, reached, missedBy }: Verdict,
  labelOf: (role: Role) => string,
): { readonly wanted: string; readonly seen: string; readonly verdict: string } => {
  const verdict = reached ? 'reached' : `MISSED by ${percent(missedBy)}`;
  const times = `${value.toFixed(2)} times`;
  switch (goal.what) {
    case 'speed':
      return { wanted: `${goal.atLeast} times as fast as ${labelOf(goal.against)}`, seen: times, verdict };
    case 'stored':
      return { wanted: `at most ${goal.atMost} times the size of theirs`, seen: times, verdict };
    case 'read':
    case 'written': {
      const show = goal.unit === 'share' ? percent : formatBytes;
      return { wanted: `at most ${show(goal.atMost)} ${goal.what}`, seen: show(value), verdict };
    }
    case 'seconds':
      return { wanted: `at most ${goal.atMost} s`, seen: `${value.toFixed(2)} s`, verdict };
    case 'rate':
      return {
        wanted: `at least ${goal.atLeast / 1e9} GB/s${goal.of === undefined ? '' : ` by ${labelOf(goal.of)}`}`,
        seen: `${(value / 1e9).toFixed(2)} GB/s`,
        verdict,
      };
    case 'memory':
      return { wanted: `at most ${formatBytes(goal.atMost)} resident`, seen: formatBytes(value), verdict };
  }
};
