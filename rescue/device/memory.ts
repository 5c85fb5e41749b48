import { type ByteLength, type ByteOffset, type Extent, KIB } from '../units.ts';
import { checkBounds, readNew } from './bounds.ts';
import type { Device } from './device.ts';

const CHUNK = 64 * KIB;
const ZEROS = new Uint8Array(CHUNK);

/**
 * A device in memory. Only the parts that were written take space, and a snapshot shares them until either side
 * writes, so devices of several GiB and hundreds of snapshots are cheap.
 */
export class MemoryDevice implements Device {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  /** There is no cache in between. */
  readonly uncachedReads = true;
  readonly #chunks = new Map<number, Uint8Array>();
  /** Chunks that no snapshot shares. */
  #own = new Set<number>();

  constructor(size: ByteLength, sectorSize: ByteLength = 512, name = 'memory') {
    this.size = size;
    this.sectorSize = sectorSize;
    this.name = name;
  }

  /** A device that holds a copy of `bytes`. */
  static of(bytes: Uint8Array, sectorSize: ByteLength = 512): MemoryDevice {
    const device = new MemoryDevice(bytes.length, sectorSize);
    device.write(0, bytes);
    return device;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    checkBounds(this, offset, target.length);
    for (const part of partsOf(offset, target.length)) {
      const chunk = this.#chunks.get(part.index);
      const to = target.subarray(part.done, part.done + part.length);
      if (chunk === undefined) to.fill(0);
      else to.set(chunk.subarray(part.within, part.within + part.length));
    }
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.readInto(offset, target);
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    checkBounds(this, offset, data.length);
    for (const part of partsOf(offset, data.length)) {
      this.#ownChunk(part.index).set(data.subarray(part.done, part.done + part.length), part.within);
    }
  }

  flush(): void {}

  /** A device of its own with the content of now. */
  snapshot(): MemoryDevice {
    const copy = new MemoryDevice(this.size, this.sectorSize, this.name);
    for (const [index, chunk] of this.#chunks) copy.#chunks.set(index, chunk);
    this.#own = new Set();
    return copy;
  }

  /** Bytes of memory that hold content. */
  get storedBytes(): ByteLength {
    return this.#chunks.size * CHUNK;
  }

  /** Ranges that may hold something other than zeros, ascending. */
  *stored(): Generator<Extent> {
    for (const index of [...this.#chunks.keys()].sort((a, b) => a - b)) {
      const start = index * CHUNK;
      yield { start, length: Math.min(CHUNK, this.size - start) };
    }
  }

  /** Sectors in which the two differ, ascending, neighbours joined. Both must be of one size. */
  *differences(other: MemoryDevice): Generator<Extent> {
    if (other.size !== this.size) throw new RangeError('devices of different sizes');
    const indices = new Set([...this.#chunks.keys(), ...other.#chunks.keys()]);
    let open: { start: number; length: number } | undefined;
    for (const index of [...indices].sort((a, b) => a - b)) {
      const left = this.#chunks.get(index) ?? ZEROS;
      const right = other.#chunks.get(index) ?? ZEROS;
      if (left === right || Buffer.compare(left, right) === 0) continue;
      const end = Math.min(CHUNK, this.size - index * CHUNK);
      for (let at = 0; at < end; at += this.sectorSize) {
        const to = Math.min(at + this.sectorSize, end);
        if (Buffer.compare(left.subarray(at, to), right.subarray(at, to)) === 0) continue;
        const start = index * CHUNK + at;
        if (open !== undefined && open.start + open.length === start) open.length += to - at;
        else {
          if (open !== undefined) yield open;
          open = { start, length: to - at };
        }
      }
    }
    if (open !== undefined) yield open;
  }

  #ownChunk(index: number): Uint8Array {
    const current = this.#chunks.get(index);
    if (current !== undefined && this.#own.has(index)) return current;
    const chunk = current === undefined ? new Uint8Array(CHUNK) : Uint8Array.from(current);
    this.#chunks.set(index, chunk);
    this.#own.add(index);
    return chunk;
  }
}

interface Part {
  readonly index: number;
  /** Offset in the chunk. */
  readonly within: number;
  /** Bytes of the whole before this part. */
  readonly done: number;
  readonly length: number;
}

function* partsOf(offset: ByteOffset, length: ByteLength): Generator<Part> {
  for (let done = 0; done < length; ) {
    const index = Math.floor((offset + done) / CHUNK);
    const within = offset + done - index * CHUNK;
    const partLength = Math.min(CHUNK - within, length - done);
    yield { index, within, done, length: partLength };
    done += partLength;
  }
}
