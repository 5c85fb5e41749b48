import test from 'ava';
import { corrupt } from '../../rescue/errors.ts';
import { MOST_AT_ONCE } from './hostile/allocation.ts';
import { fuzz } from './hostile/fuzz.ts';
import { hostile } from './hostile/part.ts';
import { playScene } from './hostile/scenes/scene.ts';
import { GENUINE } from './hostile/scenes/scenes.ts';
import { supervise } from './hostile/supervise.ts';
import { textParser } from './hostile/text-parser.ts';
import { prove } from './runner.ts';

test('a little of each parser, and what once broke something', async (t) => {
  const { failures } = await prove(hostile, { depth: 'sample', seed: 1, jobs: 1 });
  t.deepEqual(failures, []);
});

test('the proof can fail: a scene whose image is genuine is one that was restored', async (t) => {
  const { faults } = await playScene(GENUINE, t);
  t.is(faults.length, 2);
  t.regex(faults[0]!, /latest: restored/);
  t.regex(faults[1]!, /not as it was/);
});

/** A parser with the given fault, one letter deep. */
const planted = (fault: () => void) =>
  textParser({ seeds: ['abc'], words: ['x'], longest: 100 }, (text) => {
    if (text.includes('x')) fault();
    return 'read';
  });

test('the proof can fail: errors without a type, arrays too long and runaway recursion are found and made simple', async (t) => {
  const runaway = (): number => runaway() + 1;
  for (const [kind, fault] of [
    ['crash', () => void Buffer.from('').readUInt8(9)],
    ['crash', runaway],
    ['limit', () => void new Uint8Array(MOST_AT_ONCE + 1)],
    ['limit', () => void Buffer.alloc(MOST_AT_ONCE + 1)],
  ] as const) {
    const { findings } = await fuzz(planted(fault), { executions: 300, seed: 1 });
    t.like(findings, [{ kind, input: 'x' }]);
  }
  const typed = (): void => {
    throw corrupt('wrong', { code: 'planted' });
  };
  // A parser has to swallow those itself: nobody else knows that they are meant.
  t.like((await fuzz(planted(typed), { executions: 300, seed: 1 })).findings, [{ kind: 'crash' }]);
  t.deepEqual(
    (
      await fuzz(
        planted(() => {}),
        { executions: 300, seed: 1 },
      )
    ).findings,
    [],
  );
});

test('the proof can fail: a hang, a heap without end and a thread that dies are seen from outside', async (t) => {
  const program = new URL('./hostile/planted-worker.ts', import.meta.url);
  // Each limit is far from what the other two need, so that a slow machine changes nothing.
  for (const [target, kind, limits] of [
    ['hang', 'hang', { time: 300, heap: 256 }],
    ['memory', 'limit', { time: 60_000, heap: 32 }],
    ['exit', 'crash', { time: 60_000, heap: 256 }],
  ] as const) {
    const { findings } = await supervise({ target, seed: 1, executions: 1 }, program, limits);
    t.like(findings, [{ kind, input: 'the last input' }], target);
  }
});
