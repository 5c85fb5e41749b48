import { crc32 } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { MBR, MBR_RECORD, recordOffset } from '../../rescue/partition/boot-record.ts';
import { GPT_ENTRY, GPT_HEADER, headerCrc } from '../../rescue/partition/gpt.ts';
import { encodeCopy, freshContent, protect, setEntry } from '../../rescue/partition/gpt-write.ts';
import { encodeRecord } from '../../rescue/partition/mbr-write.ts';
import { tableRanges } from '../../rescue/partition/ranges.ts';
import { modelOf, readTable } from '../../rescue/partition/table.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { DISKS, testDisk } from './compare.ts';
import { linuxPartition } from './entries.ts';

const SIZE = 16 * MIB;
const SECTORS = SIZE / 512;

/** A GPT with two partitions, both copies; `change` edits the entries before the CRCs are made. */
const gptDisk = (change: (entries: Uint8Array) => void = () => {}): MemoryDevice => {
  const device = new MemoryDevice(SIZE, 512);
  const content = freshContent(SIZE, 512, '11111111-2222-4333-8444-555555555555');
  setEntry(content.entries, 128, linuxPartition(1, 2048, 4096), 512);
  setEntry(content.entries, 128, linuxPartition(2, 8192, 4096), 512);
  change(content.entries);
  const boot = new Uint8Array(512);
  protect(boot, SECTORS);
  device.write(0, boot);
  for (const which of ['primary', 'backup'] as const) {
    const copy = encodeCopy(content, which);
    device.write(copy.entriesLba * 512, copy.entries);
    device.write(copy.headerLba * 512, copy.header);
  }
  return device;
};

/** Edits one header in place and, unless told otherwise, makes its CRC right again. */
const editHeader = (
  device: MemoryDevice,
  lba: number,
  edit: (header: Uint8Array) => void,
  seal = true,
): void => {
  const header = device.read(lba * 512, 512);
  edit(header);
  if (seal) {
    const size = GPT_HEADER.get(header, 'HeaderSize');
    if (size <= 512 && size >= 20) GPT_HEADER.set(header, 'HeaderCRC32', headerCrc(header));
  }
  device.write(lba * 512, header);
};

const set =
  (field: Exclude<keyof typeof GPT_HEADER.fields, 'Signature' | 'DiskGUID'>, value: number) =>
  (header: Uint8Array): void =>
    GPT_HEADER.set(header, field, value);

const FAULTS: readonly (readonly [code: string, edit: (header: Uint8Array) => void, seal?: boolean])[] = [
  ['gpt.signature', (header) => header.set([0x65], 0)],
  ['gpt.header-size', set('HeaderSize', 91)],
  ['gpt.header-size', set('HeaderSize', 513)],
  ['gpt.header-size', set('HeaderSize', 0xffffffff)],
  ['gpt.header-crc', set('Reserved', 1), false],
  ['gpt.revision', set('Revision', 0x20000)],
  ['gpt.my-lba', set('MyLBA', 5)],
  ['gpt.usable-range', set('LastUsableLBA', SECTORS)],
  ['gpt.usable-range', set('FirstUsableLBA', SECTORS - 1)],
  ['gpt.entry-size', set('SizeOfPartitionEntry', 0)],
  ['gpt.entry-size', set('SizeOfPartitionEntry', 129)],
  ['gpt.entry-size', set('SizeOfPartitionEntry', 0x80000000)],
  ['gpt.entry-count', set('NumberOfPartitionEntries', 0)],
  ['gpt.entry-count', set('NumberOfPartitionEntries', 0xffffffff)],
  ['gpt.entries-place', set('PartitionEntryLBA', SECTORS * 2)],
  ['gpt.entries-place', set('PartitionEntryLBA', 1)],
  ['gpt.entries-crc', set('PartitionEntryArrayCRC32', 0)],
  ['gpt.field-too-large', (header) => header.fill(0xff, 48, 56)],
];

for (const [index, [code, edit, seal]] of FAULTS.entries()) {
  test(`a GPT header fault gives exactly one reason: ${code} (${index})`, (t) => {
    for (const lba of [1, SECTORS - 1]) {
      const device = gptDisk();
      const before = readTable(device);
      t.deepEqual(before.problems, []);
      editHeader(device, lba, edit, seal);
      const after = readTable(device);
      t.true(after.valid);
      t.deepEqual(after.partitions, before.partitions);
      t.deepEqual(
        after.problems.map((problem) => [problem.code, problem.severity, problem.offset]),
        [[code, 'repairable', lba * 512]],
      );
    }
  });
}

test('a GPT with both copies damaged is an invalid GPT, not nothing', (t) => {
  const device = gptDisk();
  for (const lba of [1, SECTORS - 1]) editHeader(device, lba, set('MyLBA', 7), false);
  const table = readTable(device);
  t.is(table.scheme, 'gpt');
  t.false(table.valid);
  t.deepEqual(
    table.problems.map((problem) => problem.code),
    ['gpt.header-crc', 'gpt.header-crc'],
  );
});

