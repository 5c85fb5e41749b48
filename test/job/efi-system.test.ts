import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../rescue/bytes/runs.ts';
import type { Device } from '../../rescue/device/device.ts';
import { FaultyDevice } from '../../rescue/device/faulty.ts';
import { openFile } from '../../rescue/device/file.ts';
import { Window } from '../../rescue/device/window.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { type EfiSystem, findEfiSystems } from '../../rescue/job/efi-system.ts';
import { readTable } from '../../rescue/partition/table.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { makeDisk, type PartitionPlace } from '../support/disk.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { ESP_TYPE, makeEsp } from './esp.ts';

/** What of EFI system partitions goes into an image of another partition, and what is said of the rest. */

interface Machine {
  readonly file: string;
  readonly esps: readonly [PartitionPlace, PartitionPlace];
  readonly root: PartitionPlace;
}

const makeMachine = (t: ExecutionContext): Machine => {
  const file = join(temporaryFolder(t), 'disk');
  const [one, two, root] = makeDisk(t, file, {
    size: 32 * MIB,
    table: 'gpt',
    partitions: [{ size: 8 * MIB, type: ESP_TYPE.gpt }, { size: 6 * MIB, type: ESP_TYPE.gpt }, {}],
  });
  makeEsp(t, file, one!);
  makeEsp(t, file, two!, { seed: 'second' });
  return { file, esps: [one!, two!], root: root! };
};

interface Found {
  readonly systems: readonly EfiSystem[];
  readonly notes: readonly string[];
}

const find = (
  t: ExecutionContext,
  { file, root }: Machine,
  limit?: number,
  through: (device: Device) => Device = (device) => device,
): Found => {
  const opened = openFile(file, { write: true });
  t.teardown(() => opened.close());
  const device = through(opened);
  const notes: string[] = [];
  const context = new JobContext({ onEvent: (event) => 'note' in event && notes.push(event.note) });
  t.teardown(() => context.close());
  const systems = findEfiSystems(
    context,
    {
      device: new Window(opened, { start: root.start, length: root.size }),
      diskOffset: root.start,
      disk: { device, table: readTable(opened) },
    },
    limit,
  );
  return { systems, notes };
};

const bytesOf = (system: EfiSystem): number => totalLength(system.runs()) * 512;

test('two of them: what is in use, boot sector and tables included, and no more', (t) => {
  const machine = makeMachine(t);
  const { systems, notes } = find(t, machine);
  t.deepEqual(notes, []);
  t.deepEqual(
    systems.map(({ id, start, length }) => [id as number, start, length]),
    [3, 5].map((id, index) => [id, machine.esps[index]!.start, machine.esps[index]!.size]),
  );
  for (const system of systems) {
    const [first] = system.runs();
    t.is(first?.start, 0);
    const bytes = bytesOf(system);
    t.true(bytes > MIB / 2 && bytes < MIB / 2 + 300 * KIB, `${bytes}`);
  }
});

test('an image of one of them has no copy of itself', (t) => {
  const machine = makeMachine(t);
  const { systems } = find(t, { ...machine, root: machine.esps[0] });
  t.deepEqual(
    systems.map(({ id }) => id as number),
    [5],
  );
});

test('more in use than there is room for: left out, and that is said', (t) => {
  const machine = makeMachine(t);
  const { systems, notes } = find(t, machine, MIB);
  t.deepEqual(
    systems.map(({ id }) => id as number),
    [3],
  );
  t.is(notes.length, 1);
  t.regex(notes[0]!, /no copy of the EFI system partition \(partition 2\): .* in use, and there is room for/);
});

test('what cannot be read is left out, and does not end the image', (t) => {
  const machine = makeMachine(t);
  const [one] = machine.esps;
  // Within the first file, far behind boot sector and tables.
  const badReads = [{ start: one.start + 400 * KIB, length: 512 }];
  const { systems, notes } = find(t, machine, undefined, (device) => new FaultyDevice(device, { badReads }));
  t.deepEqual(
    systems.map(({ id }) => id as number),
    [5],
  );
  t.regex(notes.join(), /\(partition 1\): /);
});

test('what is no FAT is left out by name', (t) => {
  const machine = makeMachine(t);
  const [one, two] = machine.esps;
  overwriteWithNoise(machine.file, [
    { start: 0, length: one.start },
    { start: two.start, length: 32 * MIB - two.start },
  ]);
  mustRun('mke2fs', ['-q', '-F', '-E', `offset=${two.start}`, machine.file, `${two.size / 1024}k`]);
  const { systems, notes } = find(t, machine);
  t.deepEqual(systems, []);
  t.regex(notes[0]!, /\(partition 1\): it holds no FAT file system: unknown/);
  t.regex(notes[1]!, /\(partition 2\): it holds no FAT file system, but one for ext/);
});
