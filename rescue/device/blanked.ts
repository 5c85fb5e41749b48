import { SpanSet } from '../bytes/runs.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { checkBounds, readNew } from './bounds.ts';
import type { ReadableDevice } from './device.ts';
import { allSettled, readSoon, readUncachedSoon } from './soon.ts';

/** A device some bytes of which are known to mean nothing: they are not read and count as zeros. */
export class BlankedReader implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly #below: ReadableDevice;
  readonly #blank: SpanSet;

  constructor(below: ReadableDevice, blank: Iterable<Extent>) {
    this.name = below.name;
    this.size = below.size;
    this.sectorSize = below.sectorSize;
    this.#below = below;
    this.#blank = new SpanSet(blank);
  }

  get uncachedReads(): boolean {
    return this.#below.uncachedReads;
  }

  get rotational(): boolean | undefined {
    return this.#below.rotational;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#eachOther(offset, target, (at, part) => this.#below.readInto(at, part));
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.#eachOther(offset, target, (at, part) => this.#below.readUncachedInto(at, part));
  }

  async readIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    const reads: Promise<void>[] = [];
    this.#eachOther(offset, target, (at, part) => reads.push(readSoon(this.#below, at, part)));
    await allSettled(reads);
  }

  async readUncachedIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    const reads: Promise<void>[] = [];
    this.#eachOther(offset, target, (at, part) => reads.push(readUncachedSoon(this.#below, at, part)));
    await allSettled(reads);
  }

  /** Zeros what is blank and calls `read` for all that lies between. */
  #eachOther(offset: ByteOffset, target: Uint8Array, read: (at: ByteOffset, part: Uint8Array) => void): void {
    checkBounds(this, offset, target.length);
    let at = 0;
    for (const { start, length } of this.#blank.within({ start: offset, length: target.length })) {
      const from = start - offset;
      if (from > at) read(offset + at, target.subarray(at, from));
      target.fill(0, from, from + length);
      at = from + length;
    }
    if (at < target.length) read(offset + at, target.subarray(at));
  }
}
