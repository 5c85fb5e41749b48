import { corrupt } from '../../errors.ts';
import { roundUp } from '../../units.ts';
import type { Inode } from './inode.ts';
import { GOOD_OLD_INODE_SIZE, XATTR_ENTRY, XATTR_IN_INODE, XATTR_INDEX_SYSTEM } from './layout.ts';

/** `system.data`, without the prefix that the index stands for (inlinedata.rst). */
const INLINE_NAME = Buffer.from('data');

/**
 * A copy of an inode's bytes without the attribute that continues its inline content (attributes.rst): its entry is
 * taken out of the list, its value cleared; the other values stay where they are.
 * The inode's attributes have been read and checked before.
 */
export const withoutInlineAttribute = (inode: Inode): Uint8Array => {
  const bytes = Uint8Array.from(inode.bytes);
  const entries = GOOD_OLD_INODE_SIZE + inode.extraSize + XATTR_IN_INODE.size;
  const isEnd = (at: number): boolean =>
    at + 4 > bytes.length || bytes.subarray(at, at + 4).every((byte) => byte === 0);
  const after = (at: number): number =>
    roundUp(at + XATTR_ENTRY.size + XATTR_ENTRY.get(bytes, 'e_name_len', at), 4);
  let found: number | undefined;
  let end = entries;
  for (; !isEnd(end); end = after(end)) {
    const name = bytes.subarray(
      end + XATTR_ENTRY.size,
      end + XATTR_ENTRY.size + XATTR_ENTRY.get(bytes, 'e_name_len', end),
    );
    if (XATTR_ENTRY.get(bytes, 'e_name_index', end) === XATTR_INDEX_SYSTEM && INLINE_NAME.equals(name))
      found = end;
  }
  if (found === undefined) {
    throw corrupt('inline content without its attribute', {
      code: 'ext.inline-data',
      structure: `ext inode ${inode.number}`,
      offset: inode.offset,
    });
  }
  const size = XATTR_ENTRY.get(bytes, 'e_value_size', found);
  const value = entries + XATTR_ENTRY.get(bytes, 'e_value_offs', found);
  if (size > 0) bytes.fill(0, value, roundUp(value + size, 4));
  const next = after(found);
  bytes.copyWithin(found, next, end);
  bytes.fill(0, end - (next - found), end);
  return bytes;
};
