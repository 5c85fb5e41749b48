import { crc32 } from 'node:zlib';
import { MBR, MBR_RECORD, recordOffset } from '../../../../rescue/partition/boot-record.ts';
import { GPT_ENTRY, GPT_HEADER, headerCrc } from '../../../../rescue/partition/gpt.ts';
import { encodeCopy, freshContent, protect, setEntry } from '../../../../rescue/partition/gpt-write.ts';
import { encodeRecord } from '../../../../rescue/partition/mbr-write.ts';
import type { KnownPartition } from '../../../../rescue/partition/merge.ts';
import { proposeTable } from '../../../../rescue/partition/propose.ts';
import { parseSavedTable, type SavedTable, saveTable } from '../../../../rescue/partition/saved.ts';
import { modelOf, readTable, sectorSizeByTable } from '../../../../rescue/partition/table.ts';
import { MIB } from '../../../../rescue/units.ts';
import { linuxPartition } from '../../../partition/entries.ts';
import { type DiskSeed, diskParser } from '../disk-parser.ts';
import type { Draft } from '../draft.ts';
import { Outcome } from '../outcome.ts';
import { type Place, placeOf } from '../places.ts';
import { anyParser, type Target } from '../target.ts';

const SIZE = MIB;
const ENTRIES = 8;

/** As an image says: a partition that is to be restored, and the table that it saw. */
const known = (
  start: number,
  size: number,
  sectorSize: number,
  saved: SavedTable | null,
): KnownPartition => ({
  source: `image at ${start}`,
  start,
  size,
  sectorSize,
  type: null,
  uuid: null,
  diskSize: null,
  saved,
});

/** The whole reading path of a partition table: read, kept in an image, read from there, held against what images say. */
const readAll = (draft: Draft): string => {
  const outcome = new Outcome();
  outcome.try(() => sectorSizeByTable(draft));
  const table = outcome.try(() => readTable(draft));
  if (table === undefined) return outcome.toString();
  outcome.note(
    `${table.scheme}-${table.valid ? 'valid' : 'invalid'}-${Math.min(9, table.partitions.length)}`,
  );
  for (const { code } of table.problems) outcome.note(code);
  for (const { start, size } of table.valid ? table.partitions : [])
    if (!(start >= 0 && size > 0 && start + size <= draft.size))
      throw new Error(`a valid table with a partition outside the disk: ${start}, ${size}`);
  outcome.try(() => modelOf(table));
  const saved = outcome.try(() => parseSavedTable(JSON.parse(JSON.stringify(saveTable(draft, table)))));
  const sees = (start: number, size: number): KnownPartition =>
    known(start, size, draft.sectorSize, saved ?? null);
  const images = [sees(SIZE / 2, SIZE / 8), sees(64 * 512, SIZE / 4)];
  outcome.try(() => proposeTable(draft, table, images));
  return outcome.toString();
};

const recordPlaces = (at: number): Place[] => [
  placeOf(MBR, at),
  ...[0, 1, 2, 3].map((slot) => placeOf(MBR_RECORD, at + recordOffset(slot))),
];

/** Both CRCs of one copy, as far as its header says where things are. */
const sealGpt =
  (headerAt: number, sector: number) =>
  (draft: Draft): void => {
    const header = Uint8Array.from(draft.view(headerAt, sector));
    const count = GPT_HEADER.get(header, 'NumberOfPartitionEntries');
    const size = GPT_HEADER.get(header, 'SizeOfPartitionEntry');
    const at = GPT_HEADER.get(header, 'PartitionEntryLBA') * sector;
    if (at + count * size <= draft.size)
      GPT_HEADER.set(header, 'PartitionEntryArrayCRC32', crc32(draft.view(at, count * size)));
    const length = GPT_HEADER.get(header, 'HeaderSize');
    if (length >= 20 && length <= sector) GPT_HEADER.set(header, 'HeaderCRC32', headerCrc(header));
    draft.put(headerAt, header);
  };

const gptSeed = (sector: number): DiskSeed => {
  const bytes = new Uint8Array(SIZE);
  const content = freshContent(SIZE, sector, '11111111-2222-4333-8444-555555555555');
  const places: Place[] = recordPlaces(0);
  for (const [index, start, sectors] of [
    [1, 64, 512],
    [2, 1024, 256],
    [3, 1400, 64],
  ] as const)
    setEntry(content.entries, 128, linuxPartition(index, start, sectors), sector);
  const boot = new Uint8Array(512);
  protect(boot, SIZE / sector);
  bytes.set(boot);
  for (const which of ['primary', 'backup'] as const) {
    const copy = encodeCopy(content, which);
    // Few entries are read sooner than 128.
    GPT_HEADER.set(copy.header, 'NumberOfPartitionEntries', ENTRIES);
    GPT_HEADER.set(copy.header, 'PartitionEntryArrayCRC32', crc32(copy.entries.subarray(0, ENTRIES * 128)));
    GPT_HEADER.set(copy.header, 'HeaderCRC32', headerCrc(copy.header));
    bytes.set(copy.entries, copy.entriesLba * sector);
    bytes.set(copy.header, copy.headerLba * sector);
    const seal = sealGpt(copy.headerLba * sector, sector);
    places.push(placeOf(GPT_HEADER, copy.headerLba * sector, seal));
    for (const index of [0, 1, 2, 3, ENTRIES - 1])
      places.push(placeOf(GPT_ENTRY, copy.entriesLba * sector + index * 128, seal));
  }
  return { name: `GPT, sectors of ${sector} bytes`, bytes, sectorSize: sector, places };
};

type Row = readonly [slot: number, type: number, start: number, sectors: number];

const bootRecord = (...rows: readonly Row[]): Uint8Array => {
  const sector = MBR.encode({ Signature: 0xaa55, UniqueMBRDiskSignature: 0x12345678 });
  for (const [slot, type, start, sectors] of rows)
    sector.set(
      encodeRecord({ bootable: slot === 0, type, start, sectors, absolute: start, raw: null }),
      recordOffset(slot),
    );
  return sector;
};

const mbrSeed = (name: string, sectors: Readonly<Record<number, Uint8Array>>): DiskSeed => {
  const bytes = new Uint8Array(SIZE);
  for (const [lba, content] of Object.entries(sectors)) bytes.set(content, Number(lba) * 512);
  return { name, bytes, places: Object.keys(sectors).flatMap((lba) => recordPlaces(Number(lba) * 512)) };
};

export const MBR_TARGET: Target = {
  name: 'mbr',
  covers: 'MBR, extended chains, hybrid tables',
  open: () =>
    anyParser(
      diskParser(
        [
          mbrSeed('MBR', { 0: bootRecord([0, 0x07, 64, 512], [1, 0x83, 600, 100], [3, 0x82, 1024, 256]) }),
          mbrSeed('MBR with logical partitions', {
            0: bootRecord([0, 0x83, 64, 100], [1, 0x0f, 200, 1500]),
            200: bootRecord([0, 0x83, 10, 90], [1, 0x05, 300, 200]),
            500: bootRecord([0, 0x82, 20, 180], [1, 0x05, 700, 200]),
            900: bootRecord([0, 0x07, 20, 180]),
          }),
          mbrSeed('hybrid table', { 0: bootRecord([0, 0xee, 1, 63], [1, 0x83, 64, 512]) }),
        ],
        readAll,
      ),
    ),
};

export const GPT_TARGET: Target = {
  name: 'gpt',
  covers: 'GPT, both copies, sectors of 512 and 4096 bytes',
  open: () => anyParser(diskParser([gptSeed(512), gptSeed(4096)], readAll)),
};
