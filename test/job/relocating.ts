import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { intersect, normalise, totalLength } from '../../rescue/bytes/runs.ts';
import { parseLocatorRecord } from '../../rescue/image/locator-record.ts';
import type { ImageSummary, Intent } from '../../rescue/job/results.ts';
import type { Run } from '../../rescue/units.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { extentsOf } from './cycle.ts';
import { infoOf, listImages, restoreImage } from './requests.ts';

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

/** What was on a volume when an image was made, as far as every file system has it. */
export interface ImagedState {
  readonly image: ImageSummary;
  readonly clusters: readonly Run[];
}

/**
 * The later image lies where the earlier one has data. Restores the earlier state and then, from noise, the later one; `mustBeBack`
 * says whether a state is there and the other's image whole. The later image is relocated by it, once.
 */
export const restoreEarlyThenLate = async <State extends ImagedState>(
  t: ExecutionContext,
  file: string,
  { early, late }: { readonly early: State; readonly late: State },
  space: ClusterSpace,
  mustBeBack: (state: State, others: readonly State[], when: string) => Promise<void>,
): Promise<void> => {
  const intents: Intent[] = [];
  const confirm = async (intent: Intent): Promise<boolean> => {
    intents.push(intent);
    return true;
  };
  const sealed = digestOf(file, extentsOf(early.image.sealedExtents));
  const restored = await restoreImage(file, { image: early.image.id, confirm });
  t.true(intents.some(({ keeps }) => keeps.some((line) => /MiB are moved out of the way first/.test(line))));
  t.deepEqual([...restored.imagesKept].sort(), [early.image.id, late.image.id].sort());
  await mustBeBack(early, [late], 'the older state');
  const moved = (await imagesNow(file)).get(late.image.id)!;
  const { sequence, created, name, kind, usedBytes } = late.image;
  t.like(moved, { generation: 2, sequence, created, name, kind, usedBytes });
  t.notDeepEqual(moved.extents, late.image.extents);
  t.is(overlap(space, moved, early.clusters), 0);
  t.regex((await infoOf(file, moved.id)).facts.flat().join('\n'), /relocated/i);
  // Nothing of the old place is left to be found, and both are found without a file system.
  const standing = [`${early.image.id}/1`, `${late.image.id}/2`].sort();
  t.deepEqual(namesOf((await listImages(file, { depth: 'full' })).images), standing);
  const images = [...(await imagesNow(file)).values()];
  overwriteWithNoise(file, extentsOf(images.flatMap(({ extents }) => extents)));
  t.deepEqual(namesOf((await listImages(file)).images), standing);
  await restoreImage(file, { image: late.image.id });
  await mustBeBack(late, [early], 'the newer state');
  t.is(digestOf(file, extentsOf(early.image.sealedExtents)), sealed);
};
