import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { companionSpaces, writableRanges } from '../../rescue/partition/companion.ts';
import { GPT_ENTRY } from '../../rescue/partition/gpt.ts';
import { contentOf, copyFits, type GptContent, setEntry } from '../../rescue/partition/gpt-write.ts';
import type { KnownPartition } from '../../rescue/partition/merge.ts';
import { overlaps, type TableWrite } from '../../rescue/partition/model.ts';
import { planTable, type TablePlan } from '../../rescue/partition/plan.ts';
import { tableRanges } from '../../rescue/partition/ranges.ts';
import { compareTables, parseSavedTable, saveTable } from '../../rescue/partition/saved.ts';
import { readTable } from '../../rescue/partition/table.ts';
import { gptPhases } from '../../rescue/partition/writes.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import type { PartitionPlace } from '../support/disk.ts';
import { apply, asSfdisk, DISKS, judged, knownOf, noise, testDisk } from './compare.ts';

const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4';
const GPT_DISK = DISKS[0]!;
const MBR_DISK = DISKS[2]!;
const LOGICAL_DISK = DISKS[4]!;

const known = (start: number, size: number, more: Partial<KnownPartition> = {}): KnownPartition => ({
  source: 'an image',
  start,
  size,
  sectorSize: 512,
  type: LINUX,
  uuid: null,
  diskSize: null,
  saved: null,
  ...more,
});

/** The device after each prefix of the plan's writes, the last one whole. */
function* cuts(device: MemoryDevice, plan: TablePlan): Generator<MemoryDevice> {
  const writes: TableWrite[] = plan.patch.phases.flat();
  for (let count = 0; count <= writes.length; count += 1) {
    const copy = device.snapshot();
    for (const { offset, after } of writes.slice(0, count)) copy.write(offset, after);
    yield copy;
  }
}

/** sfdisk and sgdisk have no complaint and read what is expected. */
const judgedSound = (t: ExecutionContext, device: MemoryDevice, places: readonly PartitionPlace[]): void => {
  const said = judged(t, device);
  t.true(said.verdict.clean, said.verdict.output);
  t.deepEqual(said.places, [...places]);
};

test('sfdisk and sgdisk, who judge here, can say no', (t) => {
  for (const options of [GPT_DISK, MBR_DISK, LOGICAL_DISK]) {
    const disk = testDisk(t, options);
    const [first, second] = disk.table.partitions;
    judgedSound(t, disk.device, disk.places);
    const wrong = disk.device.snapshot();
    // A plan that lost one bit: the second partition starts inside the first, or the entries' checksum is wrong.
    const place = options.table === 'gpt' ? 1024 + 128 + 33 : 462 + 8;
    const start = first!.start / 512 + 8;
    wrong.write(place, Uint8Array.of(start & 0xff, start >>> 8));
    const said = judged(t, wrong);
    t.false(said.verdict.clean, options.title);
    t.true(
      options.table === 'gpt' || said.places.every(({ start: at }) => at !== second!.start),
      said.verdict.output,
    );
  }
});

for (const [what, place] of [
  ['primary header', 512],
  ['primary entries', 1024],
  ['backup header', GPT_DISK.size - 512],
  ['backup entries', GPT_DISK.size - 33 * 512],
  ['protective MBR', 510],
  ['protective record type', 450],
] as const) {
  test(`kept, and the damaged part is repaired from the other copy: ${what}`, (t) => {
    const disk = testDisk(t, GPT_DISK);
    const device = disk.device.snapshot();
    device.write(place, Uint8Array.of(device.read(place, 1)[0]! ^ 0x5a));
    const plan = planTable({ device, wanted: knownOf(disk, 2, true) });
    t.is(plan.action, 'kept');
    t.regex(plan.reason, /repaired/);
    t.true(plan.patch.phases.length > 0);
    for (const cut of cuts(device, plan)) t.deepEqual(readTable(cut).partitions, disk.table.partitions);
    apply(device, plan);
    t.deepEqual([...device.differences(disk.device)], []);
    judgedSound(t, device, disk.places);
  });
}

