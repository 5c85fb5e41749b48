import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { complement, normalise } from '../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import type { Found } from '../../rescue/locate/found.ts';
import { type Located, type LocateOptions, locate } from '../../rescue/locate/locate.ts';
import type { Step } from '../../rescue/locate/rungs.ts';
import { readTable } from '../../rescue/partition/table.ts';
import { type Extent, MIB } from '../../rescue/units.ts';
import { makeImage } from '../job/requests.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../support/volume.ts';

/** A sector of ext's boot area in which the locator record stands. */
export const RECORD_AT = 512;
export const SECTOR = 512;

export const readAt = (path: string, start: number, length = SECTOR): Buffer => {
  const handle = openSync(path, 'r');
  const bytes = Buffer.alloc(length);
  readSync(handle, bytes, 0, length, start);
  closeSync(handle);
  return bytes;
};

export const writeAt = (path: string, start: number, bytes: Uint8Array): void => {
  const handle = openSync(path, 'r+');
  writeSync(handle, bytes, 0, bytes.length, start);
  closeSync(handle);
};

export const extentsOf = (image: ImageSummary): Extent[] =>
  image.extents.map(([start, length]) => ({ start, length }));

/** A small ext4 volume in a file. */
export const smallVolume = (cleanup: Cleanup, more: Partial<VolumeOptions> = {}): string =>
  makeVolume(join(temporaryFolder(cleanup), 'volume'), { size: 24 * MIB, blockSize: 4096, ...more });

/** The same with an image in it. */
export const imagedVolume = async (cleanup: Cleanup, more: Partial<VolumeOptions> = {}) => {
  const file = smallVolume(cleanup, more);
  const { image } = await makeImage(file, { minFree: 0 });
  return { file, image };
};

/** A file's bytes as a device in memory, to be wrecked. */
export const lift = (file: string, sectorSize = 512): MemoryDevice =>
  MemoryDevice.of(readFileSync(file), sectorSize);

/** Noise everywhere but in `keep`. */
export const wreckAllBut = (device: MemoryDevice, keep: readonly Extent[]): MemoryDevice => {
  const next = noiseSource('wreck');
  for (const { start, length } of complement(normalise(keep), { start: 0, length: device.size }))
    device.write(start, next(length));
  return device;
};

/** The ladder on a device in memory: as a partition, or, with `asDisk`, as a disk with whatever table it has. */
export const climb = (
  device: MemoryDevice,
  { asDisk = false, ...options }: Partial<LocateOptions> & { readonly asDisk?: boolean } = {},
): Located => {
  const ladder = locate({
    device,
    diskOffset: 0,
    table: asDisk ? readTable(device) : undefined,
    depth: 'quick',
    rotational: false,
    exhaustive: true,
    ...options,
  });
  for (let step = ladder.next(); ; step = ladder.next()) if (step.done) return step.value;
};

/** What was found, without how. */
export const answerOf = ({ images }: Located) =>
  images.map(({ image, start, state, reason, number }: Found) => ({
    id: image.id,
    generation: image.identity.generation,
    start,
    state,
    reason,
    number,
    extents: image.extents,
  }));

export const stepNames = ({ steps }: { readonly steps: readonly Pick<Step, 'step'>[] }): string[] =>
  steps.map(({ step }) => step);
