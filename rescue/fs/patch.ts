import { readNew } from '../device/bounds.ts';
import type { ReadableDevice } from '../device/device.ts';
import { joinSectors, Overlay, type Sectors } from '../device/overlay.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { applyOperation, operationExtents, type PatchOperation } from './patch-operation.ts';

/**
 * Live metadata is changed by patches only: computed in full, shown, journaled, then applied phase by phase with a flush after each.
 * A phase is a list of steps. Most are writes with before- and after-image; an operation (`patch-operation.ts`) is computed
 * from numbers when it is applied, and again when it is checked, so that a long one costs next to nothing to keep.
 * All positions are bytes from the start of the partition.
 */
export interface PatchWrite {
  readonly kind?: undefined;
  /** Multiple of the patch's sector size, as is the length. */
  readonly offset: ByteOffset;
  /** What must be there before. For a `scratch` write it does not matter (an empty journal's blocks). */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly scratch?: boolean;
}

export type PatchStep = PatchWrite | PatchOperation;

export interface Patch<Step extends PatchStep = PatchStep> {
  readonly sectorSize: ByteLength;
  /** Applied in order, a flush after each phase. Can be iterated more than once. */
  readonly phases: readonly (readonly Step[])[];
}

/** Bytes that a step may change, in whole sectors; ascending. */
export const stepExtents = (step: PatchStep, sectorSize: ByteLength): Iterable<Extent> =>
  step.kind === undefined
    ? [{ start: step.offset, length: step.after.length }]
    : operationExtents(step, sectorSize);

/** A patch of which the maker knows that it has no operations. Throws `RangeError` if it has. */
export const onlyWrites = ({ sectorSize, phases }: Patch): Patch<PatchWrite> => ({
  sectorSize,
  phases: phases.map((phase) =>
    phase.map((step) => {
      if (step.kind === undefined) return step;
      throw new RangeError(`a ${step.kind} among the writes`);
    }),
  ),
});

/** A view that can be edited. `barrier` ends a phase: what comes after reaches the disk after what came before. */
export interface Editor extends ReadableDevice {
  write(offset: ByteOffset, data: Uint8Array): void;
  /** Makes an operation, a phase of its own. The caller has checked that what it changes is as it must be before. */
  operate(operation: PatchOperation): void;
  barrier(): void;
}

/** The base with an operation made on it, computed as it is read. */
class Operated implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly uncachedReads = false;
  readonly operation: PatchOperation;
  readonly #base: ReadableDevice;

  constructor(base: ReadableDevice, operation: PatchOperation) {
    this.#base = base;
    this.operation = operation;
    this.name = base.name;
    this.size = base.size;
    this.sectorSize = base.sectorSize;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#base.readInto(offset, target);
    applyOperation(this.operation, offset, target);
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.readInto(offset, target);
  }
}

/** Writes between two operations, over what was there when the first of them was made. */
interface Layer {
  readonly base: ReadableDevice;
  readonly edits: Overlay;
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
  /** The last one is being written to; the base of each but the first is the layer before it, and an operation. */
  readonly #layers: Layer[];
  readonly #operations: PatchOperation[] = [];

  constructor(base: ReadableDevice) {
    this.#base = base;
    this.#layers = [{ base, edits: new Overlay(base) }];
    this.name = base.name;
    this.size = base.size;
    this.sectorSize = base.sectorSize;
  }

  get #edits(): Overlay {
    return this.#layers.at(-1)!.edits;
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

  operate(operation: PatchOperation): void {
    const end = operation.offset + operation.length * (operation.kind === 'chain' ? operation.copies : 1);
    if (operation.offset < 0 || end > this.size)
      throw new RangeError(`${operation.kind} outside ${this.name}`);
    this.barrier();
    const base = new Operated(this.#edits, operation);
    this.#operations.push(operation);
    this.#layers.push({ base, edits: new Overlay(base) });
  }

  /** Makes a step of another patch, as it stands. */
  take(step: PatchStep): void {
    if (step.kind === undefined) this.write(step.offset, step.after);
    else this.operate(step);
  }

  barrier(): void {
    this.#edits.flush();
  }

  /**
   * Byte ranges that differ from the base, with their latest content; ascending, neighbours joined. Throws `RangeError` if there was an
   * operation: what that changes is not kept.
   */
  changes(): PatchWrite[] {
    if (this.#operations.length > 0) throw new RangeError('an operation among the writes');
    return writesOf(this.#base, this.#edits.latest, new Map());
  }

  /** Byte ranges that may differ from the base, in whole sectors. Any order; they may overlap. */
  *changedExtents(): Generator<Extent> {
    for (const { edits } of this.#layers) {
      for (const [start, { length }] of edits.latest) yield { start, length };
    }
    for (const operation of this.#operations) yield* operationExtents(operation, this.sectorSize);
  }

  build(): Patch {
    this.barrier();
    const phases: PatchStep[][] = [];
    this.#layers.forEach(({ base, edits }, index) => {
      if (index > 0) phases.push([this.#operations[index - 1]!]);
      const standing = new Map<ByteOffset, Uint8Array>();
      for (const group of edits.groups()) {
        const writes = writesOf(base, group, standing);
        if (writes.length > 0) phases.push(writes);
        for (const [at, bytes] of group) standing.set(at, bytes);
      }
    });
    return { sectorSize: this.sectorSize, phases };
  }
}

/** `standing`: what earlier phases left in the sectors that they changed. */
const writesOf = (base: ReadableDevice, sectors: Sectors, standing: Sectors): PatchWrite[] => {
  const befores = new Map<ByteOffset, Uint8Array>();
  const afters = new Map<ByteOffset, Uint8Array>();
  for (const [at, after] of sectors) {
    const before = standing.get(at) ?? base.read(at, after.length);
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
};

/** The base as it will be once the patch is applied, however much of it has been applied already. */
export const withPatch = (base: ReadableDevice, { phases }: Patch): ReadableDevice => {
  const view = new PatchBuilder(base);
  for (const step of phases.flat()) view.take(step);
  return view;
};