for (const options of DISKS) {
  test(`an added entry that is cut off at any write harms no other partition: ${options.title}`, (t) => {
    const disk = testDisk(t, options);
    const device = new MemoryDevice(options.size, options.sectorSize ?? 512);
    const wanted = disk.table.partitions.at(-1)!;
    // A table of all but the last partition, made by the planner itself.
    const others = disk.table.partitions.slice(0, -1).map((each) => knownOf(disk, each.number, false));
    apply(device, planTable({ device, wanted: others[0]!, others: others.slice(1) }));
    const before = readTable(device).partitions;
    const plan = planTable({ device, wanted: knownOf(disk, wanted.number, true) });
    t.is(plan.action, 'added');
    t.is(plan.after.partitions.length, before.length + 1);
    for (const cut of cuts(device, plan)) {
      const table = readTable(cut);
      t.true(table.valid);
      const { places } = judged(t, cut);
      for (const each of before)
        for (const seen of [table.partitions, places])
          t.true(seen.some((other) => other.start === each.start && other.size === each.size));
    }
    apply(device, plan);
    judgedSound(t, device, asSfdisk(plan.after));
  });
}

for (const place of [512, 1024, GPT_DISK.size - 512, GPT_DISK.size - 33 * 512]) {
  test(`an entry added while one GPT copy is damaged: a whole copy at every instant (${place})`, (t) => {
    const disk = testDisk(t, { ...GPT_DISK, partitions: [{ size: 16 * MIB }, { size: 16 * MIB }] });
    const { device } = disk;
    device.write(place, Uint8Array.of(device.read(place, 1)[0]! ^ 0x5a));
    const plan = planTable({ device, wanted: known(40 * MIB, MIB) });
    t.is(plan.action, 'added');
    for (const cut of cuts(device, plan)) {
      const table = readTable(cut);
      t.true(table.valid);
      t.deepEqual(table.partitions.slice(0, 2), disk.table.partitions);
    }
    apply(device, plan);
    t.deepEqual(readTable(device).problems, []);
    judgedSound(t, device, asSfdisk(plan.after));
  });
}

test('a logical partition added to a chain: the new EBR is there before the link to it', (t) => {
  const disk = testDisk(t, LOGICAL_DISK);
  const { device } = disk;
  const [previous, last] = disk.table.mbr!.ebrs.slice(-2);
  device.write(previous!.lba * 512 + 462, new Uint8Array(16));
  device.write(last!.lba * 512, new Uint8Array(512));
  const before = readTable(device).partitions;
  t.deepEqual(before, disk.table.partitions.slice(0, -1));
  const plan = planTable({ device, wanted: knownOf(disk, disk.table.partitions.at(-1)!.number, true) });
  t.is(plan.action, 'added');
  const all = [...cuts(device, plan)];
  for (const cut of all.slice(0, -1)) {
    const places = judged(t, cut).places.filter(({ number }) =>
      before.some((each) => each.number === number),
    );
    t.deepEqual(
      places.map(({ start, size }) => [start, size]),
      before.map(({ start, size }) => [start, size]),
    );
  }
  judgedSound(t, all.at(-1)!, disk.places);
  const seen = all.map((cut) => readTable(cut));
  t.is(seen.length, 3);
  for (const table of seen) {
    t.true(table.valid);
    t.deepEqual(table.partitions.slice(0, before.length), before);
  }
  t.deepEqual(seen.at(-1)?.partitions, disk.table.partitions);
});

