import type { Extent, Run } from '../units.ts';

/** Ranges that grow one by one: sorted, joined, so that it takes memory per range and not per byte. */
export class KnownRanges {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  get count(): number {
    return this.#starts.length;
  }

  /** Index of the first range that ends at or after `position`. */
  #firstEndingAt(position: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! >= position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  add({ start, length }: Extent): void {
    if (length <= 0) return;
    let from = start;
    let to = start + length;
    const first = this.#firstEndingAt(from);
    let last = first;
    while (last < this.#starts.length && this.#starts[last]! <= to) {
      from = Math.min(from, this.#starts[last]!);
      to = Math.max(to, this.#ends[last]!);
      last += 1;
    }
    this.#starts.splice(first, last - first, from);
    this.#ends.splice(first, last - first, to);
  }

  /** The parts of `span` that lie in the ranges, ascending. */
  *within(span: Extent): Generator<Run> {
    const end = span.start + span.length;
    for (let index = this.#firstEndingAt(span.start); index < this.#starts.length; index += 1) {
      const from = Math.max(this.#starts[index]!, span.start);
      const to = Math.min(this.#ends[index]!, end);
      if (this.#starts[index]! >= end) return;
      if (to > from) yield { start: from, length: to - from };
    }
  }

  has(position: number): boolean {
    return !this.within({ start: position, length: 1 }).next().done;
  }
}
