import { ioError } from '../errors.ts';
import { type ByteLength, type ByteOffset, MIB, roundDown } from '../units.ts';
import { checkBounds, readNew } from './bounds.ts';
import type { Device, ReadableDevice } from './device.ts';

/** A range that differs from the base, with its content. */
export interface OverlayChange {
  readonly offset: ByteOffset;
  readonly data: Uint8Array;
}

/** Content by the sector's byte offset. The last sector of a base may be shorter than a sector. */
export type Sectors = ReadonlyMap<ByteOffset, Uint8Array>;

/** Longest single write of `commit`, and longest single change. */
const WRITE_LIMIT = 1 * MIB;

/**
 * Queues writes in memory, sector by sector, over a base that is only read. Reads see them. Writes between two
 * flushes may reach a device in any order, so they are merged here, and `commit` applies one such group after the
 * other with a flush after each. Memory grows with the sectors written: meant for metadata, not for bulk data.
 */
export class Overlay implements Device {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  /** Queued writes are on no medium. */
  readonly uncachedReads = false;
  readonly #base: ReadableDevice;
  readonly #finished: Map<ByteOffset, Uint8Array>[] = [];
  #open = new Map<ByteOffset, Uint8Array>();
  /** Content of every sector that was written in any group. */
  readonly #latest = new Map<ByteOffset, Uint8Array>();

  constructor(base: ReadableDevice) {
    this.#base = base;
    this.name = base.name;
    this.size = base.size;
    this.sectorSize = base.sectorSize;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    checkBounds(this, offset, target.length);
    this.#base.readInto(offset, target);
    if (this.#latest.size === 0) return;
    for (const part of this.#partsOf(offset, target.length)) {
      const sector = this.#latest.get(part.sector);
      if (sector !== undefined) target.set(sector.subarray(part.from, part.to), part.done);
    }
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.readInto(offset, target);
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    checkBounds(this, offset, data.length);
    // A sector that the base cannot deliver must fail the whole write before any of it is seen.
    const sectors: [ByteOffset, Uint8Array][] = [];
    for (const part of this.#partsOf(offset, data.length)) {
      const bytes = this.#sectorToEdit(part.sector, part.to - part.from);
      bytes.set(data.subarray(part.done, part.done + part.to - part.from), part.from);
      sectors.push([part.sector, bytes]);
    }
    for (const [at, bytes] of sectors) {
      this.#open.set(at, bytes);
      this.#latest.set(at, bytes);
    }
  }

  /** Ends a group: what follows reaches the disk after what came before. Nothing is written. */
  flush(): void {
    if (this.#open.size === 0) return;
    this.#finished.push(this.#open);
    this.#open = new Map();
  }

  /** The groups in order, the open one included, with what each left in the sectors that it wrote. */
  groups(): readonly Sectors[] {
    return this.#open.size === 0 ? this.#finished : [...this.#finished, this.#open];
  }

  /** Every changed sector with its latest content. */
  get latest(): Sectors {
    return this.#latest;
  }

  /** All changed sectors with their latest content; ascending, neighbours joined up to 1 MiB. */
  changes(): Generator<OverlayChange> {
    return joinSectors(this.#latest);
  }

  /**
   * Writes the groups in order to `target`, which is the base or a copy of it, ascending within each, with a flush
   * after each; then forgets them. After an error nothing is forgotten, and it may be called again.
   */
  commit(target: Device): void {
    if (target.size !== this.size) {
      throw ioError(`${target.name} is not the device that these changes are for`, {
        code: 'other-size',
        expected: this.size,
        found: target.size,
      });
    }
    for (const group of this.groups()) {
      for (const { offset, data } of joinSectors(group)) target.write(offset, data);
      target.flush();
    }
    this.drop();
  }

  /** Forgets all queued writes. */
  drop(): void {
    this.#finished.length = 0;
    this.#open = new Map();
    this.#latest.clear();
  }

  #lengthAt(sector: ByteOffset): ByteLength {
    return Math.min(this.sectorSize, this.size - sector);
  }

  /** A copy of the sector as it reads now; zeros if all of it is about to be written. */
  #sectorToEdit(sector: ByteOffset, written: ByteLength): Uint8Array {
    const length = this.#lengthAt(sector);
    if (written === length) return new Uint8Array(length);
    const current = this.#latest.get(sector);
    return current === undefined ? this.#base.read(sector, length) : Uint8Array.from(current);
  }

  *#partsOf(offset: ByteOffset, length: ByteLength): Generator<Part> {
    const end = offset + length;
    for (let sector = roundDown(offset, this.sectorSize); sector < end; sector += this.sectorSize) {
      const from = Math.max(sector, offset);
      const to = Math.min(sector + this.sectorSize, end);
      yield { sector, from: from - sector, to: to - sector, done: from - offset };
    }
  }
}

interface Part {
  /** Byte offset of the sector on the device. */
  readonly sector: ByteOffset;
  /** Range within the sector. */
  readonly from: number;
  readonly to: number;
  /** Bytes of the request before this part. */
  readonly done: number;
}

/** Joins sectors that touch into ranges of at most `limit` bytes, ascending. */
export function* joinSectors(sectors: Sectors, limit: ByteLength = WRITE_LIMIT): Generator<OverlayChange> {
  const offsets = [...sectors.keys()].sort((a, b) => a - b);
  let group: Uint8Array[] = [];
  let start = 0;
  let length = 0;
  for (const at of offsets) {
    const bytes = sectors.get(at)!;
    if (group.length > 0 && (at !== start + length || length + bytes.length > limit)) {
      yield { offset: start, data: Buffer.concat(group) };
      group = [];
    }
    if (group.length === 0) {
      start = at;
      length = 0;
    }
    group.push(bytes);
    length += bytes.length;
  }
  if (group.length > 0) yield { offset: start, data: Buffer.concat(group) };
}
