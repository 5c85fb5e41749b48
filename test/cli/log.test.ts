import { existsSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ioError } from '../../rescue/errors.ts';
import type { Jobs } from '../../rescue/job/jobs.ts';
import { UnfinishedError } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { IMAGE, STATS, say } from './world.ts';

const wallClock = () => Date.UTC(2026, 10, 22, 7, 30);
const TIME = '2026-11-22T07:30:00.000Z ';

test('the log has everything, with times, and grows', async (t) => {
  const path = join(temporaryFolder(t), 'log');
  const jobs: Partial<Jobs> = {
    create: async ({ target }, { onEvent }) => {
      onEvent?.({ phase: 'capture', done: 0, total: 4 * MIB });
      onEvent?.({ note: 'a note', severity: 'info' });
      onEvent?.({ phase: 'capture', done: 4 * MIB, total: 4 * MIB });
      return { target, image: IMAGE, stats: STATS, replaced: [], written: true };
    },
  };
  const first = await say(['create', 'd', '--log', path, '--progress', 'none'], { jobs, wallClock });
  t.is(first.exit, 0);
  t.is(first.stderr, '');
  const text = readFileSync(path, 'utf8');
  for (const part of [
    `${TIME}holdfast 0.`,
    ': holdfast create d --kind user',
    `${TIME}writing the image: 0 bytes of 4.0 MiB`,
    `${TIME}a note\n`,
    `${TIME}writing the image: 4.0 MiB in`,
    `${TIME}The user image 3f2a91c4 "before update" is now inside partition 2 of d (label "root").\n    12.0 GiB`,
    `${TIME}exit code 0\n`,
  ])
    t.true(text.includes(part), `${part} in\n${text}`);
  for (const each of text.trimEnd().split('\n'))
    t.true(each.startsWith(TIME) || each.startsWith('    '), each);
  await say(['list', 'd', '--log', path], { wallClock });
  t.true(readFileSync(path, 'utf8').startsWith(text));
});

test('the log has the answer to the question, and errors with their causes and stacks', async (t) => {
  const path = join(temporaryFolder(t), 'log');
  await say(['restore', 'd', '--log', path], { terminal: true, answer: 'other' });
  t.regex(
    readFileSync(path, 'utf8'),
    /WILL BE LOST[\s\S]*Type sda2 to go on[\s\S]*answer: other\n[\s\S]*exit code 4\n$/,
  );
  const root = new Error('ENXIO from the kernel');
  const jobs: Partial<Jobs> = {
    create: async () => {
      const cause = ioError('the device is gone', { code: 'ENXIO', cause: root });
      throw new UnfinishedError(cause, 'Run it again.');
    },
  };
  await say(['create', 'd', '--log', path], { jobs });
  t.regex(
    readFileSync(path, 'utf8'),
    /failed: UnfinishedError: the device is gone\n +at [\s\S]*caused by: HoldfastError: the device is gone\n +at [\s\S]*caused by: Error: ENXIO from the kernel\n +at [\s\S]*exit code 1\n$/,
  );
});

test('an internal error shows its stack when a log is kept', async (t) => {
  const path = join(temporaryFolder(t), 'log');
  const jobs: Partial<Jobs> = { list: async () => Promise.reject(new TypeError('oops')) };
  const { stderr } = await say(['list', 'd', '--log', path], { jobs });
  t.regex(stderr, /please report: TypeError: oops\nTypeError: oops\n {4}at /);
});

test('a log never goes where it could do harm', async (t) => {
  const folder = temporaryFolder(t);
  const disk = join(folder, 'disk');
  writeFileSync(disk, 'disk');
  linkSync(disk, join(folder, 'same'));
  mkdirSync(join(folder, 'folder'));
  for (const [argv, path] of [
    [['restore', disk, '--yes'], disk],
    [['restore', disk, '--yes'], join(folder, 'same')],
    [['restore', 'd', '--yes', '--to', disk], disk],
    [['restore', 'd', '--yes', '--from', disk], disk],
    [['restore', 'd', '--yes', '--to', join(folder, 'new')], join(folder, 'new')],
    [['list', 'd'], join(folder, 'folder')],
    [['list', 'd'], join(folder, 'no', 'such')],
    [['list', 'd'], '/dev/full'],
  ] as const) {
    const { exit, stderr, requests } = await say([...argv, '--log', path]);
    t.is(exit, 2, stderr);
    t.regex(stderr, /^holdfast: --log /);
    t.deepEqual(requests, []);
  }
  t.is(readFileSync(disk, 'utf8'), 'disk');
  t.false(existsSync(join(folder, 'new')));
});
