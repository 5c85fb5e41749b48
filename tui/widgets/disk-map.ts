import type { Content, DiskFacts, PartitionFacts } from '../../rescue/job/disks.ts';
import type { Look, Row, Span, Style } from '../cells.ts';
import { cut, row, shown, span } from '../cells.ts';

/** A disk's partitions drawn to scale in one row. */

interface Piece {
  readonly size: number;
  readonly label: string;
  readonly style: Style;
  readonly free: boolean;
}

/** A partition is never narrower: its number must be seen. */
const LEAST = 4;

export const contentStyle = ({ filesystem, containers, trouble }: Content): Style => {
  if (containers > 0) return 'image';
  if (trouble !== undefined) return 'danger';
  return filesystem === null ? 'normal' : 'verified';
};

/** `ext4 "root"`, `swap`, `LUKS2 (encrypted)`. */
export const contentName = ({ name, label }: Content, look: Look): string =>
  label === '' ? name : `${name} "${shown(label, look)}"`;

const pieceOf = (partition: PartitionFacts, look: Look): Piece => ({
  size: partition.size,
  label: `${partition.number} ${contentName(partition.content, look)}${partition.mountPoints.length > 0 ? ' (mounted)' : ''}`,
  style: contentStyle(partition.content),
  free: false,
});

/** Partitions in the order of the disk, with the larger gaps between them. */
const piecesOf = ({ size, partitions, content }: DiskFacts, look: Look): Piece[] => {
  const gap = (length: number): Piece[] =>
    length < size / 100 ? [] : [{ size: length, label: '', style: 'untouched', free: true }];
  if (partitions.length === 0) {
    const known = content !== null && content.name !== 'unknown';
    if (!known) return gap(size);
    return [{ size, label: contentName(content, look), style: contentStyle(content), free: false }];
  }
  const pieces: Piece[] = [];
  let at = 0;
  for (const partition of [...partitions].sort((a, b) => a.offset - b.offset)) {
    pieces.push(...gap(partition.offset - at), pieceOf(partition, look));
    at = Math.max(at, partition.offset + partition.size);
  }
  return [...pieces, ...gap(size - at)];
};

/** Columns in proportion to sizes, none below the least; what rounding leaves goes to the largest. */
export const shareColumns = (sizes: readonly number[], columns: number, least: number): number[] => {
  const total = sizes.reduce((sum, size) => sum + size, 0) || 1;
  const widths = sizes.map((size) => Math.max(least, Math.floor((size / total) * columns)));
  for (let over = widths.reduce((sum, width) => sum + width, 0) - columns; over !== 0; ) {
    const widest = widths.indexOf(Math.max(...widths));
    const step = over > 0 ? Math.min(over, Math.max(1, widths[widest]! - least)) : over;
    if (over > 0 && widths[widest]! <= least) break;
    widths[widest]! -= step;
    over -= step;
  }
  return widths;
};

/** `│1 ext4 "root"      │2 swap│······│`: as wide as `columns`. */
export const diskMap = (disk: DiskFacts, columns: number, look: Look): Row => {
  const pieces = piecesOf(disk, look).slice(0, Math.max(1, Math.floor((columns - 1) / LEAST)));
  const { wall, dot } = look.glyphs;
  const widths = shareColumns(
    pieces.map(({ size }) => size),
    columns - 1,
    LEAST,
  );
  const spans = pieces.flatMap(({ label, style, free }, index): Span[] => {
    const room = widths[index]! - 1;
    const text = free ? dot.repeat(room) : cut(label, room, look).padEnd(room);
    return [span(wall, 'dim'), span(text, style)];
  });
  return row(...spans, span(wall, 'dim'));
};
