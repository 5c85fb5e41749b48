import { EventEmitter, once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import type { DiskFacts } from '../../rescue/job/disks.ts';
import type { AllJobs } from '../../rescue/job/jobs.ts';
import { GIB } from '../../rescue/units.ts';
import { runTui } from '../../tui/app.ts';
import { Clock, madeUpJobs, PLAN, type Scenario } from './made-up.ts';

const ESCAPE = String.fromCharCode(27);
/** What blessed sends to a VT100: a movement, a way to draw, or one character. */
const PIECE = new RegExp(`${ESCAPE}\\[([0-9;?]*)([A-Za-z])|${ESCAPE}[()].|${ESCAPE}.|[\\s\\S]`, 'g');

/** The screens in this process, on a terminal that counts what a serial line would have to carry. */
class Line extends Writable {
  readonly isTTY = true;
  readonly columns = 80;
  readonly rows = 24;
  #cells = new Map<number, string>();
  #at = 0;
  bytes = 0;

  constructor() {
    super({ decodeStrings: false });
  }

  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    const text = String(chunk);
    this.bytes += text.length;
    for (const [piece, numbers = '', letter] of text.matchAll(PIECE)) {
      const [first = 1, second = 1] = numbers.split(';').map((each) => Number(each) || 1);
      if (letter === 'H') this.#at = (first - 1) * this.columns + second - 1;
      else if (letter === 'C') this.#at += first;
      else if (letter === 'J') this.#cells.clear();
      else if (letter === undefined && piece >= ' ' && piece.length === 1) this.#cells.set(this.#at++, piece);
    }
    this.emit('drawn');
    done();
  }

  text(): string {
    const line = (row: number): string =>
      Array.from({ length: this.columns }, (_, column) => this.#cells.get(row * this.columns + column) ?? ' ')
        .join('')
        .trimEnd();
    return Array.from({ length: this.rows }, (_, row) => line(row)).join('\n');
  }

  /** Waits until `text` stands on the screen; gives the bytes that were sent since the last time. */
  async until(text: string): Promise<number> {
    while (!this.text().includes(text)) await once(this, 'drawn', { signal: AbortSignal.timeout(60_000) });
    const { bytes } = this;
    this.bytes = 0;
    return bytes;
  }
}

const start = (t: ExecutionContext, scenario: Scenario, replaced: Partial<AllJobs> = {}) => {
  const clock = new Clock();
  const stdin = new PassThrough();
  const stdout = new Line();
  const signals = new EventEmitter();
  const logged: string[] = [];
  const ended = runTui({
    jobs: { ...madeUpJobs(scenario, clock), ...replaced },
    stdin,
    stdout,
    signals,
    env: { TERM: 'vt100', LANG: 'C' },
    now: () => clock.now,
    wallClock: () => 0,
    log: (text) => logged.push(text),
  });
  t.teardown(() => stdin.destroy());
  return { stdin, stdout, signals, ended, logged, clock };
};

test.serial('a key costs a serial line little, and a burst of events one frame', async (t) => {
  const { stdin, stdout, ended } = start(t, 'scanning');
  await stdout.until('rescue medium');
  stdin.write('\x1b[B');
  const moved = await stdout.until('MOUNTED');
  t.true(moved < 2000, `${moved} bytes`);
  stdin.write('\x1b[A');
  await stdout.until('> /dev/sda');
  stdin.write('\r');
  const scan = await stdout.until('whole disk is searched');
  // 77 events came; a whole screen is 1920 characters and the cursor's way.
  t.true(scan < 5000, `${scan} bytes`);
  stdin.write('\x1b');
  await stdout.until('search was stopped');
  stdin.write('\x03');
  await stdout.until('Leave Holdfast?');
  stdin.write('\t\r');
  t.deepEqual(await ended, { next: 'quit' });
});

test.serial('a hang-up in mid-restore stops the job at a safe point before the program ends', async (t) => {
  const { stdin, stdout, signals, ended, logged } = start(t, 'writing');
  await stdout.until('rescue medium');
  stdin.write('\r');
  await stdout.until('Selected image');
  stdin.write('\r');
  await stdout.until('Go on to confirm');
  stdin.write('\r');
  await stdout.until('The last question');
  stdin.write('sda\r\r');
  await stdout.until('image: stays');
  await stdout.until('1000 MiB/s');
  signals.emit('SIGHUP');
  t.deepEqual(await ended, { next: 'quit' });
  t.regex(logged.join('\n'), /answer: agreed[\s\S]*failed: UnfinishedError: stopped on request/);
});

test.serial('a hang-up at the plan writes nothing', async (t) => {
  const { stdin, stdout, ended, logged } = start(t, 'all');
  await stdout.until('rescue medium');
  stdin.write('\r');
  await stdout.until('Selected image');
  stdin.write('\r');
  await stdout.until('Go on to confirm');
  stdin.end();
  await ended;
  t.regex(logged.join('\n'), /answer: declined/);
});

test.serial('keys that are typed ahead never agree to anything', async (t) => {
  const { stdin, stdout, ended, logged } = start(t, 'all');
  await stdout.until('rescue medium');
  for (let press = 0; press < 50; press += 1) {
    stdin.write('\r');
    await new Promise((resolve) => setImmediate(resolve));
  }
  await stdout.until('Restore > Plan');
  stdin.end();
  await ended;
  t.false(logged.includes('answer: agreed'));
});

test.serial('a fault of a screen is logged, and the way out still works', async (t) => {
  const odd = { path: '/dev/odd', size: GIB } as unknown as DiskFacts;
  const { stdin, stdout, ended, logged } = start(t, 'all', { disks: async () => ({ disks: [odd] }) });
  await stdout.until('This screen has a fault');
  t.regex(logged.join('\n'), /fault of the screen: TypeError/);
  stdin.end();
  t.deepEqual(await ended, { next: 'quit' });
});

test.serial('however much is lost, the field and the buttons of the last question are seen', async (t) => {
  const loses = Array.from({ length: 40 }, (_, index) => `Partition entry ${index} "name": it overlaps.`);
  const { stdin, stdout, ended } = start(t, 'all', {
    remove: async ({ confirm }) => {
      await confirm({ ...PLAN, loses });
      throw new Error('the end of this test');
    },
  });
  await stdout.until('rescue medium');
  stdin.write('\r');
  await stdout.until('Selected image');
  stdin.write('x');
  await stdout.until('more rows: Enter reads on');
  for (let page = 0; page < 5; page += 1) stdin.write('\r');
  await stdout.until('The last question');
  const last = stdout.text();
  t.regex(last, /more lines: Esc goes back to the plan/);
  t.regex(last, /Restore now/);
  stdin.end();
  await ended;
});
