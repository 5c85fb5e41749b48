import type { ReadableDevice } from '../device/device.ts';
import type { Image } from '../image/image.ts';
import type { LiveTable } from '../partition/table.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { type NamedImage, openNamed } from './named.ts';

/** What a recovery aid says of where images lie. It is trusted with nothing: they are opened and judged like any others. */
export interface Aid {
  /** Where the partition was on its disk when the aid was written. */
  readonly partition: { readonly offset: ByteOffset; readonly size: ByteLength };
  readonly images: readonly NamedImage[];
}

export interface AidPlaces {
  /** Where the target starts on its disk. */
  readonly diskOffset: ByteOffset;
  /** Undefined where the target is one partition. */
  readonly table: LiveTable | undefined;
  readonly within: Extent;
}

/** Starts at which the partition may be now: where it was, or where the table has one, or the whole target. */
const startsOf = ({ partition }: Aid, { diskOffset, table, within }: AidPlaces): ByteOffset[] => {
  const starts = [
    partition.offset - diskOffset,
    within.start,
    ...(table?.partitions.map(({ start }) => start) ?? []),
  ].filter((start) => start >= within.start && start < within.start + within.length);
  return [...new Set(starts)];
};

/** Opens the images that an aid names. One that is out of date, or of another disk, names some that do not open. */
export const openByAid = (
  device: ReadableDevice,
  aid: Aid,
  places: AidPlaces,
): {
  readonly images: readonly { readonly image: Image; readonly start: ByteOffset }[];
  readonly notes: readonly string[];
} => {
  const images: { image: Image; start: ByteOffset }[] = [];
  const notes: string[] = [];
  for (const named of aid.images) {
    const found = startsOf(aid, places)
      .map((start) => ({ start, image: openNamed(device, start, named) }))
      .find(({ image }) => image !== undefined);
    if (found?.image !== undefined) images.push({ image: found.image, start: found.start });
    else notes.push(`image ${named.id.slice(0, 8)} is not where the aid says`);
  }
  if (images.length === 0 && notes.length > 0) notes.push('the aid is out of date, or of another disk');
  return { images, notes };
};
