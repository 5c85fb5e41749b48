import { complement, normalise } from '../bytes/runs.ts';
import type { LiveTable } from '../partition/table.ts';
import { type ByteLength, type ByteOffset, type Extent, MIB } from '../units.ts';

/** Shorter pieces between partitions hold no partition with an image: they are what alignment leaves. */
const SHORTEST: ByteLength = 2 * MIB;

/** What was learnt of the content of a partition. */
export type Content =
  /** A file system that is handled, and its list of containers can be read. */
  | 'listed'
  /** Something else that is known by name: swap, FAT, LVM, ... */
  | 'other'
  /** Unknown, empty, or damaged: whatever held data may be gone. */
  | 'unknown';

/**
 * The parts of a range where images may lie that nothing which was found names: sibling lists cover one partition, and a
 * file system lists its own containers only. Partitions of a valid table whose content is known hide nothing; everything
 * else does, what lies outside all partitions too. Without a table that can be trusted it is the whole range. `table` is
 * undefined where the device is one partition: it hides no other.
 */
export const hidingPlaces = (
  table: LiveTable | undefined,
  within: Extent,
  contents: ReadonlyMap<ByteOffset, Content>,
): Extent[] => {
  if (table === undefined) return [];
  if (!table.valid || table.scheme === 'none') return [within];
  const known = table.partitions
    .filter(({ start }) => (contents.get(start) ?? 'unknown') !== 'unknown')
    .map(({ start, size }) => ({ start, length: size }));
  return [...complement(normalise(known), within)].filter(({ length }) => length >= SHORTEST);
};
