import { normalise, SpanSet } from '../bytes/runs.ts';
import type { Device } from '../device/device.ts';
import { allSettled, readUncachedSoon, writeSoon } from '../device/soon.ts';
import { type ByteLength, type ByteOffset, type Extent, KIB } from '../units.ts';

/** Writing only what is not there already: a partition that is brought back every night wears no disk out. */

/** A stretch of content and where it belongs. */
export interface Piece {
  readonly offset: ByteOffset;
  readonly bytes: Uint8Array;
}

/** Extents that are remembered at most; each takes some 100 bytes. */
const MOST_REMEMBERED = 50_000;

/**
 * What was written of one device. The rest was compared with what the medium holds, so that it need not be read back. When there is too
 * much to remember, everything counts as written.
 */
export class Written {
  #extents: { start: number; length: number }[] | undefined = [];
  /** Bytes. */
  total = 0;

  add(start: ByteOffset, length: ByteLength): void {
    this.total += length;
    const last = this.#extents?.at(-1);
    if (last !== undefined && last.start + last.length === start) last.length += length;
    else this.#extents?.push({ start, length });
    if (this.#extents !== undefined && this.#extents.length > MOST_REMEMBERED) {
      const joined = normalise(this.#extents).map(({ start, length }) => ({ start, length }));
      this.#extents = joined.length > MOST_REMEMBERED / 2 ? undefined : joined;
    }
  }

  /** Undefined: anything may have been written. */
  get extents(): SpanSet | undefined {
    return this.#extents && new SpanSet(this.#extents);
  }
}

/** What is compared and written at least. */
const GRAIN = 4 * KIB;
/** Up to this length all of a piece is compared at once. */
const SHORT = 64 * KIB;

/** Whether what is there differs from the piece between `from` and `to`. */
const differs = async (
  device: Device,
  { offset, bytes }: Piece,
  from: number,
  to: number,
  scratch: Uint8Array,
): Promise<boolean> => {
  const found = scratch.subarray(0, to - from);
  await readUncachedSoon(device, offset + from, found);
  return Buffer.compare(found, bytes.subarray(from, to)) !== 0;
};

/** Parts of `wanted`, counted from its start, that differ from `found`; ascending, joined. */
function* differences(wanted: Uint8Array, found: Uint8Array): Generator<Extent> {
  if (Buffer.compare(wanted, found) === 0) return;
  let open: { start: number; length: number } | undefined;
  for (let at = 0; at < wanted.length; at += GRAIN) {
    const end = Math.min(at + GRAIN, wanted.length);
    const same = Buffer.compare(wanted.subarray(at, end), found.subarray(at, end)) === 0;
    if (same) {
      if (open !== undefined) yield open;
      open = undefined;
    } else if (open === undefined) open = { start: at, length: end - at };
    else open.length = end - open.start;
  }
  if (open !== undefined) yield open;
}

/** Writes what differs of a device's content. Pieces may be written at the same time. */
export class DifferentWriter {
  readonly written = new Written();
  readonly #device: Device;
  /** Whether the piece before was there already, so that the next one probably is, too. */
  #wasThere = false;

  constructor(device: Device) {
    this.#device = device;
  }

  /**
   * Writes what differs of a piece; of one that differs at both ends, everything, without a look at the rest. `scratch` is the
   * caller's, at least 64 KiB, and not used by anybody else meanwhile. Throws `io`.
   */
  async write(piece: Piece, scratch: Uint8Array): Promise<void> {
    const { offset, bytes } = piece;
    if (bytes.length > SHORT && !this.#wasThere && (await this.#differsAtBothEnds(piece, scratch))) {
      await this.#put(offset, bytes);
      return;
    }
    let differed = 0;
    for (let at = 0; at < bytes.length; at += scratch.length) {
      const wanted = bytes.subarray(at, at + scratch.length);
      const found = scratch.subarray(0, wanted.length);
      await readUncachedSoon(this.#device, offset + at, found);
      const parts = [...differences(wanted, found)];
      await allSettled(
        parts.map(({ start, length }) =>
          this.#put(offset + at + start, wanted.subarray(start, start + length)),
        ),
      );
      differed += parts.reduce((sum, { length }) => sum + length, 0);
    }
    this.#wasThere = differed < bytes.length / 2;
  }

  async #put(offset: ByteOffset, bytes: Uint8Array): Promise<void> {
    // Counted before: what is under way when power or the device goes may have been written.
    this.written.add(offset, bytes.length);
    await writeSoon(this.#device, offset, bytes);
  }

  async #differsAtBothEnds(piece: Piece, scratch: Uint8Array): Promise<boolean> {
    const { length } = piece.bytes;
    return (
      (await differs(this.#device, piece, 0, GRAIN, scratch)) &&
      (await differs(this.#device, piece, length - GRAIN, length, scratch))
    );
  }
}

/** Cuts pieces down to what may be written, and joins those that adjoin both on disk and in memory. */
export class PieceList {
  readonly #allowed: SpanSet;
  readonly pieces: Piece[] = [];

  /** `allowed`: bytes of the device. */
  constructor(allowed: SpanSet) {
    this.#allowed = allowed;
  }

  add({ offset, bytes }: Piece): void {
    for (const part of this.#allowed.within({ start: offset, length: bytes.length })) {
      const from = part.start - offset;
      this.#join({ offset: part.start, bytes: bytes.subarray(from, from + part.length) });
    }
  }

  #join(piece: Piece): void {
    const before = this.pieces.at(-1);
    const adjoins =
      before !== undefined &&
      before.offset + before.bytes.length === piece.offset &&
      before.bytes.buffer === piece.bytes.buffer &&
      before.bytes.byteOffset + before.bytes.length === piece.bytes.byteOffset;
    if (!adjoins) {
      this.pieces.push(piece);
      return;
    }
    const { buffer, byteOffset, length } = before.bytes;
    const bytes = new Uint8Array(buffer, byteOffset, length + piece.bytes.length);
    this.pieces[this.pieces.length - 1] = { offset: before.offset, bytes };
  }
}
