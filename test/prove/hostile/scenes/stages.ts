import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageSummary } from '../../../../rescue/job/results.ts';
import { type Extent, MIB } from '../../../../rescue/units.ts';
import { extentsOf } from '../../../job/cycle.ts';
import { makeImage } from '../../../job/requests.ts';
import type { Cleanup } from '../../../support/cleanup.ts';
import { makeDisk } from '../../../support/disk.ts';
import { mountFile } from '../../../support/loop.ts';
import { overwriteOnly, overwriteWithNoise } from '../../../support/noise.ts';
import { makeVolume } from '../../../support/volume.ts';

/** How much is left of what surrounds the image: everything, or nothing that says where partitions and files are. */
export type Surroundings = 'whole' | 'lost';

const PARTITION = 32 * MIB;

/** A disk with so many ext4 partitions of 32 MiB. */
export const ordinaryDisk = (cleanup: Cleanup, file: string, partitions = 1): readonly Extent[] => {
  const places = makeDisk(cleanup, file, {
    size: partitions * PARTITION + 4 * MIB,
    table: 'gpt',
    partitions: Array.from({ length: partitions }, () => ({ size: PARTITION })),
  });
  return places.map(({ start, size }, index) => {
    const uuid = `0f8a7b6c-1d2e-4f30-9a5b-00000000000${index + 1}`;
    makeVolume(file, { offset: start, size, blockSize: 4096, uuid });
    return { start, length: size };
  });
};

/** An image whose id is `digits`, over and over. */
export const imageOf = async (
  file: string,
  digits: string,
  request: Parameters<typeof makeImage>[1] = {},
): Promise<ImageSummary> => {
  process.env['HOLDFAST_ID'] = digits.repeat(16);
  try {
    return (await makeImage(file, request)).image;
  } finally {
    delete process.env['HOLDFAST_ID'];
  }
};

/** Nothing is left on the disk but these images. */
export const loseAllBut = (file: string, images: readonly ImageSummary[]): void => {
  overwriteWithNoise(
    file,
    images.flatMap(({ extents }) => extentsOf(extents)),
    'lost',
  );
};

/** The table and the beginning of a volume are gone; its files lie where they lay. */
export const loseBeginnings = (file: string, { start }: Extent): void => {
  overwriteOnly(file, [{ start: 0, length: start + MIB }], 'lost');
};

/** Puts a file into a partition, through the kernel. */
export const store = (cleanup: Cleanup, disk: string, { start, length }: Extent, file: string): void => {
  const mount = mountFile(cleanup, disk, { offset: start, size: length });
  copyFileSync(file, join(mount.path, 'disk of a machine'));
  mount.unmount();
};
