import { isLocalFailure } from '../device/bad-sectors.ts';
import { type HoldfastError, isHoldfastError } from '../errors.ts';
import type { AddressSpace } from '../image/control.ts';
import type { Image } from '../image/image.ts';
import { MAX_FRAME_SIZE } from '../image/layout.ts';
import type { LogReader } from '../image/log-reader.ts';
import type { MapEntry } from '../image/map.ts';
import { MAX_RECORD_LENGTH } from '../image/record.ts';
import type { ByteLength } from '../units.ts';
import { BATCH_SIZE, type DecodeFrame, type DecodeTask, INPUT_SIZE } from './frame-task.ts';

/** A frame of the image with the map entries that its content serves; or one run of zeros. */
export interface MappedFrame {
  readonly space: AddressSpace;
  readonly entries: readonly MapEntry[];
  /** Decoded bytes: the sum of the entries. */
  readonly length: ByteLength;
  readonly zero: boolean;
}

/** All frames of the given address spaces in map order, which is disk order. */
export function* framesOf(image: Image, spaces: readonly AddressSpace[]): Generator<MappedFrame> {
  const byId = new Map(spaces.map((space) => [space.id, space]));
  let open: MapEntry[] = [];
  const close = (): MappedFrame => {
    const entries = open;
    open = [];
    const space = byId.get(entries[0]!.space)!;
    const length = entries.reduce((sum, entry) => sum + entry.length, 0) * space.unit;
    return { space, entries, length, zero: false };
  };
  for (const entry of image.map.entriesFrom(0, 0)) {
    const space = byId.get(entry.space);
    if (space === undefined) continue;
    if (entry.codec === 'zero') {
      yield { space, entries: [entry], length: entry.length * space.unit, zero: true };
      continue;
    }
    const [first] = open;
    const same = first === undefined || (first.logOffset === entry.logOffset && first.space === entry.space);
    if (!same) yield close();
    open.push(entry);
  }
  if (open.length > 0) yield close();
}

export interface FrameBatch {
  readonly frames: readonly MappedFrame[];
}

/** Frames of one batch at most, zero runs included. */
const MAX_BATCH_FRAMES = 64;

/** Frames in batches whose decoded content fits a region. */
export function* batchFrames(frames: Iterable<MappedFrame>): Generator<FrameBatch> {
  let batch: MappedFrame[] = [];
  let raw = 0;
  let stored = 0;
  for (const frame of frames) {
    const moreRaw = frame.zero ? 0 : frame.length;
    const moreStored = frame.zero ? 0 : frame.entries[0]!.recordLength;
    const full = raw + moreRaw > BATCH_SIZE || stored + moreStored > INPUT_SIZE;
    if (batch.length > 0 && (full || batch.length === MAX_BATCH_FRAMES)) {
      yield { frames: batch };
      batch = [];
      raw = 0;
      stored = 0;
    }
    batch.push(frame);
    raw += moreRaw;
    stored += moreStored;
  }
  if (batch.length > 0) yield { frames: batch };
}

export interface LoadedBatch {
  /** Without frames for a batch of zero runs. */
  readonly task: DecodeTask;
  /** For each frame of the batch: its number in the task, or why it is lost; -1 for a zero run. */
  readonly places: readonly (number | string)[];
}

/** Whether it concerns one place of the container; after any other failure the rest cannot be read either. */
const isLocal = (error: unknown): error is HoldfastError =>
  isHoldfastError(error, 'io') ? isLocalFailure(error) : isHoldfastError(error);

/**
 * Reads the stored frames of a batch into a region. Damage becomes a reason per frame, and so does a place that cannot be
 * read. Throws `io` when the device is gone.
 */
export const loadBatch = (log: LogReader, batch: FrameBatch, region: Uint8Array): LoadedBatch => {
  const frames: DecodeFrame[] = [];
  let at = 0;
  const places = batch.frames.map((frame): number | string => {
    if (frame.zero) return -1;
    const { logOffset, recordLength } = frame.entries[0]!;
    if (frame.length > MAX_FRAME_SIZE || recordLength > MAX_RECORD_LENGTH) return 'the map is out of bounds';
    try {
      const { head, stored } = log.recordInto(logOffset, region.subarray(at, at + recordLength));
      if (head.stream !== 'data' || head.codec === 'zero') return 'the map points to a record without data';
      if (head.rawLength !== frame.length) return 'the map does not fit the frame';
      const { codec, rawLength, storedLength, storedCrc, digest } = head;
      frames.push({
        at: stored.byteOffset - region.byteOffset,
        storedLength,
        storedCrc,
        codec,
        rawLength,
        digest,
      });
      at += recordLength;
      return frames.length - 1;
    } catch (error) {
      if (!isLocal(error)) throw error;
      return error.message;
    }
  });
  return { task: { kind: 'decode', frames }, places };
};
