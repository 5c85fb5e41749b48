import { isLocalFailure } from '../device/bad-sectors.ts';
import { allSettled, readUncachedSoon } from '../device/soon.ts';
import { type HoldfastError, isHoldfastError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { MAX_FRAME_SIZE } from '../image/layout.ts';
import type { LogReader } from '../image/log-reader.ts';
import { MAX_RECORD_LENGTH } from '../image/record.ts';
import type { JobContext } from './context.ts';
import { BATCH_SIZE, type DecodeFrame, type DecodeTask, INPUT_SIZE, OUTPUT_AT } from './frame-task.ts';
import { extentsOf, type MappedFrame } from './mapped-frame.ts';
import type { Standing } from './standing.ts';

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
  { compareDigest, standing }: ReadOptions,
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
        digest: compareDigest(frame) ? digest : undefined,
        look: standing?.isWanted(frame) ?? false,
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

/**
 * Reads what the medium has where frames belong to where they will be decoded, so that the worker can see whether they stand there
 * already. Returns the task; without a look at anything where the medium cannot be read.
 */
const lookAt = async (
  { device }: Standing,
  batch: FrameBatch,
  { task, places }: LoadedBatch,
  region: Uint8Array,
): Promise<DecodeTask> => {
  const parts: { start: number; length: number; readonly at: number }[] = [];
  let at = OUTPUT_AT;
  batch.frames.forEach((frame, index) => {
    const place = places[index]!;
    if (typeof place === 'string' || place < 0) return;
    if (!task.frames[place]!.look) {
      at += frame.length;
      return;
    }
    for (const { start, length } of extentsOf(frame)) {
      const last = parts.at(-1);
      if (last !== undefined && last.start + last.length === start && last.at + last.length === at)
        last.length += length;
      else parts.push({ start, length, at });
      at += length;
    }
  });
  try {
    await allSettled(
      parts.map((part) =>
        readUncachedSoon(device, part.start, region.subarray(part.at, part.at + part.length)),
      ),
    );
    return task;
  } catch (error) {
    if (!isHoldfastError(error, 'io') || !isLocalFailure(error)) throw error;
    return { ...task, frames: task.frames.map((frame) => ({ ...frame, look: false })) };
  }
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

/** A frame with its content; or why there is none. A run of zeros has neither, and neither has a frame that stands where it belongs. */
export interface ReadFrame {
  readonly frame: MappedFrame;
  /** In the region. */
  readonly raw: Uint8Array | undefined;
  readonly fault: string | undefined;
}

export interface ReadOptions {
  /** False for frames whose content was compared with their SHA-256 in this job already: the CRC of what is stored always is. */
  readonly compareDigest: (frame: MappedFrame) => boolean;
  /** Learns what stands already, which is not decoded. */
  readonly standing?: Standing | undefined;
}

/** Slots that are read at once. */
const READ_AHEAD = 16;
/** Batches for which the medium is looked at at the same time: past the page cache nobody else reads ahead. */
const LOOKS_AT_ONCE = 3;

/**
 * Reads, decodes and checks frames; `take` gets them in batches, in order, with an array that it may use until it is done.
 */
export const readFrames = async (
  context: JobContext,
  image: Image,
  frames: Iterable<MappedFrame>,
  options: ReadOptions,
  take: (frames: readonly ReadFrame[], scratch: Uint8Array) => void | Promise<void>,
): Promise<void> => {
  const { standing } = options;
  const log = image.log(READ_AHEAD);
  const loaded = new Map<FrameBatch, LoadedBatch>();
  /** The log is read in its order, one batch at a time. */
  let turn: Promise<unknown> = Promise.resolve();
  const load = (batch: FrameBatch, region: Uint8Array): Promise<LoadedBatch> => {
    const mine = turn.then(async () => {
      await prefetch(log, batch);
      return loadBatch(log, batch, region, options);
    });
    turn = mine.catch(() => {});
    return mine;
  };
  try {
    await context.pipeline.process(
      batchFrames(frames),
      async (batch, region) => {
        context.throwIfCancelled();
        const found = await load(batch, region);
        loaded.set(batch, found);
        return standing === undefined ? found.task : await lookAt(standing, batch, found, region);
      },
      (batch, results, region) => {
        const { places, task } = loaded.get(batch)!;
        loaded.delete(batch);
        const read = batch.frames.map((frame, index): ReadFrame => {
          const place = places[index]!;
          if (typeof place === 'string') return { frame, raw: undefined, fault: place };
          if (place < 0) return { frame, raw: undefined, fault: undefined };
          const { rawAt, fault, stands } = results[place]!;
          if (task.frames[place]!.look) standing?.note(frame, stands);
          if (stands) return { frame, raw: undefined, fault: undefined };
          if (rawAt < 0) return { frame, raw: undefined, fault };
          return { frame, raw: region.subarray(rawAt, rawAt + frame.length), fault: undefined };
        });
        // The records were decoded: their place is free.
        return take(read, region.subarray(0, INPUT_SIZE));
      },
      standing === undefined ? 1 : LOOKS_AT_ONCE,
    );
  } finally {
    await log.settled();
  }
};
