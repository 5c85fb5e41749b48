import test from 'ava';
import fc from 'fast-check';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { readParameters } from '../../../rescue/fs/ntfs/boot-sector.ts';
import { BOOT_SECTOR, OEM_ID } from '../../../rescue/fs/ntfs/layout.ts';
import { NameLedger } from '../../../rescue/fs/ntfs/name-ledger.ts';
import { compareNames } from '../../../rescue/fs/ntfs/names.ts';
import { RunMap } from '../../../rescue/fs/ntfs/run-map.ts';
import { decodeMappingPairs, type MappedRun } from '../../../rescue/fs/ntfs/runlist.ts';
import { toSeconds } from '../../../rescue/fs/ntfs/times.ts';
import { removeUpdateSequence } from '../../../rescue/fs/ntfs/update-sequence.ts';
import { codeOf } from '../../support/code-of.ts';
import { addUpdateSequence } from './damage.ts';

const PLACE = { structure: 'test', offset: 0 };

const decode = (pairs: readonly number[], highestVcn: number, lowestVcn = 0): MappedRun[] => {
  const bytes = Uint8Array.from(pairs);
  return [...decodeMappingPairs({ bytes, from: 0, to: bytes.length, lowestVcn, highestVcn }, 0x1000, PLACE)];
};

test('mapping pairs: starts are distances, with a sign; holes have none', (t) => {
  t.deepEqual(decode([0x21, 0x18, 0x34, 0x02, 0x00], 0x17), [{ vcn: 0, start: 0x234, length: 0x18 }]);
  t.deepEqual(decode([0x21, 0x10, 0x00, 0x01, 0x01, 0x08, 0x11, 0x04, 0xf0, 0x00], 0x1b), [
    { vcn: 0, start: 0x100, length: 0x10 },
    { vcn: 0x10, start: undefined, length: 8 },
    { vcn: 0x18, start: 0xf0, length: 4 },
  ]);
  // The end may be the end of the attribute.
  t.deepEqual(decode([0x11, 0x01, 0x05], 7, 7), [{ vcn: 7, start: 5, length: 1 }]);
  t.deepEqual(decode([0x00], -1), []);
});

test('mapping pairs: what cannot be is refused', (t) => {
  const cases: readonly [pairs: readonly number[], highest: number, code: string][] = [
    [[0x10, 0x05, 0x00], 0, 'corrupt:ntfs.runlist'],
    [[0x19, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], 0, 'corrupt:ntfs.runlist'],
    [[0x91, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 0, 'corrupt:ntfs.runlist'],
    [[0x11, 0x01], 0, 'corrupt:ntfs.runlist'],
    [[0x11, 0x00, 0x05, 0x00], 0, 'corrupt:ntfs.runlist'],
    [[0x11, 0x80, 0x05, 0x00], 0x7f, 'corrupt:ntfs.runlist'],
    [[0x11, 0x02, 0x05, 0x00], 0, 'corrupt:ntfs.runlist'],
    [[0x11, 0x02, 0x05, 0x00], 2, 'corrupt:ntfs.runlist'],
    [[0x11, 0x01, 0xff, 0x00], 0, 'corrupt:ntfs.runlist-range'],
    [[0x21, 0x02, 0xff, 0x0f, 0x00], 1, 'corrupt:ntfs.runlist-range'],
    [[0x81, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00], 0, 'corrupt:ntfs.runlist-range'],
  ];
  for (const [pairs, highest, code] of cases)
    t.is(
      codeOf(() => decode(pairs, highest)),
      code,
      pairs.join(' '),
    );
});

test('a map of runs finds every VCN', (t) => {
  const runs: MappedRun[] = [
    { vcn: 0, start: 10, length: 3 },
    { vcn: 3, start: undefined, length: 2 },
    { vcn: 5, start: 4, length: 1 },
  ];
  const map = RunMap.of(runs, PLACE);
  t.deepEqual(
    [0, 1, 2, 3, 4, 5].map((vcn) => map.at(vcn)),
    [
      { start: 10, length: 3 },
      { start: 11, length: 2 },
      { start: 12, length: 1 },
      { start: undefined, length: 2 },
      { start: undefined, length: 1 },
      { start: 4, length: 1 },
    ],
  );
  t.is(
    codeOf(() => map.at(6)),
    'corrupt:ntfs.vcn-range',
  );
});

test('update sequences: taken away as they were put there; a stride of another time is noticed', (t) => {
  const record = Uint8Array.from({ length: 1024 }, (_, index) => index & 0xff);
  record.set([0x46, 0x49, 0x4c, 0x45, 0x30, 0, 3, 0]);
  record.set([5, 0, 0, 0, 0, 0], 0x30);
  const stored = Uint8Array.from(record);
  addUpdateSequence(stored);
  t.deepEqual([...stored.subarray(0x1fe, 0x200)], [5, 0]);
  const read = Uint8Array.from(stored);
  removeUpdateSequence(read, PLACE);
  t.deepEqual(read.subarray(0x36), record.subarray(0x36));
  for (const [at, value] of [
    [0x3fe, 6],
    [0x1ff, 1],
    [4, 0xf8],
    [6, 2],
    [4, 2],
  ] as const) {
    const damaged = Uint8Array.from(stored);
    damaged[at] = value;
    t.is(
      codeOf(() => removeUpdateSequence(damaged, PLACE)),
      'corrupt:ntfs.update-sequence',
      `byte ${at}`,
    );
  }
});

/** Upper case as Windows has it for Latin letters. */
const UPCASE = Uint16Array.from({ length: 65536 }, (_, unit) =>
  unit >= 0x61 && unit <= 0x7a ? unit - 32 : unit,
);

test('names: by upper case, shorter first, then by case', (t) => {
  const ordered = ['$MFT', '.', 'A', 'a', 'AA', 'Aa', 'aA', 'aa', 'ab', 'B', '[', '_', 'é', '中'];
  const shuffled = [...ordered].reverse();
  t.deepEqual(
    shuffled.sort((a, b) => compareNames(UPCASE, a, b)),
    ordered,
  );
});

test('names: a total order', (t) => {
  const name = fc.string({ unit: fc.constantFrom('a', 'A', 'b', 'B', '_', 'é'), maxLength: 5 });
  const property = fc.property(name, name, name, (a, b, c) => {
    const order = (left: string, right: string): number => Math.sign(compareNames(UPCASE, left, right));
    return (
      order(a, b) === -order(b, a) &&
      (order(a, b) === 0) === (a === b) &&
      (order(a, b) > 0 || order(b, c) > 0 || order(a, c) <= 0)
    );
  });
  t.notThrows(() => fc.assert(property));
});

test('times: whole seconds since 1970, rounded down', (t) => {
  const stored = (ticks: bigint): Uint8Array => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(ticks);
    return bytes;
  };
  const EPOCH = 116_444_736_000_000_000n;
  t.is(toSeconds(stored(EPOCH)), 0);
  t.is(toSeconds(stored(EPOCH + 17_955_738_440_000_000n - 1n)), 1_795_573_843);
  t.is(toSeconds(stored(EPOCH - 1n)), -1);
  t.is(toSeconds(stored(0n)), -11_644_473_600);
  t.is(toSeconds(stored(-1n)), -11_644_473_601);
});

