import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { quote } from '../../rescue/cli/equivalent.ts';
import { MIB } from '../../rescue/units.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { mountFile } from '../support/loop.ts';
import { noiseSource } from '../support/noise.ts';
import { everythingSaid, run, runInBackground } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { Terminal } from '../tui/terminal.ts';
import { makeSamples } from './bad-input.ts';
import { holdfast, wordsOf } from './real-jobs.ts';

/** The program as a person starts it. */
const PROGRAM = join(import.meta.dirname, '..', '..', 'rescue', 'main.ts');
const line = (...words: string[]): string => [process.execPath, PROGRAM, ...words].map(quote).join(' ');

test.serial('on a terminal: a wrong name stops the restore, and nothing is written', async (t) => {
  const { imaged } = await makeSamples(t);
  const before = readFileSync(imaged);
  const answer = async (command: string, name: string): Promise<string> => {
    const terminal = new Terminal(t, {
      columns: 100,
      rows: 40,
      command: ['sh', '-c', `${command}; echo "exit $?"; read -r _`],
    });
    await terminal.until(/to go on; anything else stops here/);
    terminal.type(name);
    await terminal.keys('Enter');
    return terminal.until(/^exit \d+$/m);
  };
  const wrong = await answer(line('restore', imaged), 'sda');
  t.regex(wrong, /not confirmed, expected imaged, found sda\s+Nothing was written\.\s+exit 4/);
  t.true(readFileSync(imaged).equals(before));
  const right = await answer(line('remove', imaged, '--image', 'latest'), 'imaged');
  t.regex(right, /exit 0/);
  t.notThrows(() => mustBeClean(e2fsckClean(imaged)));
});

test.serial('standard output that is closed early does not stop a job that writes', async (t) => {
  const { plain } = await makeSamples(t);
  const piped = run('bash', [
    '-c',
    `set -o pipefail; ${line('create', plain, '--min-free', '0')} | true; echo $?`,
  ]);
  t.is(piped.stdout, '0\n', everythingSaid(piped));
  t.is((await holdfast(wordsOf('verify', plain))).exit, 0);
  t.notThrows(() => mustBeClean(e2fsckClean(plain)));
});

test.serial(
  'killed in the middle of a restore: not mountable as if whole, and run again it ends right',
  async (t) => {
    const volume = makeVolume(join(temporaryFolder(t), 'volume'), { size: 96 * MIB });
    const mount = mountFile(t, volume);
    writeFileSync(join(mount.path, 'large'), noiseSource('killed')(32 * MIB));
    mount.unmount();
    t.is((await holdfast(wordsOf('create', volume))).exit, 0);
    const killed = await runInBackground(
      process.execPath,
      [PROGRAM, 'restore', volume, '--yes', '--progress', 'json'],
      {
        onStderr: (text, send) => {
          if (text.includes('"write"')) send('SIGKILL');
        },
      },
    );
    t.is(killed.signal, 'SIGKILL', everythingSaid(killed));
    t.not(run('dumpe2fs', ['-h', volume]).exit, 0, 'no superblock yet');
    const again = await holdfast(wordsOf('restore', volume));
    t.is(again.exit, 0, again.stderr);
    t.notThrows(() => mustBeClean(e2fsckClean(volume)));
    const after = mountFile(t, volume, { readOnly: true });
    t.true(readFileSync(join(after.path, 'large')).equals(noiseSource('killed')(32 * MIB)));
    after.unmount();
  },
);
