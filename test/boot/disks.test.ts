import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import { makeDisk } from '../support/disk.ts';
import { e2fsckClean } from '../support/judges.ts';
import { noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { Machine } from './machine.ts';
import { type BuiltMedium, builtMedium } from './medium.ts';
import type { Bus } from './qemu.ts';
import { Shell } from './shell.ts';

/** The medium's drivers, and its memory: disks of all kinds, in a machine with no more than 512 MiB. */

let medium: BuiltMedium | undefined;
test.before(async (t) => {
  t.timeout(20 * 60_000);
  medium = await builtMedium();
});

const kernelFor = (files: BuiltMedium) => ({
  image: files.vmlinuz,
  initrd: files.initrd,
  commandLine: 'console=ttyS0 quiet holdfast.mode=shell',
});

const BUSES: readonly Bus[] = ['virtio', 'ahci', 'nvme', 'usb', 'uas', 'sd', 'megasas', 'pvscsi'];

test.serial('disks on every bus are there, and their bytes are read', async (t) => {
  const folder = temporaryFolder(t);
  const digests = new Map<string, Bus>();
  const disks = BUSES.map((bus) => {
    const path = join(folder, bus);
    const bytes = noiseSource(bus)(4 * MIB);
    writeFileSync(path, bytes);
    digests.set(createHash('sha256').update(bytes).digest('hex'), bus);
    return { path, bus };
  });
  const machine = new Machine(t, { kernel: kernelFor(medium!), disks });
  const shell = await Shell.on(machine);
  // What comes late is announced by the kernel, and must not have ended the waiting.
  const said = await shell.run('cd /sys/block; for d in *; do [ "$d" = loop* ] || sha256sum /dev/$d; done');
  const found = [...said.matchAll(/^([\da-f]{64}) {2}\/dev\/(\w+)$/gm)].map(
    ([, digest, name]) => [digests.get(digest!), name] as const,
  );
  for (const bus of BUSES)
    t.true(
      found.some(([each]) => each === bus),
      `${bus}:\n${said}`,
    );
  t.is(found.length, BUSES.length, said);
  t.log(`${machine.seconds.toFixed(0)} s; ${found.map((each) => each.join(' is ')).join(', ')}`);
});

test.serial('512 MiB suffice to find an image on a wrecked disk and to restore it', async (t) => {
  const path = join(temporaryFolder(t), 'disk');
  const size = 256 * MIB;
  const [root] = makeDisk(t, path, { size, table: 'gpt', partitions: [{}] });
  const source = join(temporaryFolder(t), 'files');
  mustRun('mkdir', [source]);
  // Half of it noise, half text: frames of both kinds.
  writeFileSync(join(source, 'noise'), noiseSource('512')(48 * MIB));
  writeFileSync(join(source, 'text'), 'All work and no play makes Jack a dull boy.\n'.repeat(MIB));
  makeVolume(path, { offset: root!.start, size: root!.size - (root!.size % 4096), more: ['-d', source] });
  const program = join(import.meta.dirname, '../../rescue/main.ts');
  const words = ['create', path, '--partition', '1', '--json', '--progress', 'none'];
  const { image } = JSON.parse(mustRun(process.execPath, [program, ...words]).stdout);
  overwriteWithNoise(
    path,
    image.extents.map(([start, length]: [number, number]) => ({ start, length })),
  );
  const machine = new Machine(t, {
    kernel: kernelFor(medium!),
    disks: [{ path, writable: true }],
    memory: 512,
  });
  const shell = await Shell.on(machine);
  const available = async (): Promise<number> =>
    Number(/MemAvailable: +(\d+) kB/.exec(await shell.run('cat /proc/meminfo'))![1]) / 1024;
  const before = await available();
  // The least memory that was free while the program ran, looked at five times a second.
  await shell.run(
    '{ (least=999999; while [ ! -e /tmp/over ]; do set -- $(grep MemAvailable /proc/meminfo); ' +
      '[ $2 -ge $least ] || { least=$2; echo $least >/tmp/least; }; usleep 200000; done) & }',
  );
  t.regex(await shell.run('holdfast list /dev/vda', 300), new RegExp(image.id.slice(0, 8)));
  const restored = await shell.run('holdfast restore /dev/vda --yes --json --progress none', 600);
  await shell.run('touch /tmp/over');
  const least = Number(await shell.run('cat /tmp/least')) / 1024;
  t.true(least > 32, `${least} MiB`);
  const peak = JSON.parse(restored.slice(restored.indexOf('{'))).stats.peakRss / MIB;
  t.notRegex(await shell.run('dmesg'), /oom|Out of memory/i);
  await shell.run('mount -t ext4 -o ro /dev/vda1 /mnt');
  const digest = createHash('sha256')
    .update(readFileSync(join(source, 'noise')))
    .digest('hex');
  t.is((await shell.run('sha256sum /mnt/noise', 300)).slice(0, 64), digest);
  await shell.run('umount /mnt');
  machine.send('poweroff\r');
  await machine.off();
  const checked = e2fsckClean(path, { offset: root!.start });
  t.true(checked.clean, checked.output);
  const figures = `available: ${before.toFixed(0)} MiB before, at least ${least.toFixed(0)} MiB while it ran`;
  t.log(`${machine.seconds.toFixed(0)} s; ${figures}; peak of the program ${peak.toFixed(0)} MiB`);
});