test('GPT entries that overlap, run backwards, leave the disk or cover the table are named', (t) => {
  const codes = (change: (entries: Uint8Array) => void): string[] => {
    const table = readTable(gptDisk(change));
    t.is(
      table.valid,
      table.problems.every(({ severity }) => severity === 'note'),
    );
    return [...new Set(table.problems.map((problem) => problem.code))];
  };
  t.deepEqual(
    codes((entries) => setEntry(entries, 128, linuxPartition(2, 6143, 10), 512)),
    ['gpt.overlap'],
  );
  t.deepEqual(
    codes((entries) => GPT_ENTRY.set(entries, 'EndingLBA', 0)),
    ['gpt.entry-range'],
  );
  t.deepEqual(
    codes((entries) => GPT_ENTRY.set(entries, 'EndingLBA', SECTORS)),
    ['gpt.entry-range'],
  );
  t.deepEqual(
    codes((entries) => GPT_ENTRY.set(entries, 'StartingLBA', 3)),
    ['gpt.entry-unusable', 'gpt.entry-on-table'],
  );
});

test('two different whole copies: the primary counts', (t) => {
  const device = gptDisk();
  const backup = SECTORS - 33;
  const entries = device.read(backup * 512, 128 * 128);
  setEntry(entries, 128, linuxPartition(3, 20000, 100), 512);
  device.write(backup * 512, entries);
  editHeader(device, SECTORS - 1, set('PartitionEntryArrayCRC32', crc32(entries)));
  const table = readTable(device);
  t.is(table.partitions.length, 2);
  t.deepEqual(
    table.problems.map((problem) => problem.code),
    ['gpt.copies-differ'],
  );
});

type Record = readonly [slot: number, type: number, start: number, sectors: number];

const bootRecord = (...records: Record[]): Uint8Array => {
  const sector = MBR.encode({ Signature: 0xaa55, UniqueMBRDiskSignature: 0x12345678 });
  for (const [slot, type, start, sectors] of records)
    sector.set(
      encodeRecord({ bootable: false, type, start, sectors, absolute: start, raw: null }),
      recordOffset(slot),
    );
  return sector;
};

const mbrDisk = (sectors: { readonly [lba: number]: Uint8Array }): MemoryDevice => {
  const device = new MemoryDevice(SIZE, 512);
  for (const [lba, bytes] of Object.entries(sectors)) device.write(Number(lba) * 512, bytes);
  return device;
};

const invalidCodes = (device: MemoryDevice): string[] => {
  const table = readTable(device);
  return table.problems.filter((problem) => problem.severity === 'invalid').map((problem) => problem.code);
};

const EXTENDED: Record = [1, 0x0f, 1000, 9000];

test('MBR faults are named', (t) => {
  t.deepEqual(invalidCodes(mbrDisk({ 0: bootRecord([0, 0x83, 100, 100], [1, 0x83, 150, 100]) })), [
    'mbr.overlap',
  ]);
  t.deepEqual(invalidCodes(mbrDisk({ 0: bootRecord([0, 0x83, 0xffffffff, 0xffffffff]) })), [
    'mbr.start-beyond',
  ]);
  t.deepEqual(invalidCodes(mbrDisk({ 0: bootRecord([0, 0x83, 0, 100]) })), ['mbr.start-zero']);
  const flag = bootRecord([0, 0x83, 100, 100]);
  MBR_RECORD.set(flag, 'BootIndicator', 0x11, recordOffset(2));
  t.deepEqual(invalidCodes(mbrDisk({ 0: flag })), ['mbr.boot-indicator']);
});

test('an extended chain of each of types 05, 0f, 85 is followed', (t) => {
  for (const type of [0x05, 0x0f, 0x85]) {
    const table = readTable(
      mbrDisk({
        0: bootRecord([0, 0x83, 100, 100], [1, type, 1000, 9000]),
        1000: bootRecord([0, 0x83, 10, 90], [1, 0x05, 500, 200]),
        1500: bootRecord([0, 0x82, 20, 180]),
      }),
    );
    t.true(table.valid);
    t.deepEqual(
      table.partitions.map(({ number, start, size, type, uuid, logical }) => [
        number,
        start / 512,
        size / 512,
        type,
        uuid,
        logical,
      ]),
      [
        [1, 100, 100, '83', '12345678-01', false],
        [5, 1010, 90, '83', '12345678-05', true],
        [6, 1520, 180, '82', '12345678-06', true],
      ],
    );
  }
});

