import { crc32 } from 'node:zlib';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import type { Patch, PatchWrite } from '../../rescue/fs/patch.ts';
import { type AnchorBody, encodeAnchor } from '../../rescue/image/anchor.ts';
import { appendAudit } from '../../rescue/image/audit.ts';
import { type Commit, encodeCommit } from '../../rescue/image/commit.ts';
import { SlotHomes } from '../../rescue/image/extents.ts';
import { type JournalPlace, writeJournal } from '../../rescue/image/journal.ts';
import { AUDIT, AUDIT_POSITION, JOURNAL_HEADER, JOURNAL_POSITION } from '../../rescue/image/layout.ts';
import { encodeMapEntries, encodePageReferences, type MapEntry } from '../../rescue/image/map.ts';
import { encodePatch } from '../../rescue/image/patch-coding.ts';
import { encodeRecordHead, type RecordHead } from '../../rescue/image/record.ts';
import { headerTemplate, type SlotIdentity, sealSlot } from '../../rescue/image/slot.ts';

/** Made-up values, each byte recognisable in a dump. */
const filled = (length: number, first: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => first + index);

export const ID = filled(16, 0xa0);

export const IDENTITY: SlotIdentity = {
  imageId: ID,
  generation: 3,
  slotSize: 4096,
  fileSystem: 3,
  deviceKind: 1,
  fileSystemUuid: filled(16, 0xb0),
  clusterSize: 1024,
  clusterBase: 0x400,
  sectorSize: 512,
  partitionOffset: 0x10_0000,
  partitionSize: 0x200_0000,
  diskSize: 0x400_0000,
  partitionScheme: 2,
  partitionNumber: 5,
  partitionUuid: filled(16, 0xc0),
  partitionType: filled(16, 0xd0),
};

export const SLOT_PLACE = {
  kind: 'data',
  index: 7,
  home: 0x1f_7400,
  nextHome: 0x1f_8400,
  anchorHome: 0x1f_f400,
  logOffset: 5 * 3840,
  firstRecord: 8,
} as const;

/** A data slot with a payload of four bytes. */
export const slotBytes = (): Uint8Array => {
  const slot = new Uint8Array(4096);
  slot.set([1, 2, 3, 4], 256);
  sealSlot(slot, headerTemplate(IDENTITY), SLOT_PLACE, 4);
  return slot;
};

export const RECORD: RecordHead = {
  stream: 'data',
  codec: 'zstd',
  space: 1,
  sequence: 9,
  runs: [
    { start: 0x1234, length: 2 },
    { start: 0x1240, length: 3, zero: true },
  ],
  rawLength: 2048,
  storedLength: 1000,
  storedCrc: 0x1122_3344,
  digest: filled(32, 0x40),
  firstUnit: 0x1234,
};

export const recordBytes = (): Uint8Array => encodeRecordHead(RECORD);

export const MAP_ENTRIES: readonly MapEntry[] = [
  { space: 0, start: 0x10, length: 4, codec: 'zero', logOffset: 0, recordLength: 0, rawOffset: 0 },
  {
    space: 1,
    start: 0x20,
    length: 5,
    codec: 'zstd',
    logOffset: 0x5000,
    recordLength: 0x708,
    rawOffset: 0x400,
  },
];

export const mapBytes = (): Uint8Array => encodeMapEntries(MAP_ENTRIES);

export const pageBytes = (): Uint8Array =>
  encodePageReferences([
    { space: 1, firstUnit: 0x20, entries: 4096, logOffset: 0x9000, recordLength: 0x1238 },
  ]);

export const COMMIT_VALUE: Commit = {
  serial: 6,
  generation: 3,
  sequence: 11,
  imageId: ID,
  rootDigest: filled(32, 0x60),
  time: 1_700_000_000,
  state: 'committed',
  siblings: [
    {
      imageId: filled(16, 0xe0),
      generation: 1,
      size: 0x50_0000,
      firstAnchorHome: 0x100_0000,
      lastAnchorHome: 0x90_0000,
      partitionOffset: 0x10_0000,
      extentsDigest: filled(32, 0x80),
    },
  ],
  siblingTotal: 7,
};

