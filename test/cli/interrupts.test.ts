import test from 'ava';
import { run } from '../../rescue/cli/run.ts';
import { cancelled, ioError } from '../../rescue/errors.ts';
import type { JobOptions } from '../../rescue/job/context.ts';
import type { Jobs } from '../../rescue/job/jobs.ts';
import { UnfinishedError } from '../../rescue/job/results.ts';
import { INTENT, makeWorld } from './world.ts';

/** A job that goes on until it is let go, whatever it is asked. */
const stubborn = () => {
  const started = Promise.withResolvers<JobOptions>();
  const end = Promise.withResolvers<never>();
  return {
    started: started.promise,
    fail: end.reject,
    job: (options: JobOptions) => {
      started.resolve(options);
      return end.promise;
    },
  };
};

test('a second Ctrl-C ends a job that has written nothing', async (t) => {
  for (const argv of [
    ['list', 'd'],
    ['verify', 'd'],
    ['create', 'd', '--dry-run'],
    ['restore', 'd', '--yes'],
  ]) {
    const { started, job } = stubborn();
    const work = (_: unknown, options: JobOptions) => job(options);
    const jobs: Partial<Jobs> = { list: work, verify: work, create: work, restore: work };
    const { surroundings, signals, stderr } = makeWorld({ jobs });
    const done = run(argv, surroundings);
    const { signal } = await started;
    t.false(signal?.aborted);
    signals.emit('SIGINT');
    t.true(signal?.aborted);
    signals.emit('SIGINT');
    t.is(await done, 130);
    t.is(stderr.text, 'stopping at the next safe point...\nholdfast: stopped at once; nothing was written\n');
    t.is(signals.listenerCount('SIGINT'), 0);
  }
});

test('once it may have written, a second Ctrl-C only says why it goes on', async (t) => {
  const cases: readonly (readonly [readonly string[], (options: JobOptions) => void])[] = [
    [['create', 'd'], () => {}],
    [['restore', 'd', '--yes'], () => {}],
    [['remove', 'd', '--image', 'x', '--yes'], () => {}],
    [['list', 'd'], ({ onEvent }) => onEvent?.({ phase: 'write', done: 0, total: 10 })],
  ];
  for (const [argv, begin] of cases) {
    const { started, job, fail } = stubborn();
    const work = async (request: object, options: JobOptions): Promise<never> => {
      const { confirm } = request as { confirm?: (intent: typeof INTENT) => Promise<boolean> };
      if (argv[0] !== 'create') await confirm?.(INTENT);
      return job(options);
    };
    const jobs: Partial<Jobs> = { list: work, verify: work, create: work, restore: work, remove: work };
    const { surroundings, signals, stderr } = makeWorld({ jobs });
    const done = run(argv, surroundings);
    begin(await started);
    signals.emit('SIGINT');
    signals.emit('SIGINT');
    t.regex(stderr.text, /not safe to kill the program now/);
    fail(new UnfinishedError(cancelled('stopped on request', { code: 'cancelled' }), 'Run it again.'));
    t.is(await done, 130, argv.join(' '));
    t.regex(stderr.text, /holdfast: stopped on request\nWhat to do next: Run it again\.\n$/);
  }
});

test('a job that fails while it is being stopped reports its failure', async (t) => {
  const { started, job, fail } = stubborn();
  const { surroundings, signals } = makeWorld({ jobs: { create: (_, options) => job(options) } });
  const done = run(['create', 'd'], surroundings);
  await started;
  signals.emit('SIGTERM');
  signals.emit('SIGTERM');
  fail(ioError('the device is gone', { code: 'ENXIO' }));
  t.is(await done, 4);
});

test('Ctrl-C at the question', async (t) => {
  const { surroundings, signals, stderr, stdout } = makeWorld({ terminal: true });
  stderr.on('said', (text: string) => {
    if (text.endsWith('stops here: ')) signals.emit('SIGINT');
  });
  t.is(await run(['restore', 'd'], surroundings), 130);
  t.is(stdout.text, '');
});
