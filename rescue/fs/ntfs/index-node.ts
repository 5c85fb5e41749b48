import { type ByteLength, roundUp } from '../../units.ts';
import { type Node, parseEntry } from './index-entries.ts';
import {
  INDEX_BLOCK,
  INDEX_ENTRY,
  INDEX_ENTRY_END,
  INDEX_ENTRY_NODE,
  INDEX_HAS_NODES,
  INDEX_HEADER,
  MAGIC_INDX,
  STRIDE,
  SUB_NODE,
} from './layout.ts';
import { type FileReference, referenceFields } from './reference.ts';

/** An entry of an index that is being changed: its bytes, sub-node number included. */
export type Entry = Uint8Array;

export const isEnd = (entry: Entry): boolean => (INDEX_ENTRY.get(entry, 'ie_flags') & INDEX_ENTRY_END) !== 0;

export const subNodeOf = (entry: Entry): number | undefined =>
  (INDEX_ENTRY.get(entry, 'ie_flags') & INDEX_ENTRY_NODE) === 0
    ? undefined
    : SUB_NODE.get(entry, 'vcn', entry.length - SUB_NODE.size);

export const keyOf = (entry: Entry): Uint8Array =>
  entry.subarray(INDEX_ENTRY.size, INDEX_ENTRY.size + INDEX_ENTRY.get(entry, 'key_length'));

/** The entry with another sub-node, or none. A copy. */
export const withSubNode = (entry: Entry, vcn: number | undefined): Entry => {
  const bare = entry.length - (subNodeOf(entry) === undefined ? 0 : SUB_NODE.size);
  const bytes = new Uint8Array(bare + (vcn === undefined ? 0 : SUB_NODE.size));
  bytes.set(entry.subarray(0, bare));
  const flags = INDEX_ENTRY.get(entry, 'ie_flags') & ~INDEX_ENTRY_NODE;
  INDEX_ENTRY.set(bytes, 'length', bytes.length);
  INDEX_ENTRY.set(bytes, 'ie_flags', vcn === undefined ? flags : flags | INDEX_ENTRY_NODE);
  if (vcn !== undefined) SUB_NODE.set(bytes, 'vcn', vcn, bare);
  return bytes;
};

/** A new entry without a sub-node. */
export const newEntry = (reference: FileReference, key: Uint8Array): Entry => {
  const bytes = new Uint8Array(roundUp(INDEX_ENTRY.size + key.length, 8));
  bytes.set(
    INDEX_ENTRY.encode({
      ...referenceFields('indexed_file', reference),
      length: bytes.length,
      key_length: key.length,
    }),
  );
  bytes.set(key, INDEX_ENTRY.size);
  return bytes;
};

export const endEntry = (): Entry =>
  INDEX_ENTRY.encode({ length: INDEX_ENTRY.size, ie_flags: INDEX_ENTRY_END });

/** Copies of all entries of a node, the end entry as the last. Throws `corrupt` (`ntfs.index-node`). */
export const entriesOf = (node: Node): Entry[] => {
  const entries: Entry[] = [];
  for (let at = node.first; ; ) {
    const { length, end } = parseEntry(node, at);
    entries.push(node.bytes.slice(at, at + length));
    if (end) return entries;
    at += length;
  }
};

export const sizeOfEntries = (entries: readonly Entry[]): ByteLength =>
  entries.reduce((sum, entry) => sum + entry.length, 0);

/** Puts entries into a node whose header stands at `at`; what was behind them becomes zeros. */
const setEntries = (bytes: Uint8Array, at: number, entries: readonly Entry[]): void => {
  const first = INDEX_HEADER.get(bytes, 'entries_offset', at);
  const length = first + sizeOfEntries(entries);
  bytes.fill(0, at + first);
  bytes.set(Buffer.concat(entries), at + first);
  INDEX_HEADER.set(bytes, 'index_length', length, at);
  const flags = INDEX_HEADER.get(bytes, 'ih_flags', at) & ~INDEX_HAS_NODES;
  const nodes = entries.some((entry) => subNodeOf(entry) !== undefined) ? INDEX_HAS_NODES : 0;
  INDEX_HEADER.set(bytes, 'ih_flags', flags | nodes, at);
};

/** The value of a root with these entries: `before` up to its first entry, and as long as they are. `header`: where its index header is. */
export const rootValue = (before: Uint8Array, header: number, entries: readonly Entry[]): Uint8Array => {
  const first = INDEX_HEADER.get(before, 'entries_offset', header);
  const bytes = new Uint8Array(header + first + sizeOfEntries(entries));
  bytes.set(before.subarray(0, header + first));
  setEntries(bytes, header, entries);
  INDEX_HEADER.set(bytes, 'allocated_size', bytes.length - header, header);
  return bytes;
};

/** A block with other entries, update sequence not yet made. A copy. */
export const blockWith = (before: Uint8Array, entries: readonly Entry[]): Uint8Array => {
  const bytes = Uint8Array.from(before);
  setEntries(bytes, INDEX_BLOCK.size, entries);
  return bytes;
};

const firstEntryOf = (blockSize: ByteLength): number =>
  roundUp(INDEX_BLOCK.size + INDEX_HEADER.size + 2 * (blockSize / STRIDE + 1), 8);

/** Bytes that entries may take in a new block. */
export const newBlockRoom = (blockSize: ByteLength): ByteLength => blockSize - firstEntryOf(blockSize);

export const newBlock = (blockSize: ByteLength, vcn: number): Uint8Array => {
  const bytes = new Uint8Array(blockSize);
  bytes.set(
    INDEX_BLOCK.encode({
      magic: Buffer.from(MAGIC_INDX),
      usa_ofs: INDEX_BLOCK.size + INDEX_HEADER.size,
      usa_count: blockSize / STRIDE + 1,
      index_block_vcn: vcn,
    }),
  );
  const first = firstEntryOf(blockSize) - INDEX_BLOCK.size;
  const size = blockSize - INDEX_BLOCK.size;
  bytes.set(
    INDEX_HEADER.encode({ entries_offset: first, index_length: first, allocated_size: size }),
    INDEX_BLOCK.size,
  );
  return bytes;
};
