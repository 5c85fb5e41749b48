import { closeSync, ftruncateSync, openSync } from 'node:fs';
import test from 'ava';
import { planTable } from '../../rescue/partition/plan.ts';
import { modelOf, readTable } from '../../rescue/partition/table.ts';
import { MIB } from '../../rescue/units.ts';
import { partitionsOf } from '../support/disk.ts';
import { partitionTableSound } from '../support/judges.ts';
import { attachLoop } from '../support/loop.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { run } from '../support/run.ts';
import { apply, applyToFile, asSfdisk, DISKS, knownOf, load, testDisk } from './compare.ts';

const makeEmpty = (path: string, size: number): string => {
  const handle = openSync(path, 'w');
  ftruncateSync(handle, size);
  closeSync(handle);
  return path;
};

for (const options of DISKS) {
  const sectorSize = options.sectorSize ?? 512;

  test(`a valid table is kept and nothing is written: ${options.title}`, (t) => {
    const disk = testDisk(t, options);
    for (const { number } of disk.table.partitions) {
      const plan = planTable({ device: disk.device, wanted: knownOf(disk, number, true) });
      t.is(plan.action, 'kept');
      t.deepEqual(plan.patch.phases, []);
    }
  });

  test(`noise, then rebuilt from one saved copy: sfdisk and sgdisk find what was there: ${options.title}`, (t) => {
    const disk = testDisk(t, options);
    const known = knownOf(disk, disk.table.partitions.at(-1)!.number, true);
    overwriteWithNoise(disk.path, [], options.title);
    const device = load(disk.path, options.size, sectorSize);
    t.is(readTable(device).scheme, 'none');
    const plan = planTable({ device, wanted: known });
    t.is(plan.action, 'rebuilt');
    t.deepEqual(plan.dropped, []);
    t.deepEqual(plan.notes, []);
    t.deepEqual(modelOf(plan.after), modelOf(disk.table));
    const bootCode = device.read(0, 440);
    apply(device, plan);
    t.deepEqual(device.read(0, 440), bootCode);
    applyToFile(disk.path, plan);
    const loop = attachLoop(t, disk.path, { sectorSize });
    t.deepEqual(partitionsOf(loop.device), [...disk.places]);
    const verdict = partitionTableSound(loop.device);
    t.true(verdict.clean, verdict.output);
    // partx has a reader of its own.
    const partx = run('partx', ['--output', 'NR,UUID', '--noheadings', '--raw', loop.device]);
    const seen = partx.stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    for (const { number, uuid } of disk.table.partitions)
      t.true(
        seen.some(([nr, id]) => nr === String(number) && id === uuid),
        `${number} ${uuid}: ${partx.stdout}`,
      );
    loop.detach();
    const again = planTable({ device: load(disk.path, options.size, sectorSize), wanted: known });
    t.is(again.action, 'kept');
  });

  test(`noise, then rebuilt from slots alone: the partition keeps place, type and PARTUUID: ${options.title}`, (t) => {
    const disk = testDisk(t, options);
    const numbers = disk.table.partitions.map((each) => each.number);
    overwriteWithNoise(disk.path, [], options.title);
    const device = load(disk.path, options.size, sectorSize);
    const known = numbers.map((number) => knownOf(disk, number, false));
    const plan = planTable({ device, wanted: known[0]!, others: known.slice(1) });
    t.is(plan.action, 'rebuilt');
    t.is(plan.after.scheme, disk.table.scheme);
    const facts = (table: typeof plan.after) =>
      table.partitions.map(({ start, size, type, uuid }) => ({ start, size, type, uuid }));
    const byStart = (a: { start: number }, b: { start: number }): number => a.start - b.start;
    t.deepEqual(facts(plan.after).sort(byStart), facts(disk.table).sort(byStart));
    applyToFile(disk.path, plan);
    const loop = attachLoop(t, disk.path, { sectorSize });
    const verdict = partitionTableSound(loop.device);
    t.true(verdict.clean, verdict.output);
    t.deepEqual(partitionsOf(loop.device), asSfdisk(plan.after));
  });

  test(`a deleted partition is added again: ${options.title}`, (t) => {
    const disk = testDisk(t, options);
    const target = disk.table.partitions.at(-1)!;
    const known = knownOf(disk, target.number, true);
    const cut = attachLoop(t, disk.path, { sectorSize });
    const result = run('sfdisk', [
      '--no-reread',
      '--no-tell-kernel',
      '--delete',
      cut.device,
      String(target.number),
    ]);
    t.is(result.exit, 0, result.stderr);
    cut.detach();
    const device = load(disk.path, options.size, sectorSize);
    const plan = planTable({ device, wanted: known });
    t.is(plan.action, 'added');
    t.deepEqual(plan.after.partitions, disk.table.partitions);
    applyToFile(disk.path, plan);
    const loop = attachLoop(t, disk.path, { sectorSize });
    const verdict = partitionTableSound(loop.device);
    t.true(verdict.clean, verdict.output);
    t.deepEqual(partitionsOf(loop.device), [...disk.places]);
  });

  test(`rebuilt on a larger disk and on a smaller one: ${options.title}`, (t) => {
    const disk = testDisk(t, options);
    const known = knownOf(disk, disk.table.partitions[0]!.number, true);
    const lastKnown = knownOf(disk, disk.table.partitions.at(-1)!.number, true);
    for (const size of [options.size + 13 * MIB + sectorSize, options.size - 2 * MIB]) {
      const path = `${disk.path}-${size}`;
      overwriteWithNoise(makeEmpty(path, size), [], options.title);
      const device = load(path, size, sectorSize);
      const plan = planTable({ device, wanted: known });
      t.is(plan.action, 'rebuilt');
      const fitting = disk.table.partitions.filter((each) => each.start + each.size < size - MIB);
      t.deepEqual(plan.after.partitions, fitting);
      t.is(plan.dropped.length, disk.table.partitions.length - fitting.length);
      applyToFile(path, plan);
      const loop = attachLoop(t, path, { sectorSize });
      const verdict = partitionTableSound(loop.device);
      t.true(verdict.clean, verdict.output);
      loop.detach();
      if (size > options.size) continue;
      const error = t.throws(() => planTable({ device, wanted: lastKnown }));
      t.like(error, { kind: 'refused', detail: { code: 'table.disk-too-small' } });
    }
  });
}
