import { corrupt } from '../errors.ts';
import type { AddressSpace } from '../image/control.ts';
import type { Image } from '../image/image.ts';
import type { ByteLength, Extent } from '../units.ts';
import type { JobContext } from './context.ts';
import { batchFrames, framesOf, type LoadedBatch, loadBatch, type MappedFrame } from './frames.ts';

/** A frame that cannot be restored. */
export interface LostFrame {
  readonly frame: MappedFrame;
  readonly reason: string;
}

/** Bytes of the partition, or of the disk for a companion range, that a frame holds. */
export const extentsOf = (frame: MappedFrame): Extent[] =>
  frame.entries.map((entry) => ({
    start: frame.space.start + entry.start * frame.space.unit,
    length: entry.length * frame.space.unit,
  }));

/** A frame's runs must lie in their address space, whatever the map says. */
export const outsideSpace = (frame: MappedFrame): boolean =>
  frame.entries.some(
    (entry) => (entry.start + entry.length) * frame.space.unit > frame.space.length || entry.length === 0,
  );

/** Read-ahead of a pass over the whole log, in slots. */
const SEQUENTIAL = 16;

/** Reads, decodes and checks every frame; reports each one that is damaged. Writes nothing. */
export const verifyFrames = async (
  context: JobContext,
  image: Image,
  spaces: readonly AddressSpace[],
  onLost: (lost: LostFrame) => void,
): Promise<ByteLength> => {
  const log = image.log(SEQUENTIAL);
  const loaded = new Map<object, LoadedBatch>();
  let checked = 0;
  const lose = (frame: MappedFrame, reason: string): void => onLost({ frame, reason });
  await context.pipeline.process(
    batchFrames(framesOf(image, spaces)),
    (batch, region) => {
      context.throwIfCancelled();
      for (const frame of batch.frames) {
        if (outsideSpace(frame)) lose(frame, 'the map names clusters outside the partition');
        checked += frame.length;
      }
      context.progress('verify-image', Math.min(checked, image.rawBytes), image.rawBytes);
      const load = loadBatch(log, batch, region);
      load.places.forEach((place, index) => {
        if (typeof place === 'string') lose(batch.frames[index]!, place);
      });
      loaded.set(batch, load);
      return load.task;
    },
    (batch, results) => {
      loaded.get(batch)!.places.forEach((place, index) => {
        const fault = typeof place === 'number' ? results[place]?.fault : undefined;
        if (fault !== undefined && fault !== '') lose(batch.frames[index]!, fault);
      });
      loaded.delete(batch);
    },
  );
  return checked;
};

/** Throws `corrupt` (`image.frames`) unless every frame is whole. */
export const requireWhole = (lost: readonly LostFrame[], image: Image): void => {
  const [first] = lost;
  if (first === undefined) return;
  throw corrupt(`${lost.length} of the image's frames are damaged`, {
    code: 'image.frames',
    structure: `image ${image.id.slice(0, 8)}`,
    offset: extentsOf(first.frame)[0]?.start ?? 0,
    found: first.reason,
    wayOut: 'Nothing was written. What is whole can be restored with --salvage.',
  });
};
