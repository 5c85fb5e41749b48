import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { extentsOf, treeMustBe } from '../job/cycle.ts';
import { makeImage } from '../job/requests.ts';
import { fillStage, type Stage, stageMustBeClean, tableOf } from '../job/stage.ts';
import { makeDisk } from '../support/disk.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';

/** A disk of which nothing but the image is left, and what it was before. */
export interface WreckedDisk {
  readonly path: string;
  readonly image: ImageSummary;
  /** Digest of every byte. */
  everything(): string;
  /** Fails unless all is back: table, file system, files; and the image's sealed part is what it was. */
  mustBeBack(): void;
  /** Fails if the partition could be mounted. */
  mustNotBeBack(): void;
}

export interface WreckOptions {
  /** Bytes of the files in it. Default 6 MiB. */
  readonly content?: number | undefined;
  readonly seed?: string | undefined;
}

/** Makes a disk with an ext4 partition full of a real tree, an image inside it, and noise over everything else. */
export const wreckedDisk = async (
  t: ExecutionContext,
  { content = 6 * MIB, seed = 'boot' }: WreckOptions = {},
): Promise<WreckedDisk> => {
  const path = join(temporaryFolder(t), 'disk');
  const size = 8 * MIB + 4 * content + 64 * MIB;
  const partitions = [{ size: 4 * MIB, name: 'other' }, { name: 'root' }];
  const { start, size: length } = makeDisk(t, path, { size, table: 'gpt', partitions })[1]!;
  makeVolume(path, { offset: start, size: length - (length % 4096), label: 'root' });
  const stage: Stage = { file: path, start, size: length, partition: 2 };
  const tree = fillStage(t, stage, { size: content, seed });
  const table = tableOf(t, stage);
  const { image } = await makeImage(path, { partition: 2, name: 'before' });
  const sealed = extentsOf(image.sealedExtents);
  const digest = digestOf(path, sealed);
  overwriteWithNoise(path, extentsOf(image.extents), seed);
  return {
    path,
    image,
    everything: () => digestOf(path, [{ start: 0, length: size }]),
    mustBeBack: () => {
      t.notThrows(() => stageMustBeClean(stage));
      t.is(tableOf(t, stage), table);
      t.is(digestOf(path, sealed), digest, 'the sealed part of the image');
      treeMustBe(t, stage, tree, 'restored');
    },
    mustNotBeBack: () => {
      t.throws(() => stageMustBeClean(stage));
    },
  };
};
