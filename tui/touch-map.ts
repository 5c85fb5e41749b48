import type { Touch, TouchEvent } from '../rescue/job/context.ts';

/** Pieces that a place is cut into, whatever the size of the picture: finer than any terminal. */
const BUCKETS = 8192;

/** What a bucket was seen to be, by rising importance in pictures. */
export const BUCKET = { untouched: 0, read: 1, written: 2, verified: 3, slot: 4, image: 5 } as const;
export type BucketState = keyof typeof BUCKET;

const OF_TOUCH: Record<Touch, number> = {
  read: BUCKET.read,
  slot: BUCKET.slot,
  written: BUCKET.written,
  verified: BUCKET.verified,
};
const NAMES = Object.keys(BUCKET) as BucketState[];

type Pair = readonly [offset: number, length: number];

/** What a job did where, in a place of `size` bytes that begins at `start` of TARGET. Memory does not grow with it. */
export class TouchMap {
  readonly start: number;
  readonly size: number;
  readonly #buckets = new Uint8Array(BUCKETS);

  constructor(start: number, size: number) {
    this.start = start;
    this.size = Math.max(1, size);
  }

  #mark([offset, length]: Pair, state: number): void {
    const from = offset - this.start;
    if (length <= 0 || from + length <= 0 || from >= this.size) return;
    const first = Math.max(0, Math.floor((from / this.size) * BUCKETS));
    const last = Math.min(BUCKETS - 1, Math.floor(((from + length - 1) / this.size) * BUCKETS));
    for (let index = first; index <= last; index += 1) {
      if (this.#buckets[index]! < state) this.#buckets[index] = state;
    }
  }

  add({ touched, extents }: TouchEvent): void {
    for (const extent of extents) this.#mark(extent, OF_TOUCH[touched]);
  }

  /** Clusters of images that stay where they are. */
  addImage(extents: readonly Pair[]): void {
    for (const extent of extents) this.#mark(extent, BUCKET.image);
  }

  /** One state per cell. Images win; what is written but not yet verified shows before what is. */
  cells(count: number): BucketState[] {
    return Array.from({ length: count }, (_, cell) => {
      const from = Math.floor((cell * BUCKETS) / count);
      const to = Math.max(from + 1, Math.floor(((cell + 1) * BUCKETS) / count));
      const seen = new Set(this.#buckets.subarray(from, to));
      if (seen.has(BUCKET.written) && !seen.has(BUCKET.slot) && !seen.has(BUCKET.image)) return 'written';
      return NAMES[Math.max(...seen)]!;
    });
  }
}
