import { struct } from '../../bytes/fields.ts';
import { crc32c } from './crc.ts';
import {
  JOURNAL_COMPAT_CHECKSUM,
  JOURNAL_INCOMPAT_64BIT,
  JOURNAL_INCOMPAT_CSUM_V2,
  JOURNAL_INCOMPAT_CSUM_V3,
  JOURNAL_MAGIC,
  JOURNAL_SUPERBLOCK,
  JOURNAL_SUPERBLOCK_V2,
} from './layout.ts';

/**
 * Writing one jbd2 transaction: descriptor blocks, each followed by the blocks that it describes, and a commit block.
 * Source: kernel documentation, ext4, "Journal (jbd2)". All numbers are big-endian.
 */
export const LOG_HEADER = struct('jbd2 block header', 12, {
  h_magic: [0x0, 'u32be', '0xC03B3998'],
  h_blocktype: [0x4, 'u32be', '1: descriptor, 2: commit'],
  h_sequence: [0x8, 'u32be', 'transaction id'],
});
export const LOG_DESCRIPTOR = 1;
export const LOG_COMMIT = 2;

/** With CSUM_V3. */
export const LOG_TAG3 = struct('jbd2 block tag 3', 16, {
  t_blocknr: [0x0, 'u32be', 'block'],
  t_flags: [0x4, 'u32be', 'TAG_* bits'],
  t_blocknr_high: [0x8, 'u32be', 'with 64bit'],
  t_checksum: [0xc, 'u32be', 'crc32c of uuid, sequence and block'],
});
/** Without CSUM_V3. The high half exists only with 64bit; with CSUM_V2 two unused bytes follow. */
export const LOG_TAG = struct('jbd2 block tag', 12, {
  t_blocknr: [0x0, 'u32be', 'block'],
  t_checksum: [0x4, 'u16be', 'low half of the crc32c, with CSUM_V2'],
  t_flags: [0x6, 'u16be', 'TAG_* bits'],
  t_blocknr_high: [0x8, 'u32be', 'with 64bit'],
});
export const TAG_ESCAPED = 1;
export const TAG_SAME_UUID = 2;
export const TAG_LAST = 8;
const UUID_LENGTH = 16;

/** End of a descriptor block, with CSUM_V2 and CSUM_V3. */
export const LOG_TAIL = struct('jbd2 descriptor tail', 4, { t_checksum: [0x0, 'u32be'] });

export const LOG_COMMIT_BLOCK = struct('jbd2 commit block', 60, {
  h_magic: [0x0, 'u32be'],
  h_blocktype: [0x4, 'u32be'],
  h_sequence: [0x8, 'u32be'],
  h_chksum_type: [0xc, 'u8', '1: crc32, with the compatible feature CHECKSUM'],
  h_chksum_size: [0xd, 'u8', '4'],
  h_chksum_0: [0x10, 'u32be', 'first word of the checksum'],
  h_commit_sec: [0x30, 'u64be', 'seconds since 1970'],
  h_commit_nsec: [0x38, 'u32be'],
});
const CHECKSUM_CRC32 = 1;

/** What of the journal's superblock decides how a transaction is written. */
export interface LogFormat {
  readonly blockSize: number;
  readonly uuid: Uint8Array;
  readonly is64bit: boolean;
  /** 0: none or v1; 2 and 3: checksums in tags, tails and commit block. */
  readonly checksums: 0 | 2 | 3;
  /** Version 1: one crc32 over the transaction, in the commit block. */
  readonly commitChecksum: boolean;
}

/** `superblock` is the journal's, validated by whoever read it. */
export const logFormat = (superblock: Uint8Array): LogFormat => {
  const version2 = JOURNAL_SUPERBLOCK.get(superblock, 'h_blocktype') === JOURNAL_SUPERBLOCK_V2;
  const incompatible = version2 ? JOURNAL_SUPERBLOCK.get(superblock, 's_feature_incompat') : 0;
  const compatible = version2 ? JOURNAL_SUPERBLOCK.get(superblock, 's_feature_compat') : 0;
  const newer = incompatible & JOURNAL_INCOMPAT_CSUM_V3 ? 3 : incompatible & JOURNAL_INCOMPAT_CSUM_V2 ? 2 : 0;
  return {
    blockSize: JOURNAL_SUPERBLOCK.get(superblock, 's_blocksize'),
    uuid: Uint8Array.from(JOURNAL_SUPERBLOCK.get(superblock, 's_uuid')),
    is64bit: (incompatible & JOURNAL_INCOMPAT_64BIT) !== 0,
    checksums: newer,
    commitChecksum: (compatible & JOURNAL_COMPAT_CHECKSUM) !== 0,
  };
};

/** Bytes of one tag: the kernel's `journal_tag_bytes`, whose v2 is two bytes longer than its structure. */
export const tagLength = (format: LogFormat): number => {
  if (format.checksums === 3) return LOG_TAG3.size;
  const length = format.is64bit ? LOG_TAG.size : LOG_TAG.offsetOf('t_blocknr_high');
  return format.checksums === 2 ? length + 2 : length;
};

/** Tags that fit in a descriptor block, of which the first is followed by the journal's UUID. */
export const tagsPerDescriptor = (format: LogFormat): number => {
  const tail = format.checksums === 0 ? 0 : LOG_TAIL.size;
  const room = format.blockSize - LOG_HEADER.size - UUID_LENGTH - tail;
  return Math.floor(room / tagLength(format));
};

/** Blocks that a transaction of `count` blocks takes in the log. */
export const logLength = (format: LogFormat, count: number): number =>
  count + Math.ceil(count / tagsPerDescriptor(format)) + 1;

