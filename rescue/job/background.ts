import { cancelled } from '../errors.ts';
import type { JobOptions } from './context.ts';
import type { AllJobs, JobName } from './jobs.ts';
import type { Confirm } from './results.ts';
import { type FromJob, type JobStart, packError, type ToJob, unpackError } from './thread-messages.ts';
import { startWorker } from './worker-source.ts';

/** For a job's new objects, in MiB: V8 would let them take 64 MiB of garbage (see `young-generation.ts`). */
const YOUNG = { maxYoungGenerationSizeMb: 4 };

type AnyRequest = object & { readonly confirm?: Confirm };

/**
 * Runs one job in a thread of its own. Events, the question and the end come in order; cancelling is passed on, and the
 * job ends at its next safe point.
 */
const runInThread = (name: JobName, request: AnyRequest, options: JobOptions): Promise<object> =>
  new Promise((resolve, reject) => {
    const { confirm, ...plain } = request;
    const { signal, onEvent, now } = options;
    if (signal?.aborted === true) {
      reject(cancelled('stopped on request', { code: 'cancelled' }));
      return;
    }
    const start: JobStart = { name, request: plain, asks: confirm !== undefined, now };
    const worker = startWorker('job', { workerData: start, resourceLimits: YOUNG });
    const tell = (message: ToJob): void => worker.postMessage(message);
    const cancel = (): void => tell({ cancel: true });
    const end = (finish: () => void): void => {
      signal?.removeEventListener('abort', cancel);
      finish();
    };
    signal?.addEventListener('abort', cancel, { once: true });
    worker.on('message', (message: FromJob) => {
      if ('event' in message) onEvent?.(message.event);
      else if ('intent' in message) {
        confirm!(message.intent).then(
          (agreed) => tell({ agreed }),
          (error: unknown) => tell({ declined: packError(error) }),
        );
      } else if ('result' in message) end(() => resolve(message.result));
      else end(() => reject(unpackError(message.failure)));
    });
    worker.on('error', (error) => end(() => reject(error)));
    // After a result this changes nothing.
    worker.on('exit', (code) => end(() => reject(new Error(`the thread of the job ended with ${code}`))));
  });

const inThread = <Name extends JobName>(name: Name): AllJobs[Name] =>
  // The names of jobs and their types are those of the interface; what crosses the threads is plain data.
  ((request: AnyRequest, options: JobOptions) => runInThread(name, request, options)) as AllJobs[Name];

/** The same jobs, each in a thread of its own: nothing that they wait for holds up the thread that calls them. */
export const BACKGROUND_JOBS: AllJobs = {
  create: inThread('create'),
  disks: inThread('disks'),
  info: inThread('info'),
  list: inThread('list'),
  remove: inThread('remove'),
  restore: inThread('restore'),
  verify: inThread('verify'),
};
