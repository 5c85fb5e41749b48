import { struct } from '../bytes/fields.ts';

/**
 * Every structure of the container as a field table; `FORMAT.md` shows the same tables with the reasons. All
 * numbers are little endian. Reserved bytes are written as zero and ignored by readers.
 */

/** 0x89 catches 7-bit damage, CR LF ^Z LF catches text conversion (the habit of PNG); the tail is random. */
export const SLOT_MAGIC = Uint8Array.of(
  0x89,
  0x48,
  0x4f,
  0x4c,
  0x44,
  0x46,
  0x41,
  0x53,
  0x54,
  0x0d,
  0x0a,
  0x1a,
  0x0a,
  0xd3,
  0x5c,
  0xe7,
);

export const MIN_SLOT_SIZE = 4096;
export const MAX_SLOT_SIZE = 65536;
export const SLOT_HEADER_SIZE = 256;

/** Every slot whose index is a multiple of this is an anchor: 64 MiB apart at 64 KiB, 4 MiB at 4 KiB. */
export const ANCHOR_INTERVAL = 1024;

/** Seconds since 1970 at most: the end of the year 9999, beyond which dates are not written in the usual form. */
export const MAX_TIME = 253_402_300_799;
/** Serials, sequence numbers and other counters at most: there is always room for the next. */
export const MAX_COUNTER = 2 ** 52;

/** Raw bytes of one frame at most; also of one index record, so that every record can be decoded in one buffer. */
export const MAX_FRAME_SIZE = 256 * 1024;
/** Clusters above this size are counted in pieces of this size, so that a frame always holds whole units. */
export const MAX_UNIT_SIZE = 65536;
/** Runs in one record: a frame of 512-byte clusters, each a run of its own, has 512. */
export const MAX_RECORD_RUNS = 1024;
/** Journal slots of a container: 4 GiB at 4 KiB, far more than the patch of any claim takes. */
export const MAX_JOURNAL_SLOTS = 1024 * 1024;
/** Bytes of an encoded patch: it is held in memory. */
export const MAX_PATCH_LENGTH = 1024 * 1024 * 1024;

export const SLOT_KIND = { data: 1, anchor: 2, journal: 3, mutable: 4, parity: 5 } as const;
export type SlotKind = keyof typeof SLOT_KIND;

/** Incompatible feature bits that this version understands: none are defined yet. */
export const KNOWN_INCOMPAT = 0;
/** Read-only compatible bits that this version understands: an unknown one forbids writing to the container. */
export const KNOWN_RO_COMPAT = 0;

export const FILE_SYSTEM_CODE = { ext2: 1, ext3: 2, ext4: 3, fat12: 4, fat16: 5, fat32: 6, ntfs: 7 } as const;
/** What the partition was when the image was made. */
export const DEVICE_KIND = { partition: 1, 'whole disk': 2, mapped: 3 } as const;
export const PARTITION_SCHEME = { none: 0, mbr: 1, gpt: 2 } as const;

/** `first_record` of a slot in which no record starts. */
export const NO_RECORD = 0xffff_ffff;

