import type { Input } from '../rescue/cli/confirm.ts';
import { traceOf } from '../rescue/cli/exit.ts';
import type { SignalSource } from '../rescue/cli/interrupts.ts';
import type { Stream } from '../rescue/cli/output.ts';
import type { AllJobs } from '../rescue/job/jobs.ts';
import { VERSION } from '../rescue/version.ts';
import { type Look, lookOf, type Size, shown } from './cells.ts';
import type { JobRun } from './job-run.ts';
import { Keyboard, type Press } from './keyboard.ts';
import { type Key, keyFor } from './keymap.ts';
import { type Keymaps, systemKeymaps } from './layouts.ts';
import { Painter } from './painter.ts';
import { runPlain } from './plain.ts';
import type { Screen, TuiOutcome, Ui } from './screen.ts';
import { disksScreen } from './screens/disks.ts';
import { helpScreen } from './screens/help.ts';
import { questionScreen } from './screens/question.ts';
import { SessionLog } from './session-log.ts';
import type { Settings } from './settings.ts';
import { type Description, terminalOf } from './terminal.ts';
import { FRAME_ROWS, footer, framed, header, LEAST_SIZE, tooSmall } from './widgets/frame.ts';

/** The world around the screens. */
export interface TuiWorld {
  readonly jobs: AllJobs;
  readonly stdin: Input & { setRawMode?(raw: boolean): unknown };
  readonly stdout: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** On the rescue medium the machine may be restarted and turned off from here. */
  readonly medium?: boolean;
  /** Saves the log of this session and says where. */
  readonly saveLog?: (text: string) => Promise<string>;
  /** Given every entry of the log as it is made. */
  readonly log?: (text: string) => void;
  readonly signals?: SignalSource;
  readonly keymaps?: Keymaps;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock?: () => number;
}

/** Milliseconds between frames that nobody asked for by a key: a serial line takes 0.2 s for a whole screen. */
const FRAME = 250;

const FAULT = 'This screen has a fault; jobs go on. Esc goes back. The log says more.';

/** A terminal that is closed, or a system that goes down. */
const ENDINGS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'];

class App implements Ui {
  readonly jobs: AllJobs;
  readonly log: SessionLog;
  readonly settings: Settings;
  readonly keymaps: Keymaps;
  readonly medium: boolean;
  readonly saveLog: (() => Promise<string>) | undefined;
  readonly now: () => number;
  readonly done = Promise.withResolvers<TuiOutcome>();
  readonly #painter: Painter;
  readonly #stack: Screen[] = [];
  #message = '';
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  readonly #jobs = new Map<JobRun, Promise<void>>();

