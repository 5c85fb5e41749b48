import { truncateSync } from 'node:fs';
import test from 'ava';
import { GPT_ENTRY } from '../../rescue/partition/gpt.ts';
import { contentOf } from '../../rescue/partition/gpt-write.ts';
import { planTable } from '../../rescue/partition/plan.ts';
import { readTable } from '../../rescue/partition/table.ts';
import { gptPhases } from '../../rescue/partition/writes.ts';
import { MIB } from '../../rescue/units.ts';
import { mustRun } from '../support/run.ts';
import { apply, applyToFile, DISKS, knownOf, load, type TestDisk, testDisk } from './compare.ts';

const MBR_DISK = DISKS[2]!;
const LOGICAL_DISK = DISKS[4]!;
const RECORDS = 446;
const RECORD = 16;

const dump = (path: string): string => mustRun('sfdisk', ['--dump', path]).stdout;
/** The lines that say something of one partition, and the disk's id. */
const saidOf = (text: string, number: number): string[] =>
  text.split('\n').filter((line) => line.startsWith('label') || line.includes(`disk${number} :`));

/** Writes into the file what was changed in memory, so that other programs can look at it. */
const edited = (disk: TestDisk, size: number, edit: (disk: TestDisk) => void) => {
  const before = load(disk.path, size, 512);
  edit(disk);
  const writes = [...disk.device.differences(before)].map(({ start, length }) => ({
    offset: start,
    before: before.read(start, length),
    after: disk.device.read(start, length),
  }));
  applyToFile(disk.path, { patch: { sectorSize: 512, phases: [writes] } } as never);
  const device = load(disk.path, size, 512);
  return { device, table: readTable(device) };
};

const lba = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

test('a partition that reaches beyond the disk is cut for use, and nobody writes its record', (t) => {
  const disk = testDisk(t, MBR_DISK);
  const size = MBR_DISK.size - MIB;
  truncateSync(disk.path, size);
  const device = load(disk.path, size, 512);
  const table = readTable(device);
  t.true(table.valid);
  t.deepEqual(
    table.problems.map(({ code, severity }) => [code, severity]),
    [['mbr.beyond-disk', 'note']],
  );
  const last = table.partitions.at(-1)!;
  t.is(last.start + last.size, size);
  const text = dump(disk.path);
  for (const { number } of table.partitions) {
    const plan = planTable({ device, wanted: knownOf({ ...disk, device, table }, number, true) });
    t.is(plan.action, 'kept');
    t.deepEqual(plan.patch.phases, []);
  }
  // One that was deleted is added beside it; a table of noise is rebuilt with it.
  const wanted = knownOf({ ...disk, device, table }, 2, true);
  const without = device.snapshot();
  without.write(RECORDS + RECORD, new Uint8Array(RECORD));
  const lost = device.snapshot();
  lost.write(RECORDS, new Uint8Array(66).fill(0x5a));
  for (const [action, damaged] of [
    ['added', without],
    ['rebuilt', lost],
  ] as const) {
    const plan = planTable({ device: damaged, wanted });
    t.is(plan.action, action);
    apply(damaged, plan);
    t.deepEqual([...damaged.differences(device)], [], action);
    applyToFile(disk.path, plan);
    t.is(dump(disk.path), text, action);
  }
});