test('a ledger balances only if both sides say the same', (t) => {
  const name = (file: number, sequence: number, text: string) => ({
    folder: { number: 5, sequence: 5 },
    file: { number: file, sequence },
    namespace: 1,
    name: text,
  });
  const ledger = new NameLedger();
  for (let index = 0; index < 1000; index += 1) ledger.kept(name(index, 1, `name ${index}`));
  for (let index = 999; index >= 0; index -= 1) ledger.listed(name(index, 1, `name ${index}`));
  t.true(ledger.balanced);
  ledger.kept(name(7, 1, 'seven'));
  ledger.listed(name(7, 2, 'seven'));
  t.false(ledger.balanced);
  t.false(ledger.isBalanced(name(7, 1, 'seven')));
});

/** A boot sector of a volume of 1 GiB, changed by `change`. */
const boot = (
  change: Partial<
    Record<
      | 'bytes_per_sector'
      | 'sectors_per_cluster'
      | 'clusters_per_mft_record'
      | 'mft_lcn'
      | 'number_of_sectors',
      number
    >
  >,
) => {
  const device = new MemoryDevice(2 ** 30);
  const sector = BOOT_SECTOR.encode({
    oem_id: Buffer.from(OEM_ID),
    bytes_per_sector: 512,
    sectors_per_cluster: 8,
    number_of_sectors: 2 ** 21 - 1,
    mft_lcn: 4,
    mftmirr_lcn: 8,
    clusters_per_mft_record: 0xf6,
    ...change,
  });
  device.write(0, sector);
  return device;
};

test('boot sector: sizes in all their spellings', (t) => {
  const read = (change: Parameters<typeof boot>[0]) => readParameters(boot(change));
  t.is(read({}).clusterSize, 4096);
  t.is(read({}).recordSize, 1024);
  t.is(read({ sectors_per_cluster: 1 }).clusterSize, 512);
  t.is(read({ sectors_per_cluster: 0x80 }).clusterSize, 64 * 1024);
  t.is(read({ sectors_per_cluster: 0xf4 }).clusterSize, 2 ** 21);
  t.is(read({ clusters_per_mft_record: 1 }).recordSize, 4096);
  t.is(read({ bytes_per_sector: 4096, sectors_per_cluster: 1, number_of_sectors: 1000 }).clusterSize, 4096);
  // What does not fill a cluster lies outside.
  t.is(read({ number_of_sectors: 2 ** 21 - 1 }).clusterCount, 2 ** 18 - 1);
  for (const change of [
    { bytes_per_sector: 513 },
    { sectors_per_cluster: 3 },
    { sectors_per_cluster: 0xf3 },
    { sectors_per_cluster: 0 },
    { clusters_per_mft_record: 0xe1 },
    { clusters_per_mft_record: 0 },
    { mft_lcn: 0 },
    { mft_lcn: 2 ** 18 },
  ])
    t.is(
      codeOf(() => read(change)),
      'corrupt:ntfs.boot-sector',
      JSON.stringify(change),
    );
  t.is(
    codeOf(() => read({ number_of_sectors: 2 ** 21 + 1 })),
    'corrupt:ntfs.truncated',
  );
  const small = new MemoryDevice(2 ** 30, 4096);
  small.write(0, boot({}).read(0, 512));
  t.is(
    codeOf(() => readParameters(small)),
    'unsupported:ntfs.sector-size',
  );
});