/** A block's place on the volume, and what a replay puts there. */
export interface LoggedBlock {
  readonly block: number;
  readonly content: Uint8Array;
}

/** CRC-32 with the most significant bit first, polynomial 0x04C11DB7 (`crc32_be` of the kernel). */
const crc32MostSignificantFirst = (seed: number, bytes: Uint8Array): number => {
  let crc = seed | 0;
  for (const byte of bytes) crc = (crc << 8) ^ CRC32_TABLE[((crc >>> 24) ^ byte) & 0xff]!;
  return crc >>> 0;
};
const CRC32_TABLE = new Int32Array(256).map((_, index) => {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit += 1) value = value < 0 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value;
});

const bigEndian = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
};

/** A block that begins like a log block is stored with its first word cleared, and its tag says so. */
const escapeMagic = (content: Uint8Array): { content: Uint8Array; escaped: boolean } => {
  if (LOG_HEADER.get(content, 'h_magic') !== JOURNAL_MAGIC) return { content, escaped: false };
  const copy = Uint8Array.from(content);
  LOG_HEADER.set(copy, 'h_magic', 0);
  return { content: copy, escaped: true };
};

const header = (format: LogFormat, type: number, sequence: number): Uint8Array => {
  const block = new Uint8Array(format.blockSize);
  LOG_HEADER.set(block, 'h_magic', JOURNAL_MAGIC);
  LOG_HEADER.set(block, 'h_blocktype', type);
  LOG_HEADER.set(block, 'h_sequence', sequence);
  return block;
};

const writeTag = (
  format: LogFormat,
  target: Uint8Array,
  at: number,
  tag: { block: number; flags: number; checksum: number },
): void => {
  const low = tag.block % 0x1_0000_0000;
  const high = Math.floor(tag.block / 0x1_0000_0000);
  if (format.checksums === 3) {
    LOG_TAG3.set(target, 't_blocknr', low, at);
    LOG_TAG3.set(target, 't_flags', tag.flags, at);
    if (format.is64bit) LOG_TAG3.set(target, 't_blocknr_high', high, at);
    LOG_TAG3.set(target, 't_checksum', tag.checksum, at);
    return;
  }
  LOG_TAG.set(target, 't_blocknr', low, at);
  LOG_TAG.set(target, 't_flags', tag.flags, at);
  if (format.is64bit) LOG_TAG.set(target, 't_blocknr_high', high, at);
  if (format.checksums === 2) LOG_TAG.set(target, 't_checksum', tag.checksum & 0xffff, at);
};

const descriptor = (
  format: LogFormat,
  sequence: number,
  batch: readonly { block: number; content: Uint8Array; escaped: boolean }[],
): Uint8Array => {
  const seed = crc32c(0xffff_ffff, format.uuid);
  const target = header(format, LOG_DESCRIPTOR, sequence);
  let at = LOG_HEADER.size;
  batch.forEach(({ block, content, escaped }, index) => {
    let flags = escaped ? TAG_ESCAPED : 0;
    if (index > 0) flags |= TAG_SAME_UUID;
    if (index === batch.length - 1) flags |= TAG_LAST;
    const checksum = format.checksums === 0 ? 0 : crc32c(crc32c(seed, bigEndian(sequence)), content);
    writeTag(format, target, at, { block, flags, checksum });
    at += tagLength(format);
    if (index > 0) return;
    target.set(format.uuid, at);
    at += UUID_LENGTH;
  });
  if (format.checksums !== 0) {
    LOG_TAIL.set(target, 't_checksum', crc32c(seed, target), format.blockSize - LOG_TAIL.size);
  }
  return target;
};

const commit = (format: LogFormat, sequence: number, crc: number): Uint8Array => {
  const target = header(format, LOG_COMMIT, sequence);
  // The commit time stays 0: it is only compared between transactions, and equal input must give equal bytes.
  if (format.commitChecksum) {
    LOG_COMMIT_BLOCK.set(target, 'h_chksum_type', CHECKSUM_CRC32);
    LOG_COMMIT_BLOCK.set(target, 'h_chksum_size', 4);
    LOG_COMMIT_BLOCK.set(target, 'h_chksum_0', crc);
  } else if (format.checksums !== 0) {
    LOG_COMMIT_BLOCK.set(target, 'h_chksum_0', crc32c(crc32c(0xffff_ffff, format.uuid), target));
  }
  return target;
};

/**
 * The log blocks of one transaction, in the order in which they stand in the log.
 * `sequence` is the transaction's id; blocks are `format.blockSize` bytes each.
 */
export function* transactionBlocks(
  format: LogFormat,
  sequence: number,
  blocks: readonly LoggedBlock[],
): Generator<Uint8Array> {
  const perDescriptor = tagsPerDescriptor(format);
  let crc = 0xffff_ffff;
  for (let first = 0; first < blocks.length; first += perDescriptor) {
    const batch = blocks
      .slice(first, first + perDescriptor)
      .map(({ block, content }) => ({ block, ...escapeMagic(content) }));
    for (const image of [descriptor(format, sequence, batch), ...batch.map(({ content }) => content)]) {
      if (format.commitChecksum) crc = crc32MostSignificantFirst(crc, image);
      yield image;
    }
  }
  yield commit(format, sequence, crc);
}

/** Sets the checksum of a journal superblock, where its features ask for one. */
export const setJournalSuperblockChecksum = (superblock: Uint8Array): void => {
  if (logFormat(superblock).checksums === 0) return;
  JOURNAL_SUPERBLOCK.set(superblock, 's_checksum', 0);
  JOURNAL_SUPERBLOCK.set(superblock, 's_checksum', crc32c(0xffff_ffff, superblock.subarray(0, 1024)));
};
