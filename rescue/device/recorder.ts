import { normalise } from '../bytes/runs.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { readNew } from './bounds.ts';
import type { Device } from './device.ts';

/** One request in the order in which it was made. Only those that succeeded are kept. */
export type DeviceEvent =
  | {
      readonly type: 'read';
      readonly offset: ByteOffset;
      readonly length: ByteLength;
      readonly uncached: boolean;
    }
  | {
      readonly type: 'write';
      readonly offset: ByteOffset;
      readonly length: ByteLength;
      readonly data: Uint8Array;
    }
  | { readonly type: 'flush' };

export type WriteEvent = Extract<DeviceEvent, { type: 'write' }>;

/**
 * Keeps every request to a device, with the data written: for tests of ordering, and to rebuild what a medium may
 * hold after a power cut. Memory grows with what is written.
 */
export class Recorder implements Device {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly events: DeviceEvent[] = [];
  readonly #below: Device;

  constructor(below: Device) {
    this.#below = below;
    this.name = below.name;
    this.size = below.size;
    this.sectorSize = below.sectorSize;
  }

  get uncachedReads(): boolean {
    return this.#below.uncachedReads;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#below.readInto(offset, target);
    this.events.push({ type: 'read', offset, length: target.length, uncached: false });
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.#below.readUncachedInto(offset, target);
    this.events.push({ type: 'read', offset, length: target.length, uncached: true });
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    this.#below.write(offset, data);
    this.events.push({ type: 'write', offset, length: data.length, data: Uint8Array.from(data) });
  }

  flush(): void {
    this.#below.flush();
    this.events.push({ type: 'flush' });
  }

  get writes(): WriteEvent[] {
    return this.events.filter((event) => event.type === 'write');
  }

  /** Bytes that any write touched; ascending, joined. */
  written(): Extent[] {
    return touched(this.writes);
  }

  /** Bytes that any read touched; ascending, joined. */
  readRanges(): Extent[] {
    return touched(this.events.filter((event) => event.type === 'read'));
  }
}

const touched = (events: readonly { readonly offset: ByteOffset; readonly length: ByteLength }[]): Extent[] =>
  normalise(events.map((event) => ({ start: event.offset, length: event.length }))).map(
    ({ start, length }): Extent => ({ start: start as number, length }),
  );

/** The writes before `cut` (an index into `events`), parted by whether a flush made them durable. */
export const writesBefore = (
  events: readonly DeviceEvent[],
  cut: number,
): { durable: WriteEvent[]; pending: WriteEvent[] } => {
  const before = events.slice(0, cut);
  const lastFlush = before.findLastIndex((event) => event.type === 'flush');
  const isWrite = (event: DeviceEvent): event is WriteEvent => event.type === 'write';
  return {
    durable: before.slice(0, lastFlush + 1).filter(isWrite),
    pending: before.slice(lastFlush + 1).filter(isWrite),
  };
};

/**
 * Turns `medium`, which holds what it held before the first event, into what it may hold after a power cut before
 * event `cut`: all that was flushed, and of the rest exactly the writes that `survivors` picks, in the order in which
 * it gives them. Indices count the pending writes from 0.
 */
export const replayCut = (
  medium: Device,
  events: readonly DeviceEvent[],
  cut: number,
  survivors: (pending: readonly WriteEvent[]) => Iterable<number>,
): void => {
  const { durable, pending } = writesBefore(events, cut);
  for (const event of durable) medium.write(event.offset, event.data);
  for (const index of survivors(pending)) {
    const event = pending[index];
    if (event === undefined) throw new RangeError(`there is no pending write ${index}`);
    medium.write(event.offset, event.data);
  }
};
