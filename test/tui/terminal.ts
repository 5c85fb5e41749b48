import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { quote } from '../../rescue/cli/equivalent.ts';
import { VERSION } from '../../rescue/version.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A program on a real pseudo-terminal: tmux is the terminal, types the keys, and says what stands on the screen. */

export interface TerminalOptions {
  readonly columns: number;
  readonly rows: number;
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Milliseconds: three test files and other people's work share two cores. */
const LIMIT = 60_000;
const EVERY = 50;

const CONFIGURATION = ['set -g status off', 'set -g escape-time 0', 'set -g remain-on-exit on'].join('\n');

let count = 0;

export class Terminal {
  readonly #socket: string;
  /** Gets the program's exit code: tmux itself now and then never learns it. */
  readonly #code: string;

  constructor(cleanup: Cleanup, options: TerminalOptions) {
    const { columns, rows, command, env = {} } = options;
    const folder = temporaryFolder(cleanup);
    count += 1;
    // A server of its own, whose socket goes with the folder.
    this.#socket = join(folder, `tmux-${count}`);
    this.#code = join(folder, 'code');
    const configuration = join(folder, 'tmux.conf');
    writeFileSync(configuration, CONFIGURATION);
    const variables = { TERM: 'xterm-256color', LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', TZ: 'UTC', ...env };
    const words = [
      'env',
      '-u',
      'TMUX',
      '-u',
      'NO_COLOR',
      ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      ...['sh', '-c', `trap : INT QUIT; "$@"; echo $? >${quote(this.#code)}`, 'sh'],
      ...command,
    ];
    cleanup.teardown(() => run('tmux', ['-S', this.#socket, 'kill-server']));
    const start = ['-u', '-f', configuration, 'new-session', '-d', '-x', String(columns), '-y', String(rows)];
    this.#tmux(...start, words.map(quote).join(' '));
  }

  #tmux(...words: string[]): string {
    return mustRun('tmux', ['-S', this.#socket, ...words], { env: { LC_ALL: 'C.UTF-8' } }).stdout;
  }

  /** The screen as text, blanks at the ends of lines left out. */
  text(): string {
    const text = this.#tmux('capture-pane', '-p');
    return text
      .replaceAll(`Holdfast ${VERSION}`, `Holdfast ${VERSION.replaceAll(/\d/g, 'x')}`)
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n');
  }

  /** The same with the escape sequences of colours. */
  coloured(): string {
    return this.#tmux('capture-pane', '-p', '-e', '-N');
  }

  /** Keys as tmux names them: `Enter`, `Escape`, `Down`, `F1`, `C-c`; other words are typed as they are. */
  async keys(...names: string[]): Promise<void> {
    this.#tmux('send-keys', ...names);
  }

  type(text: string): void {
    this.#tmux('send-keys', '-l', text);
  }

  resize(columns: number, rows: number): void {
    this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** Waits until `holds` is true of the screen. Throws with the screen after a generous time. */
  async until(
    holds: ((text: string) => boolean) | RegExp,
    what = String(holds),
    limit = LIMIT,
  ): Promise<string> {
    const started = performance.now();
    for (;;) {
      const text = this.text();
      if (typeof holds === 'function' ? holds(text) : holds.test(text)) return text;
      if (performance.now() - started > limit) throw new Error(`waited in vain for ${what}:\n${text}`);
      await pause(EVERY);
    }
  }

  /** Waits until the program has ended, and gives its exit code. */
  async ended(): Promise<number> {
    const started = performance.now();
    for (;;) {
      const code = existsSync(this.#code) ? readFileSync(this.#code, 'utf8') : '';
      if (code.endsWith('\n')) return Number(code);
      if (performance.now() - started > LIMIT) throw new Error(`still runs:\n${this.text()}`);
      await pause(EVERY);
    }
  }
}

const SNAPSHOTS = join(import.meta.dirname, 'snapshots');
const UPDATE = process.env['UPDATE_SNAPSHOTS'] !== undefined;

/** Waits until the screen is as in `snapshots/NAME.txt`; with UPDATE_SNAPSHOTS, writes it when `settled` is seen. */
export const mustShow = async (
  t: ExecutionContext,
  terminal: Terminal,
  name: string,
  settled: RegExp,
): Promise<void> => {
  const path = join(SNAPSHOTS, `${name}.txt`);
  await terminal.until(settled);
  if (UPDATE) {
    mkdirSync(SNAPSHOTS, { recursive: true });
    // The last frame may be on its way.
    await pause(600);
    writeFileSync(path, terminal.text());
  }
  t.true(existsSync(path), `no snapshot ${name}: make it with UPDATE_SNAPSHOTS=1, and look at it`);
  const expected = readFileSync(path, 'utf8');
  try {
    await terminal.until((text) => text === expected, `the snapshot ${name}`);
    t.pass();
  } catch {
    t.is(terminal.text(), expected, name);
  }
};
