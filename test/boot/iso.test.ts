import { closeSync, copyFileSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { buildMedium, LARGEST } from '../../iso/build.ts';
import { formatBytes } from '../../rescue/units.ts';
import { VERSION } from '../../rescue/version.ts';
import { sameBytes } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { diskWith, LOOP, say } from './boot-sector.ts';
import { Machine } from './machine.ts';
import { type BuiltMedium, builtMedium } from './medium.ts';
import { Shell } from './shell.ts';

/** One file starts all kinds of machine, and no kernel but the one that was signed. */

let medium: BuiltMedium | undefined;
test.before(async (t) => {
  t.timeout(20 * 60_000);
  medium = await builtMedium();
});

const ENTRIES = [
  /Recover/,
  /Recover unattended/,
  /Verify images/,
  /Serial console/,
  /Shell/,
  /Boot from first disk/,
];

/** The screen's size, `800,600`, and how many bytes of its pixels are bright. */
const screenOf = async (t: ExecutionContext, machine: Machine) => {
  const path = join(temporaryFolder(t), 'screen.ppm');
  await machine.screenshot(path);
  const picture = readFileSync(path);
  // ppm(5): `P6`, width, height, greatest value; one byte of white space; red, green and blue of each pixel.
  const [header, width, height] = /^P6\s(\d+) (\d+)\s255\s/.exec(picture.toString('latin1', 0, 64))!;
  const lit = picture.subarray(header.length).reduce((sum, byte) => (byte > 100 ? sum + 1 : sum), 0);
  return { size: `${width},${height}`, lit };
};

for (const firmware of ['bios', 'uefi', 'secure-boot'] as const)
  for (const as of ['cd', 'usb'] as const)
    test.serial(`${firmware}, ${as}: menu, drivers, disks, program`, async (t) => {
      const machine = new Machine(t, { firmware, medium: { path: medium!.iso, as }, screen: true });
      for (const entry of ENTRIES) await machine.expect(entry, 120);
      await machine.expect(/executed automatically in \d+s/, 30);
      const menu = machine.seconds;
      machine.send('l');
      const shell = await Shell.offered(machine);
      const ready = machine.seconds;
      const carriers = await shell.run(
        'cd /sys/block; for d in *; do dd if=/dev/$d bs=1 skip=32808 count=9 2>/dev/null | grep -q "HOLDFAST " && echo $d; done; :',
      );
      t.is(carriers.trim(), as === 'cd' ? 'sr0' : 'sda');
      t.is((await shell.run('holdfast --version')).trim(), `holdfast ${VERSION}`);
      const secure = await shell.try("dmesg | grep -i 'secure boot enabled'");
      t.is(secure.exit, firmware === 'secure-boot' ? 0 : 1, secure.said);
      t.is((await shell.try('test -d /sys/firmware/efi')).exit, firmware === 'bios' ? 1 : 0);
      // A keyboard layout, as the settings of the screen load it.
      await shell.run('loadkmap </usr/share/keymaps/de.bmap');
      const screen = await screenOf(t, machine);
      t.true(screen.lit > 500, 'the shell is to be seen on the screen');
      if (firmware !== 'bios') {
        const drawn = (await shell.run('cat /sys/class/graphics/fb0/virtual_size')).trim();
        t.is(screen.size, drawn, 'what the kernel draws on is what is shown');
      }
      // The first file system on the stick is the medium itself, the second a FAT where logs can be saved.
      const device = as === 'cd' ? '/dev/sr0' : '/dev/sda1';
      await shell.run(`mount -t iso9660 -o ro ${device} /mnt && grep -q Recover /mnt/boot/grub/grub.cfg`);
      await shell.run('ls /mnt/boot/vmlinuz /mnt/boot/initrd /mnt/licences/holdfast.txt && umount /mnt');
      if (as === 'usb')
        await shell.run('mount -t vfat /dev/sda2 /mnt && echo saved >/mnt/log && umount /mnt && sync');
      machine.send('poweroff\r');
      await machine.off();
      t.log(`menu ${menu.toFixed(0)} s, shell ${ready.toFixed(0)} s, off ${machine.seconds.toFixed(0)} s`);
    });

for (const as of ['cd', 'usb'] as const)
  test.serial(`BIOS, ${as}: the menu starts the system of the first disk`, async (t) => {
    const path = diskWith(t, [...say('\r\nthe first disk\r\n'), ...LOOP]);
    const machine = new Machine(t, { medium: { path: medium!.iso, as }, disks: [{ path }], screen: true });
    await machine.expect(/executed automatically in \d+s/, 120);
    machine.send('b');
    t.truthy(await machine.expect(/^the first disk$/m, 60));
  });

test.serial('Secure Boot: a kernel with changed bytes does not start', async (t) => {
  const path = join(temporaryFolder(t), 'changed.iso');
  copyFileSync(medium!.iso, path);
  const kernel = readFileSync(medium!.vmlinuz);
  const at = 2_000_000;
  const handle = openSync(path, 'r+');
  try {
    // Somewhere in the compressed kernel, which is one piece of the medium.
    const offset = readFileSync(path).indexOf(kernel.subarray(at, at + 4096));
    t.true(offset > 0);
    const three = Buffer.alloc(3);
    readSync(handle, three, 0, 3, offset);
    writeSync(
      handle,
      three.map((byte) => byte ^ 0xff),
      0,
      3,
      offset,
    );
  } finally {
    closeSync(handle);
  }
  const machine = new Machine(t, { firmware: 'secure-boot', medium: { path, as: 'usb' }, screen: true });
  await machine.expect(/executed automatically in \d+s/, 120);
  machine.send('s');
  await machine.expect(/bad shim signature/, 120);
  const { ended } = await machine.watch(/Linux version|waiting for disks/, 20);
  t.is(ended, 'time', machine.console);
});

test.serial('two builds are the same bytes, and not too many', async (t) => {
  t.timeout(20 * 60_000);
  const folder = temporaryFolder(t);
  const again = await buildMedium(folder);
  t.true(sameBytes(again.iso, medium!.iso));
  t.true(sameBytes(again.initrd, medium!.initrd));
  t.true(sameBytes(again.vmlinuz, medium!.vmlinuz));
  const { size } = statSync(again.iso);
  t.true(size <= LARGEST, `${size}`);
  for (const [name, bytes] of again.sizes) t.log(`${name}: ${formatBytes(bytes)}`);
});
