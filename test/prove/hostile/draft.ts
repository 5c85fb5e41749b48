import { checkBounds } from '../../../rescue/device/bounds.ts';
import type { ReadableDevice } from '../../../rescue/device/device.ts';

/** Bytes that are not those of the seed. */
export interface Edit {
  readonly at: number;
  readonly bytes: Uint8Array;
}

const PAGE = 1024;
/** Bytes that are alike between two edits and yet belong to one. */
const BRIDGE = 8;

/**
 * A disk that is one seed with some bytes changed, for the parser to read: to write to it there is no way. The changes are taken back
 * page by page, so that no volume is copied for an input.
 */
export class Draft implements ReadableDevice {
  readonly name = 'input';
  readonly size: number;
  readonly sectorSize: number;
  readonly uncachedReads = true;
  readonly #seed: Buffer;
  readonly #now: Buffer;
  readonly #pages = new Set<number>();

  constructor(seed: Uint8Array, sectorSize = 512) {
    this.#seed = Buffer.from(seed);
    this.#now = Buffer.from(seed);
    this.size = seed.length;
    this.sectorSize = sectorSize;
  }

  readInto(offset: number, target: Uint8Array): void {
    checkBounds(this, offset, target.length);
    target.set(this.#now.subarray(offset, offset + target.length));
  }

  read(offset: number, length: number): Uint8Array {
    checkBounds(this, offset, length);
    const bytes = new Uint8Array(length);
    bytes.set(this.#now.subarray(offset, offset + length));
    return bytes;
  }

  readUncachedInto(offset: number, target: Uint8Array): void {
    this.readInto(offset, target);
  }

  /** A view of the bytes as they are, for mutators and checksums. Empty behind the end. */
  view(at: number, length: number): Buffer {
    return this.#now.subarray(Math.max(0, at), Math.max(0, Math.min(this.size, at + length)));
  }

  /** Changes bytes; what lies behind the end is left out. */
  put(at: number, bytes: Uint8Array): void {
    const length = Math.min(bytes.length, this.size - at);
    if (at < 0 || length <= 0) return;
    const last = Math.floor((at + length - 1) / PAGE);
    for (let page = Math.floor(at / PAGE); page <= last; page += 1) this.#pages.add(page);
    this.#now.set(bytes.subarray(0, length), at);
  }

  /** The seed again. */
  reset(): void {
    for (const page of this.#pages)
      this.#seed.copy(this.#now, page * PAGE, page * PAGE, Math.min(this.size, (page + 1) * PAGE));
    this.#pages.clear();
  }

  /** What differs from the seed, ascending. */
  edits(): Edit[] {
    const found: Edit[] = [];
    let from = -1;
    let to = -1;
    const end = (): void => {
      if (from >= 0) found.push({ at: from, bytes: Uint8Array.from(this.#now.subarray(from, to)) });
    };
    for (const page of [...this.#pages].sort((a, b) => a - b)) {
      const limit = Math.min(this.size, (page + 1) * PAGE);
      if (this.#seed.compare(this.#now, page * PAGE, limit, page * PAGE, limit) === 0) continue;
      for (let at = page * PAGE; at < limit; at += 1) {
        if (this.#seed[at] === this.#now[at]) continue;
        if (from < 0 || at > to + BRIDGE) {
          end();
          from = at;
        }
        to = at + 1;
      }
    }
    end();
    return found;
  }
}
