import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { complement, normalise } from '../../rescue/bytes/runs.ts';
import type { CreateResult, ImageSummary } from '../../rescue/job/results.ts';
import { type Extent, GIB, MIB, roundDown } from '../../rescue/units.ts';
import { withCleanup } from '../support/cleanup.ts';
import { makeDisk } from '../support/disk.ts';
import { attachLoop, mountDevice } from '../support/loop.ts';
import { noiseSource } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { makeVolume } from '../support/volume.ts';
import { holdfastOn } from './jobs.ts';
import type { Program } from './program.ts';
import { extentsOf } from './stage.ts';

/** A disk in a sparse file with one image on it. */
export interface SparseDisk {
  readonly file: string;
  readonly image: ImageSummary;
  remove(): void;
}

/** Content that cannot be compressed: what is stored is as long as what was there. */
export const writeNoise = (path: string, bytes: number, seed = 'content'): void => {
  const next = noiseSource(seed);
  const handle = openSync(path, 'w');
  try {
    for (let left = bytes; left > 0; ) {
      const piece = next(Math.min(left, 4 * MIB));
      left -= writeSync(handle, piece);
    }
  } finally {
    closeSync(handle);
  }
};

/** A file of noise, made once. */
export const noiseFile = (path: string, bytes: number): string => {
  if (statSync(path, { throwIfNoEntry: false })?.size !== bytes) writeNoise(path, bytes);
  return path;
};

/** Makes holes of everything but these bytes. */
const keepOnly = (file: string, size: number, extents: readonly Extent[]): void => {
  for (const { start, length } of complement(normalise(extents), { start: 0, length: size }))
    mustRun('fallocate', ['--punch-hole', '--offset', String(start), '--length', String(length), file]);
};

interface Layout {
  readonly name: string;
  /** Bytes of the disk, and of the file system at the start of its only partition. */
  readonly disk: number;
  readonly fileSystem: number;
  readonly content: number;
  readonly codec: 'zstd' | 'store';
}

/**
 * A disk with a GPT and one partition, an ext4 in it, an image in that; then everything but the table and the image is taken away: what is
 * left is for the scan to find. `create` lays the image as high as the file system goes.
 */
const makeSparseDisk = (program: Program, folder: string, layout: Layout): Promise<SparseDisk> =>
  withCleanup(async (cleanup) => {
    const { name, disk, fileSystem, content, codec } = layout;
    const file = join(folder, name);
    rmSync(file, { force: true });
    const [partition] = makeDisk(cleanup, file, { size: disk, table: 'gpt', partitions: [{ start: MIB }] });
    if (partition === undefined) throw new Error('no partition was made');
    const size = Math.min(roundDown(partition.size, 4096), fileSystem);
    // The fewest inodes that there can be: their tables would take longer than all the rest.
    const more = ['-N', '16', '-J', 'size=16'];
    makeVolume(file, { size, offset: partition.start, more });
    const loop = attachLoop(cleanup, file, { offset: partition.start, size });
    const mount = mountDevice(cleanup, loop.device);
    writeNoise(join(mount.path, 'content'), content);
    mount.unmount();
    loop.detach();
    const made = await holdfastOn(program, file, 'cold', ['create', '--partition', '1', '--codec', codec]);
    const { image } = JSON.parse(made.stdout) as CreateResult;
    const table = [
      { start: 0, length: MIB },
      { start: disk - MIB, length: MIB },
    ];
    keepOnly(file, disk, [...table, ...extentsOf(image)]);
    return { file, image, remove: () => rmSync(file) };
  });

/** The same disk each time: it is made once. */
export const imageAtEnd = (program: Program, folder: string, disk: number): (() => Promise<SparseDisk>) => {
  let made: Promise<SparseDisk> | undefined;
  return () => {
    const layout = { name: 'end', disk, fileSystem: disk, content: 16 * MIB, codec: 'zstd' } as const;
    made ??= makeSparseDisk(program, folder, layout).then((sparse) => ({ ...sparse, remove: () => {} }));
    return made;
  };
};

/** Another place for each number: the file system ends there, and the rest of its partition is empty. */
export const packedContainer = (
  program: Program,
  folder: string,
  disk: number,
  container: number,
  place: number,
): Promise<SparseDisk> => {
  const lowest = 4 * container;
  const chance = noiseSource(`place ${place}`)(4).readUInt32LE() / 2 ** 32;
  const fileSystem = lowest + roundDown(chance * (disk - lowest - GIB), MIB);
  return makeSparseDisk(program, folder, {
    name: 'anywhere',
    disk,
    fileSystem,
    content: container,
    codec: 'store',
  });
};
