import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { quote } from '../../rescue/cli/equivalent.ts';
import { mustShow, Terminal } from './terminal.ts';

/** The same screens on lesser terminals, and in windows that change. */

const PROGRAM = join(import.meta.dirname, 'made-up-program.ts');
const DISKS = /rescue medium that is running/;

const start = (t: ExecutionContext, env: Readonly<Record<string, string>>, scenario = 'writing'): Terminal =>
  new Terminal(t, { columns: 80, rows: 24, command: [process.execPath, PROGRAM, scenario], env });

const walkToProgress = async (terminal: Terminal): Promise<void> => {
  await terminal.until(DISKS);
  await terminal.keys('Enter');
  await terminal.until(/Selected image/);
  await terminal.keys('Enter');
  await terminal.until(/Go on to confirm/);
  await terminal.keys('Enter');
  await terminal.until(/The last question/);
  await terminal.keys('s', 'd', 'a', 'Enter', 'Enter');
  await terminal.until(/Bringing the partition back/);
};

const PLAIN = { LANG: 'C', LC_ALL: 'C' };
const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*\\b(3[0-7]|4[0-7]|9[0-7])m`);

for (const TERM of ['vt100', 'vt220', 'linux', 'xterm', 'screen', 'tmux-256color']) {
  test.serial(`a walk on ${TERM} without UTF-8`, async (t) => {
    const terminal = start(t, { ...PLAIN, TERM });
    await walkToProgress(terminal);
    t.regex(terminal.text(), /^[\x20-\x7e\n]*$/, 'ASCII only');
    t.is(COLOUR.test(terminal.coloured()), !TERM.startsWith('vt'));
    if (TERM === 'vt100') await mustShow(t, terminal, 'progress-vt100', /image: stays/);
  });
}

test.serial('colours can be refused, and switched off and on', async (t) => {
  const terminal = start(t, { NO_COLOR: '1' });
  await terminal.until(DISKS);
  t.notRegex(terminal.coloured(), COLOUR);
  await terminal.keys('s');
  await terminal.until(/Colours +off/);
  await terminal.keys('Down', 'Enter');
  await terminal.until(/Colours +on/);
  await terminal.keys('Down', 'Enter');
  await terminal.until(/ASCII\) +on/);
  t.regex(terminal.coloured(), COLOUR);
  t.regex(terminal.text(), /^[\x20-\x7e\n]*$/);
});

test.serial('a window may change at any time; one that is too small says so and loses nothing', async (t) => {
  const terminal = start(t, {});
  await walkToProgress(terminal);
  const before = terminal.text();
  terminal.resize(60, 20);
  const small = await terminal.until(/has 60 x 20 characters/);
  t.regex(small, /Make it larger. Nothing stops meanwhile./);
  terminal.resize(200, 60);
  await terminal.until((text) => text.split('\n').some((line) => line.length > 190 && line.includes('█')));
  terminal.resize(80, 24);
  await terminal.until((text) => text === before, 'the same screen as before');
  await terminal.keys('C-l');
  await terminal.until((text) => text === before, 'the same screen drawn anew');
  t.pass();
});

test.serial('a serial line that does not know its size is taken for 80x24', async (t) => {
  const words = [process.execPath, PROGRAM, 'all'].map(quote).join(' ');
  const terminal = new Terminal(t, {
    columns: 80,
    rows: 24,
    command: ['sh', '-c', `stty rows 0 cols 0; exec ${words}`],
    env: { ...PLAIN, TERM: 'vt100' },
  });
  await mustShow(t, terminal, 'disks-serial', DISKS);
});

test.serial('Esc goes back from everywhere and never ends or writes anything', async (t) => {
  const terminal = start(t, {}, 'all');
  await terminal.until(DISKS);
  await terminal.keys('Enter');
  await terminal.until(/Selected image/);
  await terminal.keys('Enter');
  await terminal.until(/Go on to confirm/);
  await terminal.keys('Enter');
  await terminal.until(/The last question/);
  await terminal.keys('F1');
  await terminal.until(/Keys of "Confirm"/);
  await terminal.keys('Escape');
  await terminal.until(/The last question/);
  await terminal.keys('s', 'd', 'a', 'Enter');
  await terminal.until(/> Restore now </);
  await terminal.keys('Escape');
  await terminal.until(/Nothing has been written yet/);
  await terminal.keys('Escape');
  await terminal.until(/Nothing was written: the restore was declined/);
  await terminal.keys('Escape');
  await terminal.until(DISKS);
  await terminal.keys('Escape');
  await terminal.until(/this is the first screen/);
  for (const key of ['c', 'o', 's']) {
    await terminal.keys(key);
    await terminal.until(/Disks ►/);
    await terminal.keys('Escape');
    await terminal.until(DISKS);
  }
  await terminal.keys('C-c');
  await terminal.until(/Leave Holdfast\?/);
  await terminal.keys('Escape');
  await terminal.until(DISKS);
  t.pass();
});

test.serial('leaving gives the terminal back; Enter alone at the question stays', async (t) => {
  const terminal = start(t, {}, 'medium');
  await terminal.until(DISKS);
  await terminal.keys('C-c');
  await terminal.until(/> Stay </);
  await terminal.keys('Enter');
  await terminal.until(DISKS);
  await terminal.keys('C-c');
  await terminal.until(/> Stay </);
  await terminal.keys('Tab', 'Enter');
  t.is(await terminal.ended(), 10);
});

test.serial('reboot and power off are asked about', async (t) => {
  const terminal = start(t, {}, 'medium');
  await terminal.until(DISKS);
  await terminal.keys('P');
  await terminal.until(/Power off this machine/);
  await terminal.keys('Tab', 'Enter');
  t.is(await terminal.ended(), 12);
});