export const SLOT_HEADER = struct('slot header', SLOT_HEADER_SIZE, {
  magic: [0, 'bytes:16', 'constant, see above'],
  features_compat: [16, 'u32le', 'unknown bits: may be ignored'],
  features_ro_compat: [20, 'u32le', 'unknown bits: read, never write'],
  features_incompat: [24, 'u32le', 'unknown bits: refuse'],
  slot_size_log2: [28, 'u8', '12 to 16'],
  kind: [29, 'u8', '1 data, 2 anchor, 3 journal, 4 mutable, 5 parity (reserved)'],
  file_system: [30, 'u8', '1 ext2, 2 ext3, 3 ext4, 4 FAT12, 5 FAT16, 6 FAT32, 7 NTFS'],
  device_kind: [31, 'u8', '1 partition, 2 whole disk without a table, 3 mapped volume'],
  image_id: [32, 'bytes:16', 'random; the same in all slots of an image'],
  slot_index: [48, 'u64le', 'place of the slot in the container, from 0'],
  generation: [56, 'u64le', 'of the container when the slot was written, from 1'],
  home: [64, 'u64le', 'byte offset of this slot from the partition start'],
  next_home: [72, 'u64le', 'home of the next slot; its own home in the last slot'],
  anchor_home: [80, 'u64le', 'home of the nearest anchor at or before this slot'],
  log_offset: [88, 'u64le', 'log position of the first payload byte (data), or journal position (journal)'],
  first_record: [96, 'u32le', 'offset in the payload where the first record starts; 0xffffffff: none'],
  payload_length: [100, 'u32le', 'bytes of payload in use; 0 in journal and mutable slots'],
  payload_crc: [104, 'u32le', 'CRC-32 of the payload in use'],
  parity_group: [108, 'u32le', 'reserved for parity: 0'],
  parity_index: [112, 'u16le', 'reserved for parity: 0'],
  cluster_size_log2: [114, 'u8', 'cluster size of the file system'],
  sector_size_log2: [115, 'u8', 'logical sector size of the disk: 9 or 12'],
  partition_scheme: [116, 'u8', '0 no table, 1 MBR, 2 GPT'],
  partition_number: [117, 'u8', 'as Linux counts; 0 unknown'],
  partition_offset: [120, 'u64le', 'byte offset of the partition on its disk when the image was made'],
  partition_size: [128, 'u64le', 'bytes'],
  disk_size: [136, 'u64le', 'bytes; 0 unknown'],
  file_system_uuid: [144, 'bytes:16', 'UUID, or the volume serial, left-aligned'],
  partition_uuid: [160, 'bytes:16', 'GPT: unique partition GUID as on disk; MBR: disk signature, 4 bytes'],
  partition_type: [176, 'bytes:16', 'GPT: type GUID as on disk; MBR: type byte, left-aligned'],
  cluster_base: [192, 'u64le', 'byte offset of cluster 0 from the partition start'],
  header_crc: [252, 'u32le', 'CRC-32 of bytes 0 to 251'],
});

export const RECORD_MAGIC = 0x31524648; // "HFR1"
/** Records start at multiples of this in the log. */
export const RECORD_ALIGNMENT = 8;

export const STREAM = {
  control: 1,
  bitmap: 2,
  map: 3,
  data: 4,
  extents: 5,
  properties: 6,
  audit: 7,
  'map index': 8,
} as const;
export type StreamName = keyof typeof STREAM;
/** Ids that nothing else may take: later work. */
export const RESERVED_STREAM = {
  'parent link': 9,
  'deduplication index': 10,
  signature: 11,
  'encryption envelope': 12,
  'parity map': 13,
} as const;

export const CODEC = { zero: 0, store: 1, zstd: 2, xz: 3 } as const;
export type Codec = keyof typeof CODEC;

/** Address spaces: what the unit numbers of a record count. */
export const SPACE = {
  partition: 0,
  'boot gap': 1,
  'bios boot': 2,
  esp: 3,
  outside: 4,
  'second esp': 5,
  'third esp': 6,
  'fourth esp': 7,
} as const;
export type SpaceName = keyof typeof SPACE;

export const RECORD_HEADER = struct('record header', 96, {
  magic: [0, 'u32le', '"HFR1"'],
  header_crc: [4, 'u32le', 'CRC-32 of the header from byte 8 on and of the run table'],
  stream: [8, 'u16le', 'stream id'],
  codec: [10, 'u8', '0 zero, 1 store, 2 zstd, 3 xz'],
  flags: [11, 'u8', 'reserved (encryption): 0'],
  space: [12, 'u32le', 'address space of the run table'],
  sequence: [16, 'u64le', 'number of the record in its stream, from 0'],
  run_count: [24, 'u32le', 'entries of the run table; at most 1024'],
  raw_length: [28, 'u32le', 'bytes after decoding; at most 262144'],
  stored_length: [32, 'u32le', 'bytes stored; at most raw_length'],
  stored_crc: [36, 'u32le', 'CRC-32 of what is stored'],
  digest: [40, 'bytes:32', 'SHA-256 of the raw content; zeros in a zero record'],
  first_unit: [72, 'u64le', 'first unit of the first run; for map pages of their first entry'],
});

