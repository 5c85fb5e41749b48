import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../rescue/units.ts';
import { extentsOf } from '../job/cycle.ts';
import { makeImage } from '../job/requests.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeBiosDisk } from './bios-disk.ts';
import { makeSmallSystem } from './initramfs.ts';
import { bootMachine, Machine, NOTHING_TO_BOOT } from './machine.ts';
import { type BuiltMedium, builtMedium } from './medium.ts';
import type { Bus, MachineOptions } from './qemu.ts';
import { wreckedDisk } from './wrecked-disk.ts';

/** The medium without a person: what it restores, what it leaves alone, and what it says. Judged from outside. */

let medium: BuiltMedium | undefined;
test.before(async (t) => {
  t.timeout(20 * 60_000);
  medium = await builtMedium();
});

const FOUR = 240;
const UNATTENDED = 'holdfast.mode=unattended holdfast.countdown=2';
const lineOf = (result: string, code: number, image = 'none', target = 'none'): RegExp =>
  new RegExp(`^holdfast: result=${result} code=${code} image=${image} target=${target}$`, 'm');

/** Starts the medium's kernel without firmware and boot loader, with the program on the serial console. */
const direct = (t: ExecutionContext, options: string, more: MachineOptions): Machine =>
  new Machine(t, {
    kernel: {
      image: medium!.vmlinuz,
      initrd: medium!.initrd,
      commandLine: `console=tty0 console=ttyS0 quiet ${options}`,
    },
    ...more,
  });

/** Machines as people have them: each firmware, stick and CD, each kind of disk, started as a person does it. */
const MACHINES: readonly (readonly [MachineOptions['firmware'], 'cd' | 'usb', Bus, string])[] = [
  ['bios', 'cd', 'virtio', '/dev/vda'],
  ['uefi', 'usb', 'nvme', '/dev/nvme0n1'],
  ['secure-boot', 'usb', 'ahci', '/dev/sd[ab]'],
  ['bios', 'usb', 'usb', '/dev/sd[ab]'],
];

for (const [firmware, as, bus, target] of MACHINES)
  test.serial(`${firmware}, medium as ${as}, a wrecked disk on ${bus}: comes back by itself`, async (t) => {
    const disk = await wreckedDisk(t, { seed: bus });
    const machine = new Machine(t, {
      firmware,
      medium: { path: medium!.iso, as },
      disks: [{ path: disk.path, bus, writable: true }],
    });
    await machine.expect(/Recover unattended/, FOUR);
    machine.send('u');
    await machine.expect(/Press any key for the menu instead/, FOUR);
    await machine.expect(lineOf('ok', 0, disk.image.id, target), FOUR);
    // It reboots, which this machine takes for its end.
    await machine.off();
    disk.mustBeBack();
    t.log(`${machine.seconds.toFixed(0)} s`);
  });

test.serial('two disks with one image each: refused, and not a byte of either is changed', async (t) => {
  const one = await wreckedDisk(t, { seed: 'one' });
  const two = await wreckedDisk(t, { seed: 'two' });
  const before = [one.everything(), two.everything()];
  const disks = [one, two].map(({ path }) => ({ path, bus: 'virtio', writable: true }) as const);
  const machine = direct(t, `${UNATTENDED} holdfast.on_fail=poweroff`, { disks });
  await machine.expect(/several images could be meant/, FOUR);
  await machine.expect(/Nothing was written/);
  await machine.expect(lineOf('refused', 4), FOUR);
  await machine.off();
  t.deepEqual([one.everything(), two.everything()], before);
});

test.serial('the plug is pulled in mid-restore: started again, it ends right', async (t) => {
  const disk = await wreckedDisk(t, { content: 64 * MIB, seed: 'plug' });
  const disks = [{ path: disk.path, bus: 'virtio', writable: true }] as const;
  const first = direct(t, UNATTENDED, { disks });
  await first.expect(/^writing the partition/m, FOUR);
  first.kill();
  await first.off();
  disk.mustNotBeBack();
  const second = direct(t, `${UNATTENDED} holdfast.on_success=poweroff`, { disks });
  await second.expect(lineOf('ok', 0, disk.image.id, '/dev/vda'), FOUR);
  await second.off();
  disk.mustBeBack();
});

test.serial(
  'a key in the countdown leads to the screen; an unknown option is shown and nothing is done',
  async (t) => {
    const disk = await wreckedDisk(t, { seed: 'key' });
    const before = disk.everything();
    const disks = [{ path: disk.path, bus: 'virtio', writable: true }] as const;
    const left = direct(t, 'holdfast.mode=unattended holdfast.countdown=120', { disks });
    await left.expect(/in 120 s\. Press any key for the menu instead/, FOUR);
    left.send(' ');
    await left.expect(/Which disk do you want to bring back/, FOUR);
    left.kill();
    await left.off();
    const unknown = direct(t, `${UNATTENDED} holdfast.cuntdown=1`, { disks });
    await unknown.expect(/unknown option holdfast\.cuntdown on the kernel command line/, FOUR);
    await unknown.expect(lineOf('refused', 2), FOUR);
    unknown.send(' ');
    await unknown.expect(/Which disk do you want to bring back/, FOUR);
    unknown.kill();
    await unknown.off();
    t.is(disk.everything(), before);
  },
);

test.serial('verify without a person: whole, then damaged', async (t) => {
  const disk = await wreckedDisk(t, { seed: 'verify' });
  const before = disk.everything();
  const machine = direct(t, `${UNATTENDED} holdfast.action=verify holdfast.on_success=poweroff`, {
    disks: [{ path: disk.path, bus: 'ahci', writable: true }],
  });
  await machine.expect(/no problem found/, FOUR);
  await machine.expect(lineOf('ok', 0, disk.image.id, '/dev/sda'), FOUR);
  await machine.off();
  t.is(disk.everything(), before);
});

test.serial(
  'a wrecked BIOS system disk: restored without a person, it boots its own system again',
  async (t) => {
    const path = join(temporaryFolder(t), 'disk');
    const line = `The machine has booted: ${randomUUID()}`;
    const { root } = makeBiosDisk(t, path, { table: 'gpt', line, ...makeSmallSystem(t) });
    const { image } = await makeImage(path, { partition: root.number });
    overwriteWithNoise(path, extentsOf(image.extents));
    t.true((await bootMachine(t, { disk: path, until: NOTHING_TO_BOOT })).reached);
    const machine = new Machine(t, {
      medium: { path: medium!.iso, as: 'usb' },
      disks: [{ path, bus: 'virtio', writable: true }],
    });
    await machine.expect(/Recover unattended/, FOUR);
    machine.send('u');
    await machine.expect(lineOf('ok', 0, image.id, '/dev/vda'), FOUR);
    await machine.off();
    const again = await bootMachine(t, { disk: path, until: new RegExp(`^${line}$`, 'm') });
    t.true(again.reached, again.console);
  },
);
