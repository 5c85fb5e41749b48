import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { listen } from '../locate/read-ahead.ts';
import type { ScanWorkerStart } from './scan-ahead.ts';

/** Reads ahead for a scan that goes on in another thread. */
const { memory, descriptor } = workerData as ScanWorkerStart;

const readStretch = listen(memory, (position, target) => {
  const got = readSync(descriptor, target, 0, target.length, position);
  if (got < target.length) throw new Error('a short read');
});

parentPort?.on('message', readStretch);
