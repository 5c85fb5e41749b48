import test from 'ava';
import type { NtfsFile } from '../../../rescue/fs/ntfs/file.ts';
import { blockWith, endEntry, newBlock, newEntry, withSubNode } from '../../../rescue/fs/ntfs/index-node.ts';
import { AT_BITMAP, AT_DATA, NAME_INDEX } from '../../../rescue/fs/ntfs/layout.ts';
import { listEntry } from '../../../rescue/fs/ntfs/list-editor.ts';
import { type GrowthContext, MftGrowth } from '../../../rescue/fs/ntfs/mft-growth.ts';
import { nonResidentAttribute, residentAttribute } from '../../../rescue/fs/ntfs/new-attribute.ts';
import { RecordEditor } from '../../../rescue/fs/ntfs/record-editor.ts';
import { decodeMappingPairs } from '../../../rescue/fs/ntfs/runlist.ts';
import { encodeRuns, joined } from '../../../rescue/fs/ntfs/runlist-encoder.ts';
import { containerSecurity } from '../../../rescue/fs/ntfs/security.ts';
import { protectRecord, removeUpdateSequence } from '../../../rescue/fs/ntfs/update-sequence.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Rows of 16 bytes that are not all zero, `offset: bytes`. */
const dump = (bytes: Uint8Array): string[] => {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = hex(bytes.subarray(at, at + 16)).replace(/(..)(?=.)/g, '$1 ');
    if (/[1-9a-f]/.test(row)) rows.push(`${at.toString(16).padStart(3, '0')}: ${row}`);
  }
  return rows;
};
/** Without the remarks. */
const bare = (rows: readonly string[]): string[] => rows.map((row) => row.split('  ')[0]!);

test('mapping pairs of every width', (t) => {
  const pairsOf = (...runs: [start: number, length: number][]): string =>
    hex(
      encodeRuns(
        runs.map(([start, length]) => ({ start, length })),
        0,
        200,
      ).pairs,
    );
  t.is(pairsOf([0x10, 0x20]), '11201000');
  t.is(pairsOf([0x7f, 0x7f]), '117f7f00');
  t.is(pairsOf([0x80, 0x80]), '228000800000', 'the upper bit is the sign');
  t.is(pairsOf([0x100, 1], [0xff, 1], [0x80, 1]), '210100011101ff11018100', 'backwards');
  t.is(pairsOf([0x10000, 1], [0x7fff, 1]), '31010000013101ff7fff00', 'two bytes back');
  t.is(pairsOf([0x1_2345_6789, 0x1_0000]), '53000001896745230100');
  const place = { structure: 'test', offset: 0 };
  const runs = [
    { start: 5, length: 3 },
    { start: 2 ** 40, length: 2 ** 33 },
    { start: 1, length: 1 },
    { start: 2 ** 31, length: 2 ** 15 },
  ];
  const { pairs, clusters, count } = encodeRuns(runs, 0, 100);
  t.is(count, 4);
  const shape = { bytes: pairs, from: 0, to: pairs.length, lowestVcn: 0, highestVcn: clusters - 1 };
  t.deepEqual(
    [...decodeMappingPairs(shape, 2 ** 42, place)].map(({ start, length }) => ({ start, length })),
    runs,
  );
  t.like(encodeRuns(runs, 0, 5), { count: 1, clusters: 3 }, 'what does not fit is left');
  t.like(encodeRuns(runs, 2, 5), { count: 1, clusters: 1 });
  t.deepEqual(
    joined([
      { start: 5, length: 2 },
      { start: 7, length: 1 },
      { start: 6, length: 1 },
    ]),
    [
      { start: 5, length: 3 },
      { start: 6, length: 1 },
    ],
  );
});

