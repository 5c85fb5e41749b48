import type { ByteLength, ByteOffset } from '../units.ts';

/**
 * A random-access range of bytes: a disk, a file, a window of either, an overlay, ... All calls are positional, and synchronous
 * but for those named `...Soon`, which are for bulk data and called through `soon.ts`: not every device has them. Everything
 * above this layer reads and writes through these interfaces only.
 */
export interface ReadableDevice {
  /** For people: the path, and for a window what it is a window of. */
  readonly name: string;
  readonly size: ByteLength;
  /** Logical sector size in bytes, 512 or 4096: the unit that a device is assumed to write whole or not at all. */
  readonly sectorSize: number;
  /**
   * Fills `target` with the bytes at `offset`, all of them, or throws `io`: a short read is an error.
   * `target` may be backed by shared memory.
   */
  readInto(offset: ByteOffset, target: Uint8Array): void;
  /** `length` bytes at `offset` in a new array that never changes under the caller. */
  read(offset: ByteOffset, length: ByteLength): Uint8Array;
  /**
   * The same bytes as they stand on the medium, not in any cache of this machine, when the device can tell
   * (`uncachedReads`); otherwise an ordinary read. Call `flush` first.
   */
  readUncachedInto(offset: ByteOffset, target: Uint8Array): void;
  /** Whether `readUncachedInto` really goes past the page cache. */
  readonly uncachedReads: boolean;
  /**
   * Whether it has to move its head for every place, which takes longer than a MiB of reading: what is needed twice is better kept in the
   * page cache there. Undefined: not known.
   */
  readonly rotational?: boolean | undefined;
  /**
   * Whether these bytes are zeros because nothing was ever written there (`fresh.ts`). Missing, as on every device that may have held something
   * before: not known, and only a read can tell.
   */
  isUnwritten?(offset: ByteOffset, length: ByteLength): boolean;
  /** How other threads read the same bytes; undefined where only this one can. */
  readonly sharedReads?: SharedReads | undefined;
  readIntoSoon?(offset: ByteOffset, target: Uint8Array): Promise<void>;
  readUncachedIntoSoon?(offset: ByteOffset, target: Uint8Array): Promise<void>;
}

/** What another thread of this program needs to read a device. It must have ended before the device is closed. */
export interface SharedReads {
  /** All threads have the same descriptors. Positional reads of it, read(2) with an offset, give the device's bytes. */
  readonly descriptor: number;
  /** To be told on the device's own thread how many bytes were read that way, for those who count. */
  counted(bytes: ByteLength): void;
}

export interface Device extends ReadableDevice {
  /** Writes all of `data` at `offset` or throws `io`. What is on the medium before the next `flush` is undefined. */
  write(offset: ByteOffset, data: Uint8Array): void;
  writeSoon?(offset: ByteOffset, data: Uint8Array): Promise<void>;
  /** Returns when everything written so far is on the medium. */
  flush(): void;
}

/** A device that owns an operating system handle. */
export interface Closable {
  close(): void;
}
