import { type SpanSet, subtract } from '../bytes/runs.ts';
import type { Device } from '../device/device.ts';
import { ioError } from '../errors.ts';
import type { PatchBuilder } from '../fs/patch.ts';
import { inPieces } from '../fs/patch-operation.ts';
import type { AddressSpace } from '../image/control.ts';
import type { Image } from '../image/image.ts';
import { type ByteLength, type ByteOffset, type Extent, KIB, MIB } from '../units.ts';
import type { JobContext } from './context.ts';
import type { DigestTask } from './frame-task.ts';
import { batchFrames, framesOf, type LoadedBatch, loadBatch, type MappedFrame } from './frames.ts';
import { extentsOf } from './verify-image.ts';

/** Where the content of one address space goes. */
export interface Destination {
  readonly space: AddressSpace;
  readonly device: Device;
  /** Bytes of the device that may be written; everything else of the space is left as it is. */
  readonly allowed: SpanSet;
}

/** The view of the partition that is to come about: the image with containers released and claimed. */
export interface FinalView {
  readonly view: PatchBuilder;
  /** Bytes where it differs from the image. */
  readonly changed: SpanSet;
}

/** A stretch of a frame's content and where it belongs. */
interface Piece {
  readonly offset: ByteOffset;
  readonly bytes: Uint8Array;
}

/** First bytes that are compared: if they differ, the rest is not read. */
const PROBE = 4 * KIB;
/** What is on the device now is read into this; every use is over before the next. */
const SCRATCH = new Uint8Array(MIB);

/** Whether the device holds `bytes` at `offset`; looks at a little first. */
const holds = (device: Device, offset: ByteOffset, bytes: Uint8Array): boolean => {
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(bytes.length - at, at === 0 ? PROBE : SCRATCH.length);
    const found = SCRATCH.subarray(0, length);
    device.readInto(offset + at, found);
    if (Buffer.compare(found, bytes.subarray(at, at + length)) !== 0) return false;
    at += length;
  }
  return true;
};

/** Frames of which anything may be written. */
function* framesFor(image: Image, destinations: readonly Destination[]): Generator<MappedFrame> {
  const allowed = new Map(destinations.map((each) => [each.space.id, each.allowed]));
  const spaces = destinations.map((each) => each.space);
  for (const frame of framesOf(image, spaces)) {
    if (extentsOf(frame).some((extent) => allowed.get(frame.space.id)!.intersects(extent))) yield frame;
  }
}

/** For pictures of the partition; what lies outside of it is not in them. */
const touchFrame = (context: JobContext, touched: 'written' | 'verified', frame: MappedFrame): void => {
  if (frame.space.of !== 'partition') return;
  for (const extent of extentsOf(frame)) context.touch(touched, extent);
};

/** Writes what differs. Returns the bytes that were written. */
const writeChanged = (device: Device, { offset, bytes }: Piece): ByteLength => {
  if (holds(device, offset, bytes)) return 0;
  device.write(offset, bytes);
  return bytes.length;
};

/** Cuts a piece down to what may be written, and joins it with what lies before it on disk and in memory. */
class Writer {
  readonly #destination: Destination;
  #pending: Piece | undefined;
  written = 0;

  constructor(destination: Destination) {
    this.#destination = destination;
  }

  put(piece: Piece): void {
    for (const part of this.#destination.allowed.within({
      start: piece.offset,
      length: piece.bytes.length,
    })) {
      const from = part.start - piece.offset;
      this.#join({ offset: part.start, bytes: piece.bytes.subarray(from, from + part.length) });
    }
  }

  #join(piece: Piece): void {
    const before = this.#pending;
    const adjoins =
      before !== undefined &&
      before.offset + before.bytes.length === piece.offset &&
      before.bytes.buffer === piece.bytes.buffer &&
      before.bytes.byteOffset + before.bytes.length === piece.bytes.byteOffset;
    if (adjoins) {
      const bytes = new Uint8Array(
        before.bytes.buffer,
        before.bytes.byteOffset,
        before.bytes.length + piece.bytes.length,
      );
      this.#pending = { offset: before.offset, bytes };
    } else {
      this.flush();
      this.#pending = piece;
    }
  }

  flush(): void {
    if (this.#pending !== undefined) this.written += writeChanged(this.#destination.device, this.#pending);
    this.#pending = undefined;
  }
}

