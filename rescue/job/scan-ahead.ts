import { availableParallelism } from 'node:os';
import type { ReadableDevice, SharedReads } from '../device/device.ts';
import { ReadAhead } from '../locate/read-ahead.ts';
import { type ByteLength, MIB } from '../units.ts';
import { startWorker } from './worker-source.ts';

/** What the worker is told when it starts. */
export interface ScanWorkerStart {
  readonly memory: SharedArrayBuffer;
  readonly descriptor: number;
}

/** Below this, everything is read before a thread has started: bytes. */
const WORTH_A_THREAD = 256 * MIB;
/** It makes no objects that live. */
const LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16 };

/**
 * A second thread that reads for a scan of `length` bytes of the device; close it before the device. Undefined where it would not help: on
 * one processor, on rotating disks, which two readers would have go to and fro, and on devices that only this thread can read.
 */
export const readAheadOn = (
  device: ReadableDevice,
  length: ByteLength,
  rotational: boolean,
): ReadAhead | undefined => {
  const reads = device.sharedReads;
  const helps = !rotational && length >= WORTH_A_THREAD && availableParallelism() > 1;
  return reads !== undefined && helps ? readAheadBy(reads) : undefined;
};

/** The same, wherever it is. */
export const readAheadBy = ({ descriptor, counted }: SharedReads): ReadAhead => {
  const readAhead = new ReadAhead({
    counted,
    start: (memory) => {
      const workerData: ScanWorkerStart = { memory, descriptor };
      const worker = startWorker('scan', { workerData, resourceLimits: LIMITS });
      // Whatever ended it: the scan goes on alone.
      for (const event of ['error', 'exit']) worker.on(event, () => readAhead.giveUp());
      worker.unref();
      return worker;
    },
  });
  return readAhead;
};
