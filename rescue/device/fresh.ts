import { nextBit, setBits } from '../bytes/bitmap.ts';
import { type ByteLength, type ByteOffset, KIB } from '../units.ts';
import { checkBounds } from './bounds.ts';
import type { Device, ReadableDevice } from './device.ts';
import { PassingReader } from './passing.ts';
import { writeSoon } from './soon.ts';

/** What is remembered of a device: one bit for each grain, 1 MiB of bits at most, however large it is. */
const MOST_GRAINS = 8 * 1024 * KIB;
const LEAST_GRAIN = 64 * KIB;

/**
 * A device that was all zeros when it was wrapped, and that nobody else writes: a sparse file that was just made. What was not written
 * since then need not be read to be known. There is nothing of it on the medium either: a read of a hole asks the medium nothing.
 */
export class FreshDevice extends PassingReader implements Device {
  readonly #below: Device;
  readonly #grain: ByteLength;
  readonly #written: Uint8Array;

  constructor(below: Device) {
    super(below);
    this.#below = below;
    let grain = LEAST_GRAIN;
    while (this.size > grain * MOST_GRAINS) grain *= 2;
    this.#grain = grain;
    this.#written = new Uint8Array(Math.ceil(this.size / grain / 8));
  }

  override isUnwritten(offset: ByteOffset, length: ByteLength): boolean {
    checkBounds(this, offset, length);
    const { from, to } = this.#grains(offset, length);
    return nextBit(this.#written, true, from, to) === to;
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    this.#note(offset, data.length);
    this.#below.write(offset, data);
  }

  async writeSoon(offset: ByteOffset, data: Uint8Array): Promise<void> {
    this.#note(offset, data.length);
    await writeSoon(this.#below, offset, data);
  }

  flush(): void {
    this.#below.flush();
  }

  /** Before the write: one that fails may have written something. */
  #note(offset: ByteOffset, length: ByteLength): void {
    checkBounds(this, offset, length);
    const { from, to } = this.#grains(offset, length);
    setBits(this.#written, from, to);
  }

  #grains(offset: ByteOffset, length: ByteLength): { from: number; to: number } {
    const from = Math.floor(offset / this.#grain);
    return { from, to: length === 0 ? from : Math.ceil((offset + length) / this.#grain) };
  }
}

/** Whether a range is known to be zeros without a look at it. */
export const isUnwritten = (device: ReadableDevice, offset: ByteOffset, length: ByteLength): boolean =>
  device.isUnwritten?.(offset, length) ?? false;
