import type { ReadableDevice } from '../device/device.ts';
import { joinSectors, Overlay, type Sectors } from '../device/overlay.ts';
import type { ByteLength, ByteOffset } from '../units.ts';

/**
 * Live metadata is changed by patches only: computed in full, shown, journaled with before-images, then applied
 * phase by phase with a flush after each. All positions are bytes from the start of the partition.
 */
export interface PatchWrite {
  /** Multiple of the patch's sector size, as is the length. */
  readonly offset: ByteOffset;
  /** What must be there before. For a `scratch` write it does not matter (an empty journal's blocks). */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly scratch?: boolean;
}

export interface Patch {
  readonly sectorSize: ByteLength;
  /** Applied in order, a flush after each phase. Can be iterated more than once. */
  readonly phases: readonly (readonly PatchWrite[])[];
}

/** A view that can be edited. `barrier` ends a phase: what comes after reaches the disk after what came before. */
export interface Editor extends ReadableDevice {
  write(offset: ByteOffset, data: Uint8Array): void;
  barrier(): void;
}

/**
 * Collects edits over a base in memory, sector by sector, and turns them into a patch. Reads see the edits.
 * Memory is that of the changed sectors; before-images are read from the base, which must not change meanwhile.
 * A change that restores what was there before its phase is dropped.
 */
export class PatchBuilder implements Editor {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly uncachedReads = false;
  readonly #base: ReadableDevice;
  readonly #edits: Overlay;

  constructor(base: ReadableDevice) {
    this.#base = base;
    this.#edits = new Overlay(base);
    this.name = base.name;
    this.size = base.size;
    this.sectorSize = base.sectorSize;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#edits.readInto(offset, target);
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return this.#edits.read(offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.#edits.readInto(offset, target);
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    // Where to write is this program's own reckoning, so a miss is no fault of the disk.
    if (offset < 0 || offset + data.length > this.size) throw new RangeError(`edit outside ${this.name}`);
    this.#edits.write(offset, data);
  }

  barrier(): void {
    this.#edits.flush();
  }

  /** Byte ranges that differ from the base, with their latest content; ascending, neighbours joined. */
  changes(): PatchWrite[] {
    return this.#writesOf(this.#edits.latest, new Map());
  }

  build(): Patch {
    this.barrier();
    const standing = new Map<ByteOffset, Uint8Array>();
    const phases: PatchWrite[][] = [];
    for (const group of this.#edits.groups()) {
      const writes = this.#writesOf(group, standing);
      if (writes.length > 0) phases.push(writes);
      for (const [at, bytes] of group) standing.set(at, bytes);
    }
    return { sectorSize: this.sectorSize, phases };
  }

  /** `standing`: what earlier phases left in the sectors that they changed. */
  #writesOf(sectors: Sectors, standing: Sectors): PatchWrite[] {
    const befores = new Map<ByteOffset, Uint8Array>();
    const afters = new Map<ByteOffset, Uint8Array>();
    for (const [at, after] of sectors) {
      const before = standing.get(at) ?? this.#base.read(at, after.length);
      if (Buffer.compare(before, after) === 0) continue;
      befores.set(at, before);
      afters.set(at, after);
    }
    const before = joinSectors(befores);
    // Both maps have the same sectors, so they join alike.
    return [...joinSectors(afters)].map(({ offset, data }) => ({
      offset,
      before: before.next().value!.data,
      after: data,
    }));
  }
}
