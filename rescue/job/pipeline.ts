import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { allocatePageAligned } from '../device/direct.ts';
import { ioError } from '../errors.ts';
import {
  type FrameResult,
  type FrameTask,
  REGION_SIZE,
  type WorkerAnswer,
  type WorkerRequest,
} from './frame-task.ts';
import { startWorker } from './worker-source.ts';

/** Workers at most: each takes some 30 MiB, and the whole program must do with 256 MiB. */
const MAX_WORKERS = 2;

/**
 * A small young generation makes the collector run often: what it frees are compression buffers outside the heap, of
 * which hundreds of megabytes would pile up otherwise.
 */
const LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 };

type Awaitable<Value> = Value | Promise<Value>;

interface Waiting {
  resolve(result: FrameResult<FrameTask>): void;
  reject(error: Error): void;
}

/**
 * Worker threads over a fixed pool of shared buffers. `process` keeps them all busy and still hands over results in
 * the order of the items; a slow consumer holds the producer back, because regions are few.
 */
export class Pipeline {
  readonly #memory: Uint8Array<SharedArrayBuffer>;
  readonly #workers: Worker[];
  readonly #regions: number;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  /** Why there is a worker less: what is sent to it would never be answered. */
  #dead: Error | undefined;

  constructor(workers = Math.min(MAX_WORKERS, availableParallelism())) {
    // While each worker has a task, as many wait to be done, as many have been done, and others are being filled, all at once.
    this.#regions = workers * 4 + 4;
    this.#memory = allocatePageAligned(this.#regions * REGION_SIZE);
    this.#workers = Array.from({ length: workers }, () => this.#start());
  }

  #start(): Worker {
    const worker = startWorker('frame', { workerData: { memory: this.#memory }, resourceLimits: LIMITS });
    worker.on('message', (answer: WorkerAnswer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.result !== undefined) waiting?.resolve(answer.result);
      else waiting?.reject(ioError(`a worker failed: ${answer.failure}`, { code: 'worker' }));
    });
    worker.on('error', (cause) => {
      this.#dead ??= ioError('a worker thread died', { code: 'worker', cause });
      for (const { reject } of this.#waiting.values()) reject(this.#dead);
      this.#waiting.clear();
    });
    // Idle workers must not keep the program alive after a failure.
    worker.unref();
    return worker;
  }

  #run<T extends FrameTask>(region: number, task: T): Promise<FrameResult<T>> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead);
    const id = this.#nextId;
    this.#nextId += 1;
    const request: WorkerRequest = { id, region, task };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      this.#workers[id % this.#workers.length]!.postMessage(request);
    });
  }

  /**
   * For each item: `fill` puts its input into a region and names the task, or gives undefined to skip it; `take` gets the results
   * in the order of the items. Both run on this thread, and may go on in the background: `fillsAtOnce` of the one, while a `take`
   * waits only for the beginning of the one before. A region is theirs until their promises are settled.
   */
  async process<Item, T extends FrameTask>(
    items: Iterable<Item>,
    fill: (item: Item, region: Uint8Array) => Awaitable<T | undefined>,
    take: (item: Item, result: FrameResult<T>, region: Uint8Array) => Awaitable<void>,
    fillsAtOnce = 1,
  ): Promise<void> {
    const free = Array.from({ length: this.#regions }, (_, index) => index);
    /** One for each region in use; settles when the region is free again. Never rejects. */
    const inUse = new Set<Promise<void>>();
    const failures: unknown[] = [];
    /** When the latest item is taken: what `take` still does in the background is not waited for. */
    let taken: Promise<unknown> = Promise.resolve();
    const filling: Promise<unknown>[] = [];
    const begin = (item: Item, region: number): void => {
      const bytes = this.#memory.subarray(region * REGION_SIZE, (region + 1) * REGION_SIZE);
      const filled = (async () => fill(item, bytes))();
      filling.push(filled.catch(() => {}));
      const result = filled.then((task) => task && this.#run(region, task));
      // An error is met where the result is awaited, however late that is.
      result.catch(() => {});
      const before = taken;
      const turn = (async () => {
        await before;
        const found = await result;
        return { rest: found === undefined || failures.length > 0 ? undefined : take(item, found, bytes) };
      })();
      taken = turn.catch(() => {});
      const end: Promise<void> = turn
        .then(({ rest }) => rest)
        .catch((error: unknown) => {
          failures.push(error);
        })
        .then(() => {
          free.push(region);
          inUse.delete(end);
        });
      inUse.add(end);
    };
    const keepAlive = setInterval(() => {}, 60_000);
    try {
      for (const item of items) {
        while (free.length === 0) await Promise.race(inUse);
        while (filling.length >= fillsAtOnce) await filling.shift();
        if (failures.length > 0) break;
        begin(item, free.pop()!);
      }
    } catch (error) {
      failures.push(error);
    }
    // After a failure, too: workers and devices may still write into their regions.
    await Promise.all(inUse);
    clearInterval(keepAlive);
    if (failures.length > 0) throw failures[0];
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
