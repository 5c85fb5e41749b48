import type { Extent, Run } from '../units.ts';

/**
 * Lists of runs. Unless a function says otherwise, an input is ascending and free of overlaps, and so is the output.
 * `Extent` (bytes) and `Run` (clusters) have the same shape, so both are served here.
 */
export type Span = { readonly start: number; readonly length: number };

export const endOf = (span: Span): number => span.start + span.length;

export const totalLength = (spans: Iterable<Span>): number => {
  let sum = 0;
  for (const span of spans) sum += span.length;
  return sum;
};

/** Joins neighbours that touch. */
export function* coalesce(spans: Iterable<Span>): Generator<Span> {
  let open: { start: number; length: number } | undefined;
  for (const { start, length } of spans) {
    if (length === 0) continue;
    if (open !== undefined && start <= endOf(open))
      open.length = Math.max(open.length, start + length - open.start);
    else {
      if (open !== undefined) yield open;
      open = { start, length };
    }
  }
  if (open !== undefined) yield open;
}

/** Any order and overlaps in, ascending and joined out. Holds the list in memory. */
export const normalise = (spans: Iterable<Span>): Span[] => [
  ...coalesce([...spans].sort((a, b) => a.start - b.start)),
];

/** What lies in `within` but in none of `spans`. */
export function* complement(spans: Iterable<Span>, within: Span): Generator<Span> {
  let at = within.start;
  const end = endOf(within);
  for (const span of spans) {
    if (span.start >= end) break;
    if (span.start > at) yield { start: at, length: span.start - at };
    at = Math.max(at, endOf(span));
  }
  if (at < end) yield { start: at, length: end - at };
}

/** What lies in `spans` but in none of `holes`. Streams both. */
export function* subtract(spans: Iterable<Span>, holes: Iterable<Span>): Generator<Span> {
  const iterator = holes[Symbol.iterator]();
  let hole = iterator.next();
  for (const span of spans) {
    let at = span.start;
    const end = endOf(span);
    while (at < end) {
      while (!hole.done && endOf(hole.value) <= at) hole = iterator.next();
      if (hole.done || hole.value.start >= end) {
        yield { start: at, length: end - at };
        break;
      }
      if (hole.value.start > at) yield { start: at, length: hole.value.start - at };
      at = Math.min(end, endOf(hole.value));
    }
  }
}

/** What lies in both. Streams both. */
export function* intersect(left: Iterable<Span>, right: Iterable<Span>): Generator<Span> {
  const a = left[Symbol.iterator]();
  const b = right[Symbol.iterator]();
  let x = a.next();
  let y = b.next();
  while (!x.done && !y.done) {
    const start = Math.max(x.value.start, y.value.start);
    const end = Math.min(endOf(x.value), endOf(y.value));
    if (start < end) yield { start, length: end - start };
    if (endOf(x.value) < endOf(y.value)) x = a.next();
    else y = b.next();
  }
}

/** What lies in either. Streams both. */
export function* union(left: Iterable<Span>, right: Iterable<Span>): Generator<Span> {
  const merged = function* (): Generator<Span> {
    const a = left[Symbol.iterator]();
    const b = right[Symbol.iterator]();
    let x = a.next();
    let y = b.next();
    while (!x.done || !y.done) {
      if (y.done || (!x.done && x.value.start <= y.value.start)) {
        yield x.value as Span;
        x = a.next();
      } else {
        yield y.value;
        y = b.next();
      }
    }
  };
  yield* coalesce(merged());
}

/** A sorted list that answers "does this touch any?" in logarithmic time. */
export class SpanSet {
  readonly spans: readonly Span[];

  /** Any order, overlaps allowed. */
  constructor(spans: Iterable<Span>) {
    this.spans = normalise(spans);
  }

  /** Index of the first span that ends after `position`. */
  #firstEndingAfter(position: number): number {
    let low = 0;
    let high = this.spans.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (endOf(this.spans[middle]!) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The parts of `span` that lie in this set. */
  *within(span: Span): Generator<Span> {
    for (let index = this.#firstEndingAfter(span.start); index < this.spans.length; index += 1) {
      const each = this.spans[index]!;
      const start = Math.max(each.start, span.start);
      const end = Math.min(endOf(each), endOf(span));
      if (start >= end) return;
      yield { start, length: end - start };
    }
  }

  intersects(span: Span): boolean {
    return span.length > 0 && !this.within(span).next().done;
  }

  has(position: number): boolean {
    return this.intersects({ start: position, length: 1 });
  }
}

/** Shifts and scales runs of clusters into extents of bytes. */
export function* toExtents(runs: Iterable<Run>, clusterSize: number, base = 0): Generator<Extent> {
  for (const run of runs) yield { start: base + run.start * clusterSize, length: run.length * clusterSize };
}
