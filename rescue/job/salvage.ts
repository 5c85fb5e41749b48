import { coalesce } from '../bytes/runs.ts';
import { isHoldfastError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import type { Run } from '../units.ts';
import type { RestoreSource } from './restore-source.ts';

/** Whether the bitmap of an image can be read to its end. */
export const bitmapDamage = (image: Pick<Image, 'inUse'>) => {
  try {
    for (const _ of image.inUse());
    return undefined;
  } catch (error) {
    if (isHoldfastError(error, 'corrupt') || isHoldfastError(error, 'io')) return error;
    throw error;
  }
};

/** The clusters that the map has content for. */
function* mapped({ map, control }: Image): Generator<Run> {
  const { clusterSize, clusterCount } = control.geometry;
  const space = control.spaces.find((each) => each.of === 'partition' && each.id === 0);
  if (space === undefined) return;
  const runs = function* (): Generator<Run> {
    for (const entry of map.entriesFrom(0, 0)) {
      if (entry.space !== 0) return;
      const start = Math.floor((entry.start * space.unit) / clusterSize);
      const end = Math.min(
        clusterCount,
        Math.ceil(((entry.start + entry.length) * space.unit) / clusterSize),
      );
      if (end > start) yield { start, length: end - start };
    }
  };
  yield* coalesce(runs());
}

/**
 * The same source, but a chosen image whose bitmap is lost takes for in use what its map has. What was in use and left
 * out of the image passes for free then: it had nothing to be kept.
 */
export const forSalvage = (source: RestoreSource, note: (text: string) => void): RestoreSource => {
  const { image } = source.chosen;
  const damage = bitmapDamage(image);
  if (damage === undefined) return source;
  note(
    `It is lost which clusters were in use (${damage.message}): those that the image has content for are taken.`,
  );
  const chosen = {
    ...source.chosen,
    image: { ...image, inUse: () => mapped(image), bitmapLost: true as const },
  };
  const swap = (each: RestoreSource['chosen']) => (each === source.chosen ? chosen : each);
  return { ...source, chosen, kept: source.kept.map(swap), found: source.found.map(swap) };
};
