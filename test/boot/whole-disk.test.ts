import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import { extentsOf, treeMustBe } from '../job/cycle.ts';
import { espFiles, espMustBeClean, makeEsp } from '../job/esp.ts';
import { listImages, makeImage, restoreImage, verifyImage } from '../job/requests.ts';
import { fillStage, type Stage, stageMustBeClean, tableOf, treeOf, workOn } from '../job/stage.ts';
import { makeDisk } from '../support/disk.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { makeSmallSystem } from './initramfs.ts';
import { Machine } from './machine.ts';
import { type BuiltMedium, builtMedium } from './medium.ts';
import { Shell } from './shell.ts';
import { makeUefiDisk } from './uefi-disk.ts';

/** Whole disks that come back without a person: that of a UEFI machine, and one with several images. */

let medium: BuiltMedium | undefined;
test.before(async (t) => {
  t.timeout(20 * 60_000);
  medium = await builtMedium();
});

/** Seconds; a boot takes some 20 when nothing else runs. */
const FOUR = 600;
const resultOf = (id: string, target: string): RegExp =>
  new RegExp(`^holdfast: result=ok code=0 image=${id} target=${target}$`, 'm');

test.serial('Secure Boot, a wrecked system disk: shim, GRUB, kernel and root all come back', async (t) => {
  const path = join(temporaryFolder(t), 'disk');
  const line = `The machine has booted: ${randomUUID()}`;
  const said = new RegExp(`^${line}$`, 'm');
  const { esp, root } = makeUefiDisk(t, path, { line, ...makeSmallSystem(t) });
  const stage: Stage = { file: path, start: root.start, size: root.size, partition: root.number };
  const machine = (withMedium: boolean, writable: boolean): Machine =>
    new Machine(t, {
      firmware: 'secure-boot',
      ...(withMedium ? { medium: { path: medium!.iso, as: 'usb' } } : {}),
      disks: [{ path, bus: 'virtio', writable }],
    });

  // The medium is still in the machine, and its menu starts what the owner knows.
  const first = machine(true, false);
  await first.expect(/executed automatically in \d+s/, FOUR);
  first.send('b');
  await first.expect(/^GRUB has found its root$/m, FOUR);
  await first.expect(said, FOUR);
  await first.off();

  const [table, files, tree] = [tableOf(t, stage), espFiles(t, path, esp), treeOf(t, stage)];
  const { image } = await makeImage(path);
  t.is(image.partition.number, root.number);
  const sealed = digestOf(path, extentsOf(image.sealedExtents));
  overwriteWithNoise(path, extentsOf(image.extents), line);
  const dead = machine(false, false);
  await dead.expect(/No bootable option or device was found/, FOUR);
  dead.kill();
  await dead.off();
  t.notRegex(dead.console, said);

  const rescue = machine(true, true);
  await rescue.expect(/executed automatically in \d+s/, FOUR);
  rescue.send('u');
  await rescue.expect(resultOf(image.id, '/dev/vda'), FOUR);
  await rescue.off();
  t.is(tableOf(t, stage), table);
  t.notThrows(() => espMustBeClean(t, path, esp));
  t.deepEqual(espFiles(t, path, esp), files);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'restored');
  t.is(digestOf(path, extentsOf(image.sealedExtents)), sealed);

  const last = machine(false, false);
  await last.expect(said, FOUR);
  await last.off();
  t.log(`boots: ${first.seconds.toFixed(0)} s, restored: ${rescue.seconds.toFixed(0)} s`);
});