test('an extension record of NTFS 3.1', (t) => {
  const record = RecordEditor.empty({
    number: 70,
    size: 1024,
    sequence: 3,
    knowsNumber: true,
    flags: 1,
    links: 0,
    base: { number: 65, sequence: 2 },
    offset: 0,
  });
  const { pairs, clusters } = encodeRuns([{ start: 0x10, length: 0x20 }], 0, 20);
  const instance = record.nextInstance();
  record.add(nonResidentAttribute({ type: AT_DATA, instance, lowestVcn: 0x100, clusters, pairs }));
  t.deepEqual(
    dump(record.protect()),
    bare([
      '000: 46 49 4c 45 30 00 03 00 00 00 00 00 00 00 00 00  FILE, sequence at 30, 3 words',
      '010: 03 00 00 00 38 00 01 00 88 00 00 00 00 04 00 00  file 3, no link, attributes at 38, in use, 88 of 400',
      '020: 41 00 00 00 00 00 02 00 01 00 00 00 46 00 00 00  extends 41, 2; next instance 1; record 46',
      '030: 01 00 00 00 00 00 00 00 80 00 00 00 48 00 00 00  sequence 1; $DATA, 48 bytes',
      '040: 01 00 40 00 00 00 00 00 00 01 00 00 00 00 00 00  no name; VCN 100',
      '050: 1f 01 00 00 00 00 00 00 40 00 00 00 00 00 00 00  to 11f; pairs at 40; no sizes',
      '070: 00 00 00 00 00 00 00 00 11 20 10 00 00 00 00 00  20 clusters from 10',
      '080: ff ff ff ff 00 00 00 00 00 00 00 00 00 00 00 00  the end',
      '1f0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00  sequence',
      '3f0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00  sequence',
    ]),
  );
});

test('an index block with an entry that has a sub-node', (t) => {
  const entry = newEntry({ number: 65, sequence: 2 }, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  const plain = blockWith(newBlock(4096, 2), [withSubNode(entry, 1), withSubNode(endEntry(), 3)]);
  t.deepEqual(
    dump(protectRecord(plain)).slice(0, 9),
    bare([
      '000: 49 4e 44 58 28 00 09 00 00 00 00 00 00 00 00 00  INDX, sequence at 28, 9 words',
      '010: 02 00 00 00 00 00 00 00 28 00 00 00 68 00 00 00  block 2; entries from 28 to 68 behind 18',
      '020: e8 0f 00 00 01 00 00 00 01 00 00 00 00 00 00 00  of fe8; sub-nodes; sequence 1',
      '040: 41 00 00 00 00 00 02 00 28 00 0a 00 01 00 00 00  file 41, 2: 28 bytes, key of a, sub-node',
      '050: 01 02 03 04 05 06 07 08 09 0a 00 00 00 00 00 00  key',
      '060: 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  block 1; the end entry',
      '070: 18 00 00 00 03 00 00 00 03 00 00 00 00 00 00 00  18 bytes, end with sub-node: block 3',
      '1f0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00  sequence',
      '3f0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00  sequence',
    ]),
  );
  t.is(hex(withSubNode(withSubNode(entry, 1), undefined)), hex(entry));
});

test('the security descriptor: Administrators own and read, SYSTEM may do all', (t) => {
  t.deepEqual(
    dump(containerSecurity()),
    bare([
      '000: 01 00 04 90 48 00 00 00 58 00 00 00 00 00 00 00  self-relative with a DACL; owner at 48, group at 58',
      '010: 14 00 00 00 02 00 34 00 02 00 00 00 00 00 14 00  DACL at 14: 34 bytes, 2 entries; allow',
      '020: ff 01 1f 00 01 01 00 00 00 00 00 05 12 00 00 00  all: S-1-5-18',
      '030: 00 00 18 00 a9 00 12 00 01 02 00 00 00 00 00 05  allow reading:',
      '040: 20 00 00 00 20 02 00 00 01 02 00 00 00 00 00 05  S-1-5-32-544; owner',
      '050: 20 00 00 00 20 02 00 00 01 02 00 00 00 00 00 05  S-1-5-32-544; group',
      '060: 20 00 00 00 20 02 00 00  S-1-5-32-544',
    ]),
  );
});

test('the update sequence number stays for a change of one stride, and goes on for more', (t) => {
  const record = RecordEditor.empty({
    number: 70,
    size: 1024,
    sequence: 1,
    knowsNumber: true,
    flags: 0,
    links: 0,
    offset: 0,
  });
  const standing = record.protect();
  const numberAfter = (change: (bytes: Uint8Array) => void): number => {
    const plain = Uint8Array.from(record.bytes);
    change(plain);
    const made = protectRecord(plain, standing);
    const back = Uint8Array.from(made);
    removeUpdateSequence(back, { structure: 'test', offset: 0 });
    back[0x30] = plain[0x30]!;
    t.deepEqual(back.subarray(0x38), plain.subarray(0x38));
    return made[0x30]!;
  };
  t.is(
    numberAfter((bytes) => bytes.fill(7, 100, 200)),
    1,
    'in the first',
  );
  t.is(
    numberAfter((bytes) => bytes.fill(7, 600, 700)),
    1,
    'in the second',
  );
  t.is(
    numberAfter((bytes) => bytes.fill(7, 500, 520)),
    2,
    'over both',
  );
  t.is(
    numberAfter((bytes) => bytes.fill(7, 1021, 1024)),
    2,
    'a word that is kept in the first',
  );
});

test('a resident attribute with a name', (t) => {
  t.deepEqual(
    dump(
      residentAttribute({
        type: 0xb0,
        name: '$I30',
        instance: 4,
        value: Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0),
      }),
    ),
    bare([
      '000: b0 00 00 00 28 00 00 00 00 04 18 00 00 00 04 00  bitmap of 28 bytes, name of 4 at 18, instance 4',
      '010: 08 00 00 00 20 00 00 00 24 00 49 00 33 00 30 00  8 bytes at 20; $I30',
      '020: 05 00 00 00 00 00 00 00  blocks 0 and 2',
    ]),
  );
});

