import { closeSync, constants, openSync, read, readSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { type ByteLength, type ByteOffset, KIB, MIB, roundDown, roundUp } from '../units.ts';
import { errnoOf } from './failure.ts';

/**
 * Reads and writes past the page cache. O_DIRECT wants memory, offset and length aligned to the logical sector; a page
 * (open(2), "O_DIRECT": "the logical block size of the underlying storage") satisfies every disk there is.
 */
const ALIGNMENT = 4 * KIB;
const BOUNCE_SIZE = 1 * MIB;
const WASM_PAGE = 64 * KIB;

const readLater = promisify(read);
const writeLater = promisify(write);

/** TypeScript declares this in its library for browsers only. */
declare const WebAssembly: {
  readonly Memory: new (options: {
    initial: number;
    maximum: number;
    shared: true;
  }) => { readonly buffer: SharedArrayBuffer };
};

/** Memory from here: other shared memory begins anywhere, and O_DIRECT refuses it. */
const pageAligned = new WeakSet<object>();

/**
 * `size` bytes that start at a page boundary and can be handed to workers. The only memory that Node offers for which O_DIRECT
 * works is that of a shared `WebAssembly.Memory`; it is never given back while in use, so callers keep a fixed pool.
 */
export const allocatePageAligned = (size: ByteLength): Uint8Array<SharedArrayBuffer> => {
  const pages = Math.ceil(size / WASM_PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  pageAligned.add(memory.buffer);
  return new Uint8Array(memory.buffer, 0, size);
};

/** One for the whole thread: every call here is synchronous, so no two uses can overlap. */
let bounceBuffer: Uint8Array<SharedArrayBuffer> | undefined;
const bounce = (): Uint8Array<SharedArrayBuffer> => {
  bounceBuffer ??= allocatePageAligned(BOUNCE_SIZE);
  return bounceBuffer;
};

/** Whether the kernel takes a transfer as it is, without a bounce buffer. */
const isAligned = (offset: ByteOffset, bytes: Uint8Array): boolean =>
  pageAligned.has(bytes.buffer) &&
  [bytes.byteOffset, offset, bytes.length].every((each) => each % ALIGNMENT === 0);

/** A second, O_DIRECT handle on a file that is already open. */
export class DirectHandle {
  readonly #descriptor: number;
  #writable: boolean;

  private constructor(descriptor: number, writable: boolean) {
    this.#descriptor = descriptor;
    this.#writable = writable;
  }

  /**
   * Opens what `descriptor` has open (not the path, which may name another device by now) once more and reads one
   * page to see that it works. Undefined where it does not: tmpfs, some FUSE file systems, no /proc.
   */
  static tryOpen(descriptor: number, writable: boolean): DirectHandle | undefined {
    let direct: number;
    const access = writable ? constants.O_RDWR : constants.O_RDONLY;
    try {
      direct = openSync(`/proc/self/fd/${descriptor}`, access | constants.O_DIRECT);
    } catch {
      return undefined;
    }
    try {
      readSync(direct, bounce(), 0, ALIGNMENT, 0);
    } catch (error) {
      // A bad first sector is no reason to trust the cache.
      if (errnoOf(error) !== 'EIO') {
        closeSync(direct);
        return undefined;
      }
    }
    return new DirectHandle(direct, writable);
  }

  /**
   * Reads up to `target.length` bytes at any offset; returns how many there were before the end of the file.
   * Throws the system call's own error.
   */
  readInto(offset: ByteOffset, target: Uint8Array): ByteLength {
    const buffer = bounce();
    let done = 0;
    while (done < target.length) {
      const at = offset + done;
      const from = roundDown(at, ALIGNMENT);
      const wanted = Math.min(buffer.length, roundUp(at - from + target.length - done, ALIGNMENT));
      const got = readSync(this.#descriptor, buffer, 0, wanted, from);
      const useful = Math.min(got - (at - from), target.length - done);
      if (useful <= 0) break;
      target.set(buffer.subarray(at - from, at - from + useful), done);
      done += useful;
    }
    return done;
  }

  /** The same without waiting, where memory, offset and length are aligned; elsewhere it waits. */
  async readIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<ByteLength> {
    if (!isAligned(offset, target)) return this.readInto(offset, target);
    let done = 0;
    while (done < target.length) {
      const { bytesRead } = await readLater(
        this.#descriptor,
        target,
        done,
        target.length - done,
        offset + done,
      );
      done += bytesRead;
      // A short read may end at the end of the file, or anywhere else: then the rest is not aligned any more.
      if (bytesRead === 0 || bytesRead % ALIGNMENT !== 0) break;
    }
    return done < target.length ? done + this.readInto(offset + done, target.subarray(done)) : done;
  }

  /**
   * Begins to write, and resolves with how many bytes were written, which may be fewer; undefined if it has to go through the cache:
   * what is not aligned, and everything where the kernel wants more than that. Rejects with the system call's own error.
   */
  writeSoon(offset: ByteOffset, data: Uint8Array): Promise<ByteLength | undefined> | undefined {
    if (!this.#writable || !isAligned(offset, data)) return undefined;
    return writeLater(this.#descriptor, data, 0, data.length, offset).then(
      ({ bytesWritten }) => bytesWritten,
      (error: unknown) => {
        if (errnoOf(error) !== 'EINVAL') throw error;
        this.#writable = false;
        return undefined;
      },
    );
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
