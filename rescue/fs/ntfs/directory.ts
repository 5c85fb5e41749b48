import { NumberSet } from '../../bytes/number-set.ts';
import { corrupt, type HoldfastError } from '../../errors.ts';
import { isPowerOfTwo } from '../../units.ts';
import { isDamage } from '../tolerance.ts';
import { type Content, openContent } from './content.ts';
import type { NtfsFile } from './file.ts';
import { type Node, type NodeEntry, parseEntry, parseNode } from './index-entries.ts';
import {
  AT_FILE_NAME,
  AT_INDEX_ALLOCATION,
  AT_INDEX_ROOT,
  COLLATION_FILE_NAME,
  INDEX_BLOCK,
  INDEX_ROOT,
  MAGIC_INDX,
  NAME_INDEX,
  STRIDE,
} from './layout.ts';
import { type FileName, parseFileName } from './names.ts';
import type { FileReference } from './reference.ts';
import { magicOf, type Place, removeUpdateSequence } from './update-sequence.ts';

/** One name in a folder, short names included. */
export interface DirectoryEntry extends FileName {
  /** The file. */
  readonly reference: FileReference;
  /** The node that holds the entry. */
  readonly place: Place;
}

/** Index of names of one folder. */
export interface NameIndex {
  readonly place: Place;
  readonly root: Node;
  readonly blockSize: number;
  /** Bytes that one step of block numbers stands for. */
  readonly vcnBytes: number;
  /** The blocks; undefined if all entries fit the root. */
  readonly blocks: Content | undefined;
}

/** Blocks of Windows and mkntfs have 4 KiB, whatever the cluster; the boot sector allows for others. */
const SMALLEST_BLOCK = 512;
const LARGEST_BLOCK = 65536;
/** Each level holds some ten times the entries of the one above. */
const DEEPEST = 24;

const fail = (place: Place, message: string, expected: string | number, found: string | number) =>
  corrupt(message, { code: 'ntfs.index', ...place, expected, found });

/** Throws `corrupt` (`ntfs.index`, `ntfs.index-node`, ...) if the record has no sound index of names. */
export const openNameIndex = (file: NtfsFile): NameIndex => {
  const place = { structure: `index of ${file.record.place.structure}`, offset: file.record.place.offset };
  const attribute = file.find(AT_INDEX_ROOT, NAME_INDEX);
  if (attribute === undefined || !attribute.resident) throw fail(place, 'no index root', NAME_INDEX, 'none');
  const { value } = attribute;
  const type = INDEX_ROOT.get(value, 'type');
  const rule = INDEX_ROOT.get(value, 'collation_rule');
  if (type !== AT_FILE_NAME || rule !== COLLATION_FILE_NAME)
    throw fail(place, 'no index of names', `${AT_FILE_NAME}, ${COLLATION_FILE_NAME}`, `${type}, ${rule}`);
  const blockSize = INDEX_ROOT.get(value, 'index_block_size');
  if (!isPowerOfTwo(blockSize) || blockSize < SMALLEST_BLOCK || blockSize > LARGEST_BLOCK)
    throw fail(place, 'blocks of impossible size', `${SMALLEST_BLOCK} to ${LARGEST_BLOCK}`, blockSize);
  const { clusterSize } = file.volume;
  return {
    place,
    root: parseNode(value, INDEX_ROOT.size, place),
    blockSize,
    // Blocks that are smaller than a cluster are counted in units of 512 bytes (attributes/index_root).
    vcnBytes: clusterSize <= blockSize ? clusterSize : STRIDE,
    blocks: openContent(file, AT_INDEX_ALLOCATION, NAME_INDEX),
  };
};

/** One block of an index. Throws `corrupt` (`ntfs.index-block`, `ntfs.update-sequence`, `ntfs.index-node`), `io`. */
export const readBlock = ({ place, blocks, blockSize, vcnBytes }: NameIndex, vcn: number): Node => {
  const offset = vcn * vcnBytes;
  if (blocks === undefined || offset % blockSize !== 0 || offset + blockSize > blocks.size) {
    throw corrupt('a sub-node is no block of the index', {
      code: 'ntfs.index-block',
      ...place,
      expected: `up to ${Math.floor((blocks?.size ?? 0) / vcnBytes)}`,
      found: vcn,
    });
  }
  const bytes = new Uint8Array(blockSize);
  blocks.readInto(offset, bytes);
  const blockPlace = { structure: `block ${vcn} of ${place.structure}`, offset: blocks.position(offset) };
  const magic = magicOf(bytes);
  const wrong = (message: string, expected: string | number, found: string | number) =>
    corrupt(message, { code: 'ntfs.index-block', ...blockPlace, expected, found });
  if (magic !== MAGIC_INDX) throw wrong('wrong magic', MAGIC_INDX, JSON.stringify(magic));
  removeUpdateSequence(bytes, blockPlace);
  const own = INDEX_BLOCK.get(bytes, 'index_block_vcn');
  if (own !== vcn) throw wrong('calls itself by another number', vcn, own);
  return parseNode(bytes, INDEX_BLOCK.size, blockPlace);
};

interface Level {
  readonly node: Node;
  at: number;
  /** The entry whose sub-node was gone through. */
  entry: NodeEntry | undefined;
}

/**
 * Every name in a folder, in the order of the index, short names included. `onBlock` learns the number of each block that is
 * part of the tree, counted in blocks. A block that cannot be read is left out, with all below it, if `onLost` takes the error.
 * Memory: one block per level, one bit per block. Throws `corrupt`, `io`.
 */
export function* directoryEntries(
  index: NameIndex,
  onBlock?: (block: number) => void,
  onLost?: (error: HoldfastError) => void,
): Generator<DirectoryEntry> {
  const seen = new NumberSet();
  const stack: Level[] = [{ node: index.root, at: index.root.first, entry: undefined }];
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const descended = level.entry !== undefined;
    level.entry ??= parseEntry(level.node, level.at);
    const { entry, node } = level;
    if (!descended && entry.subNode !== undefined) {
      let block: Node;
      try {
        block = readBlock(index, entry.subNode);
      } catch (error) {
        if (onLost === undefined || !isDamage(error)) throw error;
        onLost(error);
        continue;
      }
      const number = (entry.subNode * index.vcnBytes) / index.blockSize;
      if (!seen.add(number))
        throw fail(index.place, 'a block is part of the tree twice', 'once', entry.subNode);
      if (stack.length >= DEEPEST) throw fail(index.place, 'the tree is too deep', DEEPEST, stack.length + 1);
      onBlock?.(number);
      stack.push({ node: block, at: block.first, entry: undefined });
      continue;
    }
    if (entry.end) {
      stack.pop();
      continue;
    }
    level.at += entry.length;
    level.entry = undefined;
    const { parent, name, namespace } = parseFileName(entry.key, node.place);
    yield { parent, name, namespace, reference: entry.reference, place: node.place };
  }
}
