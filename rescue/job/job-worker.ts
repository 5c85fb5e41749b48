import { parentPort, workerData } from 'node:worker_threads';
import { create } from './create.ts';
import { disks } from './disks.ts';
import { info } from './info.ts';
import type { AllJobs } from './jobs.ts';
import { list } from './list.ts';
import { remove } from './remove.ts';
import { restore } from './restore.ts';
import type { Confirm } from './results.ts';
import { type FromJob, type JobStart, packError, type ToJob, unpackError } from './thread-messages.ts';
import { verify } from './verify.ts';

/** A thread that does one job, so that whoever shows it is never held up. */

const JOBS: AllJobs = { create, disks, info, list, remove, restore, verify };

const port = parentPort!;
const tell = (message: FromJob): void => port.postMessage(message);

const { name, request, asks, now } = workerData as JobStart;
const cancelling = new AbortController();
let answer: { agree(agreed: boolean): void; decline(error: Error): void } | undefined;

port.on('message', (message: ToJob) => {
  if ('cancel' in message) cancelling.abort();
  else if ('agreed' in message) answer?.agree(message.agreed);
  else answer?.decline(unpackError(message.declined));
});

const confirm: Confirm = (intent) => {
  const answered = new Promise<boolean>((agree, decline) => {
    answer = { agree, decline };
  });
  tell({ intent });
  return answered;
};

const run = JOBS[name] as (request: object, options: object) => Promise<object>;
run(asks ? { ...request, confirm } : request, {
  signal: cancelling.signal,
  onEvent: (event: Extract<FromJob, { event: unknown }>['event']) => tell({ event }),
  ...(now === undefined ? {} : { now }),
})
  .then(
    (result) => tell({ result }),
    (error: unknown) => tell({ failure: packError(error) }),
  )
  .finally(() => port.close());
