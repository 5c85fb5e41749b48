import { statSync } from 'node:fs';
import { mustRun } from '../support/run.ts';

/** What the page cache holds of a volume's or an image's file when a run begins: nothing, or all of it. */
export const CACHES = ['cold', 'warm'] as const;
export type Cache = (typeof CACHES)[number];

/** Files of many gigabytes on a slow disk. */
const LONG = { timeout: 1_800_000 };

/** Writes a file out and has the kernel forget it, so that a run reads from the disk. dd(1): nocache. */
export const forget = (path: string): void => {
  mustRun('sync', [path], LONG);
  mustRun('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], LONG);
};

/** Bytes of a file for each byte of data in it, from which on it is nearly all holes. */
const HOLES = 8;

/** A volume that is nearly all holes is not brought into memory, which would take hours. */
export const bringTo = (cache: Cache, path: string): void => {
  forget(path);
  const { size, blocks } = statSync(path);
  if (cache === 'warm' && size < HOLES * 512 * blocks)
    mustRun('dd', [`if=${path}`, 'of=/dev/null', 'bs=4M'], LONG);
};