const ZEROS = new Uint8Array(MIB);

const putZeros = (writer: Writer, extent: Extent): void => {
  for (let at = 0; at < extent.length; at += ZEROS.length) {
    writer.put({
      offset: extent.start + at,
      bytes: ZEROS.subarray(0, Math.min(ZEROS.length, extent.length - at)),
    });
    writer.flush();
  }
};

/** Lays the bytes of the final view over those of the image where they differ. */
const overlay = (final: FinalView | undefined, extent: Extent, bytes: Uint8Array): void => {
  if (final === undefined) return;
  for (const { start, length } of final.changed.within(extent)) {
    final.view.readInto(start, bytes.subarray(start - extent.start, start - extent.start + length));
  }
};

/**
 * Writes all frames to their destinations in disk order. `final` applies to the partition's own spaces. Frames that
 * cannot be decoded any more are reported and left out. Returns how many bytes were written.
 */
export const writeFrames = async (
  context: JobContext,
  image: Image,
  destinations: readonly Destination[],
  final: FinalView | undefined,
  onLost: (frame: MappedFrame, reason: string) => void,
): Promise<ByteLength> => {
  const log = image.log(16);
  const writers = new Map(destinations.map((each) => [each.space.id, new Writer(each)]));
  const loaded = new Map<object, LoadedBatch>();
  const total = image.rawBytes;
  let done = 0;
  const finalFor = (space: AddressSpace) => (space.of === 'partition' ? final : undefined);
  await context.pipeline.process(
    batchFrames(framesFor(image, destinations)),
    (batch, region) => {
      context.throwIfCancelled();
      const load = loadBatch(log, batch, region);
      loaded.set(batch, load);
      return load.task;
    },
    (batch, results, region) => {
      const { places } = loaded.get(batch)!;
      loaded.delete(batch);
      batch.frames.forEach((frame, index) => {
        done += frame.length;
        touchFrame(context, 'written', frame);
        const writer = writers.get(frame.space.id)!;
        const place = places[index]!;
        if (frame.zero) {
          for (const extent of extentsOf(frame)) {
            putZeros(writer, extent);
            // Where a claim changes a cluster of zeros, the change is written with the other changes.
          }
          return;
        }
        const result = typeof place === 'number' ? results[place] : undefined;
        if (result === undefined || result.rawAt < 0) {
          onLost(frame, result?.fault ?? String(place));
          return;
        }
        let at = result.rawAt;
        for (const extent of extentsOf(frame)) {
          const bytes = region.subarray(at, at + extent.length);
          overlay(finalFor(frame.space), extent, bytes);
          writer.put({ offset: extent.start, bytes });
          at += extent.length;
        }
      });
      for (const writer of writers.values()) writer.flush();
      context.progress('write', Math.min(done, total), total);
    },
  );
  return [...writers.values()].reduce((sum, writer) => sum + writer.written, 0);
};

const differs = (offset: ByteOffset) =>
  ioError('the device does not hold what was written to it', {
    code: 'read-back',
    structure: 'restored partition',
    offset,
    wayOut: 'The device is failing: restore to another one with --to.',
  });

const compareWith = (device: Device, offset: ByteOffset, expected: Uint8Array): void => {
  const found =
    expected.length <= SCRATCH.length
      ? SCRATCH.subarray(0, expected.length)
      : new Uint8Array(expected.length);
  device.readUncachedInto(offset, found);
  const at =
    Buffer.compare(found, expected) === 0 ? -1 : found.findIndex((byte, index) => byte !== expected[index]);
  if (at >= 0) throw differs(offset + at);
};

