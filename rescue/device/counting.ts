import type { ByteLength, ByteOffset } from '../units.ts';
import type { Device, ReadableDevice, SharedReads } from './device.ts';
import { PassingReader } from './passing.ts';
import { writeSoon } from './soon.ts';

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
export class CountingReader extends PassingReader {
  readonly #below: ReadableDevice;
  #traffic: Traffic = NOTHING;

  constructor(below: ReadableDevice) {
    super(below);
    this.#below = below;
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

  override readInto(offset: ByteOffset, target: Uint8Array): void {
    super.readInto(offset, target);
    this.#countRead(target.length);
  }

  override readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    super.readUncachedInto(offset, target);
    this.#countRead(target.length);
  }

  override async readIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    await super.readIntoSoon(offset, target);
    this.#countRead(target.length);
  }

  override async readUncachedIntoSoon(offset: ByteOffset, target: Uint8Array): Promise<void> {
    await super.readUncachedIntoSoon(offset, target);
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
