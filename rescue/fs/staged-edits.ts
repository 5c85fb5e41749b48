import type { ReadableDevice } from '../device/device.ts';
import { type ByteLength, type ByteOffset, roundDown } from '../units.ts';
import type { Editor } from './patch.ts';
import type { PatchOperation } from './patch-operation.ts';

/** Edits are kept in pieces of this many bytes, a multiple of every sector size. */
const PIECE = 4096;
const UNTOUCHED = 0xff;

interface Piece {
  /** The latest content. */
  readonly bytes: Uint8Array;
  /** For each sector, the latest phase that changed it, as its place in the order; or UNTOUCHED. */
  readonly phases: Uint8Array;
}

/** What a sector held in an earlier phase than its latest one. */
interface Version {
  readonly offset: ByteOffset;
  readonly bytes: Uint8Array;
}

/**
 * Edits that are planned in any order and reach the editor phase by phase, all at once at the end: until `apply`
 * the editor has seen nothing, so that anything may still be refused. Reads see what was planned.
 */
export class StagedEdits<Phase extends string> implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly uncachedReads = false;
  readonly #editor: Editor;
  readonly #order: readonly Phase[];
  /** By phase. */
  readonly #operations: PatchOperation[][];
  /** By position. */
  readonly #pieces = new Map<ByteOffset, Piece>();
  /** By phase. */
  readonly #earlier: Version[][];

  /** `order`: the phases as they reach the disk. */
  constructor(editor: Editor, order: readonly Phase[]) {
    this.#editor = editor;
    this.#order = order;
    this.#operations = order.map(() => []);
    this.#earlier = this.#order.map(() => []);
    this.name = editor.name;
    this.size = editor.size;
    this.sectorSize = editor.sectorSize;
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    this.#editor.readInto(offset, target);
    const end = offset + target.length;
    for (let at = roundDown(offset, PIECE); at < end; at += PIECE) {
      const piece = this.#pieces.get(at);
      if (piece === undefined) continue;
      const from = Math.max(at, offset);
      target.set(piece.bytes.subarray(from - at, Math.min(at + piece.bytes.length, end) - at), from - offset);
    }
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    const target = new Uint8Array(length);
    this.readInto(offset, target);
    return target;
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.readInto(offset, target);
  }

  /**
   * Plans a change. A sector that a later phase has changed already stays in that phase: an earlier one would show
   * what is not meant to be there yet.
   */
  write(phase: Phase, offset: ByteOffset, data: Uint8Array): void {
    const end = offset + data.length;
    if (offset < 0 || end > this.size) throw new RangeError(`edit outside ${this.name}`);
    const wanted = this.#order.indexOf(phase);
    const index = Math.max(wanted, this.#latestPhase(offset, end));
    for (let at = roundDown(offset, PIECE); at < end; at += PIECE) {
      const piece = this.#piece(at);
      const from = Math.max(at, offset);
      const to = Math.min(at + PIECE, end);
      for (let sector = roundDown(from, this.sectorSize); sector < to; sector += this.sectorSize) {
        this.#touch(piece, at, sector, index);
      }
      piece.bytes.set(data.subarray(from - offset, to - offset), from - at);
    }
  }

  /** Plans an operation, behind the writes of its phase. Reads do not see it, and no sector of it may be written. */
  operate(phase: Phase, operation: PatchOperation): void {
    this.#operations[this.#order.indexOf(phase)]!.push(operation);
  }

  #piece(at: ByteOffset): Piece {
    let piece = this.#pieces.get(at);
    if (piece === undefined) {
      const bytes = this.#editor.read(at, Math.min(PIECE, this.size - at));
      piece = { bytes, phases: new Uint8Array(PIECE / this.sectorSize).fill(UNTOUCHED) };
      this.#pieces.set(at, piece);
    }
    return piece;
  }

  #latestPhase(offset: ByteOffset, end: ByteOffset): number {
    let latest = 0;
    for (let at = roundDown(offset, this.sectorSize); at < end; at += this.sectorSize) {
      const piece = this.#pieces.get(roundDown(at, PIECE));
      const phase = piece?.phases[(at % PIECE) / this.sectorSize] ?? UNTOUCHED;
      if (phase !== UNTOUCHED) latest = Math.max(latest, phase);
    }
    return latest;
  }

  /** Moves a sector to a phase; what it held in an earlier one is kept for that one. */
  #touch(piece: Piece, at: ByteOffset, sector: ByteOffset, index: number): void {
    const place = (sector - at) / this.sectorSize;
    const before = piece.phases[place]!;
    if (before !== UNTOUCHED && before < index) {
      const bytes = piece.bytes.slice(sector - at, sector - at + this.sectorSize);
      this.#earlier[before]!.push({ offset: sector, bytes });
    }
    piece.phases[place] = index;
  }

  /** Hands everything to the editor, with a barrier after each phase. */
  apply(): void {
    this.#order.forEach((_, index) => {
      for (const { offset, bytes } of this.#earlier[index]!) this.#editor.write(offset, bytes);
      for (const [at, { bytes, phases }] of this.#pieces) {
        phases.forEach((phase, place) => {
          const start = place * this.sectorSize;
          if (phase === index) this.#editor.write(at + start, bytes.subarray(start, start + this.sectorSize));
        });
      }
      this.#editor.barrier();
      for (const operation of this.#operations[index]!) this.#editor.operate(operation);
    });
  }
}
