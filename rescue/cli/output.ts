import type { Writable } from 'node:stream';
import type { JobEvent } from '../job/context.ts';
import { type Log, NO_LOG } from './log.ts';
import type { ProgressMode } from './options.ts';
import type { Progress } from './progress.ts';
import { MINIMUM_WIDTH, printable } from './text.ts';

/** A stream that may be a terminal. */
export type Stream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface OutputOptions {
  readonly stdout: Stream;
  readonly stderr: Stream;
  /** Whether the terminal can show more than ASCII. */
  readonly unicode: boolean;
}

/** Columns for text on `stream`. */
export const widthOf = (stream: Stream): number => Math.max(MINIMUM_WIDTH, stream.columns ?? MINIMUM_WIDTH);

/**
 * Everything that is said goes through here: results to standard output, the rest to standard error, all of it to
 * the log. A reader that has gone away is no error.
 */
export class Output {
  readonly #options: OutputOptions;
  log: Log = NO_LOG;
  /** Shows progress on standard error. */
  progress: Progress | undefined;
  /** Puts progress into the log. */
  loggedProgress: Progress | undefined;
  #failure: Error | undefined;

  constructor(options: OutputOptions) {
    this.#options = options;
    options.stdout.on('error', (error) => this.#note(error));
    // There is nowhere left to tell about it.
    options.stderr.on('error', () => {});
  }

  #note(error: NodeJS.ErrnoException): void {
    // The second comes with every write after the first.
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') this.#failure ??= error;
  }

  #safe(text: string, unicode = this.#options.unicode): string {
    return `${text
      .split('\n')
      .map((line) => printable(line, unicode))
      .join('\n')}\n`;
  }

  /** A message for the person, on standard error. */
  say(text: string): void {
    this.progress?.clear();
    this.#options.stderr.write(this.#safe(text));
    this.log.write(text);
  }

  /** The beginning of a line that the person completes. */
  ask(text: string): void {
    this.progress?.clear();
    this.#options.stderr.write(printable(text, this.#options.unicode));
    this.log.write(text);
  }

  /** Results for people. `exact`: characters of other languages stay as they are, whatever the terminal says. */
  print(text: string, exact = false): void {
    this.#options.stdout.write(this.#safe(text, exact || this.#options.unicode));
    this.log.write(text);
  }

  /** The result for programs. */
  printDocument(document: object): void {
    const text = JSON.stringify(document);
    this.#options.stdout.write(`${text}\n`);
    this.log.write(text);
  }

  /** Text of our own, such as the help. */
  printText(text: string, stream: 'stdout' | 'stderr'): void {
    this.#options[stream].write(text);
  }

  /** An event of a job. Warnings are shown even where progress is not. */
  event(event: JobEvent, mode: ProgressMode): void {
    this.loggedProgress?.event(event);
    this.progress?.event(event);
    if (!('note' in event)) return;
    const warning = event.severity === 'warning';
    const text = warning ? `warning: ${event.note}` : event.note;
    // As JSON it is shown as progress is.
    if (mode !== 'json' && (mode !== 'none' || warning)) this.say(text);
    else this.log.write(text);
  }

  endProgress(): void {
    this.progress?.finish();
    this.loggedProgress?.finish();
  }

  /** Waits until standard output has taken everything; gives the error if it has not. */
  async flush(): Promise<Error | undefined> {
    const { stdout } = this.#options;
    // Through `write`, not `end`: standard output belongs to the process.
    await new Promise<void>((resolve) => {
      stdout.write('', (error) => {
        if (error) this.#note(error);
        resolve();
      });
    });
    return this.#failure;
  }
}
