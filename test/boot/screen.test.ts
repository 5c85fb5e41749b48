import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { Terminal } from '../tui/terminal.ts';
import { Machine } from './machine.ts';
import { type BuiltMedium, builtMedium } from './medium.ts';
import { wreckedDisk } from './wrecked-disk.ts';

/** The medium in the hands of a person at the serial console: keys are sent, screens are read. */

let medium: BuiltMedium | undefined;
test.before(async (t) => {
  t.timeout(20 * 60_000);
  medium = await builtMedium();
});

const ENTER = '\r';
const FOUR = 240;

/**
 * Reads the serial line as a person's terminal program does: tmux is the terminal. What is on the screen already is not sent
 * again, so the bytes alone cannot be searched.
 */
const terminalOn = (t: ExecutionContext, machine: Machine) => {
  const pipe = join(temporaryFolder(t), 'line');
  mustRun('mkfifo', [pipe]);
  const terminal = new Terminal(t, {
    columns: 80,
    rows: 24,
    command: ['sh', '-c', 'stty raw -echo; cat "$1"', 'sh', pipe],
  });
  // Waits until the other end is open.
  const line = openSync(pipe, 'w');
  t.teardown(() => {
    // The machine may still be talking.
    machine.onOutput = () => {};
    closeSync(line);
  });
  machine.onOutput = (chunk) => {
    writeSync(line, chunk);
  };
  return {
    shows: (pattern: RegExp): Promise<string> => terminal.until(pattern, String(pattern), FOUR * 1000),
  };
};

test.serial('from a wrecked disk to the result by hand, and then power off', async (t) => {
  const disk = await wreckedDisk(t, { seed: 'by hand' });
  const machine = new Machine(t, {
    firmware: 'uefi',
    medium: { path: medium!.iso, as: 'usb' },
    disks: [{ path: disk.path, bus: 'virtio', writable: true }],
    screen: true,
  });
  await machine.expect(/Serial console/, FOUR);
  const { shows } = terminalOn(t, machine);
  machine.send('s');
  const first = await shows(/Enter {2}Search/);
  t.regex(first, /Which disk do you want to bring back/);
  t.regex(first, /This is the rescue medium that is running now/);
  t.regex(first, /► \/dev\/vda|> \/dev\/vda/, 'the disk that can be chosen is');
  machine.send(ENTER);
  await shows(/1 image found[\s\S]*Enter {2}Restore/);
  machine.send(ENTER);
  // The plan may be longer than the screen: Enter reads on to its end.
  while (!/Go on to confirm/.test(await shows(/Enter {2}(Read on|Go on to confirm)/))) machine.send(ENTER);
  machine.send(ENTER);
  await shows(/The last question/);
  machine.send('vda');
  await shows(/vda_? +right/);
  machine.send(ENTER);
  await shows(/> Restore now </);
  machine.send(ENTER);
  // A screen comes bit by bit over a serial line.
  const result = await shows(/The partition is back[\s\S]*read back from the disk: it is the same/);
  t.regex(result, /The partition table was rebuilt/);
  t.regex(result, /read back from the disk: it is the same/);
  // The stick that it runs from has a FAT partition, and room for a log.
  machine.send('l');
  await shows(/log was saved: \/dev\/sda2:\/holdfast\.log/);
  machine.send('P');
  await shows(/Power off/);
  machine.send(`\t${ENTER}`);
  await machine.off();
  disk.mustBeBack();
  t.log(`${machine.seconds.toFixed(0)} s`);
});
