import { spawn } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { quote } from '../../rescue/cli/equivalent.ts';
import { everythingSaid, run, runInBackground } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const PROGRAM = join(import.meta.dirname, 'fixtures', 'fake-main.ts');
const line = (...words: string[]): string => [process.execPath, PROGRAM, ...words].map(quote).join(' ');

/** Runs a shell command line on a pseudo-terminal; `typed` goes to its keyboard when the question is there. */
const onTerminal = (command: string, typed: string): Promise<{ exit: number | null; screen: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm', LANG: 'C.UTF-8' },
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    let screen = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const asked = /stops here: /.test(screen);
      screen += chunk.toString('utf8');
      if (!asked && /stops here: /.test(screen)) child.stdin.write(typed);
    });
    child.stdin.on('error', () => {});
    child.once('error', reject);
    child.once('close', (exit) => resolve({ exit, screen }));
  });

test('on a terminal: the right name goes on, another does not', async (t) => {
  const right = await onTerminal(line('restore', '/dev/sda2'), 'sda2\r');
  t.is(right.exit, 0, right.screen);
  t.regex(right.screen, /stops here: [\s\S]*is restored/);
  const wrong = await onTerminal(line('restore', '/dev/sda2'), 'sdb2\r');
  t.is(wrong.exit, 4, wrong.screen);
  t.regex(wrong.screen, /not confirmed, expected sda2, found sdb2/);
});

test('on a terminal: Ctrl-C at the question cancels', async (t) => {
  const { exit, screen } = await onTerminal(line('restore', '/dev/sda2'), '\u0003');
  t.is(exit, 130, screen);
  t.regex(screen, /stopping at the next safe point\.\.\./);
});

test('a question that nobody would see is not asked', async (t) => {
  const { exit, screen } = await onTerminal(`${line('restore', '/dev/sda2')} 2>/dev/null`, '');
  t.is(exit, 4, screen);
});

test('--json leaves nothing but one document on standard output, with every way to show progress', (t) => {
  for (const progress of ['auto', 'plain', 'json', 'none']) {
    const result = run(process.execPath, [
      PROGRAM,
      'restore',
      'd',
      '--yes',
      '--json',
      '--progress',
      progress,
    ]);
    t.is(result.exit, 0, everythingSaid(result));
    t.is(result.stdout.indexOf('\n'), result.stdout.length - 1);
    t.is(JSON.parse(result.stdout).target, 'd');
  }
});

test('SIGINT and SIGTERM stop a job at its next safe point', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    let sent = false;
    const result = await runInBackground(process.execPath, [PROGRAM, 'create', 'd', '--progress', 'plain'], {
      onStderr: (_, send) => {
        if (!sent) send(signal);
        sent = true;
      },
    });
    t.is(result.exit, 130, everythingSaid(result));
    t.regex(result.stderr, /stopping at the next safe point/);
    t.regex(result.stderr, /holdfast: stopped on request\nNothing was written\.\n$/);
  }
});

test('a reader that goes away is no error; a full disk is', (t) => {
  const folder = temporaryFolder(t);
  const inShell = (command: string) => run('bash', ['-c', command], { cwd: folder });
  const piped = inShell(`set -o pipefail; (${line('list', 'd')}; echo "exit $?" >&2) | true`);
  t.is(piped.stderr, 'exit 0\n');
  const full = inShell(`${line('list', 'd')} > /dev/full`);
  t.is(full.exit, 1, everythingSaid(full));
  t.regex(full.stderr, /the result could not be written to standard output: .*ENOSPC/);
});
