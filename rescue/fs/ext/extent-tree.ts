import type { Run } from '../../units.ts';
import { type ChecksumScheme, type Owner, setExtentBlockChecksum } from './checksum.ts';
import { EXTENT_HEADER, EXTENT_INDEX, EXTENT_LEAF, EXTENT_MAGIC, EXTENT_MAX_LENGTH } from './layout.ts';

/**
 * Building a new file's extent tree (kernel docs, ifork.rst "Extent Tree"), from the leaves up. All nodes but the
 * last of each level are full.
 */

/** Bytes of `i_block`, which holds the root: a header and four entries. */
const ROOT_SIZE = 60;

export interface FileExtent {
  /** First block of the file. */
  readonly logical: number;
  /** First block on the volume. */
  readonly physical: number;
  /** Blocks, at most 32768. */
  readonly length: number;
}

/** `runs` are blocks of the volume in file order, from the file's first block. Neighbours are joined. */
export const fileExtents = (runs: Iterable<Run>): FileExtent[] => {
  const extents: FileExtent[] = [];
  let logical = 0;
  let open: { start: number; length: number } | undefined;
  const close = (): void => {
    if (open === undefined) return;
    for (let done = 0; done < open.length; done += EXTENT_MAX_LENGTH) {
      const length = Math.min(EXTENT_MAX_LENGTH, open.length - done);
      extents.push({ logical, physical: open.start + done, length });
      logical += length;
    }
  };
  for (const { start, length } of runs) {
    if (open !== undefined && open.start + open.length === start) open.length += length;
    else {
      close();
      open = { start, length };
    }
  }
  close();
  return extents;
};

/** Entries that fit in a node of so many bytes. */
const capacity = (bytes: number): number => Math.floor((bytes - EXTENT_HEADER.size) / EXTENT_LEAF.size);

/** Nodes per level below the root, leaves first; empty if the root holds all extents. */
const levels = (count: number, blockSize: number): number[] => {
  const nodes: number[] = [];
  for (let entries = count; entries > capacity(ROOT_SIZE); ) {
    entries = Math.ceil(entries / capacity(blockSize));
    nodes.push(entries);
  }
  return nodes;
};

/** Blocks that the tree needs besides the inode. */
export const extentTreeLength = (count: number, blockSize: number): number =>
  levels(count, blockSize).reduce((sum, nodes) => sum + nodes, 0);

export interface TreeNode {
  readonly block: number;
  readonly content: Uint8Array;
}

type Entry = { readonly logical: number; readonly bytes: Uint8Array };

const leafEntry = ({ logical, physical, length }: FileExtent): Entry => ({
  logical,
  bytes: EXTENT_LEAF.encode({
    ee_block: logical,
    ee_len: length,
    ee_start_hi: Math.floor(physical / 0x1_0000_0000),
    ee_start_lo: physical % 0x1_0000_0000,
  }),
});

const indexEntry = (logical: number, block: number): Entry => ({
  logical,
  bytes: EXTENT_INDEX.encode({
    ei_block: logical,
    ei_leaf_lo: block % 0x1_0000_0000,
    ei_leaf_hi: Math.floor(block / 0x1_0000_0000),
  }),
});

const node = (size: number, depth: number, entries: readonly Entry[]): Uint8Array => {
  const bytes = new Uint8Array(size);
  EXTENT_HEADER.set(bytes, 'eh_magic', EXTENT_MAGIC);
  EXTENT_HEADER.set(bytes, 'eh_entries', entries.length);
  EXTENT_HEADER.set(bytes, 'eh_max', capacity(size));
  EXTENT_HEADER.set(bytes, 'eh_depth', depth);
  entries.forEach((entry, index) => {
    bytes.set(entry.bytes, EXTENT_HEADER.size + index * EXTENT_LEAF.size);
  });
  return bytes;
};

/**
 * The 60 bytes of `i_block`, and the blocks of the tree. `place` gives the next free block for a node; it is called
 * `extentTreeLength` times.
 */
export const buildExtentTree = (
  extents: readonly FileExtent[],
  options: { scheme: ChecksumScheme; owner: Owner; blockSize: number; place: () => number },
): { root: Uint8Array; nodes: TreeNode[] } => {
  const { scheme, owner, blockSize, place } = options;
  const nodes: TreeNode[] = [];
  let entries = extents.map(leafEntry);
  let depth = 0;
  for (; entries.length > capacity(ROOT_SIZE); depth += 1) {
    const above: Entry[] = [];
    for (let first = 0; first < entries.length; first += capacity(blockSize)) {
      const content = node(blockSize, depth, entries.slice(first, first + capacity(blockSize)));
      setExtentBlockChecksum(scheme, owner, content);
      const block = place();
      nodes.push({ block, content });
      above.push(indexEntry(entries[first]!.logical, block));
    }
    entries = above;
  }
  return { root: node(ROOT_SIZE, depth, entries), nodes };
};

/** `i_block` of a file that uses extents and has none. */
export const emptyExtentRoot = (): Uint8Array => node(ROOT_SIZE, 0, []);
