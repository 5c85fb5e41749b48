import { nextBit, setBits } from '../bytes/bitmap.ts';
import type { Run } from '../units.ts';

/** Clusters in one page of a `ClaimMap`: 4 KiB of bits. */
const PAGE_CLUSTERS = 2 ** 15;

/**
 * Clusters of one window of the volume that something has claimed: one bit each, in pages that are made when the first of their
 * clusters is claimed, and shared once all are.
 */
export class ClaimMap {
  readonly start: number;
  readonly end: number;
  readonly #pages: (Uint8Array | undefined)[];
  readonly #full = new Uint8Array(PAGE_CLUSTERS / 8).fill(0xff);

  constructor(start: number, length: number) {
    this.start = start;
    this.end = start + length;
    this.#pages = Array.from({ length: Math.ceil(length / PAGE_CLUSTERS) }, () => undefined);
  }

  /** Claims what of `run` lies in the window; returns the first cluster that was claimed before, if any. */
  claim(run: Run): number | undefined {
    const from = Math.max(run.start, this.start) - this.start;
    const to = Math.min(run.start + run.length, this.end) - this.start;
    let taken: number | undefined;
    for (let at = from; at < to; ) {
      const page = Math.floor(at / PAGE_CLUSTERS);
      const base = page * PAGE_CLUSTERS;
      const end = Math.min(to, base + PAGE_CLUSTERS);
      const found = this.#claimIn(page, at - base, end - base);
      if (found !== undefined) taken ??= this.start + base + found;
      at = end;
    }
    return taken;
  }

  #claimIn(page: number, from: number, to: number): number | undefined {
    const bits = this.#pages[page];
    if (from === 0 && to === PAGE_CLUSTERS) {
      const taken = bits === undefined ? to : nextBit(bits, true, 0, to);
      this.#pages[page] = this.#full;
      return taken < to ? taken : undefined;
    }
    if (bits === this.#full) return from;
    if (bits === undefined) {
      const fresh = new Uint8Array(PAGE_CLUSTERS / 8);
      setBits(fresh, from, to);
      this.#pages[page] = fresh;
      return undefined;
    }
    const taken = nextBit(bits, true, from, to);
    setBits(bits, from, to);
    return taken < to ? taken : undefined;
  }
}