/** An entry of a record's run table, in units of the address space. */
export const RECORD_RUN = struct('record run', 12, {
  start: [0, 'u64le', 'first unit'],
  length: [8, 'u32le', 'bits 0 to 30: units; bit 31: all zero, absent from the raw content'],
});
/** Bit 31 of a record run's length. */
export const ZERO_RUN = 0x8000_0000;

/** Entry of a map page: one run of units and where its content is. */
export const MAP_ENTRY = struct('map entry', 32, {
  start: [0, 'u64le', 'first unit'],
  length: [8, 'u32le', 'units'],
  codec: [12, 'u8', '0: all zero, no record'],
  space: [13, 'u8', 'address space'],
  record_length: [16, 'u32le', 'bytes of the whole record in the log'],
  raw_offset: [20, 'u32le', 'where the run starts in the decoded frame'],
  log_offset: [24, 'u64le', 'where the record starts in the log'],
});

/** Reference to one map page. */
export const PAGE_REFERENCE = struct('page reference', 32, {
  first_unit: [0, 'u64le', 'of the first entry'],
  space: [8, 'u8', 'address space of the first entry'],
  entries: [12, 'u32le', 'entries of the page'],
  log_offset: [16, 'u64le', 'where the page record starts in the log'],
  record_length: [24, 'u32le', 'bytes of the whole record in the log'],
});

export const ANCHOR_MAGIC = 'HFANCHOR';
export const ANCHOR = struct('anchor', 208, {
  magic: [0, 'bytes:8', '"HFANCHOR"'],
  body_length: [8, 'u32le', 'bytes of the whole anchor body'],
  stream_count: [12, 'u16le', 'entries of the stream table'],
  slot_count: [16, 'u64le', 'slots of the container'],
  data_end: [24, 'u64le', 'slot index after the last data slot'],
  journal_slots: [32, 'u32le', 'journal slots that follow'],
  anchor_interval: [36, 'u32le', 'every multiple of it is an anchor'],
  log_length: [40, 'u64le', 'bytes of the log'],
  used_bytes: [48, 'u64le', 'bytes in use by the file system when imaged, excludes left out'],
  raw_bytes: [56, 'u64le', 'bytes captured, companion ranges included'],
  stored_bytes: [64, 'u64le', 'bytes of the container'],
  extent_count: [72, 'u64le', 'extents of the container'],
  extents_digest: [80, 'bytes:32', 'SHA-256 of the delta-coded extent table'],
  root_digest: [112, 'bytes:32', 'SHA-256 of the stream table, the extents digest and the control content'],
  mutable_a_home: [144, 'u64le', 'home of the first mutable slot'],
  mutable_b_home: [152, 'u64le', 'home of the second mutable slot'],
  control_length: [160, 'u32le', 'bytes of the control copy that follows the stream table; 0: did not fit'],
  window_count: [164, 'u32le', 'extents in the window that follows'],
  window_first_extent: [168, 'u64le', 'number of the first extent in the window'],
  window_first_slot: [176, 'u64le', 'slot index at which that extent starts'],
  window_length: [184, 'u32le', 'bytes of the delta-coded window'],
  last_anchor_home: [192, 'u64le', 'home of the last slot, an anchor too'],
});

/** Entry of an anchor's stream table. */
export const STREAM_HEAD = struct('stream head', 80, {
  stream: [0, 'u16le', 'stream id'],
  records: [8, 'u64le', 'records in the stream'],
  log_offset: [16, 'u64le', 'log position of its first record'],
  length: [24, 'u64le', 'bytes of its records in the log, gaps not counted'],
  slot_home: [32, 'u64le', 'home of the slot that holds that position'],
  slot_index: [40, 'u64le', 'index of that slot'],
  digest: [48, 'bytes:32', 'SHA-256 over the digests of all its records, in order'],
});

export const COMMIT_MAGIC = 'HFCOMMIT';
/** Position of the commit record in a mutable slot: a sector of its own where sectors are 512 bytes. */
export const COMMIT_POSITION = 512;
export const COMMIT_STATE = { committed: 1, removed: 2, superseded: 3 } as const;
export const MAX_SIBLINGS = 4;