test('an extended chain that loops, leaves its partition, lacks a signature or lies in a partition is named', (t) => {
  const mbr = bootRecord(EXTENDED);
  t.deepEqual(
    invalidCodes(
      mbrDisk({
        0: mbr,
        1000: bootRecord([0, 0x83, 10, 90], [1, 5, 500, 9]),
        1500: bootRecord([1, 5, 0, 9]),
      }),
    ),
    ['mbr.ebr-loop'],
  );
  t.deepEqual(invalidCodes(mbrDisk({ 0: mbr, 1000: bootRecord([1, 5, 9000, 9]) })), ['mbr.ebr-outside']);
  t.deepEqual(invalidCodes(mbrDisk({ 0: mbr, 1000: bootRecord([1, 5, 500, 9]) })), ['mbr.ebr-signature']);
  t.deepEqual(invalidCodes(mbrDisk({ 0: mbr, 1000: bootRecord([0, 0x83, 10, 9000]) })), [
    'mbr.logical-outside',
  ]);
  t.deepEqual(
    invalidCodes(
      mbrDisk({ 0: mbr, 1000: bootRecord([0, 0x83, 10, 900], [1, 5, 500, 9]), 1500: bootRecord() }),
    ),
    ['mbr.ebr-overlap'],
  );
  t.deepEqual(
    invalidCodes(mbrDisk({ 0: bootRecord([0, 0x0f, SECTORS - 1, 9], [1, 0x05, SECTORS + 9, 9]) })).includes(
      'mbr.ebr-outside',
    ),
    true,
  );
});

test('a very long extended chain ends at the limit', (t) => {
  const device = new MemoryDevice(SIZE, 512);
  device.write(0, bootRecord([0, 0x05, 100, 20000]));
  for (let index = 0; index < 5000; index += 1)
    device.write((100 + index * 3) * 512, bootRecord([0, 0x83, 1, 1], [1, 0x05, index * 3 + 3, 2]));
  t.deepEqual(invalidCodes(device), ['mbr.too-many']);
  for (let index = 0; index < 5000; index += 1)
    device.write((100 + index * 3) * 512, bootRecord([1, 0x05, index * 3 + 3, 2]));
  t.deepEqual(invalidCodes(device), ['mbr.ebr-count']);
});

test('an extended partition whose first EBR was never written is valid and empty', (t) => {
  const table = readTable(mbrDisk({ 0: bootRecord(EXTENDED) }));
  t.true(table.valid);
  t.deepEqual(
    table.problems.map((problem) => problem.code),
    ['mbr.ebr-none'],
  );
});

test('devices too small for a table have none', (t) => {
  for (const size of [0, 1, 511, 512, 1024, 1535])
    t.is(readTable(new MemoryDevice(size, 512)).scheme, 'none');
  for (const size of [1536, 4096, 5000]) t.is(readTable(new MemoryDevice(size, 512)).scheme, 'none');
});

test('a truncated disk: the GPT no longer fits and says so', (t) => {
  const whole = gptDisk();
  const device = new MemoryDevice(SIZE / 2, 512);
  device.write(0, whole.read(0, 64 * KIB));
  const table = readTable(device);
  t.false(table.valid);
  t.deepEqual(
    table.problems.map((problem) => problem.code),
    ['gpt.usable-range', 'gpt.signature'],
  );
});

for (const options of DISKS) {
  test(`any byte of the table changed: same partitions, or coded problems; never a crash: ${options.title}`, (t) => {
    const { device, table } = testDisk(t, options);
    const bytes = tableRanges(table).flatMap(({ start, length }) =>
      // Beyond the used entries all bytes are alike.
      Array.from({ length: Math.min(length, 1024) }, (_, index) => start + index),
    );
    fc.assert(
      fc.property(fc.constantFrom(...bytes), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const copy = device.snapshot();
        copy.write(at, Uint8Array.of(copy.read(at, 1)[0]! ^ flip));
        const after = readTable(copy);
        for (const problem of after.problems) t.regex(problem.code, /^(mbr|gpt)\.[a-z-]+$/);
        t.is(
          after.valid,
          after.scheme !== 'none' && !after.problems.some((each) => each.severity === 'invalid'),
        );
        if (table.scheme !== 'gpt') return;
        // Two copies, CRCs and a record of type ee: no single byte of a GPT disk can be lost.
        t.true(after.valid);
        t.deepEqual(after.partitions, table.partitions);
      }),
      { numRuns: 400 },
    );
  });
}

test('arbitrary first sectors never crash the reader', (t) => {
  const record = fc.tuple(
    fc.integer({ min: 0, max: 3 }),
    fc.constantFrom(0x05, 0x0f, 0x85, 0x83, 0xee, 0x00),
    fc.integer({ min: 0, max: SECTORS + 5 }),
    fc.integer({ min: 0, max: SECTORS + 5 }),
  );
  const sector = fc.array(record, { maxLength: 4 }).map((records) => bootRecord(...records));
  fc.assert(
    fc.property(
      sector,
      fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), sector), { maxLength: 20 }),
      (first, others) => {
        const device = mbrDisk({ 0: first, ...Object.fromEntries(others) });
        const table = readTable(device);
        t.deepEqual(JSON.parse(JSON.stringify(modelOf(table))), modelOf(table));
        if (!table.valid) return;
        for (const each of table.partitions) t.true(each.start > 0 && each.start + each.size <= SIZE);
      },
    ),
    { numRuns: 500 },
  );
});
