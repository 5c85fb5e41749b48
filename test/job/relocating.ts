import { readFileSync } from 'node:fs';
import { intersect, normalise, totalLength } from '../../rescue/bytes/runs.ts';
import { parseLocatorRecord } from '../../rescue/image/locator-record.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import type { Run } from '../../rescue/units.ts';
import { listImages } from './requests.ts';

/** What tests of images that lie in one another's way ask of a volume of any kind. */

/** Where a file system counts its clusters from, in bytes of the file. */
export interface ClusterSpace {
  readonly clusterBase: number;
  readonly clusterSize: number;
}

/** How many of `clusters` the image lies in. */
export const overlap = (
  { clusterBase, clusterSize }: ClusterSpace,
  image: ImageSummary,
  clusters: readonly Run[],
): number =>
  totalLength(
    intersect(
      normalise(
        image.extents.map(([start, length]) => ({
          start: (start - clusterBase) / clusterSize,
          length: length / clusterSize,
        })),
      ),
      clusters,
    ),
  );

/** Committed images as the volume has them now, by id. */
export const imagesNow = async (file: string): Promise<Map<string, ImageSummary>> => {
  const { images } = await listImages(file);
  return new Map(images.filter(({ state }) => state === 'committed').map((each) => [each.id, each]));
};

const named = (id: string, generation: number): string => `${id}/${generation}`;

/** Images by name and generation, sorted. */
export const namesOf = (images: Iterable<{ readonly id: string; readonly generation: number }>): string[] =>
  [...images].map(({ id, generation }) => named(id, generation)).sort();

/** The same of a sector of the boot area; undefined where it is no locator record. */
export const namesInRecord = (file: string, at: number): string[] | undefined =>
  parseLocatorRecord(readFileSync(file).subarray(at, at + 512))
    ?.images.map(({ imageId, generation }) => named(Buffer.from(imageId).toString('hex'), generation))
    .sort();