export const SIBLING = struct('sibling', 88, {
  image_id: [0, 'bytes:16', ''],
  generation: [16, 'u64le', ''],
  size: [24, 'u64le', 'bytes of the container'],
  first_anchor_home: [32, 'u64le', ''],
  last_anchor_home: [40, 'u64le', ''],
  partition_offset: [48, 'u64le', 'start of its partition on the disk'],
  extents_digest: [56, 'bytes:32', 'SHA-256 of its delta-coded extent table'],
});

export const COMMIT = struct('commit record', 512, {
  magic: [0, 'bytes:8', '"HFCOMMIT"'],
  serial: [8, 'u64le', 'rises with every commit of this container; the higher valid one counts'],
  generation: [16, 'u64le', 'the generation that is committed'],
  sequence: [24, 'u64le', 'number of the image in its partition: later images have higher ones'],
  image_id: [32, 'bytes:16', ''],
  root_digest: [48, 'bytes:32', 'must equal that of the anchors'],
  time: [80, 'u64le', 'seconds since 1970'],
  state: [88, 'u8', '1 committed, 2 removed (tombstone), 3 superseded by a newer generation'],
  sibling_count: [89, 'u8', 'siblings listed here, at most 4'],
  sibling_total: [90, 'u16le', 'siblings there are; above sibling_count the closure is not known from here'],
  siblings: [96, 'bytes:352', '4 entries of 88 bytes'],
  begun_generation: [
    448,
    'u64le',
    'highest generation of which a slot may have been written; 0: only this one',
  ],
  old_first_anchor: [456, 'u64le', 'home of the first anchor of the generation that this one supersedes'],
  old_last_anchor: [464, 'u64le', 'home of its last anchor; both 0: it supersedes none'],
  crc: [508, 'u32le', 'CRC-32 of bytes 0 to 507'],
});

export const JOURNAL_MAGIC = 'HFJOURNL';
/** Position of the journal header in the first journal slot; the patch fills the payloads of those after it. */
export const JOURNAL_POSITION = 512;
export const JOURNAL_STATE = { idle: 0, active: 1 } as const;
export const JOURNAL_PURPOSE = { claim: 1, release: 2 } as const;
export type JournalPurpose = keyof typeof JOURNAL_PURPOSE;

export const JOURNAL_HEADER = struct('journal header', 512, {
  magic: [0, 'bytes:8', '"HFJOURNL"'],
  state: [8, 'u8', '0 idle, 1 active: the patch may be half applied'],
  purpose: [9, 'u8', '1 claim, 2 release'],
  generation: [16, 'u64le', 'of the container that the patch serves'],
  image_id: [24, 'bytes:16', 'of the container that the patch claims or releases'],
  patch_length: [40, 'u64le', 'bytes of the encoded patch'],
  patch_digest: [48, 'bytes:32', 'SHA-256 of the encoded patch'],
  crc: [508, 'u32le', 'CRC-32 of bytes 0 to 507'],
});

/** Head of an encoded patch, followed by its steps. */
export const PATCH_HEAD = struct('patch head', 16, {
  sector_size: [0, 'u32le', 'bytes'],
  phases: [4, 'u32le', 'number of phases'],
  steps: [8, 'u64le', 'number of steps that follow'],
});

export const STEP_KIND = { write: 0, scratch: 1, fill: 2, link: 3, free: 4, set: 5, clear: 6 } as const;

/** Head of one step. What follows depends on its kind. */
export const PATCH_STEP = struct('patch step', 24, {
  phase: [0, 'u32le', 'from 0, never falling'],
  kind: [4, 'u32le', '0 write, 1 scratch, 2 fill, 3 link, 4 free, 5 set, 6 clear'],
  offset: [8, 'u64le', 'bytes from the partition start'],
  length: [16, 'u32le', 'bytes; of one copy of the table where kind is link or free'],
  value: [20, 'u32le', 'fill: the byte; link, free: what the last entry of a chain holds; set, clear: 0'],
});

/** Behind a step of kind link or free, followed by the runs. */
export const PATCH_CHAIN = struct('patch chain', 8, {
  copies: [0, 'u32le', 'copies of the table, one behind the other: 1 to 255'],
  runs: [4, 'u32le', 'runs that follow: 1 to 1048576'],
});