test('entries of an attribute list', (t) => {
  const reference = { number: 0x10, sequence: 2 };
  const data = listEntry({ type: AT_DATA, name: '', lowestVcn: 0x19a4, reference, instance: 3 });
  const bitmap = listEntry({ type: AT_BITMAP, name: NAME_INDEX, lowestVcn: 0, reference, instance: 0 });
  t.deepEqual(
    dump(Buffer.concat([data, bitmap])),
    bare([
      '000: 80 00 00 00 20 00 00 1a a4 19 00 00 00 00 00 00  $DATA: 20 bytes, no name; from VCN 19a4',
      '010: 10 00 00 00 00 00 02 00 03 00 00 00 00 00 00 00  in record 10, 2: instance 3',
      '020: b0 00 00 00 28 00 04 1a 00 00 00 00 00 00 00 00  $BITMAP: 28 bytes, name of 4 at 1a; from VCN 0',
      '030: 10 00 00 00 00 00 02 00 00 00 24 00 49 00 33 00  in record 10, 2: instance 0; $I3',
      '040: 30 00 00 00 00 00 00 00  0',
    ]),
  );
});

test('record 0 that is full gets a list, and record 15 the rest of its runs', (t) => {
  const empty = (number: number, sequence: number, base?: { number: number; sequence: number }) =>
    RecordEditor.empty({
      number,
      size: 1024,
      sequence,
      knowsNumber: true,
      flags: 1,
      links: base ? 0 : 1,
      base,
      offset: 0,
    });
  const own = empty(0, 1);
  // So long that there is room for few runs.
  own.add(residentAttribute({ type: 0x10, instance: own.nextInstance(), value: new Uint8Array(504) }));
  const runs = Array.from({ length: 5 }, (_, index) => ({ start: 0x1000 * (index + 1), length: 0x10 }));
  const add = (type: number, lies: typeof runs): void => {
    const { pairs, clusters } = encodeRuns(lies, 0, 400);
    const sizes = { allocated: clusters * 4096, data: clusters * 4096 };
    own.add(
      nonResidentAttribute({ type, instance: own.nextInstance(), lowestVcn: 0, clusters, pairs, sizes }),
    );
  };
  add(AT_DATA, runs);
  add(AT_BITMAP, [{ start: 4, length: 1 }]);
  const more = Array.from({ length: 100 }, (_, index) => ({ start: 0x8000 + 2 * index, length: 1 }));
  const written = new Map<string, string[]>();
  const context = {
    volume: { clusterSize: 4096 },
    emptyRoom: 960,
    takeReserved: () => empty(15, 15, own.reference),
    write: (phase: string, record: RecordEditor) =>
      written.set(`${phase} ${record.number}`, dump(record.protect())),
  } as unknown as GrowthContext;
  new MftGrowth(context, {
    own,
    file: { list: undefined } as unknown as NtfsFile,
    data: { runs: [...runs, ...more], mappedBefore: 0x50, size: 0xb4000 },
    bitmap: { runs: [{ start: 4, length: 1 }], mappedBefore: 1, size: 0x40 },
  }).plan();
  t.deepEqual([...written.keys()], ['further 15', 'growth 0']);
  t.deepEqual(
    written.get('growth 0')!.slice(6),
    bare([
      '240: 00 00 00 00 00 00 00 00 20 00 00 00 98 00 00 00  list, 98 bytes',
      '250: 00 00 18 00 00 00 03 00 80 00 00 00 18 00 00 00  resident, instance 3: 80 bytes at 18',
      '260: 10 00 00 00 20 00 00 1a 00 00 00 00 00 00 00 00  what stands before it',
      '270: 00 00 00 00 00 00 01 00 00 00 00 00 00 00 00 00  in record 0, 1: instance 0',
      '280: 80 00 00 00 20 00 00 1a 00 00 00 00 00 00 00 00  $DATA from VCN 0',
      '290: 00 00 00 00 00 00 01 00 01 00 00 00 00 00 00 00  in record 0, 1: instance 1',
      '2a0: 80 00 00 00 20 00 00 1a 30 00 00 00 00 00 00 00  $DATA from VCN 30',
      '2b0: 0f 00 00 00 00 00 0f 00 00 00 00 00 00 00 00 00  in record f, f: instance 0',
      '2c0: b0 00 00 00 20 00 00 1a 00 00 00 00 00 00 00 00  $BITMAP',
      '2d0: 00 00 00 00 00 00 01 00 02 00 00 00 00 00 00 00  in record 0, 1: instance 2',
      '2e0: 80 00 00 00 50 00 00 00 01 00 40 00 00 00 01 00  $DATA, 50 bytes: instance 1',
      '2f0: 00 00 00 00 00 00 00 00 2f 00 00 00 00 00 00 00  VCN 0 to 2f',
      '300: 40 00 00 00 00 00 00 00 00 40 0b 00 00 00 00 00  pairs at 40; b4 clusters allocated',
      '310: 00 40 0b 00 00 00 00 00 00 40 0b 00 00 00 00 00  all of it data, and initialised',
      '320: 21 10 00 10 21 10 00 10 21 10 00 10 00 00 00 00  three runs',
      '330: b0 00 00 00 48 00 00 00 01 00 40 00 00 00 02 00  $BITMAP, 48 bytes: instance 2',
      '350: 40 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00  one cluster',
      '360: 00 10 00 00 00 00 00 00 40 00 00 00 00 00 00 00  data as long as before, 40 bytes initialised',
      '370: 11 01 04 00 00 00 00 00 ff ff ff ff 00 00 00 00  the end, with room for four entries',
      '3f0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00  sequence',
    ]),
  );
  t.deepEqual(
    written.get('further 15')!.slice(0, 8),
    bare([
      '000: 46 49 4c 45 30 00 03 00 00 00 00 00 00 00 00 00  FILE',
      '010: 0f 00 00 00 38 00 01 00 b8 01 00 00 00 04 00 00  file f, no link, in use',
      '020: 00 00 00 00 00 00 01 00 01 00 00 00 0f 00 00 00  extends 0, 1; record f',
      '030: 01 00 00 00 00 00 00 00 80 00 00 00 78 01 00 00  $DATA, 178 bytes',
      '040: 01 00 40 00 00 00 00 00 30 00 00 00 00 00 00 00  VCN 30',
      '050: b3 00 00 00 00 00 00 00 40 00 00 00 00 00 00 00  to b3; pairs at 40; no sizes',
      '070: 00 00 00 00 00 00 00 00 21 10 00 40 21 10 00 10  two of the runs that were there',
      '080: 21 01 00 30 11 01 02 11 01 02 11 01 02 11 01 02  and the new ones',
    ]),
  );
});
