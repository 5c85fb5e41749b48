import { zstdDecompressSync } from 'node:zlib';
import test from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { parseAnchor } from '../../rescue/image/anchor.ts';
import { readAudit } from '../../rescue/image/audit.ts';
import { parseCommit } from '../../rescue/image/commit.ts';
import { readJournal } from '../../rescue/image/journal.ts';
import { ANCHOR, ANCHOR_INTERVAL, AUDIT_POSITION, STREAM_HEAD } from '../../rescue/image/layout.ts';
import { encodeMapEntries } from '../../rescue/image/map.ts';
import { decodePatch, encodePatch } from '../../rescue/image/patch-coding.ts';
import { parseRecordHead } from '../../rescue/image/record.ts';
import { parseSlotHeader } from '../../rescue/image/slot.ts';
import {
  ANCHOR_BODY,
  ANCHOR_EXTENTS,
  anchorBytes,
  auditBytes,
  COMMIT_VALUE,
  commitBytes,
  ID,
  IDENTITY,
  JOURNAL_AT,
  journalBytes,
  journalDevice,
  MAP_ENTRIES,
  mapBytes,
  OPERATIONS,
  PATCH,
  pageBytes,
  patchBytes,
  RECORD,
  recordBytes,
  SLOT_PLACE,
  slotBytes,
} from './made-up.ts';
import { dump, undump } from './outcome.ts';

/** Lines without their remarks, in which numbers are hexadecimal but for sizes in MiB and powers. */
const bare = (lines: readonly string[]): string[] => lines.map((line) => line.split('  ')[0]!);

const SLOT = [
  '000: 89 48 4f 4c 44 46 41 53 54 0d 0a 1a 0a d3 5c e7  magic',
  '010: 00 00 00 00 00 00 00 00 00 00 00 00 0c 01 03 01  no features; 2^12; data; ext4; partition',
  '020: a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  image id',
  '030: 07 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00  slot 7; generation 3',
  '040: 00 74 1f 00 00 00 00 00 00 84 1f 00 00 00 00 00  home; home of slot 8',
  '050: 00 f4 1f 00 00 00 00 00 00 4b 00 00 00 00 00 00  home of slot 0; log position 5 * f00',
  '060: 08 00 00 00 04 00 00 00 cd fb 3c b6 00 00 00 00  first record at 8; payload 4 bytes, CRC; no parity',
  '070: 00 00 0a 09 02 05 00 00 00 00 10 00 00 00 00 00  clusters 2^10, sectors 2^9; GPT, number 5; at 1 MiB',
  '080: 00 00 00 02 00 00 00 00 00 00 00 04 00 00 00 00  partition of 32 MiB on a disk of 64 MiB',
  '090: b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 ba bb bc bd be bf  file system UUID',
  '0a0: c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 ca cb cc cd ce cf  unique partition GUID',
  '0b0: d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df  partition type',
  '0c0: 00 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00  cluster 0 at byte 400',
  '0f0: 00 00 00 00 00 00 00 00 00 00 00 00 8e 09 7f 07  header CRC',
  '100: 01 02 03 04 00 00 00 00 00 00 00 00 00 00 00 00  payload',
];

test('slot header', (t) => {
  const bytes = slotBytes();
  t.deepEqual(dump(bytes), bare(SLOT));
  const { payloadCrc, incompat, roCompat, ...rest } = parseSlotHeader(undump(SLOT, 4096), 0);
  t.deepEqual(rest, { ...IDENTITY, ...SLOT_PLACE, payloadLength: 4 });
  t.deepEqual([payloadCrc, incompat, roCompat], [0xb63cfbcd, 0, 0]);
});

