import { Rate } from '../rescue/cli/progress.ts';
import type { JobEvent, JobOptions, NoteEvent, Phase, ProgressEvent } from '../rescue/job/context.ts';
import type { TouchMap } from './touch-map.ts';

/** One running job as a screen shows it. */
export class JobRun {
  readonly phases = new Set<Phase>();
  readonly notes: NoteEvent[] = [];
  /** Warnings, and what else was said in this phase. */
  recent: NoteEvent[] = [];
  readonly map: TouchMap | undefined;
  readonly #controller = new AbortController();
  readonly #now: () => number;
  readonly #onChange: () => void;
  readonly #onNote: (note: NoteEvent) => void;
  #rate = new Rate();
  #asking = 0;
  #askedAt: number | undefined;
  readonly startedAt: number;
  progress: ProgressEvent | undefined;

  constructor(options: {
    readonly map: TouchMap | undefined;
    readonly now: () => number;
    readonly onChange: () => void;
    readonly onNote: (note: NoteEvent) => void;
  }) {
    this.map = options.map;
    this.#now = options.now;
    this.#onChange = options.onChange;
    this.#onNote = options.onNote;
    this.startedAt = this.#now();
  }

  get options(): JobOptions {
    return { signal: this.#controller.signal, onEvent: (event) => this.#event(event) };
  }

  #event(event: JobEvent): void {
    if ('touched' in event) this.map?.add(event);
    else if ('note' in event) {
      this.notes.push(event);
      this.recent.push(event);
      this.#onNote(event);
    } else {
      if (this.progress?.phase !== event.phase || event.done < this.progress.done) this.#rate = new Rate();
      if (this.progress !== undefined && this.progress.phase !== event.phase)
        this.recent = this.recent.filter(({ severity }) => severity === 'warning');
      this.progress = event;
      this.phases.add(event.phase);
      this.#rate.add(this.#now(), event.done);
    }
    this.#onChange();
  }

  /** A question is shown: the time that a person takes is not the job's. */
  pause(): void {
    this.#askedAt = this.#now();
  }

  resume(): void {
    if (this.#askedAt !== undefined) this.#asking += this.#now() - this.#askedAt;
    this.#askedAt = undefined;
    this.#onChange();
  }

  get seconds(): number {
    return ((this.#askedAt ?? this.#now()) - this.startedAt - this.#asking) / 1000;
  }

  get bytesPerSecond(): number | undefined {
    return this.#rate.perSecond();
  }

  /** Some phases can only say that they began and ended. */
  get measured(): boolean {
    const { total = 0, done = 0 } = this.progress ?? {};
    return total > 1 || done > 1;
  }

  get stopping(): boolean {
    return this.#controller.signal.aborted;
  }

  /** The job ends at its next safe point. */
  stop(): void {
    this.#controller.abort();
    this.#onChange();
  }
}
