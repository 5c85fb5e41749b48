import { closeSync, fdatasyncSync, read, readSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { ioError, refused } from '../errors.ts';
import { type ByteLength, type ByteOffset, GIB } from '../units.ts';
import { checkBounds, readNew } from './bounds.ts';
import type { Closable, Device, SharedReads } from './device.ts';
import { DirectHandle } from './direct.ts';
import { ioFailure } from './failure.ts';

/** read(2) and write(2) transfer at most 0x7ffff000 bytes at once. */
const CALL_LIMIT = 1 * GIB;

const readLater = promisify(read);
const writeLater = promisify(write);

export interface DescriptorOptions {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly writable: boolean;
  /** Default: not known. */
  readonly rotational?: boolean | undefined;
  /** Given back when the device is closed. */
  readonly lock?: Closable | undefined;
}

/** A device on an open file descriptor, which it owns. Regular files and block devices behave alike here. */
export class DescriptorDevice implements Device, Closable {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly writable: boolean;
  readonly rotational: boolean | undefined;
  readonly #descriptor: number;
  readonly #lock: Closable | undefined;
  #closed = false;
  /** Undefined: not tried yet; null: there is no way past the cache here. */
  #direct: DirectHandle | null | undefined;
  #flushFailure: unknown;

  constructor(descriptor: number, options: DescriptorOptions) {
    this.#descriptor = descriptor;
    this.name = options.name;
    this.size = options.size;
    this.sectorSize = options.sectorSize;
    this.writable = options.writable;
    this.rotational = options.rotational;
    this.#lock = options.lock;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#checkOpen(offset, target.length);
    let done = 0;
    while (done < target.length) {
      let got: number;
      try {
        const wanted = Math.min(target.length - done, CALL_LIMIT);
        got = readSync(this.#descriptor, target, done, wanted, offset + done);
      } catch (error) {
        throw ioFailure('read', this.name, error, offset + done);
      }
      if (got === 0) throw this.#cutShort(offset, target.length, done);
      done += got;
    }
  }

  async readIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    this.#checkOpen(offset, target.length);
    let done = 0;
    while (done < target.length) {
      const wanted = Math.min(target.length - done, CALL_LIMIT);
      const { bytesRead } = await readLater(this.#descriptor, target, done, wanted, offset + done).catch(
        (error: unknown) => {
          throw ioFailure('read', this.name, error, offset + done);
        },
      );
      if (bytesRead === 0) throw this.#cutShort(offset, target.length, done);
      done += bytesRead;
    }
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    const direct = this.#openDirect();
    if (direct === null) {
      this.readInto(offset, target);
      return;
    }
    this.#checkOpen(offset, target.length);
    let got: number;
    try {
      got = direct.readInto(offset, target);
    } catch (error) {
      throw ioFailure('read', this.name, error, offset);
    }
    if (got < target.length) throw this.#cutShort(offset, target.length, got);
  }

  async readUncachedIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    const direct = this.#openDirect();
    if (direct === null) {
      await this.readIntoSoon(offset, target);
      return;
    }
    this.#checkOpen(offset, target.length);
    const got = await direct.readIntoSoon(offset, target).catch((error: unknown) => {
      throw ioFailure('read', this.name, error, offset);
    });
    if (got < target.length) throw this.#cutShort(offset, target.length, got);
  }

  get sharedReads(): SharedReads | undefined {
    return this.#closed ? undefined : { descriptor: this.#descriptor, counted: () => {} };
  }

  get uncachedReads(): boolean {
    return this.#openDirect() !== null;
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    this.#checkWritable(offset, data.length);
    let done = 0;
    while (done < data.length) {
      let put: number;
      try {
        const wanted = Math.min(data.length - done, CALL_LIMIT);
        put = writeSync(this.#descriptor, data, done, wanted, offset + done);
      } catch (error) {
        throw ioFailure('write', this.name, error, offset + done);
      }
      if (put === 0) throw this.#full(offset, data.length, done);
      done += put;
    }
  }

  /** Past the page cache where memory, offset and length are whole pages: a copy less, and the next flush has little to wait for. */
  async writeSoon(offset: ByteOffset, data: Uint8Array): Promise<void> {
    this.#checkWritable(offset, data.length);
    const direct = this.#openDirect()?.writeSoon(offset, data);
    let done =
      (await direct?.catch((error: unknown) => {
        throw ioFailure('write', this.name, error, offset);
      })) ?? 0;
    while (done < data.length) {
      const wanted = Math.min(data.length - done, CALL_LIMIT);
      const { bytesWritten } = await writeLater(this.#descriptor, data, done, wanted, offset + done).catch(
        (error: unknown) => {
          throw ioFailure('write', this.name, error, offset + done);
        },
      );
      if (bytesWritten === 0) throw this.#full(offset, data.length, done);
      done += bytesWritten;
    }
  }

  /**
   * Throws `io`, and after one failure always: the kernel reports a lost write once and then forgets it, so a later
   * success would say nothing.
   */
  flush(): void {
    this.#checkOpen(0, 0);
    if (this.#flushFailure !== undefined) throw this.#flushFailure;
    if (!this.writable) return;
    try {
      fdatasyncSync(this.#descriptor);
    } catch (error) {
      this.#flushFailure = ioFailure('flush', this.name, error);
      throw this.#flushFailure;
    }
  }

  /** Does not flush. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#direct?.close();
    try {
      closeSync(this.#descriptor);
    } finally {
      this.#lock?.close();
    }
  }

  #openDirect(): DirectHandle | null {
    if (this.#direct === undefined)
      this.#direct = this.#closed ? null : (DirectHandle.tryOpen(this.#descriptor, this.writable) ?? null);
    return this.#direct;
  }

  #checkOpen(offset: ByteOffset, length: ByteLength): void {
    if (this.#closed) throw ioError(`${this.name} has been closed`, { code: 'closed', offset });
    checkBounds(this, offset, length);
  }

  #checkWritable(offset: ByteOffset, length: ByteLength): void {
    this.#checkOpen(offset, length);
    if (this.writable) return;
    throw refused(`${this.name} was opened for reading only`, {
      code: 'read-only',
      offset,
      wayOut: 'Nothing was written.',
    });
  }

  #full(offset: ByteOffset, expected: ByteLength, found: ByteLength): unknown {
    return ioError(`cannot write ${this.name}: nothing more is accepted`, {
      code: 'short-write',
      offset: offset + found,
      expected,
      found,
    });
  }

  #cutShort(offset: ByteOffset, expected: ByteLength, found: ByteLength): unknown {
    return ioError(`${this.name} ends early`, {
      code: 'short-read',
      offset: offset + found,
      expected,
      found,
    });
  }
}
