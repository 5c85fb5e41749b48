import { type JobEvent, PHASES, type Phase, type ProgressEvent } from '../job/context.ts';
import { formatBytes } from '../units.ts';
import type { ProgressMode } from './options.ts';
import { cutTo, formatClock, padTo } from './text.ts';

/** Milliseconds. */
const WINDOW = 10_000;
const SAMPLE_EVERY = 200;
const LEAST_SPAN = 1000;
const LINE_EVERY = 100;
const JSON_EVERY = 250;

/** Bytes per second over a sliding window of a monotonic clock. */
export class Rate {
  readonly #samples: { readonly at: number; readonly done: number }[] = [];
  #last: { at: number; done: number } | undefined;

  add(at: number, done: number): void {
    this.#last = { at, done };
    const newest = this.#samples.at(-1);
    if (newest === undefined || at - newest.at >= SAMPLE_EVERY) this.#samples.push(this.#last);
    while (this.#samples.length > 2 && at - this.#samples[1]!.at >= WINDOW) this.#samples.shift();
  }

  /** Undefined until there is enough to tell. */
  perSecond(): number | undefined {
    const first = this.#samples[0];
    if (first === undefined || this.#last === undefined) return undefined;
    const span = this.#last.at - first.at;
    return span < LEAST_SPAN ? undefined : ((this.#last.done - first.done) * 1000) / span;
  }
}

export interface ProgressOptions {
  readonly mode: Exclude<ProgressMode, 'auto'> | 'line';
  readonly write: (text: string) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Columns of the terminal, for `line`. */
  readonly columns: () => number;
  /** Milliseconds between lines of `plain`. */
  readonly plainEvery?: number;
}

/** One stretch of work: a phase from its first event to its last. */
interface Stretch {
  readonly phase: Phase;
  readonly startedAt: number;
  readonly from: number;
  readonly rate: Rate;
  event: ProgressEvent;
  shownAt: number;
  /** The event that was shown last. */
  shown: ProgressEvent | undefined;
}

const percent = ({ done, total }: ProgressEvent): number => Math.min(100, Math.floor((done * 100) / total));

/** Some phases can only say that they began and ended. */
const isMeasured = (event: ProgressEvent): boolean => event.total > 1 || event.done > 1;

const describe = ({ event, rate }: Stretch): string => {
  if (!isMeasured(event)) return PHASES[event.phase];
  const perSecond = rate.perSecond();
  const parts = [
    event.total > 0
      ? `${formatBytes(event.done)} of ${formatBytes(event.total)}, ${percent(event)} %`
      : formatBytes(event.done),
  ];
  if (perSecond !== undefined && perSecond > 0) {
    parts.push(`${formatBytes(perSecond)}/s`);
    if (event.total > event.done) parts.push(`${formatClock((event.total - event.done) / perSecond)} left`);
  }
  return `${PHASES[event.phase]}: ${parts.join(', ')}`;
};

/** What remains in the terminal or log of a stretch that is over. */
const summarise = ({ event, startedAt, from }: Stretch, now: number): string => {
  const seconds = (now - startedAt) / 1000;
  if (!isMeasured(event) || event.done === 0) return `${PHASES[event.phase]}: ${formatClock(seconds)}`;
  const rate = seconds >= 1 && event.done > from ? `, ${formatBytes((event.done - from) / seconds)}/s` : '';
  return `${PHASES[event.phase]}: ${formatBytes(event.done)} in ${formatClock(seconds)}${rate}`;
};

/** Shows a job's progress events on one stream in one of several ways. */
export class Progress {
  readonly #options: ProgressOptions;
  #stretch: Stretch | undefined;
  /** Columns that the updating line covers now. */
  #covered = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  event(event: JobEvent): void {
    if (this.#options.mode === 'none' || 'touched' in event) return;
    if ('note' in event) {
      if (this.#options.mode === 'json') this.#options.write(`${JSON.stringify(event)}\n`);
      return;
    }
    const now = this.#options.now();
    const last = this.#stretch;
    if (last === undefined || last.phase !== event.phase || event.done < last.event.done) {
      this.#end();
      const rate = new Rate();
      const { phase, done } = event;
      this.#stretch = {
        phase,
        event,
        rate,
        startedAt: now,
        from: done,
        shownAt: Number.NEGATIVE_INFINITY,
        shown: undefined,
      };
    }
    const stretch = this.#stretch!;
    stretch.event = event;
    stretch.rate.add(now, event.done);
    if (now - stretch.shownAt >= this.#interval()) this.#show(stretch, now);
  }

  #interval(): number {
    const { mode, plainEvery = 5000 } = this.#options;
    return mode === 'line' ? LINE_EVERY : mode === 'json' ? JSON_EVERY : plainEvery;
  }

  #show(stretch: Stretch, now: number): void {
    const { mode, write } = this.#options;
    stretch.shownAt = now;
    stretch.shown = stretch.event;
    if (mode === 'line') this.#draw(describe(stretch));
    else if (mode === 'plain') write(`${describe(stretch)}\n`);
    else write(`${JSON.stringify(this.#document(stretch))}\n`);
  }

  #document({ event, rate }: Stretch) {
    const perSecond = rate.perSecond();
    const left =
      perSecond !== undefined && perSecond > 0 ? (event.total - event.done) / perSecond : undefined;
    return {
      phase: event.phase,
      text: PHASES[event.phase],
      done: event.done,
      total: event.total,
      ...(perSecond === undefined ? {} : { bytesPerSecond: Math.round(perSecond) }),
      ...(left === undefined ? {} : { secondsLeft: Math.max(0, Math.round(left)) }),
    };
  }

  /** Blanks instead of an escape sequence wipe what was there: any terminal knows a carriage return. */
  #draw(text: string): void {
    // The last column stays free: some terminals go to the next line as soon as it is filled.
    const line = cutTo(text, Math.max(1, this.#options.columns() - 1));
    this.#options.write(`\r${padTo(line, this.#covered)}`);
    this.#covered = line.length;
  }

  #end(): void {
    const stretch = this.#stretch;
    if (stretch === undefined) return;
    const { mode, write, now } = this.#options;
    this.#stretch = undefined;
    if (mode === 'json') {
      if (stretch.shown !== stretch.event) this.#show(stretch, now());
    } else if (mode === 'plain') write(`${summarise(stretch, now())}\n`);
    else if (mode === 'line') {
      this.#draw(summarise(stretch, now()));
      write('\n');
      this.#covered = 0;
    }
  }

  /** Makes room for other text: the updating line goes away and comes back with the next event. */
  clear(): void {
    if (this.#covered === 0) return;
    this.#options.write(`\r${' '.repeat(this.#covered)}\r`);
    this.#covered = 0;
    if (this.#stretch !== undefined) this.#stretch.shownAt = Number.NEGATIVE_INFINITY;
  }

  /** The work is over, well or not. */
  finish(): void {
    this.#end();
  }
}
