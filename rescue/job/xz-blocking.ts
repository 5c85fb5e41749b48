import { ioError } from '../errors.ts';
import type { ByteLength } from '../units.ts';
import { startWorker } from './worker-source.ts';

/** Answers of the worker: what it writes into the first word of the shared memory. */
export const XZ_STATE = { waiting: 0, done: 1, failed: 2 } as const;
/** Layout of the shared memory: state word, then input and output. */
export const XZ_HEADER = 8;

export interface XzRequest {
  readonly memory: SharedArrayBuffer;
  readonly storedLength: ByteLength;
  readonly rawLength: ByteLength;
}

/** A frame that takes longer than this will not end. */
const TIMEOUT = 60_000;

let worker: ReturnType<typeof startWorker> | undefined;

/**
 * Decodes one xz frame and waits for it. The decoder has a stream interface only, so it runs in a worker of its own while
 * this thread sleeps. For the few frames of metadata that a plan looks at. Throws `io` (`xz`).
 */
export const decodeXzBlocking = (stored: Uint8Array, rawLength: ByteLength): Uint8Array => {
  const memory = new SharedArrayBuffer(XZ_HEADER + stored.length + rawLength);
  new Uint8Array(memory).set(stored, XZ_HEADER);
  if (worker === undefined) {
    worker = startWorker('xz');
    worker.unref();
  }
  const request: XzRequest = { memory, storedLength: stored.length, rawLength };
  worker.postMessage(request);
  const state = new Int32Array(memory, 0, 1);
  Atomics.wait(state, 0, XZ_STATE.waiting, TIMEOUT);
  if (state[0] !== XZ_STATE.done)
    throw ioError('an xz frame cannot be decoded', { code: 'xz', structure: 'frame' });
  return new Uint8Array(memory.slice(XZ_HEADER + stored.length));
};
