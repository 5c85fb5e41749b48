import test from 'ava';
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

test.serial('from a wrecked disk to the result by hand, and then power off', async (t) => {
  const disk = await wreckedDisk(t, { seed: 'by hand' });
  const machine = new Machine(t, {
    firmware: 'uefi',
    medium: { path: medium!.iso, as: 'usb' },
    disks: [{ path: disk.path, bus: 'virtio', writable: true }],
    screen: true,
  });
  await machine.expect(/Serial console/, FOUR);
  machine.send('s');
  await machine.expect(/Which disk do you want to bring back/, FOUR);
  await machine.expect(/rescue medium that is running/, FOUR);
  machine.send(ENTER);
  await machine.expect(/1 image found/, FOUR);
  machine.send(ENTER);
  // The plan may be longer than the screen: Enter reads on to its end.
  for (;;) {
    const [, next] = await machine.expect(/Enter {2}(Read on|Go on to confirm)/, FOUR);
    machine.send(ENTER);
    if (next === 'Go on to confirm') break;
  }
  await machine.expect(/The last question/, FOUR);
  machine.send('vda');
  await machine.expect(/right/, FOUR);
  machine.send(ENTER);
  await machine.expect(/> Restore now </, FOUR);
  machine.send(ENTER);
  await machine.expect(/The partition is back/, FOUR);
  // The stick that it runs from has a FAT partition, and room for a log.
  machine.send('l');
  await machine.expect(/log was saved: \/dev\/sda2:\/holdfast\.log/, FOUR);
  machine.send('P');
  await machine.expect(/[Pp]ower off/, FOUR);
  machine.send(`\t${ENTER}`);
  await machine.off();
  disk.mustBeBack();
  t.log(`${machine.seconds.toFixed(0)} s`);
});
