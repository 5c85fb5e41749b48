import { isLocalFailure } from '../device/bad-sectors.ts';
import { type HoldfastError, isHoldfastError } from '../errors.ts';
import type { AddressSpace } from '../image/control.ts';
import type { Image } from '../image/image.ts';
import { MAX_FRAME_SIZE } from '../image/layout.ts';
import type { LogReader } from '../image/log-reader.ts';
import type { MapEntry } from '../image/map.ts';
import { MAX_RECORD_LENGTH } from '../image/record.ts';
import type { ByteLength } from '../units.ts';
import type { JobContext } from './context.ts';
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

interface LoadedBatch {
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
const loadBatch = (
  log: LogReader,
  batch: FrameBatch,
  region: Uint8Array,
  compareDigests: boolean,
): LoadedBatch => {
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
        digest: compareDigests ? digest : undefined,
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

/** Has the records of a batch read while the batches before it are worked on. */
const prefetch = async (log: LogReader, { frames }: FrameBatch): Promise<void> => {
  const entries = frames.filter(({ zero }) => !zero).map((frame) => frame.entries[0]!);
  if (entries.length === 0) return;
  const from = Math.min(...entries.map(({ logOffset }) => logOffset));
  const to = Math.max(...entries.map(({ logOffset, recordLength }) => logOffset + recordLength));
  // Scattered records are read one by one.
  if (to - from <= 2 * INPUT_SIZE) await log.prefetch(from, to - from);
};

/** A frame with its content; or why there is none. A run of zeros has neither. */
export interface ReadFrame {
  readonly frame: MappedFrame;
  /** In the region. */
  readonly raw: Uint8Array | undefined;
  readonly fault: string | undefined;
}

/** Slots that are read at once. */
const READ_AHEAD = 16;

/**
 * Reads, decodes and checks frames; `take` gets them in batches, in order, with an array that it may use until it is done.
 * `compareDigests: false` is for frames whose SHA-256 was compared in this job already: their CRC still is.
 */
export const readFrames = async (
  context: JobContext,
  image: Image,
  frames: Iterable<MappedFrame>,
  compareDigests: boolean,
  take: (frames: readonly ReadFrame[], scratch: Uint8Array) => void | Promise<void>,
): Promise<void> => {
  const log = image.log(READ_AHEAD);
  const loaded = new Map<FrameBatch, LoadedBatch>();
  try {
    await context.pipeline.process(
      batchFrames(frames),
      async (batch, region) => {
        context.throwIfCancelled();
        await prefetch(log, batch);
        const load = loadBatch(log, batch, region, compareDigests);
        loaded.set(batch, load);
        return load.task;
      },
      (batch, results, region) => {
        const { places } = loaded.get(batch)!;
        loaded.delete(batch);
        const read = batch.frames.map((frame, index): ReadFrame => {
          const place = places[index]!;
          if (typeof place === 'string') return { frame, raw: undefined, fault: place };
          if (place < 0) return { frame, raw: undefined, fault: undefined };
          const { rawAt, fault } = results[place]!;
          if (rawAt < 0) return { frame, raw: undefined, fault };
          return { frame, raw: region.subarray(rawAt, rawAt + frame.length), fault: undefined };
        });
        // The records were decoded: their place is free.
        return take(read, region.subarray(0, INPUT_SIZE));
      },
    );
  } finally {
    await log.settled();
  }
};
