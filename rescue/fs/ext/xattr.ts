import { corrupt } from '../../errors.ts';
import { roundUp } from '../../units.ts';
import { xattrBlockChecksumOk } from './checksum.ts';
import type { Inode } from './inode.ts';
import {
  GOOD_OLD_INODE_SIZE,
  XATTR_ENTRY,
  XATTR_HEADER,
  XATTR_IN_INODE,
  XATTR_INDEX_SYSTEM,
  XATTR_MAGIC,
} from './layout.ts';
import type { ExtVolume } from './volume.ts';

/** One extended attribute (attributes.rst). Names are without the prefix that `index` stands for. */
export interface Attribute {
  readonly index: number;
  readonly name: Uint8Array;
  /** A view of the value, or the inode that holds it. */
  readonly value: Uint8Array | { readonly inode: number; readonly size: number };
}

interface Area {
  readonly bytes: Uint8Array;
  /** Where the first entry stands. */
  readonly entries: number;
  /** What value offsets count from. */
  readonly base: number;
  readonly structure: string;
  readonly offset: number;
}

function* readArea(area: Area): Generator<Attribute> {
  const { bytes, base, structure } = area;
  const fail = (message: string, at: number) =>
    corrupt(message, { code: 'ext.xattr', structure, offset: area.offset + at });
  // A list ends in four zero bytes, or where the area ends.
  for (let at = area.entries; at + 4 <= bytes.length; ) {
    const head = bytes.subarray(at, at + 4);
    if (head.every((byte) => byte === 0)) return;
    const nameStart = at + XATTR_ENTRY.size;
    const nameLength = bytes[at + XATTR_ENTRY.offsetOf('e_name_len')]!;
    if (nameStart + nameLength > bytes.length) throw fail('attribute reaches past its area', at);
    const inode = XATTR_ENTRY.get(bytes, 'e_value_inum', at);
    const size = XATTR_ENTRY.get(bytes, 'e_value_size', at);
    const start = base + XATTR_ENTRY.get(bytes, 'e_value_offs', at);
    if (inode === 0 && start + size > bytes.length) throw fail('attribute value reaches past its area', at);
    yield {
      index: XATTR_ENTRY.get(bytes, 'e_name_index', at),
      name: bytes.subarray(nameStart, nameStart + nameLength),
      value: inode === 0 ? bytes.subarray(start, start + size) : { inode, size },
    };
    at = roundUp(nameStart + nameLength, 4);
  }
}

/** Attributes inside the inode, behind its fixed part. */
export function* inodeAttributes(inode: Inode): Generator<Attribute> {
  const start = GOOD_OLD_INODE_SIZE + inode.extraSize;
  if (inode.bytes.length < start + XATTR_IN_INODE.size) return;
  if (inode.extraSize === 0 || XATTR_IN_INODE.get(inode.bytes, 'h_magic', start) !== XATTR_MAGIC) return;
  const entries = start + XATTR_IN_INODE.size;
  yield* readArea({
    bytes: inode.bytes,
    entries,
    base: entries,
    structure: `ext attributes in inode ${inode.number}`,
    offset: inode.offset,
  });
}

/** Attributes in the inode's attribute block, if it has one. Its checksum is verified. */
export function* blockAttributes(volume: ExtVolume, inode: Inode): Generator<Attribute> {
  if (inode.attributeBlock === 0) return;
  const structure = `ext attribute block of inode ${inode.number}`;
  const bytes = volume.readBlock(inode.attributeBlock, structure);
  const offset = volume.blockOffset(inode.attributeBlock);
  const magic = XATTR_HEADER.get(bytes, 'h_magic');
  if (magic !== XATTR_MAGIC) {
    throw corrupt('wrong magic', {
      code: 'ext.xattr-magic',
      structure,
      offset,
      expected: XATTR_MAGIC,
      found: magic,
    });
  }
  if (!xattrBlockChecksumOk(volume.parameters, inode.attributeBlock, bytes))
    throw corrupt('wrong checksum', { code: 'ext.xattr-checksum', structure, offset });
  yield* readArea({ bytes, entries: XATTR_HEADER.size, base: 0, structure, offset });
}

/** Name of the attribute that continues inline content: `system.data` (inlinedata.rst). */
const INLINE_NAME = Buffer.from('data');

/**
 * The two places of inline content: the 60 bytes of `i_block`, and what does not fit there (may be empty).
 * Throws `corrupt` (`ext.inline-data`) if the attribute that must be there is not.
 */
export const inlineParts = (inode: Inode): readonly [Uint8Array, Uint8Array] => {
  for (const { index, name, value } of inodeAttributes(inode)) {
    if (index !== XATTR_INDEX_SYSTEM || !INLINE_NAME.equals(name)) continue;
    if (value instanceof Uint8Array) return [inode.map, value];
  }
  throw corrupt('inline content without its attribute', {
    code: 'ext.inline-data',
    structure: `ext inode ${inode.number}`,
    offset: inode.offset,
  });
};

/** Content of a file that is stored inside its inode. */
export const inlineContent = (inode: Inode): Uint8Array => {
  const [first, second] = inlineParts(inode);
  return new Uint8Array(Buffer.concat([first, second])).subarray(0, inode.size);
};
