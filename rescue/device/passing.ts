import type { ByteLength, ByteOffset } from '../units.ts';
import { readNew } from './bounds.ts';
import type { ReadableDevice } from './device.ts';
import { readSoon, readUncachedSoon } from './soon.ts';

/**
 * What a device over another one says of itself and reads: all of it as the one below has it. It passes on no writes: how those go is what
 * each such device exists for, and none may come by them unawares.
 */
export class PassingReader implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly #below: ReadableDevice;

  constructor(below: ReadableDevice) {
    this.#below = below;
    this.name = below.name;
    this.size = below.size;
    this.sectorSize = below.sectorSize;
  }

  get uncachedReads(): boolean {
    return this.#below.uncachedReads;
  }

  get rotational(): boolean | undefined {
    return this.#below.rotational;
  }

  isUnwritten(offset: ByteOffset, length: ByteLength): boolean {
    return this.#below.isUnwritten?.(offset, length) ?? false;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#below.readInto(offset, target);
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.#below.readUncachedInto(offset, target);
  }

  async readIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    await readSoon(this.#below, offset, target);
  }

  async readUncachedIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    await readUncachedSoon(this.#below, offset, target);
  }
}
