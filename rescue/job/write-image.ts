import { type SpanSet, subtract } from '../bytes/runs.ts';
import type { Device } from '../device/device.ts';
import { isUnwritten } from '../device/fresh.ts';
import { allSettled } from '../device/soon.ts';
import type { PatchBuilder } from '../fs/patch.ts';
import { inPieces } from '../fs/patch-operation.ts';
import type { AddressSpace } from '../image/control.ts';
import type { Image } from '../image/image.ts';
import { type ByteLength, type Extent, MIB } from '../units.ts';
import type { JobContext } from './context.ts';
import { readFrames } from './frames.ts';
import { extentsOf, framesOf, type MappedFrame } from './mapped-frame.ts';
import type { Standing } from './standing.ts';
import { DifferentWriter, type Piece, PieceList, type Written } from './write-different.ts';

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

/** Frames of which anything may be written. */
export function* framesFor(image: Image, destinations: readonly Destination[]): Generator<MappedFrame> {
  const allowed = new Map(destinations.map((each) => [each.space.id, each.allowed]));
  const spaces = destinations.map((each) => each.space);
  for (const frame of framesOf(image, spaces)) {
    if (extentsOf(frame).some((extent) => allowed.get(frame.space.id)!.intersects(extent))) yield frame;
  }
}

/** For pictures of the partition; what lies outside of it is not in them. */
export const touchFrame = (
  context: JobContext,
  touched: 'written' | 'verified',
  frame: MappedFrame,
): void => {
  if (frame.space.of !== 'partition') return;
  for (const extent of extentsOf(frame)) context.touch(touched, extent);
};

const ZEROS = new Uint8Array(MIB);

/** Zeros as pieces, each of which may be written. */
function* zeroPieces({ allowed }: Destination, extent: Extent): Generator<Piece> {
  for (const { start, length } of inPieces(allowed.within(extent))) {
    yield { offset: start, bytes: ZEROS.subarray(0, length) };
  }
}

/** Lays the bytes of the final view over those of the image where they differ. */
const overlay = (final: FinalView | undefined, extent: Extent, bytes: Uint8Array): void => {
  if (final === undefined) return;
  for (const { start, length } of final.changed.within(extent)) {
    final.view.readInto(start, bytes.subarray(start - extent.start, start - extent.start + length));
  }
};

/** What one batch of frames has to write, by destination. */
class BatchWriter {
  readonly #writers: ReadonlyMap<Device, DifferentWriter>;
  readonly #zeros: { readonly device: Device; readonly piece: Piece }[] = [];
  readonly #content = new Map<Destination, PieceList>();

  constructor(writers: ReadonlyMap<Device, DifferentWriter>) {
    this.#writers = writers;
  }

  addZeros(destination: Destination, extent: Extent): void {
    // Where a claim changes a cluster of zeros, the change is written with the other changes.
    for (const piece of zeroPieces(destination, extent))
      this.#zeros.push({ device: destination.device, piece });
  }

  add(destination: Destination, piece: Piece): void {
    let list = this.#content.get(destination);
    if (list === undefined) {
      list = new PieceList(destination.allowed);
      this.#content.set(destination, list);
    }
    list.add(piece);
  }

  /** `scratch` is as long as the content, and 64 KiB longer. */
  async write(scratch: Uint8Array): Promise<void> {
    let used = 0;
    const writes: Promise<void>[] = [];
    const begin = (device: Device, piece: Piece, part: Uint8Array): Promise<void> =>
      this.#writers.get(device)!.write(piece, part);
    for (const [{ device }, { pieces }] of this.#content) {
      for (const piece of pieces) {
        writes.push(begin(device, piece, scratch.subarray(used, used + piece.bytes.length)));
        used += piece.bytes.length;
      }
    }
    const left = scratch.subarray(used);
    const zeros = async (): Promise<void> => {
      for (const { device, piece } of this.#zeros)
        if (!isUnwritten(device, piece.offset, piece.bytes.length)) await begin(device, piece, left);
    };
    await allSettled([...writes, zeros()]);
  }
}

function* butThose(frames: Iterable<MappedFrame>, standing: Standing | undefined): Generator<MappedFrame> {
  for (const frame of frames) if (standing?.stands(frame) !== true) yield frame;
}

/**
 * Writes all frames to their destinations in disk order, but for those that are `standing` there. `final` applies to the partition's own
 * spaces; of a frame that is left out, its changes are left out as well. Every frame was checked in this job before; those that cannot be
 * decoded any more are reported and left out. Returns what was written, by device.
 */
export const writeFrames = async (
  context: JobContext,
  image: Image,
  destinations: readonly Destination[],
  final: FinalView | undefined,
  onLost: (frame: MappedFrame, reason: string) => void,
  standing?: Standing,
): Promise<ReadonlyMap<Device, Written>> => {
  const bySpace = new Map(destinations.map((each) => [each.space.id, each]));
  const writers = new Map(destinations.map(({ device }) => [device, new DifferentWriter(device)]));
  const total = image.rawBytes;
  let done = 0;
  const finalFor = (space: AddressSpace) => (space.of === 'partition' ? final : undefined);
  context.progress('write', 0, total);
  const missing = butThose(framesFor(image, destinations), standing);
  const compareDigest = (frame: MappedFrame): boolean => standing?.stood(frame) ?? false;
  await readFrames(context, image, missing, { compareDigest }, async (frames, scratch) => {
    const batch = new BatchWriter(writers);
    for (const { frame, raw, fault } of frames) {
      done += frame.length;
      touchFrame(context, 'written', frame);
      const destination = bySpace.get(frame.space.id)!;
      if (fault !== undefined) onLost(frame, fault);
      let at = 0;
      for (const extent of extentsOf(frame)) {
        if (frame.zero) batch.addZeros(destination, extent);
        if (raw === undefined) continue;
        const bytes = raw.subarray(at, at + extent.length);
        overlay(finalFor(frame.space), extent, bytes);
        batch.add(destination, { offset: extent.start, bytes });
        at += extent.length;
      }
    }
    context.progress('write', Math.min(done, total), total);
    await batch.write(scratch);
  });
  return new Map([...writers].map(([device, { written }]) => [device, written]));
};

/** Writes the stretches in which the final view differs from the image, but for `except`. */
export const writeChanges = (device: Device, final: FinalView, except: SpanSet): ByteLength => {
  let written = 0;
  for (const span of inPieces(subtract(final.changed.spans, except.spans))) {
    const bytes = final.view.read(span.start, span.length);
    if (Buffer.compare(device.read(span.start, span.length), bytes) === 0) continue;
    device.write(span.start, bytes);
    written += bytes.length;
  }
  return written;
};
