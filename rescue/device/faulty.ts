import { hash } from 'node:crypto';
import { SpanSet } from '../bytes/runs.ts';
import { type HoldfastError, ioError } from '../errors.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { checkBounds, readNew } from './bounds.ts';
import type { Device } from './device.ts';
import { Overlay } from './overlay.ts';

/** Which sectors of the write at which power fails reach the medium. */
export interface Tear {
  readonly part: 'first' | 'middle' | 'last';
  readonly sectors: number;
}

export interface Faults {
  /** Power fails during write N (from 0): of it only what `tear` says reaches the medium; nothing after it does. */
  readonly cutAtWrite?: number;
  /** Power fails during flush N (from 0). */
  readonly cutAtFlush?: number;
  /** Default: nothing of the write that is cut. */
  readonly tear?: Tear;
  /**
   * The device has a write cache: writes reach the medium at the next flush. When power fails, each sector of the
   * pending writes survives or not as the seed has it, and later ones may survive without earlier ones.
   */
  readonly cacheSeed?: number;
  /** Reading any of these bytes fails, and goes on failing. */
  readonly badReads?: Iterable<Extent>;
  /** Writing any of these bytes fails. */
  readonly badWrites?: Iterable<Extent>;
  /** Nothing at or past this offset can be read: the device is shorter than it says. */
  readonly shortAt?: ByteOffset;
  /** The device is gone after this many reads. */
  readonly vanishAfterReads?: number;
  /** The device is gone after this many writes. */
  readonly vanishAfterWrites?: number;
}

interface PendingWrite {
  readonly offset: ByteOffset;
  readonly data: Uint8Array;
}

/** A device that fails as told, over one that does not. What the base holds is what the medium holds. */
export class FaultyDevice implements Device {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly #base: Device;
  readonly #faults: Faults;
  readonly #badReads: SpanSet;
  readonly #badWrites: SpanSet;
  /** Of a device with a write cache: what reads see, and what the next flush makes durable, in order. */
  #cached: Overlay;
  #pending: PendingWrite[] = [];
  #reads = 0;
  #writes = 0;
  #flushes = 0;
  #dead: (() => HoldfastError) | undefined;

  constructor(base: Device, faults: Faults = {}) {
    this.#base = base;
    this.#faults = faults;
    this.#badReads = new SpanSet(faults.badReads ?? []);
    this.#badWrites = new SpanSet(faults.badWrites ?? []);
    this.#cached = new Overlay(base);
    this.name = base.name;
    this.size = base.size;
    this.sectorSize = base.sectorSize;
  }

  /** Requests so far, the failed ones included. */
  get reads(): number {
    return this.#reads;
  }
  get writes(): number {
    return this.#writes;
  }
  get flushes(): number {
    return this.#flushes;
  }
  /** Whether power failed or the device vanished. */
  get isDead(): boolean {
    return this.#dead !== undefined;
  }

  get uncachedReads(): boolean {
    return this.#base.uncachedReads;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#beginRead(offset, target.length);
    if (this.#hasCache) this.#cached.readInto(offset, target);
    else this.#base.readInto(offset, target);
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  /** Sees what the medium holds: not the writes that await a flush. */
  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.#beginRead(offset, target.length);
    this.#base.readUncachedInto(offset, target);
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    checkBounds(this, offset, data.length);
    const index = this.#writes++;
    this.#throwIfDead();
    if (index === this.#faults.vanishAfterWrites) this.#vanish();
    if (index === this.#faults.cutAtWrite) this.#cut({ offset, data });
    for (const bad of this.#badWrites.within({ start: offset, length: data.length })) {
      throw ioError(`cannot write ${this.name}: injected`, { code: 'EIO', offset: bad.start });
    }
    if (!this.#hasCache) {
      this.#base.write(offset, data);
      return;
    }
    this.#pending.push({ offset, data: Uint8Array.from(data) });
    this.#cached.write(offset, data);
  }

  flush(): void {
    const index = this.#flushes++;
    this.#throwIfDead();
    if (index === this.#faults.cutAtFlush) this.#cut();
    for (const { offset, data } of this.#pending) this.#base.write(offset, data);
    this.#pending = [];
    this.#cached = new Overlay(this.#base);
    this.#base.flush();
  }

  get #hasCache(): boolean {
    return this.#faults.cacheSeed !== undefined;
  }

  #beginRead(offset: ByteOffset, length: ByteLength): void {
    checkBounds(this, offset, length);
    const index = this.#reads++;
    this.#throwIfDead();
    if (index === this.#faults.vanishAfterReads) this.#vanish();
    const { shortAt } = this.#faults;
    if (shortAt !== undefined && offset + length > shortAt) {
      const found = Math.max(0, shortAt - offset);
      throw ioError(`${this.name} ends early: injected`, {
        code: 'short-read',
        offset: offset + found,
        expected: length,
        found,
      });
    }
    for (const bad of this.#badReads.within({ start: offset, length })) {
      throw ioError(`cannot read ${this.name}: injected`, { code: 'EIO', offset: bad.start });
    }
  }

  #throwIfDead(): void {
    if (this.#dead !== undefined) throw this.#dead();
  }

  #vanish(): never {
    this.#dead = () => ioError(`${this.name}: the device is gone: injected`, { code: 'ENODEV' });
    throw this.#dead();
  }

  /** Power fails: leaves on the base what reached the medium. */
  #cut(write?: PendingWrite): never {
    const { cacheSeed } = this.#faults;
    if (cacheSeed !== undefined) {
      const survives = coinsOf(cacheSeed);
      for (const { offset, data } of this.#pending) {
        for (const sector of this.#sectorsOf(offset, data)) {
          if (survives()) this.#base.write(sector.offset, sector.data);
        }
      }
    }
    if (write !== undefined) {
      for (const sector of this.#torn(write)) this.#base.write(sector.offset, sector.data);
    }
    this.#pending = [];
    this.#dead = () => ioError(`${this.name}: power failed: injected`, { code: 'power-cut' });
    throw this.#dead();
  }

  #torn({ offset, data }: PendingWrite): PendingWrite[] {
    const { tear } = this.#faults;
    if (tear === undefined) return [];
    const sectors = this.#sectorsOf(offset, data);
    const spare = Math.max(0, sectors.length - tear.sectors);
    const first = { first: 0, middle: Math.floor(spare / 2), last: spare }[tear.part];
    return sectors.slice(first, first + tear.sectors);
  }

  /** A write cut at the sectors of the device: each reaches the medium whole or not at all. */
  #sectorsOf(offset: ByteOffset, data: Uint8Array): PendingWrite[] {
    const sectors: PendingWrite[] = [];
    for (let done = 0; done < data.length; ) {
      const length = Math.min(this.sectorSize - ((offset + done) % this.sectorSize), data.length - done);
      sectors.push({ offset: offset + done, data: data.subarray(done, done + length) });
      done += length;
    }
    return sectors;
  }
}

/** Tosses that depend on the seed alone, so that a failure can be repeated. */
const coinsOf = (seed: number): (() => boolean) => {
  let tosses = 0;
  return () => (hash('sha256', `${seed} ${tosses++}`, 'buffer')[0]! & 1) === 1;
};