test.serial(
  'a factory and a user image: the factory state by kernel command line, the other one later',
  async (t) => {
    const path = join(temporaryFolder(t), 'disk');
    const [root] = makeDisk(t, path, { size: 96 * MIB, table: 'gpt', partitions: [{ name: 'root' }] });
    const { start, size } = root!;
    makeVolume(path, { offset: start, size: size - (size % 4096), label: 'root' });
    const stage: Stage = { file: path, start, size, partition: 1 };
    const asDelivered = fillStage(t, stage, { size: 4 * MIB, seed: 'factory' });
    const factory = (await makeImage(path, { kind: 'factory', name: 'as delivered' })).image;
    workOn(t, stage);
    const asUsed = treeOf(t, stage);
    const user = (await makeImage(path, { name: 'before the storm' })).image;
    const table = tableOf(t, stage);
    const sealed = [factory, user].flatMap(({ sealedExtents }) => extentsOf(sealedExtents));
    const digest = digestOf(path, sealed);
    overwriteWithNoise(
      path,
      [factory, user].flatMap(({ extents }) => extentsOf(extents)),
    );

    const options =
      'holdfast.mode=unattended holdfast.countdown=2 holdfast.image=factory holdfast.on_success=poweroff';
    const machine = new Machine(t, {
      kernel: {
        image: medium!.vmlinuz,
        initrd: medium!.initrd,
        commandLine: `console=tty0 console=ttyS0 quiet ${options}`,
      },
      disks: [{ path, bus: 'nvme', writable: true }],
    });
    await machine.expect(resultOf(factory.id, '/dev/nvme0n1'), FOUR);
    await machine.off();
    t.is(tableOf(t, stage), table);
    t.notThrows(() => stageMustBeClean(stage));
    treeMustBe(t, stage, asDelivered, 'as delivered');
    t.is(digestOf(path, sealed), digest);

    const { images } = await listImages(path);
    t.deepEqual(
      images.map(({ id, state }) => `${id} ${state}`).sort(),
      [factory, user].map(({ id }) => `${id} committed`).sort(),
    );
    t.deepEqual((await verifyImage(path, { image: user.id })).problems, []);
    t.is((await restoreImage(path)).image.id, user.id, 'the latest');
    t.notThrows(() => stageMustBeClean(stage));
    treeMustBe(t, stage, asUsed, 'as used');
    t.is(digestOf(path, sealed), digest);
  },
);

test.serial('an MBR disk with a FAT32: back without a person, and the guest mounts it', async (t) => {
  const path = join(temporaryFolder(t), 'disk');
  const partitions = [{ size: 72 * MIB, type: '0c' }, { size: 4 * MIB }];
  const [place] = makeDisk(t, path, { size: 80 * MIB, table: 'mbr', partitions });
  makeEsp(t, path, place!, { bits: 32, seed: 'stick' });
  const table = tableOf(t, { file: path, start: place!.start, size: place!.size });
  const files = espFiles(t, path, place!);
  const { image } = await makeImage(path, { partition: 1, name: 'stick' });
  t.is(image.filesystem, 'fat32');
  const sealed = digestOf(path, extentsOf(image.sealedExtents));
  overwriteWithNoise(path, extentsOf(image.extents), 'fat32');
  const machine = new Machine(t, {
    kernel: {
      image: medium!.vmlinuz,
      initrd: medium!.initrd,
      commandLine:
        'console=ttyS0 quiet holdfast.mode=unattended holdfast.countdown=2 holdfast.on_success=shell',
    },
    disks: [{ path, bus: 'ahci', writable: true }],
  });
  await machine.expect(resultOf(image.id, '/dev/sda'), FOUR);
  const shell = await Shell.on(machine);
  await shell.run('mount -t vfat -o ro /dev/sda1 /mnt');
  const name = 'EFI/BOOT/BOOTX64.EFI';
  const digest = (await shell.run(`sha256sum /mnt/${name}`)).slice(0, 64);
  t.is(files[name]?.split(' ')[1], digest);
  t.regex(await shell.run('ls -a /mnt'), /\.holdfast/);
  t.notRegex(await shell.run('dmesg'), /FAT-fs.*(?:error|not properly unmounted)/i);
  await shell.run('umount /mnt');
  machine.send('poweroff\r');
  await machine.off();
  t.is(tableOf(t, { file: path, start: place!.start, size: place!.size }), table);
  t.notThrows(() => espMustBeClean(t, path, place!));
  t.deepEqual(espFiles(t, path, place!), files);
  t.is(digestOf(path, extentsOf(image.sealedExtents)), sealed);
});
