import { corrupt } from '../../errors.ts';
import { INDEX_ENTRY, INDEX_ENTRY_END, INDEX_ENTRY_NODE, INDEX_HEADER, SUB_NODE } from './layout.ts';
import { type FileReference, readReference } from './reference.ts';
import type { Place } from './update-sequence.ts';

/** One entry of a node, checked to lie in it. */
export interface NodeEntry {
  readonly at: number;
  readonly length: number;
  readonly end: boolean;
  /** Number of the block whose entries come before this one. */
  readonly subNode: number | undefined;
  /** The file that the entry names. */
  readonly reference: FileReference;
  /** The key: in folders a $FILE_NAME. Empty for the end entry. A view. */
  readonly key: Uint8Array;
}

/** Where the entries of a node lie: offsets in `bytes`. */
export interface Node {
  readonly bytes: Uint8Array;
  readonly first: number;
  readonly end: number;
  readonly place: Place;
}

const fail = (place: Place, message: string, expected: string | number, found: string | number) =>
  corrupt(message, { code: 'ntfs.index-node', ...place, expected, found });

/**
 * Finds the entries of a node whose index header stands at `at` in `bytes`, which is all the room it has.
 * Throws `corrupt` (`ntfs.index-node`).
 */
export const parseNode = (bytes: Uint8Array, at: number, place: Place): Node => {
  const first = INDEX_HEADER.get(bytes, 'entries_offset', at);
  const length = INDEX_HEADER.get(bytes, 'index_length', at);
  if (length > bytes.length - at)
    throw fail(place, 'entries reach out of the node', bytes.length - at, length);
  if (first < INDEX_HEADER.size || first % 8 !== 0 || first > length)
    throw fail(place, 'entries begin outside the node', `${INDEX_HEADER.size} to ${length}`, first);
  return { bytes, first: at + first, end: at + length, place };
};

/** The entry at offset `at`. Throws `corrupt` (`ntfs.index-node`). */
export const parseEntry = ({ bytes, end, place }: Node, at: number): NodeEntry => {
  if (at + INDEX_ENTRY.size > end) throw fail(place, 'a node without an end entry', end, at);
  const length = INDEX_ENTRY.get(bytes, 'length', at);
  const flags = INDEX_ENTRY.get(bytes, 'ie_flags', at);
  const hasSubNode = (flags & INDEX_ENTRY_NODE) !== 0;
  const room = length - INDEX_ENTRY.size - (hasSubNode ? SUB_NODE.size : 0);
  if (length % 8 !== 0 || length > end - at || room < 0)
    throw fail(place, `entry of impossible length at ${at}`, `up to ${end - at}`, length);
  const isEnd = (flags & INDEX_ENTRY_END) !== 0;
  const keyLength = isEnd ? 0 : INDEX_ENTRY.get(bytes, 'key_length', at);
  if (keyLength > room) throw fail(place, `key longer than its entry at ${at}`, room, keyLength);
  const key = at + INDEX_ENTRY.size;
  return {
    at,
    length,
    end: isEnd,
    subNode: hasSubNode ? SUB_NODE.get(bytes, 'vcn', at + length - SUB_NODE.size) : undefined,
    reference: readReference(INDEX_ENTRY, bytes, 'indexed_file', at),
    key: bytes.subarray(key, key + keyLength),
  };
};
