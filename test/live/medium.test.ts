import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import { BACKGROUND_JOBS } from '../../rescue/job/background.ts';
import type { AllJobs } from '../../rescue/job/jobs.ts';
import type { Console } from '../../rescue/live/consoles.ts';
import { leaveWord, runMedium } from '../../rescue/live/medium.ts';
import { freeName, saveLog } from '../../rescue/live/save-log.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { wrecked } from './disks.ts';

/** The rescue medium without a machine: two consoles, a kernel command line, and what follows. */

interface Stand {
  readonly console: Console;
  readonly keys: PassThrough;
  readonly shown: () => string;
}

const stand = (name: string): Stand => {
  const keys = new PassThrough();
  const output = new PassThrough();
  let shown = '';
  output.on('data', (data: Buffer) => {
    shown += data.toString();
  });
  const streams = { input: keys, output } as unknown as Pick<Console, 'input' | 'output'>;
  return { console: { name, terminal: 'vt220', unicode: false, ...streams }, keys, shown: () => shown };
};

const NO_IMAGE: AllJobs = {
  ...BACKGROUND_JOBS,
  disks: async () => ({ disks: [wrecked()] }),
  list: async ({ target, depth }) => ({
    target,
    depth,
    bytesRead: 0,
    bytesCovered: 0,
    steps: [],
    images: [],
  }),
};

const medium = (t: ExecutionContext, commandLine: string) => {
  const stands = [stand('ttyS0'), stand('tty1')] as const;
  const logPath = join(temporaryFolder(t), 'run', 'log');
  const screens: string[] = [];
  const ended = runMedium({
    jobs: NO_IMAGE,
    commandLine,
    consoles: stands.map(({ console }) => console),
    logPath,
    screenPath: join(dirname(logPath), 'screen'),
    screen: async ({ name }) => {
      screens.push(name);
      return 'again';
    },
  });
  const says = async (text: string | RegExp): Promise<void> => {
    const there = (shown: string): boolean =>
      typeof text === 'string' ? shown.includes(text) : text.test(shown);
    while (!stands.every(({ shown }) => there(shown())))
      await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { stands, logPath, screens, ended, says };
};

test('an unknown option is shown on every console; nothing is done until a key leads to the screen there', async (t) => {
  const { stands, screens, ended, says, logPath } = medium(t, 'holdfast.mode=unattended holdfast.cuntdown=1');
  await says('unknown option holdfast.cuntdown');
  await says('holdfast: result=refused code=2 image=none target=none');
  t.deepEqual(screens, []);
  stands[1].keys.write('x');
  t.is(await ended, 'again');
  t.deepEqual(screens, ['tty1']);
  t.is(readFileSync(join(dirname(logPath), 'screen'), 'utf8'), 'tty1\n');
  t.regex(readFileSync(logPath, 'utf8'), /unknown option holdfast\.cuntdown/);
});

test('screen and shell are what the command line says', async (t) => {
  const screen = medium(t, 'quiet');
  t.is(await screen.ended, 'again');
  t.deepEqual(screen.screens, ['ttyS0']);
  const shell = medium(t, 'holdfast.mode=shell');
  t.is(await shell.ended, 'shell');
  t.deepEqual(shell.screens, []);
});

test('an unattended run that finds nothing says so on every console, last for machines, and saves its log', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'deep', 'run.log');
  const options = `holdfast.mode=unattended holdfast.on_fail=poweroff holdfast.log=${path}`;
  const { stands, ended, screens } = medium(t, options);
  t.is(await ended, 'poweroff');
  t.deepEqual(screens, []);
  for (const { shown } of stands) {
    t.regex(shown(), /no image was found/);
    t.is(shown().trimEnd().split('\r\n').at(-1), 'holdfast: result=refused code=3 image=none target=none');
  }
  t.regex(readFileSync(path, 'utf8'), /no image was found/);
});

test('when the screen follows a failure, what was said stays until a key is pressed', async (t) => {
  const { stands, ended, screens, says } = medium(t, 'holdfast.mode=unattended');
  await says(/Press any key for the menu\.\r\n.*result=refused/);
  t.deepEqual(screens, []);
  stands[0].keys.write(' ');
  t.is(await ended, 'again');
  t.deepEqual(screens, ['ttyS0']);
});

test('logs: an older one stays; a partition that is none is refused; word is left for the system', async (t) => {
  const folder = temporaryFolder(t);
  const log = join(folder, 'log');
  leaveWord(log, 'reboot');
  t.is(readFileSync(log, 'utf8'), 'reboot\n');
  const path = join(folder, 'saved.txt');
  t.is(await saveLog(log, path), path);
  t.is(await saveLog(log, path), join(folder, 'saved-1.txt'));
  t.is(freeName(path), join(folder, 'saved-2.txt'));
  t.like(await t.throwsAsync(saveLog(log, `${'/dev/null'}:/x`)), { detail: { code: 'log.no-device' } });
  t.like(await t.throwsAsync(saveLog(log, 'LABEL=no such label:/x')), { detail: { code: 'log.no-device' } });
});
