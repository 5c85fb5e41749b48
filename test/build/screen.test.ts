import { join } from 'node:path';
import test from 'ava';
import { buildBinary } from '../../build/binary.ts';
import { MIB } from '../../rescue/units.ts';
import { makeImage } from '../job/requests.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { Terminal } from '../tui/terminal.ts';
import { bareSystem } from './bare-system.ts';

/** The screens of the executable where there is nothing else: no terminal descriptions, no files of blessed's. */
test('the executable shows its screens on every terminal, and its jobs run in threads', async (t) => {
  const program = join(temporaryFolder(t), 'holdfast');
  await buildBinary(program);
  const root = bareSystem(t, program);
  const disk = makeVolume(join(root, 'disk'), { size: 64 * MIB });
  const { image } = await makeImage(disk);
  overwriteWithNoise(
    disk,
    image.extents.map(([start, length]) => ({ start, length })),
  );
  const start = (TERM: string): Terminal =>
    new Terminal(t, { columns: 80, rows: 24, command: ['chroot', root, '/holdfast', 'tui'], env: { TERM } });

  for (const TERM of ['xterm', 'linux', 'vt100', 'vt220', 'screen', 'tmux-256color']) {
    const terminal = start(TERM);
    const text = await terminal.until(/F1 {2}Help/);
    t.regex(text, /^ Disks +Holdfast [x.]+\n\n Which disk/, TERM);
    await terminal.keys('q');
    t.is(await terminal.ended(), 0, TERM);
  }

  const terminal = start('xterm-256color');
  await terminal.until(/F1 {2}Help/);
  await terminal.keys('o');
  await terminal.until(/Path of a file/);
  terminal.type('/disk');
  await terminal.keys('Enter');
  await terminal.until(/1 image found/);
  await terminal.keys('Enter');
  await terminal.until(/Go on to confirm/);
  await terminal.keys('Enter');
  await terminal.until(/The last question/);
  terminal.type('disk');
  await terminal.keys('Enter', 'Enter');
  await terminal.until(/The partition is back/);
  mustBeClean(e2fsckClean(disk));
  await terminal.keys('q');
  t.is(await terminal.ended(), 0);

  const dumb = start('dumb');
  await dumb.until(/questions and answers/);
});