const RECORD_DUMP = [
  '000: 48 46 52 31 e2 d7 3d c1 04 00 02 00 01 00 00 00  "HFR1"; CRC; data, zstd; space 1',
  '010: 09 00 00 00 00 00 00 00 02 00 00 00 00 08 00 00  record 9; 2 runs; 800 bytes raw',
  '020: e8 03 00 00 44 33 22 11 40 41 42 43 44 45 46 47  3e8 bytes stored, CRC; SHA-256',
  '030: 48 49 4a 4b 4c 4d 4e 4f 50 51 52 53 54 55 56 57',
  '040: 58 59 5a 5b 5c 5d 5e 5f 34 12 00 00 00 00 00 00  ...; first unit; 16 bytes reserved',
  '060: 34 12 00 00 00 00 00 00 02 00 00 00 40 12 00 00  units 1234 and 1235; from unit 1240 on',
  '070: 00 00 00 00 03 00 00 80  three that are all zero',
];

test('record header and runs', (t) => {
  t.deepEqual(dump(recordBytes()), bare(RECORD_DUMP));
  t.deepEqual(parseRecordHead(undump(RECORD_DUMP, 120), 0), RECORD);
});

const MAP = [
  '000: 10 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00  units 10 to 13 of space 0: zero, nothing stored',
  '020: 20 00 00 00 00 00 00 00 05 00 00 00 02 01 00 00  units 20 to 24 of space 1: zstd',
  '030: 08 07 00 00 00 04 00 00 00 50 00 00 00 00 00 00  record of 708 bytes at 5000, from raw byte 400 on',
];

test('map entries', (t) => {
  t.deepEqual(dump(mapBytes()), bare(MAP));
  t.deepEqual(encodeMapEntries(MAP_ENTRIES), undump(MAP, 64));
});

test('page reference', (t) => {
  t.deepEqual(
    dump(pageBytes()),
    bare([
      '000: 20 00 00 00 00 00 00 00 01 00 00 00 00 10 00 00  from unit 20 of space 1 on, 4096 entries',
      '010: 00 90 00 00 00 00 00 00 38 12 00 00 00 00 00 00  record of 1238 bytes at 9000',
    ]),
  );
});

const ANCHOR_DUMP = [
  '000: 48 46 41 4e 43 48 4f 52 31 01 00 00 01 00 00 00  "HFANCHOR"; 131 bytes in all; 1 stream',
  '010: 10 00 00 00 00 00 00 00 0b 00 00 00 00 00 00 00  10 slots; data ends before b',
  '020: 03 00 00 00 00 04 00 00 00 50 00 00 00 00 00 00  3 journal slots; anchors every 400; log of 5000',
  '030: 00 34 12 00 00 00 00 00 00 54 12 00 00 00 00 00  bytes used; bytes captured',
  '040: 00 00 01 00 00 00 00 00 02 00 00 00 00 00 00 00  64 KiB stored; 2 extents',
  '050: 20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f  SHA-256 of the extent table',
  '060: 30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f',
  '070: 60 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f  root digest',
  '080: 70 71 72 73 74 75 76 77 78 79 7a 7b 7c 7d 7e 7f',
  '090: 00 04 1e 00 00 00 00 00 00 d4 1e 00 00 00 00 00  mutable slots A and B',
  '0a0: 0b 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00  control copy of b bytes; 2 extents in the window',
  '0b0: 00 00 00 00 00 00 00 00 06 00 00 00 00 00 00 00  from extent 0, slot 0 on; 6 bytes',
  '0c0: 00 e4 1e 00 00 00 00 00 00 00 00 00 00 00 00 00  last anchor',
  '0d0: 01 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00  control: 2 records',
  '0e0: 00 00 00 00 00 00 00 00 00 03 00 00 00 00 00 00  from log position 0 on, 300 bytes',
  '0f0: 00 14 1e 00 00 00 00 00 02 00 00 00 00 00 00 00  in slot 2',
  '100: 90 91 92 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f  SHA-256 over its digests',
  '110: a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af',
  '120: 28 b5 2f fd 20 02 11 00 00 7b 7d f4 3f 08 ff 03  "{}" as a zstd frame; extents: fa 4000 / 512 ...',
  '130: 78',
];

