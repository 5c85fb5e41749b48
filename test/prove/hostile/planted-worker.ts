import { workerData } from 'node:worker_threads';
import { Mailbox } from './mailbox.ts';
import type { Work } from './supervise.ts';

/** A thread that breaks in the way that its target is called by: the tests see whether anybody notices. */
const { work, memory } = workerData as { readonly work: Work; readonly memory: SharedArrayBuffer };
new Mailbox(memory).put('the last input');
const kept: unknown[] = [];
for (;;) {
  if (work.target === 'exit') process.exit(3);
  if (work.target === 'memory') kept.push(Array.from({ length: 10_000 }, (_, index) => ({ index })));
}
