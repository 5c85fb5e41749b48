import type { ByteLength, ByteOffset } from '../units.ts';
import { readNew } from './bounds.ts';
import type { Device, ReadableDevice, SharedReads } from './device.ts';
import { isUnwritten } from './fresh.ts';
import { readSoon, readUncachedSoon, writeSoon } from './soon.ts';

/** What went through a device since it was wrapped. Failed requests do not count. */
export interface Traffic {
  readonly bytesRead: ByteLength;
  readonly bytesWritten: ByteLength;
  readonly reads: number;
  readonly writes: number;
  readonly flushes: number;
}

const NOTHING: Traffic = { bytesRead: 0, bytesWritten: 0, reads: 0, writes: 0, flushes: 0 };

/** Counts what is read, for reports. */
export class CountingReader implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly #below: ReadableDevice;
  #traffic: Traffic = NOTHING;

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
    return isUnwritten(this.#below, offset, length);
  }

  get sharedReads(): SharedReads | undefined {
    const below = this.#below.sharedReads;
    if (below === undefined) return undefined;
    const counted = (bytes: ByteLength): void => {
      below.counted(bytes);
      this.#countRead(bytes);
    };
    return { descriptor: below.descriptor, counted };
  }

  /** As of now; a value of its own that does not change. */
  get traffic(): Traffic {
    return this.#traffic;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#below.readInto(offset, target);
    this.#countRead(target.length);
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.#below.readUncachedInto(offset, target);
    this.#countRead(target.length);
  }

  async readIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    await readSoon(this.#below, offset, target);
    this.#countRead(target.length);
  }

  async readUncachedIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    await readUncachedSoon(this.#below, offset, target);
    this.#countRead(target.length);
  }

  #countRead(bytes: ByteLength): void {
    const { bytesRead, reads } = this.#traffic;
    this.#traffic = { ...this.#traffic, bytesRead: bytesRead + bytes, reads: reads + 1 };
  }

  protected countWrite(bytes: ByteLength): void {
    const { bytesWritten, writes } = this.#traffic;
    this.#traffic = { ...this.#traffic, bytesWritten: bytesWritten + bytes, writes: writes + 1 };
  }

  protected countFlush(): void {
    this.#traffic = { ...this.#traffic, flushes: this.#traffic.flushes + 1 };
  }
}

/** Counts what is read and written, for reports. */
export class CountingDevice extends CountingReader implements Device {
  readonly #below: Device;

  constructor(below: Device) {
    super(below);
    this.#below = below;
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    this.#below.write(offset, data);
    this.countWrite(data.length);
  }

  async writeSoon(offset: ByteOffset, data: Uint8Array): Promise<void> {
    await writeSoon(this.#below, offset, data);
    this.countWrite(data.length);
  }

  flush(): void {
    this.#below.flush();
    this.countFlush();
  }
}