/** Parts of a frame's extents that were written as the image has them, and those that the final view changed. */
const splitByChange = (destination: Destination, final: FinalView | undefined, extent: Extent) => {
  const written = [...destination.allowed.within(extent)];
  const changed = final === undefined ? [] : written.flatMap((part) => [...final.changed.within(part)]);
  const whole = written.length === 1 && written[0]!.length === extent.length && changed.length === 0;
  return { whole, unchanged: [...subtract(written, changed)], changed };
};

/**
 * Reads everything that was written back from the medium and compares it: whole frames by the SHA-256 that was taken when
 * the image was made, parts and changes byte by byte. `skip` is what was lost, by log position. Throws `io` (`read-back`).
 */
export const readBackFrames = async (
  context: JobContext,
  image: Image,
  destinations: readonly Destination[],
  final: FinalView | undefined,
  skip: SpanSet,
): Promise<void> => {
  const log = image.log(16);
  const bySpace = new Map(destinations.map((each) => [each.space.id, each]));
  const expected = new Map<object, { readonly digest: Uint8Array; readonly offset: ByteOffset }[]>();
  let done = 0;
  await context.pipeline.process(
    batchFrames(framesFor(image, destinations)),
    (batch, region): DigestTask => {
      context.throwIfCancelled();
      const pieces: { at: number; length: number }[] = [];
      const digests: { digest: Uint8Array; offset: ByteOffset }[] = [];
      let at = 0;
      for (const frame of batch.frames) {
        const destination = bySpace.get(frame.space.id)!;
        const view = frame.space.of === 'partition' ? final : undefined;
        const extents = extentsOf(frame);
        done += frame.length;
        touchFrame(context, 'verified', frame);
        if (!frame.zero && skip.has(frame.entries[0]!.logOffset)) continue;
        const splits = extents.map((extent) => splitByChange(destination, view, extent));
        if (frame.zero) {
          for (const { unchanged } of splits)
            for (const part of unchanged) compareZeros(destination.device, part);
        } else if (splits.every((split) => split.whole)) {
          const start = at;
          for (const { start: offset, length } of extents) {
            destination.device.readUncachedInto(offset, region.subarray(at, at + length));
            at += length;
          }
          const head = log.head(frame.entries[0]!.logOffset);
          pieces.push({ at: start, length: at - start });
          digests.push({ digest: head.digest, offset: extents[0]!.start });
        } else if (view !== undefined) {
          for (const { unchanged } of splits) {
            for (const part of unchanged) {
              compareWith(destination.device, part.start, view.view.read(part.start, part.length));
            }
          }
        }
      }
      expected.set(batch, digests);
      return { kind: 'digest', pieces };
    },
    (batch, results) => {
      expected.get(batch)!.forEach(({ digest, offset }, index) => {
        if (Buffer.compare(digest, results[index]!) !== 0) throw differs(offset);
      });
      expected.delete(batch);
      context.progress('read-back', Math.min(done, image.rawBytes), image.rawBytes);
    },
  );
};

const compareZeros = (device: Device, part: Extent): void => {
  for (let at = 0; at < part.length; at += ZEROS.length) {
    compareWith(device, part.start + at, ZEROS.subarray(0, Math.min(ZEROS.length, part.length - at)));
  }
};

/** Writes the stretches in which the final view differs from the image, but for `except`. */
export const writeChanges = (device: Device, final: FinalView, except: SpanSet): ByteLength => {
  let written = 0;
  for (const span of inPieces(subtract(final.changed.spans, except.spans))) {
    written += writeChanged(device, { offset: span.start, bytes: final.view.read(span.start, span.length) });
  }
  return written;
};

/** The same stretches, read back. Throws `io` (`read-back`). */
export const readBackChanges = (device: Device, final: FinalView): void => {
  for (const span of inPieces(final.changed.spans))
    compareWith(device, span.start, final.view.read(span.start, span.length));
};