test('anchor', (t) => {
  const bytes = undump(ANCHOR_DUMP, 0x131);
  // How zstd lays down two bytes is not ours to fix; that it is a frame of that length is.
  const controlAt = ANCHOR.size + STREAM_HEAD.size;
  const made = anchorBytes();
  t.deepEqual(made.subarray(0, controlAt), Buffer.from(bytes.subarray(0, controlAt)));
  t.deepEqual(made.subarray(-6), Buffer.from(bytes.subarray(-6)));
  t.is(zstdDecompressSync(bytes.subarray(controlAt, controlAt + 11)).toString(), '{}');
  const { streamTable, control, window, windowFirstExtent, windowFirstSlot, ...body } = parseAnchor(
    bytes,
    0,
    IDENTITY.partitionSize,
    4096,
  );
  t.deepEqual(body, ANCHOR_BODY);
  t.deepEqual(Buffer.from(streamTable), Buffer.from(bytes.subarray(ANCHOR.size, controlAt)));
  t.is(Buffer.from(control!).toString(), '{}');
  t.deepEqual([window, windowFirstExtent, windowFirstSlot], [ANCHOR_EXTENTS, 0, 0]);
  t.is(ANCHOR_INTERVAL, 0x400);
});

const COMMIT_DUMP = [
  '000: 48 46 43 4f 4d 4d 49 54 06 00 00 00 00 00 00 00  "HFCOMMIT"; serial 6',
  '010: 03 00 00 00 00 00 00 00 0b 00 00 00 00 00 00 00  generation 3; sequence 11',
  '020: a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  image id',
  '030: 60 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f  root digest',
  '040: 70 71 72 73 74 75 76 77 78 79 7a 7b 7c 7d 7e 7f',
  '050: 00 f1 53 65 00 00 00 00 01 01 07 00 00 00 00 00  time; committed; 1 sibling of 7',
  '060: e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 ea eb ec ed ee ef  its id',
  '070: 01 00 00 00 00 00 00 00 00 00 50 00 00 00 00 00  generation 1; 5 MiB',
  '080: 00 00 00 01 00 00 00 00 00 00 90 00 00 00 00 00  its first and last anchor',
  '090: 00 00 10 00 00 00 00 00 80 81 82 83 84 85 86 87  its partition at 1 MiB; SHA-256 of its extents',
  '0a0: 88 89 8a 8b 8c 8d 8e 8f 90 91 92 93 94 95 96 97',
  '0b0: 98 99 9a 9b 9c 9d 9e 9f 00 00 00 00 00 00 00 00',
  '1f0: 00 00 00 00 00 00 00 00 00 00 00 00 57 98 d2 18  CRC',
];

test('commit record and sibling', (t) => {
  t.deepEqual(dump(commitBytes()), bare(COMMIT_DUMP));
  t.deepEqual(parseCommit(undump(COMMIT_DUMP, 512), ID), COMMIT_VALUE);
});

const AUDIT_DUMP = [
  '000: 48 46 41 55 44 49 54 31 a0 a1 a2 a3 a4 a5 a6 a7  "HFAUDIT1"; image id',
  '010: a8 a9 aa ab ac ad ae af 02 00 00 00 00 00 00 00  2 entries in all',
  '020: 00 f1 53 65 00 00 00 00 01 00 00 00 00 00 00 00  the first: created',
  '030: 00 f1 53 65 00 00 00 00 01 00 00 00 00 00 00 00  the latest: created,',
  '040: 00 f2 53 65 00 00 00 00 02 01 00 00 00 00 00 00  restored with parts lost',
  '130: 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  2 are here',
  '1f0: 00 00 00 00 00 00 00 00 00 00 00 00 ed 70 f3 f4  CRC',
];

test('audit record', (t) => {
  t.deepEqual(dump(auditBytes()), bare(AUDIT_DUMP));
  const device = new MemoryDevice(8192);
  device.write(4096 + AUDIT_POSITION, undump(AUDIT_DUMP, 512));
  const created = { action: 'created', time: 1_700_000_000, salvaged: false } as const;
  const restored = { action: 'restored', time: 1_700_000_256, salvaged: true } as const;
  t.deepEqual(readAudit(device, [4096, 0], ID), { total: 2, first: created, latest: [created, restored] });
});

