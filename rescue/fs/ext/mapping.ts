import { corrupt } from '../../errors.ts';
import type { Run } from '../../units.ts';
import { readExtents } from './extents.ts';
import { readBlockMap } from './indirect.ts';
import { type Inode, mapsBlocks, usesExtents, usesInlineData } from './inode.ts';
import type { ExtVolume } from './volume.ts';
import { inlineContent } from './xattr.ts';

/** A run of blocks that holds content: file block `logical` is in block `start`. */
export interface DataItem {
  readonly kind: 'data';
  readonly logical: number;
  readonly start: number;
  readonly length: number;
  /** Preallocated: reads as zeros whatever the blocks hold. */
  readonly uninitialised: boolean;
}

/** Blocks of the mapping itself: extent tree nodes, indirect blocks. */
export interface NodeItem {
  readonly kind: 'node';
  readonly start: number;
  readonly length: number;
}

export type MapItem = DataItem | NodeItem;

/**
 * What an inode maps, in file order; nothing for content that is inside the inode. Blocks, not clusters.
 * Throws `corrupt`.
 */
export function* readMapping(volume: ExtVolume, inode: Inode): Generator<MapItem> {
  if (!mapsBlocks(volume, inode)) return;
  if (usesExtents(inode)) yield* readExtents(volume, inode);
  else yield* readBlockMap(volume, inode);
}

export function* dataRuns(volume: ExtVolume, inode: Inode): Generator<DataItem> {
  for (const item of readMapping(volume, inode)) if (item.kind === 'data') yield item;
}

/**
 * Clusters that hold the content, in file order. With bigalloc several extents may lie in one cluster, next to each
 * other in file order since clusters of file and disk are aligned to each other: it is given once.
 */
export function* clusterRuns(volume: ExtVolume, inode: Inode): Generator<Run> {
  const ratio = volume.parameters.clusterBlocks;
  let open: { start: number; length: number } | undefined;
  for (const { start, length } of dataRuns(volume, inode)) {
    let first = Math.floor(start / ratio);
    const end = Math.ceil((start + length) / ratio);
    if (open !== undefined) {
      const openEnd = open.start + open.length;
      if (first === openEnd - 1 && ratio > 1) first = openEnd;
      if (first === openEnd) {
        open.length += end - first;
        continue;
      }
      yield open;
    }
    open = { start: first, length: end - first };
  }
  if (open !== undefined && open.length > 0) yield open;
}

/**
 * `length` bytes of a file's content from `offset` on; holes and preallocated blocks read as zeros, as does what lies
 * behind the end of the file. The caller bounds `length`.
 */
export const readContent = (volume: ExtVolume, inode: Inode, offset: number, length: number): Uint8Array => {
  const content = new Uint8Array(length);
  if (usesInlineData(inode)) {
    content.set(inlineContent(inode).subarray(offset, offset + length));
    return content;
  }
  for (const run of dataRuns(volume, inode)) {
    const runStart = run.logical * volume.blockSize;
    const from = Math.max(offset, runStart);
    const to = Math.min(offset + length, runStart + run.length * volume.blockSize);
    if (runStart >= offset + length) break;
    if (from >= to || run.uninitialised) continue;
    const position = volume.blockOffset(run.start) + (from - runStart);
    volume.device.readInto(position, content.subarray(from - offset, to - offset));
  }
  return content;
};

/** Throws `corrupt` (`ext.no-block`) if file block `logical` is a hole. */
export const blockOf = (volume: ExtVolume, inode: Inode, logical: number): number => {
  for (const run of dataRuns(volume, inode)) {
    if (logical < run.logical) break;
    if (logical < run.logical + run.length) return run.start + logical - run.logical;
  }
  throw corrupt(`file block ${logical} is missing`, {
    code: 'ext.no-block',
    structure: `ext inode ${inode.number}`,
    offset: inode.offset,
  });
};
