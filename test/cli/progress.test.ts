import test from 'ava';
import fc from 'fast-check';
import { Progress, type ProgressOptions, Rate } from '../../rescue/cli/progress.ts';
import type { PHASES } from '../../rescue/job/context.ts';
import { MIB } from '../../rescue/units.ts';
import { say } from './world.ts';

const start = (mode: ProgressOptions['mode'], width = 80) => {
  const state = { time: 1000, text: '', width };
  const progress = new Progress({
    mode,
    now: () => state.time,
    columns: () => state.width,
    write: (text) => {
      state.text += text;
    },
  });
  const at = (seconds: number, done: number, total: number, phase: keyof typeof PHASES = 'capture') => {
    state.time = 1000 + seconds * 1000;
    progress.event({ phase, done: done * MIB, total: total * MIB });
  };
  return { state, progress, at };
};

/** What a terminal shows after this text: a carriage return goes back to the line's start. */
const screen = (text: string): string[] =>
  text.split('\n').map((line) => {
    const cells: string[] = [];
    let column = 0;
    for (const character of line) {
      if (character === '\r') column = 0;
      else {
        cells[column] = character;
        column += 1;
      }
    }
    return cells.join('').trimEnd();
  });

test('the line has phase, bytes, percentage, rate and time left', (t) => {
  const { state, progress, at } = start('line');
  at(0, 0, 1000);
  t.deepEqual(screen(state.text), ['writing the image: 0 bytes of 1000 MiB, 0 %']);
  at(2, 200, 1000);
  t.deepEqual(screen(state.text), ['writing the image: 200 MiB of 1000 MiB, 20 %, 100 MiB/s, 0:08 left']);
  at(9, 999.99, 1000);
  t.regex(state.text, /99 %, [^\r]*$/, 'not 100 % before the end');
  at(10, 1000, 1000);
  at(10.5, 0, 1000, 'read-back');
  progress.finish();
  t.deepEqual(screen(state.text), [
    'writing the image: 1000 MiB in 0:11, 95.2 MiB/s',
    'reading back what was written: 0:00',
    '',
  ]);
});

test('the rate is that of the last seconds', (t) => {
  const rate = new Rate();
  t.is(rate.perSecond(), undefined);
  for (let second = 0; second <= 100; second += 0.05) rate.add(second * 1000, second * 1e6);
  for (let second = 100; second <= 115; second += 0.05) rate.add(second * 1000, 1e8 + (second - 100) * 5e6);
  t.true(Math.abs(rate.perSecond()! - 5e6) < 1e4, `${rate.perSecond()}`);
});

test('the line never wraps, never goes back over a line that stands, and is plain ASCII', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ wait: fc.nat(3000), done: fc.nat(5000), phase: fc.constantFrom('scan', 'write') }),
        {
          minLength: 1,
        },
      ),
      fc.integer({ min: 20, max: 120 }),
      (steps, width) => {
        const { state, progress } = start('line', width);
        for (const { wait, done, phase } of steps) {
          state.time += wait;
          progress.event({ phase: phase as 'scan', done: done * MIB, total: 5000 * MIB });
        }
        progress.finish();
        for (const line of state.text.split(/[\r\n]/)) t.true(line.length < width);
        t.regex(state.text, /^[\x20-\x7e\r\n]*$/);
        t.is(screen(state.text).at(-1), '');
      },
    ),
    { numRuns: 100 },
  );
});

test('other text takes the place of the line, which comes back', (t) => {
  const { state, progress, at } = start('line');
  at(0, 10, 100);
  progress.clear();
  state.text += 'a note\n';
  t.deepEqual(screen(state.text), ['a note', '']);
  at(0.01, 11, 100);
  t.regex(screen(state.text)[1]!, /^writing the image: 11/);
});

test('a line that updates itself is not drawn more often than can be read', (t) => {
  const { state, at } = start('line');
  for (let step = 0; step < 1000; step += 1) at(step / 1000, step, 1000);
  t.true(state.text.split('\r').length <= 12);
});

test('plain: a line every few seconds and one at the end of each phase', (t) => {
  const { state, progress, at } = start('plain');
  for (let second = 0; second <= 12; second += 0.25) at(second, second * 10, 120);
  progress.finish();
  t.deepEqual(state.text.split('\n'), [
    'writing the image: 0 bytes of 120 MiB, 0 %',
    'writing the image: 50.0 MiB of 120 MiB, 41 %, 10.0 MiB/s, 0:07 left',
    'writing the image: 100 MiB of 120 MiB, 83 %, 10.0 MiB/s, 0:02 left',
    'writing the image: 120 MiB in 0:12, 10.0 MiB/s',
    '',
  ]);
});

test('json: one object per line, first and last event of each phase always, notes too', (t) => {
  const { state, progress, at } = start('json');
  at(0, 0, 100);
  at(0.01, 40, 100);
  at(2, 80, 100);
  progress.event({ note: 'half way', severity: 'info' });
  at(2.01, 100, 100);
  at(2.02, 0, 0, 'wipe');
  progress.finish();
  const lines = state.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.like(lines[0], { phase: 'capture', text: 'writing the image', done: 0, total: 100 * MIB });
  t.like(lines[1], { done: 80 * MIB, bytesPerSecond: 40 * MIB, secondsLeft: 1 });
  t.deepEqual(lines[2], { note: 'half way', severity: 'info' });
  t.like(lines[3], { done: 100 * MIB });
  t.like(lines[4], { phase: 'wipe' });
  t.is(lines.length, 5);
});

test('a phase that cannot be measured shows no numbers', (t) => {
  const { state, progress } = start('plain');
  progress.event({ phase: 'check', done: 0, total: 1 });
  progress.event({ phase: 'check', done: 1, total: 1 });
  progress.finish();
  t.is(state.text, 'checking the file system\nchecking the file system: 0:00\n');
});

const busy = {
  list: async (request: { target: string; depth: 'quick' | 'full' }, { onEvent }: { onEvent?: unknown }) => {
    const tell = onEvent as (event: object) => void;
    tell({ phase: 'scan', done: 0, total: 2 * MIB });
    tell({ note: 'a note', severity: 'info' });
    tell({ note: 'careful', severity: 'warning' });
    tell({ phase: 'scan', done: 2 * MIB, total: 2 * MIB });
    return { ...request, bytesRead: 0, bytesCovered: 0, steps: [], images: [] };
  },
};

test('which way is chosen, and that notes are shown', async (t) => {
  const stderrOf = async (mode: string, terminal: boolean, env = {}) =>
    (await say(['list', 'd', '--progress', mode], { jobs: busy, terminal, env })).stderr;
  t.regex(await stderrOf('auto', true), /\rlooking for images/);
  for (const plain of [
    await stderrOf('auto', false),
    await stderrOf('plain', true),
    await stderrOf('auto', true, { TERM: 'dumb' }),
  ]) {
    t.notRegex(plain, /\r/);
    t.regex(
      plain,
      /^looking for images: 0 bytes of 2\.0 MiB, 0 %\na note\nwarning: careful\nlooking for images: 2/,
    );
  }
  t.is(await stderrOf('none', true), 'warning: careful\nholdfast: no image found on d\n');
  const json = (await stderrOf('json', true)).split('\n').filter((line) => line.startsWith('{'));
  t.deepEqual(
    json.map((line) => Object.keys(JSON.parse(line))[0]),
    ['phase', 'note', 'note', 'phase'],
  );
});
