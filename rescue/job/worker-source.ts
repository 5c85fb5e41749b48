import { getAsset, isSea } from 'node:sea';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Every worker thread of this program: its name, and its file beside this one. The build bundles each of these files
 * by itself and embeds it in the executable under `workerAsset(name)`, so this list is all there is to keep.
 *
 * A worker's file must not use top-level `await`: embedded, it runs as a script.
 */
export const WORKERS = {
  frame: './frame-worker.ts',
  job: './job-worker.ts',
  scan: './scan-worker.ts',
  xz: './xz-worker.ts',
} as const satisfies Record<string, `./${string}.ts`>;
export type WorkerName = keyof typeof WORKERS;

/** Key of the embedded asset that holds a worker's bundle. */
export const workerAsset = (name: string): string => `worker/${name}.cjs`;

/**
 * Starts a worker thread: from its source file, or inside the single executable, where there are no files, from the
 * embedded bundle. `options` are those of `new Worker`; shared memory goes into `workerData`.
 */
export const startWorker = (name: WorkerName, options: Omit<WorkerOptions, 'eval'> = {}): Worker =>
  isSea()
    ? new Worker(getAsset(workerAsset(name), 'utf8'), { ...options, name, eval: true })
    : new Worker(new URL(WORKERS[name], import.meta.url), { ...options, name });