test('a valid table in which something overlaps is refused with the numbers', (t) => {
  for (const options of [GPT_DISK, MBR_DISK, LOGICAL_DISK]) {
    const { device, table } = testDisk(t, options);
    for (const wanted of [known(MIB, 60 * MIB), known(table.partitions[0]!.start + 64 * KIB, 512 * KIB)]) {
      const error = t.throws(() => planTable({ device, wanted }));
      t.like(error, { kind: 'refused', detail: { code: 'table.overlap' } });
      t.regex(error.message, /partition 1 \(bytes 1048576 to /);
    }
  }
});

test('a valid table without a free entry is refused', (t) => {
  const disk = testDisk(t, {
    size: 64 * MIB,
    table: 'mbr',
    partitions: Array.from({ length: 4 }, () => ({ size: 4 * MIB })),
  });
  const error = t.throws(() => planTable({ device: disk.device, wanted: known(40 * MIB, 4 * MIB) }));
  t.like(error, { kind: 'refused', detail: { code: 'table.no-free-entry' } });
});

test('an EBR in the way of a logical partition is refused', (t) => {
  const { device, table } = testDisk(t, LOGICAL_DISK);
  // sfdisk leaves 1 MiB before each logical partition and puts the EBR at its start.
  const ebr = table.mbr!.ebrs.at(-1)!.lba * 512;
  const error = t.throws(() => planTable({ device, wanted: known(ebr - 512, 8 * KIB) }));
  t.like(error, { kind: 'refused', detail: { code: 'table.overlap' } });
  const covering = t.throws(() => planTable({ device, wanted: known(ebr, 8 * KIB) }));
  t.like(covering, { kind: 'refused', detail: { code: 'table.overlap', offset: ebr } });
  t.regex(covering.message, /extended boot record/);
});

test('a backup that has no room of its own is not written over a partition', (t) => {
  const disk = testDisk(t, GPT_DISK);
  const device = disk.device.snapshot();
  const last = GPT_DISK.size / 512 - 1;
  const target = disk.table.partitions.at(-1)!;
  // The last partition now ends in the disk's last sector, where the backup would be.
  const copy = disk.table.gpt!.primary.copy!;
  const entries = Uint8Array.from(copy.entries);
  setEntry(entries, 128, { ...target, size: (last + 1) * 512 - target.start }, 512);
  const content = contentOf({ ...copy, entries, lastUsable: last }, 512, {
    primary: copy,
    backup: null,
    backupLba: last,
  });
  t.false(copyFits(content, 'backup'));
  for (const { offset, data } of gptPhases(content, device.read(0, 512), false).flat())
    device.write(offset, data);
  device.write(last * 512, new Uint8Array(512).fill(7));
  const table = readTable(device);
  t.deepEqual(
    table.problems.map((problem) => problem.code),
    ['gpt.signature', 'gpt.entry-on-table'],
  );
  const shorter = setShorter(device, content, target.number, last);
  const plan = planTable({ device: shorter, wanted: knownOf(disk, 1, true) });
  t.is(plan.action, 'kept');
  t.deepEqual(plan.patch.phases, []);
  t.is(plan.notes.length, 1);
});

/** The same table with the last partition one sector shorter: it spares the backup header, not its entries. */
const setShorter = (
  device: MemoryDevice,
  content: GptContent,
  number: number,
  last: number,
): MemoryDevice => {
  const copy = device.snapshot();
  const entries = Uint8Array.from(content.entries);
  GPT_ENTRY.set(entries, 'EndingLBA', last - 1, (number - 1) * content.entrySize);
  const changed = { ...content, entries, lastUsable: last - 1 };
  for (const { offset, data } of gptPhases(changed, copy.read(0, 512), false).flat())
    copy.write(offset, data);
  return copy;
};

test('a partition that is the whole device, or is said to be bare, has no table', (t) => {
  const device = noise(16 * MIB, 512);
  t.is(planTable({ device, wanted: known(0, 16 * MIB) }).action, 'none');
  const plan = planTable({ device, wanted: known(MIB, 8 * MIB), bare: true });
  t.is(plan.action, 'none');
  t.deepEqual(plan.patch.phases, []);
});

test('places that make no sense are refused', (t) => {
  const device = noise(16 * MIB, 512);
  for (const wanted of [
    known(MIB, 0),
    known(MIB, -5),
    known(MIB + 1, MIB),
    known(512, MIB),
    known(MIB, 16 * MIB),
    known(Number.NaN, MIB),
    known(2 ** 60, MIB),
    known(MIB, 1.5),
  ]) {
    const error = t.throws(() => planTable({ device, wanted }));
    t.is((error as { kind?: string }).kind, 'refused', `${wanted.start} ${wanted.size}`);
  }
});

test('saved copies that disagree: the image found at its place wins, what overlaps is dropped and named', (t) => {
  const old = testDisk(t, {
    size: 64 * MIB,
    table: 'gpt',
    partitions: [{ size: 16 * MIB }, { size: 16 * MIB }, {}],
  });
  const young = testDisk(t, {
    size: 64 * MIB,
    table: 'gpt',
    partitions: [{ size: 16 * MIB }, { size: 20 * MIB }, {}],
  });
  const plan = planTable({
    device: noise(64 * MIB, 512),
    wanted: knownOf(old, 1, true),
    others: [knownOf(young, 2, true)],
  });
  t.is(plan.action, 'rebuilt');
  const places = plan.after.partitions.map(({ start, size }) => [start / MIB, size / MIB]);
  t.deepEqual(places.slice(0, 2), [
    [1, 16],
    [17, 20],
  ]);
  t.deepEqual(
    plan.dropped.map(({ start, source }) => [start / MIB, source]),
    [
      [17, 'image of partition 1'],
      [33, 'image of partition 1'],
    ],
  );
  for (const { reason } of plan.dropped) t.regex(reason, /overlaps bytes \d+ to \d+/);
});

test('wrong entries of a damaged table that no image knows are named', (t) => {
  const { device } = testDisk(t, MBR_DISK);
  // Partition 2 now starts inside partition 1.
  device.write(462 + 8, Uint8Array.of(0, 16, 0, 0));
  const plan = planTable({ device, wanted: known(MIB, 16 * MIB, { type: '83', uuid: '5eaf00d5-01' }) });
  t.is(plan.action, 'rebuilt');
  t.regex(plan.reason, /overlap/);
  t.deepEqual(
    plan.after.partitions.map(({ number }) => number),
    [1, 3],
  );
  t.deepEqual(
    plan.dropped.map(({ number, source }) => [number, source]),
    [[2, 'the damaged table']],
  );
});

test('a table of the other scheme: types are translated, the changed PARTUUID is said', (t) => {
  const gpt = testDisk(t, { size: 64 * MIB, table: 'gpt', partitions: [{ size: 16 * MIB }] });
  const mbr = testDisk(t, { size: 64 * MIB, table: 'mbr', partitions: [{ size: 16 * MIB }] });
  const intoGpt = planTable({
    device: gpt.device,
    wanted: known(32 * MIB, MIB, { type: '07', uuid: '12345678-01' }),
  });
  t.is(intoGpt.after.partitions[1]?.type, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7');
  t.is(intoGpt.notes.length, 1);
  const uuid = '00112233-4455-6677-8899-aabbccddeeff';
  const intoMbr = planTable({ device: mbr.device, wanted: known(32 * MIB, MIB, { uuid }) });
  t.is(intoMbr.after.partitions[1]?.type, '83');
  t.is(intoMbr.notes.length, 1);
});

test('a hybrid MBR comes back as it was', (t) => {
  const disk = testDisk(t, GPT_DISK);
  const record = Buffer.from('80000000830000000010000000a00000', 'hex');
  const second = disk.table.partitions[1]!;
  record.writeUInt32LE(second.start / 512, 8);
  record.writeUInt32LE(second.size / 512, 12);
  disk.device.write(462, record);
  const table = readTable(disk.device);
  t.deepEqual(
    table.problems.map((problem) => problem.code),
    ['gpt.hybrid-mbr'],
  );
  t.deepEqual(table.partitions, disk.table.partitions);
  const device = new MemoryDevice(GPT_DISK.size, 512);
  apply(device, planTable({ device, wanted: knownOf({ ...disk, table }, 2, true) }));
  t.deepEqual([...device.differences(disk.device)], []);
  // Its one complaint is that the protective record, which covers the disk, covers the hybrid one too.
  const { verdict, places } = judged(t, device);
  t.deepEqual(places, disk.places);
  t.regex(verdict.output, /MBR partitions 1 and 2 overlap.*Identified 1 problems/s);
});

for (const options of [GPT_DISK, MBR_DISK]) {
  test(`an entry that has grown since is kept, one that is too small refused: ${options.title}`, (t) => {
    const disk = testDisk(t, options);
    const entry = disk.table.partitions.at(-1);
    const wanted = known(entry!.start, entry!.size - 64 * KIB);
    const plan = planTable({ device: disk.device, wanted });
    t.is(plan.action, 'kept');
    t.deepEqual(plan.patch.phases, []);
    t.regex(plan.reason, new RegExp(`with ${entry!.size} bytes where the image needs ${wanted.size}`));
    // Room is made behind it: the entry becomes smaller than what is wanted.
    const slot = 446 + 16 * (entry!.number - 1) + 12;
    const size = entry!.size - 64 * KIB;
    const device = disk.device.snapshot();
    if (options === MBR_DISK) device.write(slot, new Uint8Array(new Uint32Array([size / 512]).buffer));
    const needed = options === MBR_DISK ? entry!.size : entry!.size + 4 * KIB;
    const error = t.throws(() => planTable({ device, wanted: known(entry!.start, needed) }));
    t.true(isHoldfastError(error, 'refused') && error.detail.code === 'table.entry-too-small', String(error));
    t.regex(error!.message, new RegExp(`at least ${needed} bytes`));
  });
}

test('a GPT that was left behind does not count beside an MBR in use', (t) => {
  const gpt = testDisk(t, GPT_DISK);
  const mbr = testDisk(t, MBR_DISK);
  gpt.device.write(0, mbr.device.read(0, 512));
  const table = readTable(gpt.device);
  t.is(table.scheme, 'mbr');
  t.deepEqual(table.partitions, mbr.table.partitions);
  t.deepEqual(
    table.problems.map((problem) => problem.code),
    ['gpt.stale'],
  );
});

test('the wanted partition gets an entry, also where others have the numbers of all four', (t) => {
  const device = noise(256 * MIB, 512);
  const others = [1, 2, 3, 4].map((number) =>
    known((20 + 20 * number) * MIB, 10 * MIB, {
      type: '83',
      uuid: `aabbccdd-0${number}`,
      source: `image ${number}`,
    }),
  );
  for (const uuid of [null, 'aabbccdd-00', 'aabbccdd-05']) {
    const wanted = known(8 * MIB, 10 * MIB, { type: '83', uuid });
    const plan = planTable({ device, wanted, others });
    const built = device.snapshot();
    apply(built, plan);
    judgedSound(t, built, asSfdisk(plan.after));
    t.true(
      plan.after.partitions.some(({ start }) => start === wanted.start),
      `${uuid}`,
    );
    t.is(plan.after.partitions.length + plan.dropped.length, 5);
  }
});

test('random images: whatever is rebuilt is valid, never overlaps and has the wanted partition', (t) => {
  const size = 256 * MIB;
  const device = noise(size, 512);
  const span = fc.tuple(fc.integer({ min: 0, max: 260 }), fc.integer({ min: 1, max: 120 }), fc.boolean());
  const uuid = fc.option(
    fc
      .tuple(fc.constantFrom('aabbccdd', '00000001'), fc.integer({ min: 0, max: 12 }))
      .map(([signature, number]) => `${signature}-${number.toString(16).padStart(2, '0')}`),
  );
  const image = fc.tuple(span, uuid, fc.constantFrom(LINUX, '83', '07', null, 'nonsense'));
  let rebuilt = 0;
  fc.assert(
    fc.property(fc.array(image, { minLength: 1, maxLength: 12 }), (images) => {
      const all = images.map(([[start, length, odd], partuuid, type], index) =>
        known(start * MIB + (odd ? 63 * 512 : 0), length * MIB, {
          type,
          uuid: partuuid,
          source: `image ${index}`,
        }),
      );
      try {
        const plan = planTable({ device, wanted: all[0]!, others: all.slice(1) });
        if (plan.action === 'none') return;
        rebuilt += 1;
        if (rebuilt % 12 === 1) {
          const built = device.snapshot();
          apply(built, plan);
          judgedSound(t, built, asSfdisk(plan.after));
        }
        t.true(plan.after.valid);
        t.deepEqual(overlaps(plan.after.partitions), []);
        for (const each of all) {
          const listed = plan.after.partitions.some(
            ({ start, size: length }) => start === each.start && length === each.size,
          );
          const named = plan.dropped.some(
            ({ start, size: length }) => start === each.start && length === each.size,
          );
          t.true(listed !== named);
        }
        const [first] = all;
        t.true(plan.after.partitions.some(({ start }) => start === first!.start));
      } catch (error) {
        if (!isHoldfastError(error, 'refused')) throw error;
        t.true(all[0]!.start + all[0]!.size + 33 * 512 > size, error.message);
      }
    }),
    { numRuns: 300 },
  );
  t.true(rebuilt > 50);
});

for (const options of [GPT_DISK, LOGICAL_DISK, DISKS[1]!]) {
  test(`a saved copy with anything changed is refused as corrupt or says what its bytes say: ${options.title}`, (t) => {
    const { device, table } = testDisk(t, options);
    const saved = JSON.parse(JSON.stringify(saveTable(device, table))) as Record<string, unknown>;
    const mutate = fc.tuple(
      fc.constantFrom('version', 'sectorSize', 'diskSize', 'mbr', 'ebrs', 'gpt', 'table'),
      fc.anything(),
    );
    const mustBeCorrupt = (json: unknown): void => {
      try {
        const parsed = parseSavedTable(json);
        t.is(parsed.table.valid, parsed.mbr !== '');
      } catch (error) {
        if (!isHoldfastError(error, 'corrupt')) throw error;
      }
    };
    fc.assert(
      fc.property(mutate, ([field, value]) => mustBeCorrupt({ ...saved, [field]: value })),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.anything(), mustBeCorrupt), { numRuns: 200 });
    const flips = fc.tuple(
      fc.constantFrom('mbr', 'header', 'entries', 'data'),
      fc.nat(600),
      fc.integer({ min: 1, max: 255 }),
    );
    fc.assert(
      fc.property(flips, ([part, at, flip]) => {
        const copy = structuredClone(saved) as never as Record<
          string,
          Record<string, string> & { data: string }[]
        >;
        const holder = (part === 'mbr' ? copy : part === 'data' ? copy['ebrs']?.[0] : copy['gpt']) as
          | Record<string, string>
          | null
          | undefined;
        if (holder === null || holder === undefined) return;
        const bytes = Buffer.from(holder[part]!, 'base64');
        bytes[at % bytes.length]! ^= flip;
        holder[part] = bytes.toString('base64');
        mustBeCorrupt(copy);
      }),
      { numRuns: 300 },
    );
  });
}

test('a saved copy of hostile size is refused before it is decoded', (t) => {
  const { device } = testDisk(t, GPT_DISK);
  const saved = saveTable(device);
  const huge = 'A'.repeat(4 * MIB);
  for (const wrong of [
    { ...saved, mbr: huge },
    { ...saved, gpt: { ...saved.gpt, entries: huge } },
    { ...saved, ebrs: Array.from({ length: 300 }, () => ({ lba: 1, data: '' })) },
    { ...saved, diskSize: 2 ** 60 },
    { ...saved, version: 2 },
  ])
    t.like(
      t.throws(() => parseSavedTable(wrong)),
      { kind: 'corrupt' },
    );
});

test('a disk without a table is saved as such', (t) => {
  const device = noise(16 * MIB, 512);
  const saved = saveTable(device);
  t.is(saved.table.scheme, 'none');
  const parsed = parseSavedTable(JSON.parse(JSON.stringify(saved)));
  t.is(parsed.mbr, '');
  const plan = planTable({ device, wanted: known(MIB, MIB, { saved: parsed }) });
  t.is(plan.action, 'rebuilt');
});

test('differences between a live table and a saved one are listed per partition', (t) => {
  const disk = testDisk(t, GPT_DISK);
  const saved = saveTable(disk.device);
  t.deepEqual(compareTables(disk.table, saved), []);
  const live = {
    ...disk.table,
    diskId: 'another',
    partitions: [
      { ...disk.table.partitions[0]!, name: 'new' },
      ...disk.table.partitions.slice(2),
      { ...disk.table.partitions[1]!, number: 9 },
    ],
  };
  t.deepEqual(
    compareTables(live, saved).map(({ number, what, field }) => [number, what, field]),
    [
      [null, 'changed', 'diskId'],
      [1, 'changed', 'name'],
      [2, 'missing', 'partition'],
      [9, 'extra', 'partition'],
    ],
  );
});

test('companion spaces: boot gap and BIOS boot partition, never the table itself', (t) => {
  const { table } = testDisk(t, GPT_DISK);
  const spaces = companionSpaces(table);
  t.deepEqual(spaces, [
    { id: 1, start: 0, length: MIB },
    { id: 2, start: MIB, length: MIB },
  ]);
  t.deepEqual(writableRanges(spaces[0]!, table), [
    { start: 0, length: 440 },
    { start: 34 * 512, length: MIB - 34 * 512 },
  ]);
  t.deepEqual(writableRanges(spaces[1]!, table), [{ start: MIB, length: MIB }]);
  t.deepEqual(tableRanges(table), [
    { start: 440, length: 72 + 33 * 512 },
    { start: GPT_DISK.size - 33 * 512, length: 33 * 512 },
  ]);
  // On a disk with another table, nothing inside a partition and no other BIOS boot partition is touched.
  const other = testDisk(t, {
    size: 64 * MIB,
    table: 'mbr',
    partitions: [{ start: 64 * KIB, size: 8 * MIB }],
  });
  t.deepEqual(writableRanges(spaces[0]!, other.table), [
    { start: 0, length: 440 },
    { start: 512, length: 64 * KIB - 512 },
  ]);
  t.deepEqual(writableRanges(spaces[1]!, other.table), []);
  t.deepEqual(companionSpaces(readTable(noise(16 * MIB, 512))), []);
});

test('companion spaces: EFI system partitions in the order of their places, four at most, and only whole', (t) => {
  for (const [table, type] of [
    ['gpt', 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B'],
    ['mbr', 'ef'],
  ] as const) {
    const count = table === 'gpt' ? 5 : 2;
    const partitions = Array.from({ length: count }, (_, index) => ({
      start: (count - index) * 2 * MIB,
      size: MIB,
      type,
    }));
    const { table: live } = testDisk(t, {
      size: 64 * MIB,
      table,
      partitions: [...partitions, { start: 20 * MIB }],
    });
    const spaces = companionSpaces(live).slice(1);
    t.deepEqual(
      spaces,
      [3, 5, 6, 7]
        .slice(0, count)
        .map((id, index) => ({ id, start: (index + 1) * 2 * MIB, length: MIB })) as typeof spaces,
    );
    for (const space of spaces)
      t.deepEqual(writableRanges(space, live), [{ start: space.start, length: MIB }]);
    const [first] = spaces;
    t.deepEqual(writableRanges({ ...first!, length: MIB - 512 }, live), [
      { start: 2 * MIB, length: MIB - 512 },
    ]);
    t.deepEqual(writableRanges({ ...first!, length: MIB + 512 }, live), [], 'it has become smaller');
    t.deepEqual(writableRanges({ ...first!, start: 3 * MIB }, live), [], 'it is elsewhere');
    t.deepEqual(writableRanges({ ...first!, start: 20 * MIB }, live), [], 'another kind of partition');
  }
});