export const commitBytes = (): Uint8Array => encodeCommit(COMMIT_VALUE);

export const PATCH: Patch<PatchWrite> = {
  sectorSize: 512,
  phases: [
    [{ offset: 0x600, before: new Uint8Array(512).fill(0x11), after: new Uint8Array(512).fill(0x22) }],
    [{ offset: 0x400, before: new Uint8Array(512), after: new Uint8Array(512).fill(0x33), scratch: true }],
  ],
};

/** Two chains in two copies of a table of 128 entries, a fill, and bits set and cleared. */
export const OPERATIONS: Patch = {
  sectorSize: 512,
  phases: [
    [
      {
        kind: 'chain',
        direction: 'link',
        offset: 0x800,
        length: 512,
        copies: 2,
        end: 0x0fff_ffff,
        runs: [
          { start: 0x50, length: 0x20, ends: false },
          { start: 0x10, length: 4, ends: true },
          { start: 0x08, length: 1, ends: true },
        ],
      },
    ],
    [{ kind: 'fill', offset: 0x1000, length: 1024, byte: 0xff }],
    [
      { kind: 'bits', direction: 'set', offset: 0x2000, length: 1536 },
      { kind: 'bits', direction: 'clear', offset: 0x3000, length: 512 },
    ],
  ],
};

export const patchBytes = (): Uint8Array => encodePatch(PATCH);

/** Two journal slots of 4 KiB on a device of 64 KiB, with the patch in them. */
export const journalDevice = (): { readonly device: MemoryDevice; readonly place: JournalPlace } => {
  const device = new MemoryDevice(65536);
  const homes = new SlotHomes([{ start: 0x2000, length: 0x4000 }], 4096);
  const place = { homes, slots: [1, 2] };
  writeJournal(device, place, { purpose: 'claim', generation: 3, imageId: ID, patch: PATCH });
  return { device, place };
};

export const JOURNAL_AT = 0x3000 + JOURNAL_POSITION;
export const journalBytes = (): Uint8Array => journalDevice().device.read(JOURNAL_AT, JOURNAL_HEADER.size);

export const auditBytes = (): Uint8Array => {
  const device = new MemoryDevice(65536);
  appendAudit(device, [0x1000, 0x2000], ID, { action: 'created', time: 1_700_000_000, salvaged: false });
  appendAudit(device, [0x1000, 0x2000], ID, { action: 'restored', time: 1_700_000_256, salvaged: true });
  return device.read(0x1000 + AUDIT_POSITION, AUDIT.size);
};

export const ANCHOR_EXTENTS = [
  { start: 0x1f_f400, length: 0x1000 },
  { start: 0x1e_0400, length: 0xf000 },
];

export const ANCHOR_BODY: AnchorBody = {
  slotCount: 16,
  dataEnd: 11,
  journalSlots: 3,
  logLength: 0x5000,
  usedBytes: 0x12_3400,
  rawBytes: 0x12_5400,
  storedBytes: 0x1_0000,
  extentCount: 2,
  extentsDigest: filled(32, 0x20),
  rootDigest: filled(32, 0x60),
  mutableHomes: [0x1e_0400, 0x1e_d400],
  lastAnchorHome: 0x1e_e400,
  streams: [
    {
      stream: 'control',
      records: 2,
      logOffset: 0,
      length: 0x300,
      slotHome: 0x1e_1400,
      slotIndex: 2,
      digest: filled(32, 0x90),
    },
  ],
};

export const anchorBytes = (): Uint8Array =>
  encodeAnchor(ANCHOR_BODY, Buffer.from('{}'), new SlotHomes(ANCHOR_EXTENTS, 4096), 0, 3840);

/** With its checksum made right again: what a forger would do. */
export const resealed = (bytes: Uint8Array, crcAt: number, from = 0): Uint8Array => {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(crcAt, crc32(bytes.subarray(from, crcAt)), true);
  return bytes;
};
