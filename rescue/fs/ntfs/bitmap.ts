import { nextBit, setRuns } from '../../bytes/bitmap.ts';
import { coalesce } from '../../bytes/runs.ts';
import { corrupt } from '../../errors.ts';
import { KIB, type Run } from '../../units.ts';
import type { Content } from './content.ts';
import type { Place } from './update-sequence.ts';

/** Bits read at a time: 64 KiB of them, 2 GiB of 4 KiB clusters. */
const PAGE_BYTES = 64 * KIB;
const PAGE_BITS = 8 * PAGE_BYTES;
/** Pages kept: 4 MiB. */
const MOST_PAGES = 64;

/**
 * Bits on the disk, read in pages, some of which are kept: $Bitmap (one bit per cluster), the bitmap of $MFT (per record), of an
 * index (per block). They may be longer than what they count; what lies behind means nothing.
 */
export class PagedBitmap {
  readonly #content: Content;
  readonly #count: number;
  readonly #pages = new Map<number, Uint8Array>();

  /** Throws `corrupt` (`ntfs.bitmap-size`) if there are not bits for all of `count`. */
  constructor(content: Content, count: number, place: Place) {
    if (content.size * 8 < count) {
      throw corrupt('too short', {
        code: 'ntfs.bitmap-size',
        ...place,
        expected: `${Math.ceil(count / 8)} bytes`,
        found: content.size,
      });
    }
    this.#content = content;
    this.#count = count;
  }

  #page(index: number): Uint8Array {
    const cached = this.#pages.get(index);
    if (cached !== undefined) return cached;
    const offset = index * PAGE_BYTES;
    const page = new Uint8Array(Math.min(PAGE_BYTES, Math.ceil(this.#count / 8) - offset));
    this.#content.readInto(offset, page);
    const [oldest] = this.#pages.keys();
    if (oldest !== undefined && this.#pages.size >= MOST_PAGES) this.#pages.delete(oldest);
    this.#pages.set(index, page);
    return page;
  }

  isSet(bit: number): boolean {
    const within = bit % PAGE_BITS;
    return (this.#page(Math.floor(bit / PAGE_BITS))[within >>> 3]! & (1 << (within & 7))) !== 0;
  }

  /** The first bit of `run` that is clear; undefined if none is. */
  firstClear(run: Run): number | undefined {
    const end = Math.min(run.start + run.length, this.#count);
    for (let at = run.start; at < end; ) {
      const index = Math.floor(at / PAGE_BITS);
      const base = index * PAGE_BITS;
      const to = Math.min(end, base + PAGE_BITS) - base;
      const clear = nextBit(this.#page(index), false, at - base, to);
      if (clear < to) return base + clear;
      at = base + to;
    }
    return undefined;
  }

  /** Maximal runs of set bits, ascending. Reads a page at a time and keeps none. */
  runs(): Generator<Run> {
    return coalesce(this.#runs());
  }

  *#runs(): Generator<Run> {
    const scratch = new Uint8Array(PAGE_BYTES);
    for (let base = 0; base < this.#count; base += PAGE_BITS) {
      const bits = Math.min(PAGE_BITS, this.#count - base);
      const page = scratch.subarray(0, Math.ceil(bits / 8));
      this.#content.readInto(base / 8, page);
      for (const { start, length } of setRuns(page, bits)) yield { start: base + start, length };
    }
  }
}
