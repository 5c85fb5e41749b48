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

export const bringTo = (cache: Cache, path: string): void => {
  forget(path);
  if (cache === 'warm') mustRun('dd', [`if=${path}`, 'of=/dev/null', 'bs=4M'], LONG);
};
