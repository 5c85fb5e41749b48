import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { checkBounds, readNew } from './bounds.ts';
import type { ReadableDevice } from './device.ts';

/** Pieces of a device one behind the other, in the order given, read only: a file as its file system maps it. */
export class PiecesReader implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly #below: ReadableDevice;
  readonly #extents: readonly Extent[];
  /** Where each piece starts in what is read. */
  readonly #starts: readonly ByteOffset[];

  constructor(below: ReadableDevice, extents: readonly Extent[], name: string) {
    let size = 0;
    this.#starts = extents.map(({ length }) => {
      const start = size;
      size += length;
      return start;
    });
    this.#below = below;
    this.#extents = extents;
    this.size = size;
    this.name = name;
    this.sectorSize = below.sectorSize;
  }

  get uncachedReads(): boolean {
    return this.#below.uncachedReads;
  }

  get rotational(): boolean | undefined {
    return this.#below.rotational;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#each(offset, target, (at, piece) => this.#below.readInto(at, piece));
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.#each(offset, target, (at, piece) => this.#below.readUncachedInto(at, piece));
  }

  /** Number of the piece that holds byte `offset`. */
  #pieceOf(offset: ByteOffset): number {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  #each(offset: ByteOffset, target: Uint8Array, visit: (at: ByteOffset, piece: Uint8Array) => void): void {
    checkBounds(this, offset, target.length);
    let piece = this.#pieceOf(offset);
    for (let done = 0; done < target.length; piece += 1) {
      const inside = offset + done - this.#starts[piece]!;
      const { start, length } = this.#extents[piece]!;
      const take = Math.min(length - inside, target.length - done);
      visit(start + inside, target.subarray(done, done + take));
      done += take;
    }
  }
}
