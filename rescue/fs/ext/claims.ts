import { nextBit } from '../../bytes/bitmap.ts';
import { isHoldfastError } from '../../errors.ts';
import { MIB, type Run } from '../../units.ts';
import { readBlockBitmap } from './bitmaps.ts';
import type { ExtVolume } from './volume.ts';

/** Block bitmaps held in memory, in bytes: 1024 groups of 4 KiB blocks (128 GiB). */
const CACHED_BITMAP_BYTES = 4 * MIB;

/** Asks "are these clusters marked as in use?" of the block bitmaps, some of which it keeps. */
export class AllocationView {
  readonly #volume: ExtVolume;
  /** Undefined for a group whose descriptor or bitmap is damaged: nothing can be said of its clusters. */
  readonly #bitmaps = new Map<number, Uint8Array | undefined>();
  readonly #most: number;

  constructor(volume: ExtVolume) {
    this.#volume = volume;
    this.#most = Math.max(16, Math.floor(CACHED_BITMAP_BYTES / volume.blockSize));
  }

  /** A group's bitmap, valid until another one is asked for. Throws like `readBlockBitmap` and `ExtVolume.group`. */
  bitmap(group: number): Uint8Array | undefined {
    if (this.#bitmaps.has(group)) return this.#bitmaps.get(group);
    const scratch = this.#makeRoom();
    this.#bitmaps.set(group, undefined);
    const bitmap = readBlockBitmap(this.#volume, this.#volume.group(group), scratch);
    this.#bitmaps.set(group, bitmap);
    return bitmap;
  }

  /** Memory for one more bitmap: that of the one which was read first, once there are enough. */
  #makeRoom(): Uint8Array {
    const [oldest] = this.#bitmaps.keys();
    const full = oldest !== undefined && this.#bitmaps.size >= this.#most;
    const freed = full ? this.#bitmaps.get(oldest) : undefined;
    if (full) this.#bitmaps.delete(oldest);
    if (freed === undefined) return new Uint8Array(this.#volume.blockSize);
    return freed.length === this.#volume.blockSize ? freed : new Uint8Array(freed.buffer);
  }

  #known(group: number): Uint8Array | undefined {
    try {
      return this.bitmap(group);
    } catch (error) {
      if (!isHoldfastError(error, 'corrupt')) throw error;
      return undefined;
    }
  }

  /** The first cluster of `run` that is marked as free; undefined if none is. */
  firstFree(run: Run): number | undefined {
    const { clustersPerGroup, firstDataBlock } = this.#volume.parameters;
    // firstDataBlock is 1 only where a cluster is a block.
    const base = firstDataBlock;
    const end = run.start + run.length;
    for (let at = Math.max(run.start, base); at < end; ) {
      const group = Math.floor((at - base) / clustersPerGroup);
      const groupBase = base + group * clustersPerGroup;
      const to = Math.min(end, groupBase + clustersPerGroup);
      const bitmap = this.#known(group);
      if (bitmap !== undefined) {
        const free = nextBit(bitmap, false, at - groupBase, to - groupBase);
        if (free < to - groupBase) return groupBase + free;
      }
      at = to;
    }
    return undefined;
  }
}