  constructor(world: TuiWorld, description: Description) {
    const { colour, unicode } = terminalOf(world.env);
    this.jobs = world.jobs;
    this.log = new SessionLog(world.wallClock ?? Date.now, world.log);
    this.settings = { colour, unicode, layout: undefined };
    this.keymaps = world.keymaps ?? systemKeymaps();
    this.medium = world.medium ?? false;
    const { saveLog } = world;
    this.saveLog = saveLog === undefined ? undefined : () => saveLog(this.log.text());
    this.now = world.now ?? (() => performance.now());
    this.#painter = new Painter({
      output: world.stdout,
      description,
      onResize: () => this.changed(),
    });
    this.log.write(`holdfast ${VERSION}: full-screen interface`);
  }

  get look(): Look {
    return lookOf(this.settings.unicode, this.settings.colour);
  }

  get #top(): Screen {
    return this.#stack.at(-1)!;
  }

  get #size(): Size {
    return this.#painter.size;
  }

  changed(soon = false): void {
    if (this.#ended) return;
    if (!soon) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#paintSafely(), 0);
    } else this.#timer ??= setTimeout(() => this.#paintSafely(), FRAME);
  }

  /** A fault of a screen must not end a restore that runs. */
  #paintSafely(): void {
    try {
      this.#paint();
    } catch (error) {
      this.#fault(error);
      this.#painter.paint([[{ text: FAULT, style: 'danger' }]], false);
    }
  }

  #fault(error: unknown): void {
    this.log.write(`fault of the screen: ${traceOf(error)}`);
  }

  #paint(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const screen = this.#stack.at(-1);
    if (this.#ended || screen === undefined) return;
    const size = this.#size;
    const { look } = this;
    const { colour } = look;
    if (size.columns < LEAST_SIZE.columns || size.rows < LEAST_SIZE.rows) {
      this.#painter.paint(tooSmall(size), colour);
      return;
    }
    const room = { columns: size.columns - 2, rows: size.rows - FRAME_ROWS };
    const titles = this.#stack.slice(-4).map(({ title }) => shown(title, look));
    const rows = framed({
      top: header(titles, `Holdfast ${VERSION}`, size.columns, look),
      body: screen.rows(room, look).slice(0, room.rows),
      message: shown(this.#message, look),
      bottom: footer(this.#keys(), size.columns),
      size,
    });
    this.#painter.paint(rows, colour);
  }

  /** All keys of this moment: the screen's, then those that are always there. */
  #keys(): readonly Key[] {
    const screen = this.#top;
    const back: Key = screen.escape ?? {
      names: ['escape'],
      title: 'Back',
      hint: 'Goes back to the screen before. It never writes or destroys anything.',
      disabled: this.#stack.length > 1 ? undefined : 'this is the first screen. Ctrl-C leaves the program.',
      action: () => this.leave(screen),
    };
    return [
      ...screen.keys(),
      {
        names: ['C-c'],
        title: 'Leave or stop',
        hint: 'Asks whether to leave the program, or to stop the running job at its next safe point.',
        quiet: true,
        action: () => this.#interrupt(),
      },
      {
        names: ['C-l'],
        title: 'Draw again',
        hint: 'Draws the whole screen anew.',
        quiet: true,
        action: () => this.#painter.forget(),
      },
      back,
      {
        names: ['f1', ...(screen.typed === undefined ? ['?'] : [])],
        title: 'Help',
        hint: 'Shows what every key does.',
        disabled: screen.title === 'Help' ? 'this is the help.' : undefined,
        action: () => this.open(helpScreen(this, screen.title, this.#keys())),
      },
    ];
  }

  press(press: Press): void {
    if (this.#ended) return;
    try {
      this.#pressed(press);
    } catch (error) {
      this.#fault(error);
      this.say(FAULT);
    }
  }

  #pressed({ name, text }: Press): void {
    this.#message = '';
    const screen = this.#top;
    const key = keyFor(this.#keys(), name);
    if (text !== undefined && screen.typed?.(text) === true) this.changed();
    else if (key?.disabled !== undefined) this.say(`Not now: ${key.disabled}`);
    else {
      key?.action();
      this.changed();
    }
  }

  #interrupt(): void {
    const { interrupt } = this.#top;
    if (interrupt !== undefined) {
      interrupt();
      return;
    }
    this.open(
      questionScreen(this, {
        title: 'Leave?',
        text: ['Leave Holdfast?', 'No job is running; nothing is half done.'],
        choices: [
          { label: 'Stay', hint: 'Goes back to where you were.', action: () => {} },
          {
            label: 'Leave',
            hint: this.medium ? 'Ends this program; the rescue medium shows its menu.' : 'Ends this program.',
            action: () => this.end({ next: 'quit' }),
          },
        ],
      }),
    );
  }

  open(screen: Screen): void {
    this.#stack.push(screen);
    this.changed();
  }

  leave(screen: Screen, next?: Screen): void {
    const at = this.#stack.indexOf(screen);
    if (at < 0) return;
    const gone = this.#stack.splice(at);
    if (next !== undefined) this.#stack.push(next);
    for (const each of gone) each.closed?.();
    if (next === undefined) this.#stack.at(-1)?.resumed?.();
    this.changed();
  }

  home(): void {
    const second = this.#stack[1];
    if (second !== undefined) this.leave(second);
  }

  say(text: string): void {
    this.#message = text;
    this.changed();
  }

  running(run: JobRun, job: Promise<void>): void {
    this.#jobs.set(run, job);
    // Its screens have told how it ended.
    job.finally(() => this.#jobs.delete(run)).catch(() => {});
  }

  end(outcome: TuiOutcome): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    for (const screen of this.#stack.splice(0)) screen.closed?.();
    for (const run of this.#jobs.keys()) run.stop();
    this.#painter.close();
    Promise.allSettled(this.#jobs.values()).then(() => this.done.resolve(outcome));
  }
}

/** A terminal that has gone away cannot be set, and needs it no more. */
const cooked = (stdin: TuiWorld['stdin']): void => {
  try {
    stdin.setRawMode?.(false);
  } catch {
    // EIO
  }
};

const runScreens = async (world: TuiWorld, description: Description): Promise<TuiOutcome> => {
  const { stdin, stdout, signals } = world;
  const app = new App(world, description);
  const keyboard = new Keyboard((press) => app.press(press));
  const take = (bytes: Uint8Array): void => keyboard.take(bytes);
  // Whoever sends it does not see our questions: a job that runs is stopped by the end of its screen.
  const finish = (): void => app.end({ next: 'quit' });
  stdin.setRawMode?.(true);
  stdin.on('data', take);
  stdin.on('end', finish);
  stdout.on('error', finish);
  for (const name of ENDINGS) signals?.on(name, finish);
  try {
    app.open(disksScreen(app));
    return await app.done.promise;
  } finally {
    keyboard.stop();
    stdin.off('data', take);
    stdin.off('end', finish);
    stdout.off('error', finish);
    for (const name of ENDINGS) signals?.off(name, finish);
    cooked(stdin);
    stdin.pause();
  }
};

/** The full-screen interface; on a terminal that cannot move its cursor, questions and answers. */
export const runTui = (world: TuiWorld): Promise<TuiOutcome> => {
  const { description } = terminalOf(world.env);
  return description === undefined ? runPlain(world) : runScreens(world, description);
};
