import { endOf } from '../../bytes/runs.ts';
import type { Run } from '../../units.ts';

/** Bytes of the shortest two's complement of a number, little-endian. */
const shortest = (value: number): number[] => {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = ((rest % 256) + 256) % 256;
    bytes.push(low);
    rest = Math.floor(rest / 256);
    const negative = low >= 0x80;
    if ((rest === 0 && !negative) || (rest === -1 && negative)) return bytes;
  }
};

/** One mapping pair (concepts/data_runs): widths, length, distance from the start of the run before. */
const mappingPair = ({ start, length }: Run, before: number): number[] => {
  const count = shortest(length);
  const distance = shortest(start - before);
  return [(distance.length << 4) | count.length, ...count, ...distance];
};

/** Runs in file order with those joined that touch. */
export const joined = (runs: Iterable<Run>): Run[] => {
  const result: Run[] = [];
  for (const run of runs) {
    const last = result.at(-1);
    if (last !== undefined && endOf(last) === run.start)
      result[result.length - 1] = { start: last.start, length: last.length + run.length };
    else result.push(run);
  }
  return result;
};

/** The runs from `vcn` on. */
export const runsFrom = (runs: readonly Run[], vcn: number): Run[] => {
  const rest: Run[] = [];
  let at = 0;
  for (const { start, length } of runs) {
    const skip = Math.max(0, vcn - at);
    if (skip < length) rest.push({ start: start + skip, length: length - skip });
    at += length;
  }
  return rest;
};

export interface EncodedRuns {
  /** Mapping pairs with their end mark. */
  readonly pairs: Uint8Array;
  /** How many of the runs they hold. */
  readonly count: number;
  /** Clusters of these. */
  readonly clusters: number;
}

/** Encodes as many runs from `first` on as fit `room` bytes, end mark included; distances begin anew from 0. */
export const encodeRuns = (runs: readonly Run[], first: number, room: number): EncodedRuns => {
  const bytes: number[] = [];
  let before = 0;
  let index = first;
  let clusters = 0;
  for (; index < runs.length; index += 1) {
    const run = runs[index]!;
    const pair = mappingPair(run, before);
    if (bytes.length + pair.length + 1 > room) break;
    bytes.push(...pair);
    before = run.start;
    clusters += run.length;
  }
  return { pairs: Uint8Array.from([...bytes, 0]), count: index - first, clusters };
};
