import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { EXIT } from '../cli/exit.ts';
import { parseKernelCommandLine } from '../cli/kernel-cmdline.ts';
import { type Log, openLog } from '../cli/log.ts';
import { printable } from '../cli/text.ts';
import type { AllJobs } from '../job/jobs.ts';
import { resultLine, runUnattended } from '../unattended.ts';
import { VERSION } from '../version.ts';
import { type Console, watchKeys } from './consoles.ts';
import { saveLog } from './save-log.ts';

/** What becomes of the machine when the program ends; `iso/init` does it. */
export type Next = 'reboot' | 'poweroff' | 'shell' | 'again' | 'menu';

/** Where the log of the live system is, in memory; `iso/init` says it too. */
export const LOG_PATH = '/run/holdfast/holdfast.log';

/** Says on which console the screen is. Until this file is there, the others belong to the program too. */
export const SCREEN_PATH = '/run/holdfast/screen';

export interface MediumWorld {
  readonly jobs: AllJobs;
  /** Text of /proc/cmdline. */
  readonly commandLine: string;
  /** The main one first. */
  readonly consoles: readonly Console[];
  /** Started again by a person: nothing happens by itself any more. */
  readonly again?: boolean;
  readonly logPath: string;
  readonly screenPath: string;
  /** The screen on one console, until the person is done with it; what happens there goes to the log. */
  screen(console: Console, log: (text: string) => void): Promise<Next>;
}

const UNDERSTOOD = 'Nothing is done by itself. Press any key for the menu.';

/** Shows a text on every console: whoever is there should see it. */
const tell = (consoles: readonly Console[], text: string): void => {
  for (const { output, unicode } of consoles) {
    const lines = text.split('\n').map((line) => printable(line, unicode));
    // A console in raw mode needs its carriage returns.
    output.write(`${lines.join('\r\n')}\r\n`);
  }
};

const anyKey = (consoles: readonly Console[]): Promise<Console> =>
  new Promise((resolve) => {
    const stop = watchKeys(consoles, (_key, console) => {
      stop();
      resolve(console);
    });
  });

/** The screen has one console; `iso/init` may offer the program on the others from now on. */
const showScreen = async (world: MediumWorld, log: Log, console: Console): Promise<Next> => {
  for (const { input, output } of world.consoles.slice(1)) {
    if (input === console.input) continue;
    input.destroy();
    output.destroy();
  }
  writeFileSync(world.screenPath, `${console.name}\n`);
  return world.screen(console, (text) => log.write(text));
};

/** Runs the rescue medium as the kernel command line asks. */
export const runMedium = async (world: MediumWorld): Promise<Next> => {
  const { consoles, commandLine, jobs, logPath } = world;
  const main = consoles[0]!;
  mkdirSync(dirname(logPath), { recursive: true });
  const log = openLog({ path: logPath, used: [], wallClock: Date.now, onFailure: () => {} });
  const say = (text: string): void => {
    tell(consoles, text);
    log.write(text);
  };
  log.write(`holdfast ${VERSION} on the rescue medium: ${commandLine.trim()}`);
  const { options, errors } = parseKernelCommandLine(commandLine);
  if (errors.length > 0 && world.again !== true) {
    for (const error of errors) say(`holdfast: ${error.message}`);
    say(UNDERSTOOD);
    const { code } = EXIT.usage;
    if (options.mode === 'unattended') say(resultLine('refused', code, { image: 'none', target: 'none' }));
    return showScreen(world, log, await anyKey(consoles));
  }
  if (world.again === true || options.mode === 'tui') return showScreen(world, log, main);
  if (options.mode === 'shell') return 'shell';
  let last = main;
  const outcome = await runUnattended(options, {
    jobs,
    say,
    show: (text) => tell(consoles, text.trimEnd()),
    note: (text) => log.write(text),
    onKey: (listener) =>
      watchKeys(consoles, (key, console) => {
        last = console;
        listener(key);
      }),
    sleep: (time) => new Promise((resolve) => setTimeout(resolve, time)),
    now: () => performance.now(),
    resolve: (path) => {
      try {
        return realpathSync(path);
      } catch {
        return path;
      }
    },
  });
  if (options.log !== undefined && outcome.line !== undefined) {
    try {
      say(`The log is saved as ${await saveLog(logPath, options.log)}`);
    } catch (error) {
      say(`warning: the log could not be saved: ${(error as Error).message}`);
    }
  }
  const { line, next } = outcome;
  // The screen would wipe what was said.
  const toScreen = next === 'tui' && line !== undefined;
  if (toScreen) say('Press any key for the menu.');
  if (line !== undefined) say(line);
  if (toScreen) return showScreen(world, log, await anyKey(consoles));
  return next === 'tui' ? showScreen(world, log, last) : next;
};

/** Leaves word for `iso/init`. */
export const leaveWord = (path: string, next: Next): void => {
  writeFileSync(path, `${next}\n`);
};
