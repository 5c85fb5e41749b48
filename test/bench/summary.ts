import { bytesMoved } from './measure.ts';
import type { Outcome } from './rows/row.ts';

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle];
  if (high === undefined) throw new Error('no median of nothing');
  return sorted.length % 2 === 1 ? high : (sorted[middle - 1]! + high) / 2;
};

/** What some runs of one contestant come to. Medians, unless said otherwise; bytes and seconds. */
export interface Figures {
  readonly runs: number;
  readonly seconds: number;
  readonly fastest: number;
  readonly slowest: number;
  readonly cpu: number;
  /** The highest of all runs. */
  readonly peak: number;
  readonly read: number;
  readonly written: number;
  readonly stored: number | undefined;
}

export const figuresOf = (runs: readonly Outcome[]): Figures => {
  const of = (pick: (run: Outcome) => number): number => median(runs.map(pick));
  const times = runs.map(({ seconds }) => seconds);
  const stored = runs.flatMap((run) => run.stored ?? []);
  return {
    runs: runs.length,
    seconds: median(times),
    fastest: Math.min(...times),
    slowest: Math.max(...times),
    cpu: of(({ cpu }) => cpu),
    peak: Math.max(...runs.map(({ peak }) => peak)),
    read: of((run) => bytesMoved(run).read),
    written: of((run) => bytesMoved(run).written),
    stored: stored.length === 0 ? undefined : median(stored),
  };
};
