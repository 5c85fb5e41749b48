import { corrupt } from '../errors.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { checkBounds, readNew } from './bounds.ts';
import type { Device, ReadableDevice } from './device.ts';
import { readSoon, readUncachedSoon, writeSoon } from './soon.ts';

/** A byte range of another device, read only. Offset 0 is the range's first byte. */
export class ReadableWindow implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  /** Where the window starts on the device below. */
  readonly start: ByteOffset;
  readonly #below: ReadableDevice;

  /** Throws `corrupt` (`window.outside`): what describes a window comes from a disk. */
  constructor(below: ReadableDevice, extent: Extent, name?: string) {
    const { start, length } = extent;
    if (
      !Number.isSafeInteger(start) ||
      !Number.isSafeInteger(length) ||
      start < 0 ||
      length < 0 ||
      length > below.size - start
    ) {
      throw corrupt(`a range of ${length} bytes reaches outside ${below.name}`, {
        code: 'window.outside',
        ...(Number.isSafeInteger(start) && start >= 0 ? { offset: start } : {}),
        expected: `at most ${below.size} bytes in all`,
        found: `start ${start}, length ${length}`,
      });
    }
    this.#below = below;
    this.start = start;
    this.size = length;
    this.sectorSize = below.sectorSize;
    this.name = name ?? `${below.name} from byte ${start}`;
  }

  get uncachedReads(): boolean {
    return this.#below.uncachedReads;
  }

  get rotational(): boolean | undefined {
    return this.#below.rotational;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    checkBounds(this, offset, target.length);
    this.#below.readInto(this.start + offset, target);
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    checkBounds(this, offset, target.length);
    this.#below.readUncachedInto(this.start + offset, target);
  }

  async readIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    checkBounds(this, offset, target.length);
    await readSoon(this.#below, this.start + offset, target);
  }

  async readUncachedIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    checkBounds(this, offset, target.length);
    await readUncachedSoon(this.#below, this.start + offset, target);
  }
}

/** A byte range of another device, read and write. */
export class Window extends ReadableWindow implements Device {
  readonly #below: Device;

  constructor(below: Device, extent: Extent, name?: string) {
    super(below, extent, name);
    this.#below = below;
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    checkBounds(this, offset, data.length);
    this.#below.write(this.start + offset, data);
  }

  async writeSoon(offset: ByteOffset, data: Uint8Array): Promise<void> {
    checkBounds(this, offset, data.length);
    await writeSoon(this.#below, this.start + offset, data);
  }

  /** Flushes all of the device below. */
  flush(): void {
    this.#below.flush();
  }
}
