import { corrupt, refused } from '../../errors.ts';
import { dxCountOffset, setDxChecksum } from './checksum.ts';
import type { DirectoryEditor } from './directory-editor.ts';
import {
  type EntryList,
  entryLength,
  insertEntry,
  type NewEntry,
  newLeaf,
  packEntries,
  usedEntries,
} from './directory-leaf.ts';
import { HASH_TEA, HASH_UNSIGNED, hashName, type NameHash } from './hash.ts';
import {
  DX_COUNT_LIMIT,
  DX_ENTRY,
  DX_NODE,
  DX_ROOT,
  DX_TAIL,
  INODE_CASEFOLD,
  SUPER_FLAG_UNSIGNED_HASH,
  SUPERBLOCK,
} from './layout.ts';
import { blockOf } from './mapping.ts';
import type { Phase } from './staged-edits.ts';

/**
 * Adding an entry to an indexed directory (kernel docs, directory.rst "Hash Tree Directories"). The index maps
 * ranges of hashes to leaf blocks: entry k covers hashes from its own up to the next one's; the first one covers
 * everything below. A full leaf is split in two halves by hash; a full index node likewise; when the root is full and
 * no further level is allowed, the entry is refused.
 */
interface IndexNode {
  readonly block: number;
  readonly bytes: Uint8Array;
  /** Where the entries begin: the first one's hash is limit and count. */
  readonly at: number;
}

/** Lower 28 bits of an index entry are the file block. */
const BLOCK_MASK = 0x0fff_ffff;

const countOf = (node: IndexNode): number => DX_COUNT_LIMIT.get(node.bytes, 'count', node.at);
const limitOf = (node: IndexNode): number => DX_COUNT_LIMIT.get(node.bytes, 'limit', node.at);
const entryAt = (node: IndexNode, index: number): number => node.at + index * DX_ENTRY.size;
const hashOf = (node: IndexNode, index: number): number =>
  index === 0 ? 0 : DX_ENTRY.get(node.bytes, 'hash', entryAt(node, index));
const childOf = (node: IndexNode, index: number): number =>
  DX_ENTRY.get(node.bytes, 'block', entryAt(node, index)) & BLOCK_MASK;

const readNode = (directory: DirectoryEditor, logical: number): IndexNode => {
  const { volume } = directory.context;
  const block = blockOf(volume, directory.inode, logical);
  const bytes = volume.readBlock(block, `ext directory ${directory.inode.number}`);
  const at = dxCountOffset(bytes);
  const node = { block, bytes, at: at ?? 0 };
  const room = Math.floor((bytes.length - node.at) / DX_ENTRY.size);
  if (at !== undefined && limitOf(node) <= room && countOf(node) >= 1 && countOf(node) <= limitOf(node))
    return node;
  throw corrupt('not a sound index node', {
    code: 'ext.htree',
    structure: `ext directory ${directory.inode.number}`,
    offset: volume.blockOffset(block),
    found: `limit ${limitOf(node)}, count ${countOf(node)}`,
  });
};

const saveNode = (directory: DirectoryEditor, node: IndexNode, phase: Phase): void => {
  const { volume, edits } = directory.context;
  setDxChecksum(volume.parameters, directory.inode, node.bytes);
  edits.write(phase, volume.blockOffset(node.block), node.bytes);
};

/** Last entry whose range begins at or below the hash. */
const search = (node: IndexNode, hash: number): number => {
  let low = 0;
  let high = countOf(node);
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (hashOf(node, middle) <= hash) low = middle;
    else high = middle;
  }
  return low;
};

const insertAfter = (node: IndexNode, index: number, hash: number, child: number): void => {
  const count = countOf(node);
  node.bytes.copyWithin(entryAt(node, index + 2), entryAt(node, index + 1), entryAt(node, count));
  DX_ENTRY.set(node.bytes, 'hash', hash, entryAt(node, index + 1));
  DX_ENTRY.set(node.bytes, 'block', child, entryAt(node, index + 1));
  DX_COUNT_LIMIT.set(node.bytes, 'count', count + 1, node.at);
};

