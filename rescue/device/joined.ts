import type { ByteLength, ByteOffset } from '../units.ts';
import { checkBounds, readNew } from './bounds.ts';
import type { ReadableDevice } from './device.ts';
import { allSettled, readSoon, readUncachedSoon } from './soon.ts';

/** Several devices one behind the other, read only: the files of a container. */
export class JoinedDevice implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly uncachedReads: boolean;
  readonly #parts: readonly { readonly start: ByteOffset; readonly device: ReadableDevice }[];

  constructor(devices: readonly [ReadableDevice, ...ReadableDevice[]]) {
    let size = 0;
    this.#parts = devices.map((device) => {
      const start = size;
      size += device.size;
      return { start, device };
    });
    this.size = size;
    this.name = devices[0].name;
    this.sectorSize = devices[0].sectorSize;
    this.uncachedReads = devices.every((device) => device.uncachedReads);
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    checkBounds(this, offset, target.length);
    this.#each(offset, target, (device, at, piece) => device.readInto(at, piece));
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    checkBounds(this, offset, target.length);
    this.#each(offset, target, (device, at, piece) => device.readUncachedInto(at, piece));
  }

  async readIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    checkBounds(this, offset, target.length);
    const reads: Promise<void>[] = [];
    this.#each(offset, target, (device, at, piece) => reads.push(readSoon(device, at, piece)));
    await allSettled(reads);
  }

  async readUncachedIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    checkBounds(this, offset, target.length);
    const reads: Promise<void>[] = [];
    this.#each(offset, target, (device, at, piece) => reads.push(readUncachedSoon(device, at, piece)));
    await allSettled(reads);
  }

  #each(
    offset: ByteOffset,
    target: Uint8Array,
    visit: (device: ReadableDevice, at: ByteOffset, piece: Uint8Array) => void,
  ): void {
    const end = offset + target.length;
    for (const { start, device } of this.#parts) {
      const from = Math.max(offset, start);
      const to = Math.min(end, start + device.size);
      if (from < to) visit(device, from - start, target.subarray(from - offset, to - offset));
    }
  }
}
