import { refused } from '../../errors.ts';
import { type Owner, setExtentBlockChecksum } from './checksum.ts';
import {
  BLOCK_POINTERS,
  DIRECT_BLOCKS,
  EXTENT_HEADER,
  EXTENT_INDEX,
  EXTENT_LEAF,
  EXTENT_MAX_DEPTH,
  EXTENT_MAX_LENGTH,
} from './layout.ts';
import type { StagedEdits } from './staged-edits.ts';
import type { ExtVolume } from './volume.ts';

/**
 * Adding one block at the end of a file that has a map already: a directory that grows. The map has been read and
 * checked as a whole before. Existing blocks are changed in place; new ones are prepared.
 */
export interface AppendRequest {
  readonly volume: ExtVolume;
  readonly edits: StagedEdits;
  readonly owner: Owner;
  /** `i_block`: changed in place. */
  readonly map: Uint8Array;
  /** Block of the file, above all that are mapped. */
  readonly logical: number;
  /** Block of the volume. */
  readonly physical: number;
  /** Gives the next free block for the map itself. */
  readonly place: () => number;
}

interface ExtentNode {
  readonly bytes: Uint8Array;
  /** 0: the root in the inode. */
  readonly block: number;
}

const ENTRY = EXTENT_LEAF.size;
const entriesOf = (node: ExtentNode): number => EXTENT_HEADER.get(node.bytes, 'eh_entries');
const hasRoom = (node: ExtentNode): boolean => entriesOf(node) < EXTENT_HEADER.get(node.bytes, 'eh_max');
const depthOf = (node: ExtentNode): number => EXTENT_HEADER.get(node.bytes, 'eh_depth');
const lastAt = (node: ExtentNode): number => EXTENT_HEADER.size + (entriesOf(node) - 1) * ENTRY;

const addEntry = (node: ExtentNode, entry: Uint8Array): void => {
  const count = entriesOf(node);
  node.bytes.set(entry, EXTENT_HEADER.size + count * ENTRY);
  EXTENT_HEADER.set(node.bytes, 'eh_entries', count + 1);
};

const high = (block: number): number => Math.floor(block / 0x1_0000_0000);
const low = (block: number): number => block % 0x1_0000_0000;

const indexEntry = (logical: number, block: number): Uint8Array =>
  EXTENT_INDEX.encode({ ei_block: logical, ei_leaf_lo: low(block), ei_leaf_hi: high(block) });

/** The nodes from the root to the rightmost leaf. */
const rightmostPath = ({ volume, map }: AppendRequest): ExtentNode[] => {
  const path: ExtentNode[] = [{ bytes: map, block: 0 }];
  for (let node = path[0]!; depthOf(node) > 0; ) {
    const at = lastAt(node);
    const block =
      EXTENT_INDEX.get(node.bytes, 'ei_leaf_lo', at) +
      EXTENT_INDEX.get(node.bytes, 'ei_leaf_hi', at) * 0x1_0000_0000;
    node = { bytes: volume.readBlock(block, 'ext extent tree'), block };
    path.push(node);
  }
  return path;
};

/** Makes the last extent one block longer, if the new block follows it here and there. */
const extendLast = (leaf: ExtentNode, logical: number, physical: number): boolean => {
  if (entriesOf(leaf) === 0) return false;
  const { ee_block, ee_len, ee_start_hi, ee_start_lo } = EXTENT_LEAF.decode(leaf.bytes, lastAt(leaf));
  const start = ee_start_lo + ee_start_hi * 0x1_0000_0000;
  if (ee_len >= EXTENT_MAX_LENGTH || ee_block + ee_len !== logical || start + ee_len !== physical)
    return false;
  EXTENT_LEAF.set(leaf.bytes, 'ee_len', ee_len + 1, lastAt(leaf));
  return true;
};

const saveNode = ({ volume, edits, owner }: AppendRequest, node: ExtentNode, isNew: boolean): void => {
  if (node.block === 0) return;
  setExtentBlockChecksum(volume.parameters, owner, node.bytes);
  edits.write(isNew ? 'prepare' : 'growth', volume.blockOffset(node.block), node.bytes);
};

const newNode = ({ volume, place }: AppendRequest, depth: number): ExtentNode => {
  const bytes = new Uint8Array(volume.blockSize);
  EXTENT_HEADER.set(bytes, 'eh_magic', 0xf30a);
  EXTENT_HEADER.set(bytes, 'eh_max', Math.floor((bytes.length - EXTENT_HEADER.size) / ENTRY));
  EXTENT_HEADER.set(bytes, 'eh_depth', depth);
  return { bytes, block: place() };
};

