import type { AllJobs } from '../rescue/job/jobs.ts';
import type { Look, Row, Size } from './cells.ts';
import type { JobRun } from './job-run.ts';
import type { Key } from './keymap.ts';
import type { Keymaps } from './layouts.ts';
import type { SessionLog } from './session-log.ts';
import type { Settings } from './settings.ts';

/** One task on one screen. It holds its own state and turns it into rows; `Ui` does the rest. */
export interface Screen {
  /** In the line at the top, behind those of the screens below it. */
  readonly title: string;
  /** Rows of the body, at most `size.rows` of at most `size.columns`. */
  rows(size: Size, look: Look): readonly Row[];
  /** Keys of this moment. Esc and the keys of all screens are added. */
  keys(): readonly Key[];
  /** A character was typed; true if it was for the screen. */
  typed?(character: string): boolean;
  /** What Esc does here instead of going back. */
  readonly escape?: Key;
  /** What Ctrl-C asks here instead of whether to leave. */
  interrupt?(): void;
  /** The screens above it are gone. */
  resumed?(): void;
  /** The screen is gone. */
  closed?(): void;
}

/** What comes after the program's end. */
export interface TuiOutcome {
  readonly next: 'quit' | 'reboot' | 'poweroff' | 'shell';
}

/** What screens may do. */
export interface Ui {
  readonly jobs: AllJobs;
  readonly log: SessionLog;
  readonly settings: Settings;
  readonly keymaps: Keymaps;
  /** On the rescue medium: the machine is ours. */
  readonly medium: boolean;
  /** Saves the log and says where; undefined: there is nowhere to save it to. */
  readonly saveLog: (() => Promise<string>) | undefined;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  readonly look: Look;
  /** Something that is shown has changed; `soon`: at the next frame, not at once. */
  changed(soon?: boolean): void;
  open(screen: Screen): void;
  /** Leaves `screen` and whatever lies above it, and opens `next` there. Nothing happens if it is gone already. */
  leave(screen: Screen, next?: Screen): void;
  /** Back to the first screen. */
  home(): void;
  /** One sentence above the footer, until the next key. */
  say(text: string): void;
  /** A job runs: the program does not end before it has come to a safe point. */
  running(run: JobRun, job: Promise<void>): void;
  end(outcome: TuiOutcome): void;
}
