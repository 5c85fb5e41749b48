import { parentPort } from 'node:worker_threads';
import { decodeXzFrame } from '../image/codec.ts';
import { XZ_HEADER, XZ_STATE, type XzRequest } from './xz-blocking.ts';

/** Decodes xz frames for a thread that sleeps until the state word changes. */
parentPort?.on('message', async ({ memory, storedLength, rawLength }: XzRequest) => {
  const state = new Int32Array(memory, 0, 1);
  const bytes = new Uint8Array(memory);
  try {
    const raw = await decodeXzFrame(bytes.subarray(XZ_HEADER, XZ_HEADER + storedLength), rawLength);
    bytes.set(raw, XZ_HEADER + storedLength);
    Atomics.store(state, 0, XZ_STATE.done);
  } catch {
    Atomics.store(state, 0, XZ_STATE.failed);
  }
  Atomics.notify(state, 0);
});