const nameHash = (directory: DirectoryEditor, root: IndexNode): NameHash => {
  const superblock = directory.context.volume.parameters.superblock;
  const stored = DX_ROOT.get(root.bytes, 'hash_version');
  const unsigned = (SUPERBLOCK.get(superblock, 's_flags') & SUPER_FLAG_UNSIGNED_HASH) !== 0;
  const version = stored <= HASH_TEA && unsigned ? stored + HASH_UNSIGNED : stored;
  return { version, seed: SUPERBLOCK.get(superblock, 's_hash_seed') };
};

/** The hash as the directory computes it: of the folded name where it ignores case. */
const hashIn = (directory: DirectoryEditor, how: NameHash, name: Uint8Array): number => {
  if ((directory.inode.flags & INODE_CASEFOLD) === 0) return hashName(name, how);
  // Folding is known here for ASCII only; other names need the tables of the kernel's Unicode version.
  if (name.some((byte) => byte > 127)) {
    throw refused('a full block of a case-insensitive folder holds names beyond ASCII', {
      code: 'claim.casefold-split',
      structure: `ext directory ${directory.inode.number}`,
      wayOut: `Make the folder ${'/.holdfast'} yourself and try again`,
    });
  }
  return hashName(Buffer.from(Buffer.from(name).toString('latin1').toLowerCase(), 'latin1'), how);
};

const newNode = (directory: DirectoryEditor, fill: (node: IndexNode) => void): number => {
  const { volume } = directory.context;
  return directory.append((block) => {
    const bytes = new Uint8Array(volume.blockSize);
    const at = DX_NODE.offsetOf('limit');
    DX_NODE.set(bytes, 'fake_rec_len', Math.min(volume.blockSize, 0xffff));
    const tail = volume.parameters.metadataChecksums ? DX_TAIL.size : 0;
    DX_COUNT_LIMIT.set(bytes, 'limit', Math.floor((bytes.length - at - tail) / DX_ENTRY.size), at);
    const node = { block, bytes, at };
    fill(node);
    saveNode(directory, node, 'prepare');
  });
};

/** Copies entries `from` to the end into a new node, whose first entry keeps its child but no hash. */
const copyEntries = (source: IndexNode, from: number, target: IndexNode): void => {
  const count = countOf(source);
  target.bytes.set(
    source.bytes.subarray(entryAt(source, from) + 4, entryAt(source, count)),
    entryAt(target, 0) + 4,
  );
  DX_COUNT_LIMIT.set(target.bytes, 'count', count - from, target.at);
};

/** Deepest index: kernel, `ext4_dir_htree_level`. */
const maximumLevels = (directory: DirectoryEditor): number =>
  directory.context.volume.has('large_dir') ? 3 : 2;

/** The root's entries move one level down; the path gets a node more. */
const addLevel = (directory: DirectoryEditor, path: IndexNode[]): void => {
  const root = path[0]!;
  if (path.length >= maximumLevels(directory)) {
    throw refused('the index of the root folder is full at all levels', {
      code: 'claim.directory-full',
      structure: `ext directory ${directory.inode.number}`,
      wayOut: 'Move some files from the root folder into others, or make the folder /.holdfast beforehand',
    });
  }
  const logical = newNode(directory, (node) => copyEntries(root, 0, node));
  DX_ENTRY.set(root.bytes, 'block', logical, entryAt(root, 0));
  DX_COUNT_LIMIT.set(root.bytes, 'count', 1, root.at);
  DX_ROOT.set(root.bytes, 'indirect_levels', path.length);
  saveNode(directory, root, 'reference');
  path.splice(1, 0, readNode(directory, logical));
};

