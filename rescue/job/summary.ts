import type { ImageFacts } from '../image/image.ts';
import { ascending } from '../image/writer.ts';
import type { Found } from '../locate/found.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import type { JobContext } from './context.ts';
import type { ImageSummary, Stats } from './results.ts';

const pairs = (extents: readonly Extent[], start: ByteOffset): [number, number][] =>
  ascending(extents).map((extent) => [start + extent.start, extent.length]);

/** The JSON form of an image that was found; `offset` is added to all positions (TARGET of a partition: 0). */
export const summarise = (found: Omit<Found, 'image'> & { readonly image: ImageFacts }): ImageSummary => {
  const { image, start, number, state, reason, foundBy } = found;
  const { control } = image;
  return {
    id: image.id,
    name: control.name,
    kind: control.kind,
    sequence: control.sequence,
    created: new Date(control.created * 1000).toISOString().replace('.000Z', 'Z'),
    generation: image.identity.generation,
    state,
    ...(reason === undefined ? {} : { reason }),
    foundBy,
    filesystem: control.fileSystem.kind,
    label: control.fileSystem.label,
    uuid: control.fileSystem.uuid,
    partition: {
      offset: start,
      size: control.partition.size,
      number: number ?? control.partition.number,
      partuuid: control.partition.uuid,
    },
    clusterSize: control.geometry.clusterSize,
    usedBytes: image.usedBytes,
    storedBytes: image.storedBytes,
    extents: pairs(image.extents, start),
    sealedExtents: pairs(image.sealed, start),
  };
};

export const statsOf = (
  context: JobContext,
  image: Pick<ImageFacts, 'rawBytes' | 'storedBytes'>,
  traffic: { readonly bytesRead: ByteLength; readonly bytesWritten: ByteLength },
): Stats => ({
  rawBytes: image.rawBytes,
  storedBytes: image.storedBytes,
  bytesRead: traffic.bytesRead,
  bytesWritten: traffic.bytesWritten,
  seconds: Math.round(context.seconds() * 1000) / 1000,
  // Linux gives kilobytes (getrusage(2)).
  peakRss: process.resourceUsage().maxRSS * 1024,
});
