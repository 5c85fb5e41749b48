import { Worker } from 'node:worker_threads';
import type { Finding, Fuzzed } from './fuzz.ts';
import { Mailbox } from './mailbox.ts';

/** A number of inputs for one target. */
export interface Work {
  readonly target: string;
  readonly seed: number;
  readonly executions: number;
}

export interface Limits {
  /** Milliseconds of processor time that one input may take. The seeds, whole, take some. */
  readonly time: number;
  /** MiB of the thread's heap. */
  readonly heap: number;
}

const LIMITS: Limits = { time: 5000, heap: 256 };
/** Milliseconds by the clock, for those that wait for what never comes. It is long: others may use the machine too. */
const MOST_CLOCK = 600_000;
const LOOK = 250;

const WORKER = new URL('./fuzz-worker.ts', import.meta.url);

/** What became of a thread: its result, or why it had none. */
type End = Fuzzed | { readonly lost: Finding };

const runThread = (work: Work, program: URL, limits: Limits): Promise<End & { readonly inputs: number }> =>
  new Promise((resolve, reject) => {
    const mailbox = new Mailbox();
    const worker = new Worker(program, {
      workerData: { work, memory: mailbox.memory },
      resourceLimits: { maxOldGenerationSizeMb: limits.heap },
    });
    let seen = 0;
    let since = performance.now();
    let usedBefore = process.cpuUsage();
    /** Whatever ends it first is what became of it: the thread's exit follows upon all. */
    const end = (result: End): void => {
      clearInterval(timer);
      worker.removeAllListeners();
      // It may run out of memory while it is being ended.
      worker.on('error', () => {});
      void worker.terminate().then(() => resolve({ ...result, inputs: mailbox.count }));
    };
    const lose = (kind: Finding['kind'], message: string): void =>
      end({ lost: { kind, message, input: mailbox.latest(), times: 1 } });
    const timer = setInterval(() => {
      const { attempts } = mailbox;
      if (attempts !== seen || attempts === 0) {
        seen = attempts;
        since = performance.now();
        usedBefore = process.cpuUsage();
        return;
      }
      const { user, system } = process.cpuUsage(usedBefore);
      const used = (user + system) / 1000;
      const clock = performance.now() - since;
      if (used > limits.time || clock > MOST_CLOCK)
        lose('hang', `took ${Math.round(used)} ms of processor time, ${Math.round(clock)} ms by the clock`);
    }, LOOK);
    worker.once('message', (result: Fuzzed) => end(result));
    worker.once('error', (error: NodeJS.ErrnoException) => {
      // Nothing was tried yet: it is the seeds that cannot be made.
      if (mailbox.count === 0) {
        clearInterval(timer);
        reject(error);
        return;
      }
      const memory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      lose(memory ? 'limit' : 'crash', error.stack ?? error.message);
    });
    worker.once('exit', (code) => lose('crash', `the thread ended by itself: ${code}`));
  });

const NOTHING: Fuzzed = {
  executions: 0,
  findings: [],
  kept: 0,
  outcomes: 0,
  functions: 0,
  untouchedBlocks: 0,
  largest: 0,
};

/** Times that a thread is lost before the piece is given up. */
const MOST_LOST = 5;

/** Tries the inputs in a thread of its own, which is ended when one of them takes too long or too much memory; another goes on. `program`, `limits`: tests have their own. */
export const supervise = async (
  work: Work,
  program: URL = WORKER,
  limits: Limits = LIMITS,
): Promise<Fuzzed> => {
  let total = NOTHING;
  const lost: Finding[] = [];
  while (total.executions < work.executions && lost.length < MOST_LOST) {
    const left = work.executions - total.executions;
    const next = { ...work, seed: work.seed + lost.length * 7919, executions: left };
    const { inputs, ...end } = await runThread(next, program, limits);
    if ('lost' in end) {
      lost.push(end.lost);
      total = { ...total, executions: total.executions + inputs };
      continue;
    }
    total = { ...end, executions: total.executions + end.executions };
    if (end.findings.length > 0) break;
  }
  return { ...total, findings: [...total.findings, ...lost] };
};
