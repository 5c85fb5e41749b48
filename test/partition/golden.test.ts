import test from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import type { KnownPartition } from '../../rescue/partition/merge.ts';
import { planTable, type TablePlan } from '../../rescue/partition/plan.ts';
import { tableRanges } from '../../rescue/partition/ranges.ts';
import { readTable } from '../../rescue/partition/table.ts';
import { MIB } from '../../rescue/units.ts';
import { apply, DISKS, knownOf, testDisk } from './compare.ts';

/** Every changed byte run of a plan: position, bytes before, bytes after, in hexadecimal. */
const changes = (plan: TablePlan): string[] =>
  plan.patch.phases.flat().flatMap(({ offset, before, after }) => {
    const lines: string[] = [];
    for (let from = 0; from < after.length; ) {
      if (before[from] === after[from]) {
        from += 1;
        continue;
      }
      let to = from;
      while (to < after.length && before[to] !== after[to]) to += 1;
      const hex = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(from, to)).toString('hex');
      lines.push(`${offset + from}: ${hex(before)} -> ${hex(after)}`);
      from = to;
    }
    return lines;
  });

const KNOWN: KnownPartition = {
  source: 'an image',
  start: MIB,
  size: 8 * MIB,
  sectorSize: 512,
  type: '83',
  uuid: '12345678-02',
  diskSize: 16 * MIB,
  saved: null,
};

const mbrWith = (records: string): MemoryDevice => {
  const device = new MemoryDevice(16 * MIB, 512);
  device.write(0, new Uint8Array(440).fill(0xb0));
  device.write(440, Buffer.from(`785634120000${records.padEnd(128, '0')}55aa`, 'hex'));
  return device;
};

test('golden: one record added to an MBR', (t) => {
  // One partition: active, type 0c, sectors 18432 to 20479.
  const device = mbrWith('80252501 0c464601 00480000 00080000'.replaceAll(' ', ''));
  const plan = planTable({ device, wanted: KNOWN });
  t.is(plan.action, 'added');
  t.deepEqual(plan.notes, []);
  // Second record: CHS of sector 2048 (0/32/33), type 83, CHS of sector 18431 (1/37/36), start 2048, 16384 sectors.
  t.deepEqual(changes(plan), [
    '463: 0000 -> 2021',
    '466: 00000000 -> 83252401',
    '471: 00 -> 08',
    '475: 00 -> 40',
  ]);
});

test('golden: an MBR made from slots alone', (t) => {
  const device = new MemoryDevice(16 * MIB, 512);
  const plan = planTable({ device, wanted: KNOWN });
  t.is(plan.action, 'rebuilt');
  t.deepEqual([...device.read(0, 440)], [...plan.patch.phases[0]![0]!.after.subarray(0, 440)]);
  const after = Buffer.from(plan.patch.phases[0]![0]!.after.subarray(440)).toString('hex');
  const record = '00202100832524010008000000400000';
  t.is(after, `785634120000${'0'.repeat(32)}${record}${'0'.repeat(64)}55aa`);
});

test('golden: a GPT made from slots alone', (t) => {
  const device = new MemoryDevice(16 * MIB, 512);
  const wanted = {
    ...KNOWN,
    type: '0FC63DAF-8483-4772-8E79-3D69D8477DE4',
    uuid: '00112233-4455-6677-8899-aabbccddeeff',
  };
  const plan = planTable({ device, wanted });
  apply(device, plan);
  // UEFI 5.2.3: protective record from sector 1, CHS 000200 and ffffff, 32767 sectors.
  const protective = '00000200eeffffff01000000ff7f0000';
  t.is(
    Buffer.from(device.read(440, 72)).toString('hex'),
    `${'0'.repeat(12)}${protective}${'0'.repeat(96)}55aa`,
  );
  const entry = 'af3dc60f838472478e793d69d8477de433221100554477668899aabbccddeeff';
  t.is(Buffer.from(device.read(1024, 32)).toString('hex'), entry);
  t.is(Buffer.from(device.read(1056, 16)).toString('hex'), '0008000000000000ff47000000000000');
  t.true(device.read(1072, 80).every((byte) => byte === 0));
  t.deepEqual(device.read(1024, 16384), device.read(16 * MIB - 33 * 512, 16384));
  const header = Buffer.from(device.read(512, 92));
  t.is(header.toString('hex', 0, 16), '4546492050415254000001005c000000');
  t.is(header.toString('hex', 24, 56), '0100000000000000ff7f0000000000002200000000000000de7f000000000000');
  t.is(header.toString('hex', 72, 88), '02000000000000008000000080000000');
  const again = new MemoryDevice(16 * MIB, 512);
  apply(again, planTable({ device: again, wanted }));
  t.deepEqual([...again.differences(device)], []);
});

for (const options of DISKS) {
  test(`a rebuilt table has the very bytes of the old one: ${options.title}`, (t) => {
    const disk = testDisk(t, options);
    const known = knownOf(disk, disk.table.partitions[0]!.number, true);
    const device = new MemoryDevice(options.size, options.sectorSize ?? 512);
    apply(device, planTable({ device, wanted: known }));
    t.deepEqual([...disk.device.differences(device)], []);
    t.deepEqual(tableRanges(readTable(device)), tableRanges(disk.table));
  });
}
