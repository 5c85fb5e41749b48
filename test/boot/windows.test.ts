import test from 'ava';
import { Machine } from './machine.ts';
import { type BuiltMedium, builtMedium } from './medium.ts';
import { wreckedWindows } from './windows-disk.ts';

/** The disk of a Windows machine: its NTFS comes back without a person; ntfs-3g judges from outside. */

let medium: BuiltMedium | undefined;
test.before(async (t) => {
  t.timeout(20 * 60_000);
  medium = await builtMedium();
});

const FOUR = 240;

const kernelWith = (files: BuiltMedium, options: string) => ({
  image: files.vmlinuz,
  initrd: files.initrd,
  commandLine: `console=ttyS0 quiet ${options}`,
});

test.serial('GPT as Windows lays it out, all but the image lost: comes back by itself', async (t) => {
  const disk = await wreckedWindows(t, 'gpt');
  const options = 'holdfast.mode=unattended holdfast.countdown=2 holdfast.on_success=poweroff';
  const machine = new Machine(t, {
    kernel: kernelWith(medium!, options),
    disks: [{ path: disk.path, bus: 'nvme', writable: true }],
  });
  await machine.expect(
    new RegExp(`^holdfast: result=ok code=0 image=${disk.image.id} target=/dev/nvme0n1$`, 'm'),
    FOUR,
  );
  await machine.off();
  await disk.mustBeBack();
  t.log(`${machine.seconds.toFixed(0)} s`);
});