/** Adds (hash, child) to the node at `level` of the path, which makes room above as far as needed. */
const addIndexEntry = (
  directory: DirectoryEditor,
  path: IndexNode[],
  level: number,
  hash: number,
  child: number,
): void => {
  let node = path[level]!;
  if (countOf(node) >= limitOf(node)) {
    if (level === 0) {
      addLevel(directory, path);
      addIndexEntry(directory, path, 1, hash, child);
      return;
    }
    const middle = countOf(node) >> 1;
    const border = hashOf(node, middle);
    const full = node;
    const logical = newNode(directory, (right) => copyEntries(full, middle, right));
    const depth = path.length;
    addIndexEntry(directory, path, level - 1, border, logical);
    // A level may have been added above.
    level += path.length - depth;
    DX_COUNT_LIMIT.set(node.bytes, 'count', middle, node.at);
    if (hash >= border) {
      saveNode(directory, node, 'trim');
      node = readNode(directory, logical);
      path[level] = node;
    } else {
      insertAfter(node, search(node, hash), hash, child);
      saveNode(directory, node, 'trim');
      return;
    }
  }
  insertAfter(node, search(node, hash), hash, child);
  saveNode(directory, node, 'reference');
};

interface Leaf {
  readonly block: number;
  readonly list: EntryList;
}

/** Where to cut: the upper part of the entries, sorted by hash, takes at most about half of the block. */
const splitPoint = (entries: readonly { entry: NewEntry }[], room: number): number => {
  let size = 0;
  let index = entries.length;
  while (index > 1) {
    const next = entryLength(entries[index - 1]!.entry.name.length);
    if (size + next / 2 > room / 2) break;
    size += next;
    index -= 1;
  }
  return Math.min(index, entries.length - 1);
};

const splitLeaf = (
  directory: DirectoryEditor,
  path: IndexNode[],
  leaf: Leaf,
  { entry, hash, how }: { entry: NewEntry; hash: number; how: NameHash },
): void => {
  const { volume } = directory.context;
  const { list } = leaf;
  const sorted = usedEntries(volume, list)
    .map((each) => ({ entry: each, hash: hashIn(directory, how, each.name) }))
    .sort((a, b) => a.hash - b.hash);
  const cut = splitPoint(sorted, list.to);
  const border = sorted[cut]!.hash;
  // The lowest bit says that the block before holds names of the same hash.
  const continued = sorted[cut - 1]?.hash === border ? 1 : 0;
  const upper = sorted.slice(cut).map((each) => each.entry);
  const lower = sorted.slice(0, cut).map((each) => each.entry);
  (hash >= border ? upper : lower).push(entry);
  const logical = directory.append((block) => directory.writeLeaf(block, newLeaf(volume, upper), 'prepare'));
  addIndexEntry(directory, path, path.length - 1, border + continued, logical);
  packEntries(volume, list, lower);
  directory.writeLeaf(leaf.block, list.bytes, 'trim');
};

/** Adds the entry where its hash belongs. Throws `refused` (`claim.directory-full`, ...), `corrupt`. */
export const insertIntoIndex = (directory: DirectoryEditor, entry: NewEntry): void => {
  const { volume } = directory.context;
  const root = readNode(directory, 0);
  const how = nameHash(directory, root);
  const hash = hashIn(directory, how, entry.name);
  const levels = DX_ROOT.get(root.bytes, 'indirect_levels');
  if (root.at !== DX_ROOT.offsetOf('limit') || levels >= maximumLevels(directory)) {
    throw corrupt('not a sound index root', {
      code: 'ext.htree',
      structure: `ext directory ${directory.inode.number}`,
      offset: volume.blockOffset(root.block),
      found: `${levels} levels`,
    });
  }
  const path = [root];
  for (let level = 0; level < levels; level += 1) {
    const node = path.at(-1)!;
    path.push(readNode(directory, childOf(node, search(node, hash))));
  }
  const last = path.at(-1)!;
  const block = blockOf(volume, directory.inode, childOf(last, search(last, hash)));
  const bytes = volume.readBlock(block, `ext directory ${directory.inode.number}`);
  const list = directory.listOf(block, bytes);
  if (insertEntry(volume, list, entry)) directory.writeLeaf(block, bytes, 'reference');
  else splitLeaf(directory, path, { block, list }, { entry, hash, how });
};
