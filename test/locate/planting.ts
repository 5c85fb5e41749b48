import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openFile } from '../../rescue/device/file.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { makeImage } from '../job/requests.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { makeDisk } from '../support/disk.ts';
import { makeVolume } from '../support/volume.ts';

/** Containers where they do not belong. */

type Extents = ImageSummary['extents'];

/** Bytes of a container where it lies, to be put back later. */
export const take = (file: string, extents: Extents): Map<number, Uint8Array> => {
  const device = openFile(file);
  const taken = new Map(extents.map(([start, length]) => [start, device.read(start, length)] as const));
  device.close();
  return taken;
};

/** Puts bytes where they are said to have been. */
export const put = (file: string, taken: ReadonlyMap<number, Uint8Array>): void => {
  const handle = openSync(file, 'r+');
  for (const [start, bytes] of taken) writeSync(handle, bytes, 0, bytes.length, start);
  closeSync(handle);
};

/** A disk of a virtual machine: a table, and a partition with an image in it. */
export const machine = async (cleanup: Cleanup, folder: string, name: string) => {
  const file = join(folder, name);
  const [place] = makeDisk(cleanup, file, { size: 14 * MIB, table: 'gpt', partitions: [{ size: 11 * MIB }] });
  makeVolume(file, {
    offset: place!.start,
    size: place!.size,
    blockSize: 1024,
    uuid: '0f8a7b6c-1d2e-4f30-9a5b-000000000009',
  });
  return { file, image: (await makeImage(file)).image };
};

/** Both tables of a GPT disk of `size` bytes, gone. */
export const wipeTable = (file: string, size: number): void => {
  const handle = openSync(file, 'r+');
  for (const at of [0, size - 34 * 512]) writeSync(handle, Buffer.alloc(34 * 512), 0, 34 * 512, at);
  closeSync(handle);
};