const JOURNAL_DUMP = [
  '000: 48 46 4a 4f 55 52 4e 4c 01 01 00 00 00 00 00 00  "HFJOURNL"; active; a claim',
  '010: 03 00 00 00 00 00 00 00 a0 a1 a2 a3 a4 a5 a6 a7  generation 3; image id',
  '020: a8 a9 aa ab ac ad ae af 40 06 00 00 00 00 00 00  patch of 640 bytes',
  '030: e8 4b 3b 9b 60 81 36 11 97 81 18 91 9f ca 9a 4f  its SHA-256',
  '040: 87 6f 30 73 f9 7e 96 32 ca b4 47 e0 ce 02 7d 36',
  '1f0: 00 00 00 00 00 00 00 00 00 00 00 00 92 ef bb cd  CRC',
];

test('journal header, and the patch behind it', (t) => {
  t.deepEqual(dump(journalBytes()), bare(JOURNAL_DUMP));
  const { device, place } = journalDevice();
  device.write(JOURNAL_AT, undump(JOURNAL_DUMP, 512));
  t.deepEqual(readJournal(device, place), {
    purpose: 'claim',
    generation: 3,
    imageId: ID,
    patch: PATCH_READ,
  });
});

/** A scratch write has no before-image; a reader gives the after-image in its place. */
const PATCH_READ = {
  ...PATCH,
  phases: PATCH.phases.map((phase) =>
    phase.map((write) => (write.scratch === true ? { ...write, before: write.after } : write)),
  ),
};

const PATCH_HEADS = [
  '000: 00 02 00 00 02 00 00 00 02 00 00 00 00 00 00 00  sectors of 512; 2 phases; 2 steps',
  '010: 00 00 00 00 00 00 00 00 00 06 00 00 00 00 00 00  phase 0, write; at 600',
  '020: 00 02 00 00 00 00 00 00  512 bytes; before and after follow',
  '428: 01 00 00 00 01 00 00 00 00 04 00 00 00 00 00 00  phase 1, scratch; at 400',
  '438: 00 02 00 00 00 00 00 00  512 bytes; only after follows',
];

test('patch', (t) => {
  const expected = undump(PATCH_HEADS, 0x640);
  expected.fill(0x11, 0x28, 0x228);
  expected.fill(0x22, 0x228, 0x428);
  expected.fill(0x33, 0x440, 0x640);
  t.deepEqual(Buffer.from(patchBytes()), Buffer.from(expected));
  t.deepEqual(decodePatch(expected, 65536), PATCH_READ);
  t.deepEqual(Buffer.from(encodePatch(decodePatch(expected, 65536))), Buffer.from(expected));
});

const OPERATIONS_DUMP = [
  '000: 00 02 00 00 03 00 00 00 04 00 00 00 00 00 00 00  sectors of 512; 3 phases; 4 steps',
  '010: 00 00 00 00 03 00 00 00 00 08 00 00 00 00 00 00  phase 0, link; table at 800',
  '020: 00 02 00 00 ff ff ff 0f 02 00 00 00 03 00 00 00  of 512 bytes; end 0fffffff; 2 copies; 3 runs',
  '030: 50 00 00 00 20 00 00 00 10 00 00 00 04 00 00 80  50 to 6f, then 10 to 13 and the end',
  '040: 08 00 00 00 01 00 00 80 01 00 00 00 02 00 00 00  a chain of 8 alone; phase 1, fill',
  '050: 00 10 00 00 00 00 00 00 00 04 00 00 ff 00 00 00  at 1000, 1024 bytes, with ff',
  '060: 02 00 00 00 05 00 00 00 00 20 00 00 00 00 00 00  phase 2, set bits at 2000,',
  '070: 00 06 00 00 00 00 00 00 02 00 00 00 06 00 00 00  1536 bytes of them; clear bits',
  '080: 00 30 00 00 00 00 00 00 00 02 00 00 00 00 00 00  at 3000, 512 bytes of them',
];

test('patch with operations', (t) => {
  t.deepEqual(dump(encodePatch(OPERATIONS)), bare(OPERATIONS_DUMP));
  t.deepEqual(decodePatch(undump(OPERATIONS_DUMP, 0x90), 65536), OPERATIONS);
});
