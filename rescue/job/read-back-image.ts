import { type SpanSet, subtract } from '../bytes/runs.ts';
import type { Device } from '../device/device.ts';
import { allocatePageAligned } from '../device/direct.ts';
import { isUnwritten } from '../device/fresh.ts';
import { allSettled, readUncachedSoon } from '../device/soon.ts';
import { ioError } from '../errors.ts';
import { inPieces } from '../fs/patch-operation.ts';
import type { Image } from '../image/image.ts';
import { ImageView } from '../image/view.ts';
import { type ByteOffset, type Extent, MIB } from '../units.ts';
import type { JobContext } from './context.ts';
import { type DigestTask, OUTPUT_AT } from './frame-task.ts';
import { batchFrames } from './frames.ts';
import { extentsOf } from './mapped-frame.ts';
import type { Written } from './write-different.ts';
import { type Destination, type FinalView, framesFor, touchFrame } from './write-image.ts';
import { decodeXzBlocking } from './xz-blocking.ts';

/** Reading back what a restore wrote, from the medium, not from the page cache. */

const ZEROS = new Uint8Array(MIB);

/** Batches that are read at the same time: past the page cache nobody else reads ahead. */
const READS_AT_ONCE = 3;

const differs = (offset: ByteOffset) =>
  ioError('the device does not hold what was written to it', {
    code: 'read-back',
    structure: 'restored partition',
    offset,
    wayOut: 'The device is failing: restore to another one with --to.',
  });

/** Compares one stretch, of 1 MiB at most. Throws `io` (`read-back`). */
const compareWith = async (
  device: Device,
  offset: ByteOffset,
  expected: Uint8Array,
  scratch: Uint8Array,
): Promise<void> => {
  const found = scratch.subarray(0, expected.length);
  await readUncachedSoon(device, offset, found);
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
 * the image was made, parts and changes byte by byte. `skip` is what was lost, by log position. Frames of which nothing was `written` were
 * compared with the medium before, and are left out. Throws `io` (`read-back`).
 */
export const readBackFrames = async (
  context: JobContext,
  image: Image,
  destinations: readonly Destination[],
  final: FinalView | undefined,
  skip: SpanSet,
  written: ReadonlyMap<Device, Written>,
): Promise<void> => {
  const extentsWritten = new Map([...written].map(([device, { extents }]) => [device, extents]));
  const isUntouched = ({ device }: Destination, extents: readonly Extent[]): boolean => {
    const touched = extentsWritten.get(device);
    return touched !== undefined && !extents.some((extent) => touched.intersects(extent));
  };
  const log = image.log(16);
  // Not the final view: of that, more may count as lost than the frames that are lost.
  const held = new ImageView(image, decodeXzBlocking);
  const bySpace = new Map(destinations.map((each) => [each.space.id, each]));
  const expected = new Map<object, { readonly digest: Uint8Array; readonly offset: ByteOffset }[]>();
  let done = 0;
  context.progress('read-back', 0, image.rawBytes);
  await context.pipeline.process(
    batchFrames(framesFor(image, destinations)),
    async (batch, region): Promise<DigestTask> => {
      context.throwIfCancelled();
      const pieces: { at: number; length: number }[] = [];
      const digests: { digest: Uint8Array; offset: ByteOffset }[] = [];
      const reads: Promise<void>[] = [];
      // A task that only hashes has no output.
      const scratch = region.subarray(OUTPUT_AT, OUTPUT_AT + MIB);
      let at = 0;
      try {
        for (const frame of batch.frames) {
          const destination = bySpace.get(frame.space.id)!;
          const view = frame.space.of === 'partition' ? final : undefined;
          const extents = extentsOf(frame);
          done += frame.length;
          touchFrame(context, 'verified', frame);
          if (isUntouched(destination, extents)) continue;
          if (!frame.zero && skip.has(frame.entries[0]!.logOffset)) continue;
          const splits = extents.map((extent) => splitByChange(destination, view, extent));
          if (frame.zero) {
            for (const { unchanged } of splits)
              for (const { start, length } of inPieces(unchanged))
                if (!isUnwritten(destination.device, start, length))
                  await compareWith(destination.device, start, ZEROS.subarray(0, length), scratch);
          } else if (splits.every((split) => split.whole)) {
            const start = at;
            for (const { start: offset, length } of extents) {
              reads.push(readUncachedSoon(destination.device, offset, region.subarray(at, at + length)));
              at += length;
            }
            const head = log.head(frame.entries[0]!.logOffset);
            pieces.push({ at: start, length: at - start });
            digests.push({ digest: head.digest, offset: extents[0]!.start });
          } else if (view !== undefined) {
            for (const { unchanged } of splits) {
              for (const { start, length } of inPieces(unchanged))
                await compareWith(destination.device, start, held.read(start, length), scratch);
            }
          }
        }
      } finally {
        // The region is in use until then.
        await Promise.allSettled(reads);
      }
      await allSettled(reads);
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
    READS_AT_ONCE,
  );
};

/** The stretches in which the final view differs from the image, read back. Throws `io` (`read-back`). */
export const readBackChanges = async (device: Device, final: FinalView): Promise<void> => {
  const scratch = allocatePageAligned(MIB);
  for (const { start, length } of inPieces(final.changed.spans))
    await compareWith(device, start, final.view.read(start, length), scratch);
};
