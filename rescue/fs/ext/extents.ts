import { corrupt } from '../../errors.ts';
import { extentBlockChecksumOk } from './checksum.ts';
import type { Inode } from './inode.ts';
import {
  EXTENT_HEADER,
  EXTENT_INDEX,
  EXTENT_LEAF,
  EXTENT_MAGIC,
  EXTENT_MAX_DEPTH,
  EXTENT_MAX_LENGTH,
} from './layout.ts';
import type { MapItem } from './mapping.ts';
import type { ExtVolume } from './volume.ts';

/** One past the highest file block: logical block numbers have 32 bits. */
const LOGICAL_END = 2 ** 32;

/** A node that is being read: its entries must all lie in file blocks [from, to). */
interface Node {
  readonly bytes: Uint8Array;
  readonly depth: number;
  readonly from: number;
  readonly to: number;
  /** For messages: 0 is the root in the inode. */
  readonly block: number;
}

/**
 * What an inode's extent tree maps (ifork.rst "Extent Tree"), in file order, each tree block before what it holds.
 * Entries must ascend and stay inside the range that their parent gives them, so no node can be met twice and the
 * walk ends after at most as many nodes as the volume has blocks.
 * Throws `corrupt` (`ext.extent-...`, `ext.block-range`).
 */
export function* readExtents(volume: ExtVolume, inode: Inode): Generator<MapItem> {
  const depth = EXTENT_HEADER.get(inode.map, 'eh_depth');
  if (depth > EXTENT_MAX_DEPTH)
    throw fail(volume, inode, 0, 'depth', 'too deep', `up to ${EXTENT_MAX_DEPTH}`, depth);
  yield* readNode(volume, inode, { bytes: inode.map, depth, from: 0, to: LOGICAL_END, block: 0 });
}

const fail = (
  volume: ExtVolume,
  inode: Inode,
  block: number,
  code: string,
  message: string,
  expected?: string | number,
  found?: string | number,
) =>
  corrupt(`${message} (inode ${inode.number})`, {
    code: `ext.extent-${code}`,
    structure: 'ext extent tree',
    offset: block === 0 ? inode.offset : volume.blockOffset(block),
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
  });

const checkHeader = (volume: ExtVolume, inode: Inode, node: Node): number => {
  const { bytes, block } = node;
  const magic = EXTENT_HEADER.get(bytes, 'eh_magic');
  if (magic !== EXTENT_MAGIC) throw fail(volume, inode, block, 'magic', 'wrong magic', EXTENT_MAGIC, magic);
  const depth = EXTENT_HEADER.get(bytes, 'eh_depth');
  if (depth !== node.depth) throw fail(volume, inode, block, 'depth', 'wrong depth', node.depth, depth);
  const room = Math.floor((bytes.length - EXTENT_HEADER.size) / EXTENT_LEAF.size);
  const max = EXTENT_HEADER.get(bytes, 'eh_max');
  if (max > room || max === 0) throw fail(volume, inode, block, 'max', 'wrong capacity', `1 to ${room}`, max);
  const entries = EXTENT_HEADER.get(bytes, 'eh_entries');
  // Only a root may be empty: of a file without blocks.
  const least = block === 0 && depth === 0 ? 0 : 1;
  if (entries > max || entries < least)
    throw fail(volume, inode, block, 'entries', 'wrong number of entries', `${least} to ${max}`, entries);
  return entries;
};

function* readNode(volume: ExtVolume, inode: Inode, node: Node): Generator<MapItem> {
  const entries = checkHeader(volume, inode, node);
  if (node.depth === 0) {
    yield* readLeaf(volume, inode, node, entries);
    return;
  }
  const start = (index: number): number =>
    EXTENT_INDEX.get(node.bytes, 'ei_block', EXTENT_HEADER.size + index * EXTENT_INDEX.size);
  for (let index = 0; index < entries; index += 1) {
    const at = EXTENT_HEADER.size + index * EXTENT_INDEX.size;
    const from = start(index);
    const to = index + 1 < entries ? start(index + 1) : node.to;
    if (from < node.from || from >= to || to > node.to) {
      throw fail(volume, inode, node.block, 'order', 'index entries out of order', node.from, from);
    }
    const block =
      EXTENT_INDEX.get(node.bytes, 'ei_leaf_lo', at) +
      EXTENT_INDEX.get(node.bytes, 'ei_leaf_hi', at) * 0x1_0000_0000;
    const structure = `ext extent tree of inode ${inode.number}`;
    const bytes = volume.readBlock(block, structure);
    yield { kind: 'node', start: block, length: 1 };
    const depth = node.depth - 1;
    const child = { bytes, depth, from, to, block };
    checkHeader(volume, inode, child);
    if (!extentBlockChecksumOk(volume.parameters, inode, bytes))
      throw fail(volume, inode, block, 'checksum', 'wrong checksum');
    yield* readNode(volume, inode, child);
  }
}

function* readLeaf(volume: ExtVolume, inode: Inode, node: Node, entries: number): Generator<MapItem> {
  let expected = node.from;
  for (let index = 0; index < entries; index += 1) {
    const at = EXTENT_HEADER.size + index * EXTENT_LEAF.size;
    const logical = EXTENT_LEAF.get(node.bytes, 'ee_block', at);
    const stored = EXTENT_LEAF.get(node.bytes, 'ee_len', at);
    const uninitialised = stored > EXTENT_MAX_LENGTH;
    const length = uninitialised ? stored - EXTENT_MAX_LENGTH : stored;
    if (length === 0) throw fail(volume, inode, node.block, 'length', 'empty extent');
    if (logical < expected || logical + length > node.to) {
      throw fail(
        volume,
        inode,
        node.block,
        'order',
        'extents out of order',
        `file block ${expected} or later, up to ${node.to}`,
        logical,
      );
    }
    expected = logical + length;
    const start =
      EXTENT_LEAF.get(node.bytes, 'ee_start_lo', at) +
      EXTENT_LEAF.get(node.bytes, 'ee_start_hi', at) * 0x1_0000_0000;
    volume.requireBlocks(start, length, `ext extent of inode ${inode.number}`);
    yield { kind: 'data', logical, start, length, uninitialised };
  }
}
