import type { SpanSet } from '../bytes/runs.ts';
import type { Device } from '../device/device.ts';
import { allSettled, readUncachedSoon, writeSoon } from '../device/soon.ts';
import { type ByteLength, type ByteOffset, type Extent, KIB } from '../units.ts';

/** Writing only what is not there already: a partition that is brought back every night wears no disk out. */

/** A stretch of content and where it belongs. */
export interface Piece {
  readonly offset: ByteOffset;
  readonly bytes: Uint8Array;
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

/**
 * Writes what differs of a piece; of one that differs at both ends, everything, without a look at the rest. `scratch` is the
 * caller's, at least 64 KiB, and not used by anybody else meanwhile. Returns the bytes that were written. Throws `io`.
 */
export const writeDifferent = async (
  device: Device,
  piece: Piece,
  scratch: Uint8Array,
): Promise<ByteLength> => {
  const { offset, bytes } = piece;
  if (
    bytes.length > SHORT &&
    (await differs(device, piece, 0, GRAIN, scratch)) &&
    (await differs(device, piece, bytes.length - GRAIN, bytes.length, scratch))
  ) {
    await writeSoon(device, offset, bytes);
    return bytes.length;
  }
  let written = 0;
  for (let at = 0; at < bytes.length; at += scratch.length) {
    const wanted = bytes.subarray(at, at + scratch.length);
    const found = scratch.subarray(0, wanted.length);
    await readUncachedSoon(device, offset + at, found);
    const parts = [...differences(wanted, found)];
    await allSettled(
      parts.map(({ start, length }) =>
        writeSoon(device, offset + at + start, wanted.subarray(start, start + length)),
      ),
    );
    written += parts.reduce((sum, { length }) => sum + length, 0);
  }
  return written;
};

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