export const PATCH_RUN = struct('patch run', 8, {
  start: [0, 'u32le', 'number of the first entry, from 2'],
  length: [4, 'u32le', 'bits 0 to 30: entries; bit 31: the chain ends here'],
});
/** Bit 31 of a patch run's length. */
export const CHAIN_ENDS = 0x8000_0000;
export { MAX_CHAIN_RUNS } from '../fs/patch-operation.ts';

export const AUDIT_MAGIC = 'HFAUDIT1';
/** Position of the audit record in the first mutable slot. */
export const AUDIT_POSITION = 1024;
export const AUDIT_ACTION = { created: 1, restored: 2, relocated: 3 } as const;
/** Latest entries that are kept; the first one is kept for good. */
export const AUDIT_ENTRIES = 16;

/** One thing that happened with the image. */
export const AUDIT_ENTRY = struct('audit entry', 16, {
  time: [0, 'u64le', 'seconds since 1970'],
  action: [8, 'u8', '1 created, 2 restored in place, 3 relocated'],
  salvaged: [9, 'u8', '1: with parts lost'],
});

export const AUDIT = struct('audit record', 512, {
  magic: [0, 'bytes:8', '"HFAUDIT1"'],
  image_id: [8, 'bytes:16', ''],
  total: [24, 'u64le', 'entries ever written'],
  first: [32, 'bytes:16', 'the first entry'],
  latest: [48, 'bytes:256', 'up to 16 latest entries, oldest first'],
  count: [304, 'u32le', 'entries in latest'],
  crc: [508, 'u32le', 'CRC-32 of bytes 0 to 507'],
});

/** As `SLOT_MAGIC`: 0x89, eight letters, CR LF ^Z LF, three random bytes. */
export const LOCATOR_MAGIC = Uint8Array.of(
  0x89,
  0x48,
  0x46,
  0x4c,
  0x4f,
  0x43,
  0x41,
  0x54,
  0x45,
  0x0d,
  0x0a,
  0x1a,
  0x0a,
  0x6b,
  0xe2,
  0x91,
);
/** Images that a locator record has room for. */
export const MAX_LOCATED = 4;
export const LOCATED_KIND = { user: 1, factory: 2 } as const;
export const LOCATED_STATE = { committed: 1, damaged: 2 } as const;

/** One image that a locator record names. */
export const LOCATED_IMAGE = struct('located image', 88, {
  image_id: [0, 'bytes:16', ''],
  generation: [16, 'u64le', ''],
  sequence: [24, 'u64le', 'number of the image in its partition'],
  first_anchor_home: [32, 'u64le', ''],
  last_anchor_home: [40, 'u64le', ''],
  extents_digest: [48, 'bytes:32', 'SHA-256 of its delta-coded extent table'],
  kind: [80, 'u8', '1 user, 2 factory'],
  state: [81, 'u8', 'when the record was written: 1 committed, 2 damaged'],
});

export const LOCATOR_RECORD = struct('locator record', 512, {
  magic: [0, 'bytes:16', 'constant, see above'],
  features_compat: [16, 'u32le', 'unknown bits: may be ignored'],
  features_ro_compat: [20, 'u32le', 'unknown bits: read, never write'],
  features_incompat: [24, 'u32le', 'unknown bits: no record'],
  file_system: [28, 'u8', 'as in slot headers'],
  image_count: [29, 'u8', 'images listed here, at most 4'],
  image_total: [30, 'u16le', 'containers there are; above image_count some are not listed'],
  serial: [32, 'u64le', 'rises with every record that is written here; of several the highest counts'],
  home: [40, 'u64le', 'byte offset of this record from the partition start'],
  partition_offset: [48, 'u64le', 'byte offset of the partition on its disk, as the newest image has it'],
  partition_size: [56, 'u64le', 'bytes'],
  file_system_uuid: [64, 'bytes:16', 'UUID, or the volume serial, left-aligned'],
  images: [96, 'bytes:352', '4 entries of 88 bytes, later images before earlier ones'],
  crc: [504, 'u32le', 'CRC-32 of bytes 0 to 503'],
});
