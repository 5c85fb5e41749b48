import { parentPort, workerData } from 'node:worker_threads';
import { withCleanup } from '../../support/cleanup.ts';
import { fuzz } from './fuzz.ts';
import { Mailbox } from './mailbox.ts';
import type { Work } from './supervise.ts';
import { targetNamed } from './targets.ts';

/** The thread that tries inputs; `supervise.ts` watches it. */
const { work, memory } = workerData as { readonly work: Work; readonly memory: SharedArrayBuffer };
const mailbox = new Mailbox(memory);
const result = await withCleanup(async (cleanup) => {
  const parser = await targetNamed(work.target).open(cleanup);
  return fuzz(parser, {
    executions: work.executions,
    seed: work.seed,
    onInput: (encode, again) => mailbox.put(encode(), again),
  });
});
parentPort?.postMessage(result);
