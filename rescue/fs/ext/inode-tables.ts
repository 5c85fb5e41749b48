import { nextBit } from '../../bytes/bitmap.ts';
import { corrupt } from '../../errors.ts';
import { MIB } from '../../units.ts';
import { readInodeBitmap } from './bitmaps.ts';
import type { ExtVolume, GroupDescriptor } from './volume.ts';

/** Most bytes of an inode table that are read at a time. */
const WINDOW = MIB;

/** An inode in use, not decoded yet: most readers look at one or two fields and go on. */
export interface RawInode {
  readonly number: number;
  readonly offset: number;
  /** `inodeSize` bytes: a view that is valid until the next inode is asked for. */
  readonly bytes: Uint8Array;
}

/** Memory to read inodes into, for whoever goes through many groups. */
export const inodeScratch = (volume: ExtVolume) => {
  const { inodesPerGroup, inodeSize } = volume.parameters;
  return {
    bitmap: new Uint8Array(volume.blockSize),
    table: new Uint8Array(Math.min(WINDOW, inodesPerGroup * inodeSize)),
  };
};

/**
 * Inodes of one group that its bitmap marks as in use, in order, the table read sequentially.
 * Throws `corrupt` (`ext.inode-unused-area`: one lies where the descriptor says that nothing was ever written), `io`.
 */
export function* usedInodesOf(
  volume: ExtVolume,
  group: GroupDescriptor,
  scratch = inodeScratch(volume),
): Generator<RawInode> {
  if (group.inodeUninitialised) return;
  const { inodesPerGroup, inodeSize } = volume.parameters;
  const bitmap = readInodeBitmap(volume, group, scratch.bitmap);
  const written = Math.max(0, inodesPerGroup - group.unusedInodes);
  const stray = nextBit(bitmap, true, written, inodesPerGroup);
  if (stray < inodesPerGroup) {
    throw corrupt('an inode in use lies in the part of the table that was never written', {
      code: 'ext.inode-unused-area',
      structure: `ext inode table of group ${group.index}`,
      offset: volume.blockOffset(group.inodeTable) + stray * inodeSize,
      expected: `inodes below ${written}`,
      found: stray,
    });
  }
  const perWindow = WINDOW / inodeSize;
  for (let from = 0; from < written; from += perWindow) {
    const to = Math.min(from + perWindow, written);
    let bit = nextBit(bitmap, true, from, to);
    if (bit === to) continue;
    const base = volume.blockOffset(group.inodeTable) + from * inodeSize;
    const table = scratch.table.subarray(0, (to - from) * inodeSize);
    volume.device.readInto(base, table);
    for (; bit < to; bit = nextBit(bitmap, true, bit + 1, to)) {
      const at = (bit - from) * inodeSize;
      const number = group.index * inodesPerGroup + bit + 1;
      yield { number, offset: base + at, bytes: table.subarray(at, at + inodeSize) };
    }
  }
}

/** Inodes in use of the whole volume, in order. */
export function* usedInodes(volume: ExtVolume): Generator<RawInode> {
  const scratch = inodeScratch(volume);
  for (let index = 0; index < volume.groupCount; index += 1)
    yield* usedInodesOf(volume, volume.group(index), scratch);
}
