import { cancelled, usage } from '../errors.ts';
import { MAX_TIME } from '../image/layout.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { Pipeline } from './pipeline.ts';
import { type Touch, type TouchEvent, Touched } from './touched.ts';

/** What a job is doing, in the order in which jobs do it. */
export const PHASES = {
  check: 'checking the file system',
  scan: 'looking for images',
  estimate: 'estimating the size of the image',
  capture: 'writing the image',
  'verify-slots': 'checking the slots of the image',
  'verify-image': 'checking the image',
  'read-back': 'reading back what was written',
  relocate: 'moving an image out of the way',
  claim: 'listing the image in the file system',
  write: 'writing the partition',
  release: 'removing the image from the file system',
  mend: 'putting the image right where it lies',
  wipe: 'overwriting the headers of what was removed',
} as const;
export type Phase = keyof typeof PHASES;

export interface ProgressEvent {
  readonly phase: Phase;
  readonly done: ByteLength;
  readonly total: ByteLength;
}

/** One thing that a person should know, as it happens. */
export interface NoteEvent {
  readonly note: string;
  readonly severity: 'info' | 'warning';
}

export type { Touch, TouchEvent };

export type JobEvent = ProgressEvent | NoteEvent | TouchEvent;

export interface JobOptions {
  readonly onEvent?: (event: JobEvent) => void;
  readonly signal?: AbortSignal;
  /** Seconds since 1970; default: `SOURCE_DATE_EPOCH` or now. */
  readonly now?: number;
}

/** What every job carries: progress, cancellation, workers, the time. */
export class JobContext {
  readonly startedAt = performance.now();
  readonly now: number;
  /** Where the device at hand starts on TARGET, for `touch`: not 0 while a partition of it is worked on. */
  origin: ByteOffset = 0;
  readonly #onEvent: ((event: JobEvent) => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #touched: Touched;
  #pipeline: Pipeline | undefined;

  constructor(options: JobOptions = {}) {
    this.#onEvent = options.onEvent;
    this.#signal = options.signal;
    this.#touched = new Touched((event) => this.#onEvent?.(event));
    this.now = options.now ?? currentTime();
  }

  /** Workers are started when they are first needed. */
  get pipeline(): Pipeline {
    this.#pipeline ??= new Pipeline();
    return this.#pipeline;
  }

  progress(phase: Phase, done: ByteLength, total: ByteLength): void {
    this.#onEvent?.({ phase, done, total });
  }

  /** Tells what was just done with bytes of the device at hand. */
  touch(touched: Touch, extent: Extent): void {
    this.#touched.add(touched, this.origin + extent.start, extent.length);
  }

  note(note: string, severity: NoteEvent['severity'] = 'info'): void {
    this.#onEvent?.({ note, severity });
  }

  /** Throws `cancelled` if that was asked for. Call where stopping leaves nothing half done. */
  throwIfCancelled(): void {
    if (this.#signal?.aborted === true) {
      throw cancelled('stopped on request', { code: 'cancelled' });
    }
  }

  /** The same, and lets signals and timers run. */
  async checkpoint(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.throwIfCancelled();
  }

  seconds(): number {
    return (performance.now() - this.startedAt) / 1000;
  }

  async close(): Promise<void> {
    this.#touched.flush();
    await this.#pipeline?.close();
  }
}

/** Throws `usage` (`source-date-epoch`): a time that was asked for is not silently another one. */
const currentTime = (): number => {
  const fixed = process.env['SOURCE_DATE_EPOCH'];
  if (fixed === undefined || fixed === '') return Math.floor(Date.now() / 1000);
  if (/^\d{1,12}$/.test(fixed) && Number(fixed) <= MAX_TIME) return Number(fixed);
  throw usage('SOURCE_DATE_EPOCH is not a time', {
    code: 'source-date-epoch',
    expected: `seconds since 1970, at most ${MAX_TIME}`,
    found: fixed,
  });
};
