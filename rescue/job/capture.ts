import { coalesce, totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { allSettled, readSoon, readUncachedSoon } from '../device/soon.ts';
import { type CodecChoice, encodeFrame } from '../image/codec.ts';
import type { AddressSpace } from '../image/control.ts';
import { MAX_FRAME_SIZE } from '../image/layout.ts';
import type { RecordRun } from '../image/record.ts';
import type { ContainerWriter } from '../image/writer.ts';
import type { ByteLength, Run } from '../units.ts';
import type { JobContext } from './context.ts';
import { BATCH_SIZE, type EncodedFrame, type EncodeTask } from './frame-task.ts';

/** Units of one address space that are to be captured. */
export interface Capture {
  readonly space: AddressSpace;
  /** What the space's start counts from: the partition or the disk. */
  readonly device: ReadableDevice;
  /** In units, ascending, read anew at each call. */
  runs(): Iterable<Run>;
}

interface Batch {
  readonly capture: Capture;
  /** Runs of each frame; the frames lie one behind the other in the region. */
  readonly frames: readonly (readonly Run[])[];
  readonly length: ByteLength;
}

/** Runs of clusters in units, which are smaller where clusters are larger than a unit may be. */
export function* inUnits(runs: Iterable<Run>, unitsPerCluster: number): Generator<Run> {
  for (const { start, length } of runs)
    yield { start: start * unitsPerCluster, length: length * unitsPerCluster };
}

/** Cuts runs into frames of at most 256 KiB, and those into batches of at most 1 MiB, in disk order. */
function* batchesOf(capture: Capture): Generator<Batch> {
  const { unit } = capture.space;
  const frameUnits = MAX_FRAME_SIZE / unit;
  let frames: Run[][] = [];
  let open: Run[] = [];
  let units = 0;
  let total = 0;
  const closeFrame = (): void => {
    if (open.length > 0) frames.push(open);
    open = [];
    units = 0;
  };
  for (const run of capture.runs()) {
    for (let at = 0; at < run.length; ) {
      const length = Math.min(run.length - at, frameUnits - units);
      open.push({ start: run.start + at, length });
      units += length;
      total += length * unit;
      at += length;
      if (units === frameUnits) closeFrame();
      if (total === BATCH_SIZE) {
        yield { capture, frames, length: total };
        frames = [];
        total = 0;
      }
    }
  }
  closeFrame();
  if (frames.length > 0) yield { capture, frames, length: total };
}

const PAGE = 4096;

/** Reads a batch with as few requests as its runs allow, all of them at the same time. */
const readBatch = async ({ capture, frames }: Batch, region: Uint8Array): Promise<void> => {
  const { space, device } = capture;
  // Past the page cache there is one copy less, and what others want to keep there stays; for that, pages must be whole.
  const whole = space.unit % PAGE === 0 && space.start % PAGE === 0;
  const read = whole ? readUncachedSoon : readSoon;
  let at = 0;
  const reads = [...coalesce(frames.flat())].map(({ start, length }) => {
    const target = region.subarray(at, at + length * space.unit);
    at += target.length;
    return read(device, space.start + start * space.unit, target);
  });
  await allSettled(reads);
};

/** The frame's runs with those units marked that turned out to be zero. */
const markZeros = (runs: readonly Run[], zeros: EncodedFrame['zeros']): RecordRun[] => {
  if (zeros.length === 0) return [...runs];
  const marked: RecordRun[] = [];
  let unit = 0;
  let zero = 0;
  for (const run of runs) {
    let at = 0;
    while (at < run.length) {
      while (zero < zeros.length && zeros[zero]![0] + zeros[zero]![1] <= unit) zero += 1;
      const [first, count] = zeros[zero] ?? [Number.POSITIVE_INFINITY, 0];
      const isZero = unit >= first;
      const until = isZero ? first + count : first;
      const length = Math.min(run.length - at, until - unit);
      const start = run.start + at;
      marked.push(isZero ? { start, length, zero: true } : { start, length });
      at += length;
      unit += length;
    }
  }
  return marked;
};

/** Batches that are read at the same time: past the page cache nobody else reads ahead. */
const READS_AT_ONCE = 5;

/** Reads, compresses and stores everything that is to be captured, in order. */
export const captureAll = async (
  context: JobContext,
  captures: readonly Capture[],
  writer: ContainerWriter,
  choice: CodecChoice,
  total: ByteLength,
): Promise<void> => {
  let done = 0;
  const batches = function* (): Generator<Batch> {
    for (const capture of captures) yield* batchesOf(capture);
  };
  context.progress('capture', 0, total);
  writer.beginBulk();
  try {
    await context.pipeline.process(
      batches(),
      async (batch, region): Promise<EncodeTask> => {
        context.throwIfCancelled();
        await readBatch(batch, region);
        const { unit } = batch.capture.space;
        let at = 0;
        const frames = batch.frames.map((runs) => {
          const frame = { at, length: totalLength(runs) * unit, unit };
          at += frame.length;
          return frame;
        });
        return { kind: 'encode', frames, codec: choice.codec, level: choice.level };
      },
      (batch, results, region) => {
        results.forEach((result, index) => {
          writer.addFrame({
            space: batch.capture.space.id,
            unit: batch.capture.space.unit,
            runs: markZeros(batch.frames[index]!, result.zeros),
            codec: result.codec,
            stored: region.subarray(result.storedAt, result.storedAt + result.storedLength),
            rawLength: result.rawLength,
            storedCrc: result.storedCrc,
            digest: result.digest,
          });
        });
        const { space } = batch.capture;
        if (space.of === 'partition') {
          for (const { start, length } of batch.frames.flat())
            context.touch('read', { start: space.start + start * space.unit, length: length * space.unit });
        }
        done += batch.length;
        context.progress('capture', done, total);
        return writer.roomForMore();
      },
      READS_AT_ONCE,
    );
  } finally {
    // After a failure, too: the caller closes the device.
    await writer.endBulk();
  }
};

/** Frames that an estimate compresses. */
const SAMPLES = 32;

/** Share of the raw size that will be stored, from frames spread evenly over what is captured; at most 1. */
export const estimateRatio = (capture: Capture, units: number, choice: CodecChoice): number => {
  if (choice.codec === 'store' || units === 0) return 1;
  const { space, device } = capture;
  const frameUnits = MAX_FRAME_SIZE / space.unit;
  const every = Math.max(frameUnits, Math.floor(units / SAMPLES));
  // A stronger codec compresses no worse than this, and takes no time here.
  const quick: CodecChoice = { codec: 'zstd', level: 1 };
  let raw = 0;
  let stored = 0;
  let next = 0;
  let seen = 0;
  for (const run of capture.runs()) {
    while (next < seen + run.length) {
      const start = run.start + (next - seen);
      const length = Math.min(frameUnits, run.start + run.length - start) * space.unit;
      const bytes = device.read(space.start + start * space.unit, length);
      raw += length;
      stored += encodeFrame(bytes, quick).stored.length;
      next += every;
    }
    seen += run.length;
  }
  return raw === 0 ? 1 : stored / raw;
};