/** The root's entries move to a new block, and the root points to that. */
const deepen = (request: AppendRequest, path: ExtentNode[]): void => {
  const root = path[0]!;
  const depth = depthOf(root);
  if (depth >= EXTENT_MAX_DEPTH) {
    throw refused('the extent tree of a directory is full', {
      code: 'claim.directory-full',
      structure: `ext inode ${request.owner.number}`,
      wayOut: 'Move some files from the root folder into others',
    });
  }
  const child = newNode(request, depth);
  const count = entriesOf(root);
  child.bytes.set(
    root.bytes.subarray(EXTENT_HEADER.size, EXTENT_HEADER.size + count * ENTRY),
    EXTENT_HEADER.size,
  );
  EXTENT_HEADER.set(child.bytes, 'eh_entries', count);
  const first = EXTENT_INDEX.get(root.bytes, 'ei_block', EXTENT_HEADER.size);
  root.bytes.fill(0, EXTENT_HEADER.size);
  EXTENT_HEADER.set(root.bytes, 'eh_entries', 0);
  EXTENT_HEADER.set(root.bytes, 'eh_depth', depth + 1);
  addEntry(root, indexEntry(first, child.block));
  path.splice(1, 0, child);
  saveNode(request, child, true);
};

/** Adds the block to an extent tree (ifork.rst "Extent Tree"). Gives the number of blocks that the tree has grown by. */
export const appendToExtentTree = (request: AppendRequest): number => {
  const { logical, physical } = request;
  const path = rightmostPath(request);
  const leaf = path.at(-1)!;
  if (extendLast(leaf, logical, physical)) {
    saveNode(request, leaf, false);
    return 0;
  }
  let grown = 0;
  if (!path.some(hasRoom)) {
    deepen(request, path);
    grown += 1;
  }
  const level = path.findLastIndex(hasRoom);
  let entry = EXTENT_LEAF.encode({
    ee_block: logical,
    ee_len: 1,
    ee_start_hi: high(physical),
    ee_start_lo: low(physical),
  });
  for (let depth = 0; depth < depthOf(path[level]!); depth += 1) {
    const node = newNode(request, depth);
    addEntry(node, entry);
    saveNode(request, node, true);
    grown += 1;
    entry = indexEntry(logical, node.block);
  }
  addEntry(path[level]!, entry);
  saveNode(request, path[level]!, false);
  return grown;
};

const POINTER = 4;

/** Adds the block to a block map (ifork.rst "Direct/Indirect Block Addressing"). Gives the number of new indirect blocks. */
export const appendToBlockMap = (request: AppendRequest): number => {
  const { volume, edits, map, logical, physical, place } = request;
  const pointers = volume.blockSize / POINTER;
  const put = (bytes: Uint8Array, index: number, block: number): void =>
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(index * POINTER, block, true);
  if (logical < DIRECT_BLOCKS) {
    put(map, logical, physical);
    return 0;
  }
  let depth = 1;
  let left = logical - DIRECT_BLOCKS;
  for (; left >= pointers ** depth; depth += 1) left -= pointers ** depth;
  if (DIRECT_BLOCKS + depth > BLOCK_POINTERS) throw new RangeError('beyond the end of a block map');
  let grown = 0;
  // Each step takes the pointer in `bytes`, and makes the block that it should point to if there is none.
  const descend = (bytes: Uint8Array, index: number, levels: number, save: () => void): void => {
    if (levels === 0) {
      put(bytes, index, physical);
      save();
      return;
    }
    let block = new DataView(bytes.buffer, bytes.byteOffset).getUint32(index * POINTER, true);
    const isNew = block === 0;
    if (isNew) {
      block = place();
      grown += 1;
      put(bytes, index, block);
      save();
    }
    const below = isNew ? new Uint8Array(volume.blockSize) : volume.readBlock(block, 'ext indirect block');
    const span = pointers ** (levels - 1);
    descend(below, Math.floor(left / span) % pointers, levels - 1, () =>
      edits.write(isNew ? 'prepare' : 'growth', volume.blockOffset(block), below),
    );
  };
  descend(map, DIRECT_BLOCKS + depth - 1, depth, () => {});
  return grown;
};
