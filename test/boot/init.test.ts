import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../rescue/units.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile } from '../support/volume.ts';
import { Machine } from './machine.ts';
import { type BuiltMedium, builtMedium } from './medium.ts';
import type { DiskOptions } from './qemu.ts';
import { Shell } from './shell.ts';
import { withStandIn } from './stand-in.ts';

/** What `iso/init` makes of a program that ends well, badly, or not as it should; shown by a stand-in for the program. */

let medium: BuiltMedium | undefined;
test.before(async (t) => {
  t.timeout(20 * 60_000);
  medium = await builtMedium();
});

/** A machine without any disk would be waited for until the time is over. */
const someDisk = (t: ExecutionContext): DiskOptions[] => [
  { path: makeFile(join(temporaryFolder(t), 'disk'), MIB) },
];

/** Each start does the next of these. */
const PROGRAM = `
[ "$*" = medium ] || { echo "called as: $*"; exit 9; }
run=$(cat /run/run 2>/dev/null || echo 1)
echo $((run + 1)) >/run/run
echo "run $run on $(tty), TERM=$TERM, $(stty size | tr ' ' x)"
case $run in
  1) echo again >"$HOLDFAST_NEXT" ;;
  2) exit 7 ;;
  3) kill -SEGV $$ ;;
  4) kill -KILL $$ ;;
  5) echo 'a note' >/run/holdfast/log; stty raw -echo; printf '\\033[?25l'; exit 70 ;;
  6) echo shell >"$HOLDFAST_NEXT" ;;
  7) echo nonsense >"$HOLDFAST_NEXT" ;;
  8) read -r line </dev/tty; echo "from its terminal: $line"; sleep 100 ;;
  9) echo poweroff >"$HOLDFAST_NEXT" ;;
esac
`;

test.serial('the program ends in all ways; init tells, asks, and does what is wanted', async (t) => {
  const initrd = withStandIn(t, medium!.initrd, PROGRAM);
  const commandLine = 'console=tty0 console=ttyS0 quiet';
  const machine = new Machine(t, {
    kernel: { image: medium!.vmlinuz, initrd, commandLine },
    disks: someDisk(t),
  });
  const menu = async (...said: RegExp[]): Promise<void> => {
    for (const each of [...said, /1 {2}start Holdfast again/, /4 {2}power off/, /Type a number and Enter: /])
      await machine.expect(each);
  };
  await machine.expect(/waiting for disks to settle: vda \(\d+ s\)/);
  await machine.expect(/run 1 on \/dev\/ttyS0, TERM=vt220, 24x80\n/);
  await machine.expect(/run 2 /);
  await menu(/Holdfast ended with code 7\./);
  machine.send('5\r\r');
  await machine.expect(/Type a number and Enter: [\s\S]*Type a number and Enter: /);
  machine.send('1\r');
  await menu(/run 3/, /was ended by signal 11/);
  machine.send('1\r');
  await menu(/run 4/, /was killed \(signal 9\)/);
  machine.send('1\r');
  await menu(/run 5/, /ended with code 70/, /What it has noted is in: .*\/run\/holdfast\/log/);
  machine.send('1\r');
  await machine.expect(/run 6/);
  const shell = await Shell.on(machine);
  t.is((await shell.run('cat /run/holdfast/log')).trim(), 'a note');
  machine.send('exit\r');
  await menu();
  machine.send('1\r');
  await menu(/run 7/, /ended with code 0/);
  machine.send('1\r');
  await machine.expect(/run 8/);
  machine.send('typed\r');
  await machine.expect(/from its terminal: typed/);
  // Its own session: Ctrl-C reaches it, and not init.
  machine.send('\u0003');
  await menu(/ended by signal 2/);
  machine.send('1\r');
  await machine.expect(/run 9/);
  await machine.off();
  t.notRegex(machine.console, /Kernel panic/);
  t.log(`${machine.seconds.toFixed(0)} s`);
});

test.serial('a terminal that answers tells its size; others get 24 by 80 (above)', async (t) => {
  const initrd = withStandIn(t, medium!.initrd, PROGRAM);
  const machine = new Machine(t, {
    kernel: { image: medium!.vmlinuz, initrd, commandLine: 'console=ttyS0 quiet' },
    disks: someDisk(t),
  });
  let raw = '';
  machine.onOutput = (chunk) => {
    raw = (raw + chunk.toString('latin1')).slice(-64);
    if (!raw.includes('\u001b[6n')) return;
    raw = '';
    machine.send('\u001b[43;132R');
  };
  t.truthy(await machine.expect(/run 1 on \/dev\/ttyS0, TERM=vt220, 43x132\n/));
  t.log(`${machine.seconds.toFixed(0)} s`);
});