test('a fault of other entries leaves the table as it is; one of its own keeps what is sound', (t) => {
  const disk = testDisk(t, MBR_DISK);
  const text = dump(disk.path);
  // Partition 3 now starts inside partition 2: Linux makes all three.
  const { device, table } = edited(disk, MBR_DISK.size, ({ device: into, table: old }) =>
    into.write(RECORDS + 2 * RECORD + 8, lba(old.partitions[1]!.start / 512 + 100)),
  );
  t.false(table.valid);
  const kept = planTable({ device, wanted: knownOf({ ...disk, table }, 1, false) });
  t.is(kept.action, 'kept');
  t.deepEqual(kept.patch.phases, []);
  t.regex(kept.notes.join(), /overlap/);
  const rebuilt = planTable({ device, wanted: { ...knownOf({ ...disk, table }, 2, false), uuid: null } });
  t.is(rebuilt.action, 'rebuilt');
  t.deepEqual(
    rebuilt.dropped.map(({ number }) => number),
    [3],
  );
  applyToFile(disk.path, rebuilt);
  const now = dump(disk.path);
  for (const number of [1, 2]) t.deepEqual(saidOf(now, number), saidOf(text, number));
  t.regex(now, /disk1 .*bootable/);
  t.notRegex(now, /disk3/);
});

test('a broken chain is mended by who knows of it, and what is there stays', (t) => {
  const disk = testDisk(t, LOGICAL_DISK);
  const text = dump(disk.path);
  const knowing = knownOf(disk, 1, true);
  const { device } = edited(disk, LOGICAL_DISK.size, ({ device: into, table: old }) => {
    into.write(old.mbr!.ebrs.at(-1)!.lba * 512, new Uint8Array(512).fill(7));
    // Deleted and made anew, smaller, since the image was made.
    into.write(RECORDS + RECORD + 12, lba(MIB / 512));
  });
  const kept = planTable({ device, wanted: knownOf(disk, 1, false) });
  t.is(kept.action, 'kept');
  t.deepEqual(kept.patch.phases, []);
  const plan = planTable({ device, wanted: knowing });
  t.is(plan.action, 'rebuilt');
  applyToFile(disk.path, plan);
  t.is(dump(disk.path), text);
});

test('entries that only the damaged table has, and that are sound, survive a rebuild from a saved one', (t) => {
  const disk = testDisk(t, {
    size: 64 * MIB,
    table: 'mbr',
    partitions: [{ size: 8 * MIB }, { size: 8 * MIB }],
  });
  const wanted = knownOf(disk, 1, true);
  mustRun('sfdisk', ['--quiet', '--append', '--no-reread', disk.path], {
    input: 'start=61440, size=8192, type=7\n',
  });
  disk.device.write(0, load(disk.path, 64 * MIB, 512).read(0, 512));
  const text = dump(disk.path);
  const { device } = edited(disk, 64 * MIB, ({ device: into }) => into.write(RECORDS + 8, lba(0)));
  const plan = planTable({ device, wanted });
  t.is(plan.action, 'rebuilt');
  applyToFile(disk.path, plan);
  t.is(dump(disk.path), text);
});

test('an entry of a GPT that leaves the disk is passed over and left alone', (t) => {
  const disk = testDisk(t, DISKS[0]!);
  const size = DISKS[0]!.size;
  const copy = disk.table.gpt!.best!;
  const entries = Uint8Array.from(copy.entries);
  GPT_ENTRY.set(entries, 'StartingLBA', size, 2 * copy.entrySize);
  GPT_ENTRY.set(entries, 'EndingLBA', size + 9, 2 * copy.entrySize);
  const { device, table } = edited(disk, size, ({ device: into, table: old }) => {
    const parts = { primary: copy, backup: old.gpt!.backup.copy, backupLba: old.gpt!.backupLba };
    const content = contentOf({ ...copy, entries }, 512, parts);
    for (const { offset, data } of gptPhases(content, into.read(0, 512), false).flat())
      into.write(offset, data);
  });
  t.deepEqual(
    table.partitions.map(({ number }) => number),
    [1, 2, 4],
  );
  // partx reads as the kernel does.
  const partx = mustRun('partx', ['--show', '--output', 'NR', '--noheadings', disk.path]).stdout;
  t.deepEqual(partx.trim().split(/\s+/), ['1', '2', '4']);
  const kept = planTable({ device, wanted: knownOf({ ...disk, device, table }, 2, true) });
  t.is(kept.action, 'kept');
  t.deepEqual(kept.patch.phases, []);
});
