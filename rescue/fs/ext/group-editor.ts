import { countSet, nextBit } from '../../bytes/bitmap.ts';
import { corrupt, refused } from '../../errors.ts';
import type { Cluster, Run } from '../../units.ts';
import { readBlockBitmap, readInodeBitmap } from './bitmaps.ts';
import { setBitmapChecksum, setGroupChecksum, setSuperblockChecksum } from './checksum.ts';
import { FEATURES, type FeatureName } from './features.ts';
import {
  GROUP_BLOCK_UNINIT,
  GROUP_DESCRIPTOR,
  GROUP_INODE_UNINIT,
  GROUP_INODE_ZEROED,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
} from './layout.ts';
import type { StagedEdits } from './staged-edits.ts';
import { superblockCount } from './superblock.ts';
import type { ExtVolume, GroupDescriptor } from './volume.ts';

type Kind = 'block' | 'inode';

/** A group that is being edited. */
interface GroupState {
  readonly before: GroupDescriptor;
  /** The descriptor as it will be, but for its checksums. */
  readonly descriptor: Uint8Array;
  freeClusters: number;
  freeInodes: number;
  usedDirectories: number;
  unusedInodes: number;
  flags: number;
  /** As far as they have been read. */
  readonly bitmaps: Map<Kind, Uint8Array>;
  readonly changed: Set<Kind>;
}

type WideField = 'bg_free_blocks_count' | 'bg_free_inodes_count' | 'bg_used_dirs_count' | 'bg_itable_unused';

/** Sets or clears bits [start, end). Gives the first one that was so already, and then changes nothing; or -1. */
const changeBits = (bitmap: Uint8Array, start: number, end: number, value: boolean): number => {
  const wrong = nextBit(bitmap, value, start, end);
  if (wrong < end) return wrong;
  for (let bit = start; bit < end; ) {
    const whole = (bit & 7) === 0 && bit + 8 <= end;
    if (whole) bitmap[bit >>> 3] = value ? 0xff : 0;
    else bitmap[bit >>> 3]! ^= 1 << (bit & 7);
    bit += whole ? 8 : 1;
  }
  return -1;
};

/**
 * Takes and gives back clusters and inodes: bitmaps, group descriptors, counts (kernel docs, blockgroup.rst "Lazy
 * Block Group Initialization", group_descr.rst). Only the primary descriptors are changed, as the kernel does; a
 * check never compares the backups' counts. Everything is planned in memory until `finish`.
 */
export class GroupEditor {
  readonly #volume: ExtVolume;
  readonly #edits: StagedEdits;
  readonly #groups = new Map<number, GroupState>();
  /** Group from which the search for a free cluster goes on. */
  #searchFrom = 0;
  #clusters = 0;
  #inodes = 0;
  readonly #newFeatures = new Set<FeatureName>();

  constructor(volume: ExtVolume, edits: StagedEdits) {
    this.#volume = volume;
    this.#edits = edits;
  }

  /** Throws `refused` (`claim.not-free`) if any cluster of the run is in use or outside the volume. */
  takeClusters(run: Run): void {
    this.#eachGroup(run, (group, start, end) => {
      const state = this.#state(group);
      const used = changeBits(this.#bitmap(state, 'block'), start, end, true);
      if (used >= 0) this.#notFree(this.#clusterOf(group, used));
      state.freeClusters -= end - start;
      this.#clusters -= end - start;
      if (state.freeClusters < 0) this.#wrongCount(state, 'free clusters');
      this.#changedBitmap(state, 'block');
      state.flags &= ~GROUP_BLOCK_UNINIT;
    });
  }

  /** Throws `corrupt` (`ext.bitmap`) if a cluster of the run is not in use. */
  giveClusters(run: Run): void {
    this.#eachGroup(run, (group, start, end) => {
      const state = this.#state(group);
      const free = changeBits(this.#bitmap(state, 'block'), start, end, false);
      if (free >= 0) {
        throw corrupt('a cluster of a file is marked as free', {
          code: 'ext.bitmap',
          structure: `ext block bitmap of group ${group}`,
          offset: this.#volume.blockOffset(state.before.blockBitmap),
          found: this.#clusterOf(group, free),
        });
      }
      state.freeClusters += end - start;
      this.#clusters += end - start;
      this.#changedBitmap(state, 'block');
    });
  }

  /**
   * Takes one free cluster that is not to be avoided; the lowest such one.
   * Throws `refused` (`claim.no-space`).
   */
  takeAnyCluster(avoid: { has(cluster: Cluster): boolean }): Cluster {
    for (let group = this.#searchFrom; group < this.#volume.groupCount; group += 1) {
      const state = this.#groups.get(group) ?? this.#load(group);
      if (state.freeClusters > 0) {
        const bitmap = this.#bitmap(state, 'block');
        const count = this.#volume.groupClusters(group);
        for (
          let index = nextBit(bitmap, false, 0, count);
          index < count;
          index = nextBit(bitmap, false, index + 1, count)
        ) {
          const cluster = this.#clusterOf(group, index);
          if (avoid.has(cluster)) continue;
          this.takeClusters({ start: cluster, length: 1 });
          return cluster;
        }
      }
      this.#searchFrom = group + 1;
    }
    throw refused('no free cluster is left for the file system’s own structures', {
      code: 'claim.no-space',
      wayOut: 'Delete some files and try again',
    });
  }

  /** Takes a free inode, from groups that are in use already if possible. Throws `refused` (`claim.no-inode`). */
  takeInode(isDirectory: boolean): number {
    for (const uninitialised of [false, true]) {
      for (let group = 0; group < this.#volume.groupCount; group += 1) {
        const state = this.#groups.get(group) ?? this.#load(group);
        if (state.freeInodes === 0 || ((state.flags & GROUP_INODE_UNINIT) !== 0) !== uninitialised) continue;
        const index = this.#freeInode(state);
        if (index === undefined) continue;
        this.#useInode(state, index, isDirectory);
        return group * this.#volume.parameters.inodesPerGroup + index + 1;
      }
    }
    throw refused('no free inode is left', {
      code: 'claim.no-inode',
      structure: 'ext inode bitmaps',
      wayOut: 'Delete some files and try again',
    });
  }

  /** Throws `corrupt` (`ext.bitmap`) if the inode is not in use. */
  giveInode(number: number, isDirectory: boolean): void {
    const group = this.#volume.groupOfInode(number);
    const state = this.#state(group);
    const index = (number - 1) % this.#volume.parameters.inodesPerGroup;
    if (changeBits(this.#bitmap(state, 'inode'), index, index + 1, false) >= 0) {
      throw corrupt('an inode of a file is marked as free', {
        code: 'ext.bitmap',
        structure: `ext inode bitmap of group ${group}`,
        offset: this.#volume.blockOffset(state.before.inodeBitmap),
        found: number,
      });
    }
    state.freeInodes += 1;
    this.#inodes += 1;
    if (isDirectory) state.usedDirectories = Math.max(0, state.usedDirectories - 1);
    this.#changedBitmap(state, 'inode');
  }

  /** Sets a compatible or read-only compatible feature in the superblock. */
  addFeature(feature: 'large_file' | 'dir_nlink'): void {
    if (!this.#volume.has(feature)) this.#newFeatures.add(feature);
  }

  /** Writes what was planned: bitmaps, descriptors, superblock. */
  finish(): void {
    for (const state of this.#groups.values()) {
      if (state.changed.size > 0) this.#writeGroup(state);
    }
    if (this.#clusters !== 0 || this.#inodes !== 0 || this.#newFeatures.size > 0) this.#writeSuperblock();
  }

  // --- groups ---------------------------------------------------------------------------------------------------

  #clusterOf(group: number, index: number): Cluster {
    return Math.floor(this.#volume.groupStart(group) / this.#volume.parameters.clusterBlocks) + index;
  }

  /** Splits a run of clusters at the groups' borders. */
  #eachGroup(run: Run, visit: (group: number, start: number, end: number) => void): void {
    const { clusterBlocks, firstDataBlock, blockCount } = this.#volume.parameters;
    const first = firstDataBlock / clusterBlocks;
    const end = run.start + run.length;
    const sound = [run.start, run.length].every((value) => Number.isSafeInteger(value) && value >= 0);
    if (!sound || run.start < first || end > Math.floor(blockCount / clusterBlocks)) this.#notFree(run.start);
    for (let cluster = run.start; cluster < end; ) {
      const group = this.#volume.groupOfBlock(cluster * clusterBlocks);
      const base = this.#clusterOf(group, 0);
      const stop = Math.min(end, base + this.#volume.groupClusters(group));
      visit(group, cluster - base, stop - base);
      cluster = stop;
    }
  }

  #notFree(cluster: Cluster): never {
    throw refused(`cluster ${cluster} is not free`, {
      code: 'claim.not-free',
      structure: 'ext block bitmap',
      offset: cluster * this.#volume.clusterSize,
      wayOut: 'Plan the container anew from the current allocation',
    });
  }

  #wrongCount(state: GroupState, what: string): never {
    throw corrupt(`counts fewer ${what} than its bitmap shows`, {
      code: 'ext.bitmap-count',
      structure: `ext group descriptor ${state.before.index}`,
      offset: state.before.offset,
      wayOut: 'Run e2fsck -f on the partition first',
    });
  }

  #load(group: number): GroupState {
    const before = this.#volume.group(group);
    return {
      before,
      descriptor: Uint8Array.from(before.bytes),
      freeClusters: before.freeClusters,
      freeInodes: before.freeInodes,
      usedDirectories: before.usedDirectories,
      unusedInodes: before.unusedInodes,
      flags: before.flags,
      bitmaps: new Map(),
      changed: new Set(),
    };
  }

  #state(group: number): GroupState {
    const state = this.#groups.get(group) ?? this.#load(group);
    this.#groups.set(group, state);
    return state;
  }

  /** A group is kept in memory from its first change on. */
  #changedBitmap(state: GroupState, kind: Kind): void {
    state.changed.add(kind);
    this.#groups.set(state.before.index, state);
  }

  // --- bitmaps --------------------------------------------------------------------------------------------------

  #bitmap(state: GroupState, kind: Kind): Uint8Array {
    const known = state.bitmaps.get(kind);
    if (known !== undefined) return known;
    const { before } = state;
    const bitmap =
      kind === 'block' ? readBlockBitmap(this.#volume, before) : readInodeBitmap(this.#volume, before);
    if (kind === 'block' && before.blockUninitialised) this.#requireCount(before, bitmap);
    state.bitmaps.set(kind, bitmap);
    return bitmap;
  }

  /** An uninitialised group's count of free clusters must agree with what its bitmap stands for. */
  #requireCount(group: GroupDescriptor, bitmap: Uint8Array): void {
    const count = this.#volume.groupClusters(group.index);
    const free = count - countSet(bitmap, count);
    if (free === group.freeClusters) return;
    throw corrupt('uninitialised group with a wrong count of free clusters', {
      code: 'ext.bitmap-count',
      structure: `ext group descriptor ${group.index}`,
      offset: group.offset,
      expected: free,
      found: group.freeClusters,
      wayOut: 'Run e2fsck -f on the partition first',
    });
  }

  // --- inodes ---------------------------------------------------------------------------------------------------

  #freeInode(state: GroupState): number | undefined {
    const { inodesPerGroup, firstInode } = this.#volume.parameters;
    const bitmap = this.#bitmap(state, 'inode');
    const first = state.before.index * inodesPerGroup;
    const index = nextBit(bitmap, false, Math.max(0, firstInode - 1 - first), inodesPerGroup);
    return index < inodesPerGroup ? index : undefined;
  }

  #useInode(state: GroupState, index: number, isDirectory: boolean): void {
    const { inodesPerGroup } = this.#volume.parameters;
    changeBits(this.#bitmap(state, 'inode'), index, index + 1, true);
    state.freeInodes -= 1;
    this.#inodes -= 1;
    if (isDirectory) state.usedDirectories += 1;
    const used = (state.flags & GROUP_INODE_UNINIT) !== 0 ? 0 : inodesPerGroup - state.unusedInodes;
    // The first free inode is at most the first that was never used: so what is zeroed below is never more than a block.
    if (index > used) {
      throw corrupt('a group has fewer inodes that were never used than it says', {
        code: 'ext.inode-unused-area',
        structure: `ext group descriptor ${state.before.index}`,
        offset: state.before.offset,
        expected: `at most ${inodesPerGroup - index}`,
        found: inodesPerGroup - used,
        wayOut: 'Run e2fsck -f on the partition first',
      });
    }
    if (index >= used) {
      this.#zeroInodes(state, used, index);
      state.unusedInodes = inodesPerGroup - index - 1;
    }
    state.flags &= ~GROUP_INODE_UNINIT;
    this.#changedBitmap(state, 'inode');
  }

  /**
   * What lies behind the used part of an inode table may be anything until it is zeroed (INODE_ZEROED): zeroes it from
   * inode `used` to the end of the block that holds inode `last`.
   */
  #zeroInodes(state: GroupState, used: number, last: number): void {
    if ((state.flags & GROUP_INODE_ZEROED) !== 0) return;
    const { inodeSize, blockSize } = this.#volume.parameters;
    const end = Math.ceil(((last + 1) * inodeSize) / blockSize) * blockSize;
    const start = used * inodeSize;
    if (end <= start) return;
    const offset = this.#volume.blockOffset(state.before.inodeTable) + start;
    this.#edits.write('prepare', offset, new Uint8Array(end - start));
  }

  // --- writing --------------------------------------------------------------------------------------------------

  #writeGroup(state: GroupState): void {
    const { before, descriptor } = state;
    const { parameters } = this.#volume;
    for (const kind of state.changed) this.#writeBitmap(state, kind);
    this.#setWide(descriptor, 'bg_free_blocks_count', state.freeClusters);
    this.#setWide(descriptor, 'bg_free_inodes_count', state.freeInodes);
    this.#setWide(descriptor, 'bg_used_dirs_count', state.usedDirectories);
    // Where descriptors have no checksums, flags and the count of unused inodes have no meaning and stay.
    if (parameters.groupChecksums !== 'none') {
      this.#setWide(descriptor, 'bg_itable_unused', state.unusedInodes);
      GROUP_DESCRIPTOR.set(descriptor, 'bg_flags', state.flags);
    }
    setGroupChecksum(parameters, before.index, descriptor);
    this.#edits.write('allocation', before.offset, descriptor);
  }

  #writeBitmap({ before, descriptor, bitmaps }: GroupState, kind: Kind): void {
    const bitmap = bitmaps.get(kind)!;
    const uninitialised = kind === 'block' ? before.blockUninitialised : before.inodeUninitialised;
    const offset = this.#volume.blockOffset(kind === 'block' ? before.blockBitmap : before.inodeBitmap);
    setBitmapChecksum(this.#volume.parameters, kind, descriptor, bitmap);
    if (!uninitialised) {
      this.#edits.write('allocation', offset, bitmap);
      return;
    }
    // The descriptor still says that the block means nothing. What lies behind the bitmap is set, as mke2fs does.
    const block = new Uint8Array(this.#volume.blockSize).fill(0xff);
    block.set(bitmap);
    this.#edits.write('prepare', offset, block);
  }

  #setWide(descriptor: Uint8Array, field: WideField, value: number): void {
    GROUP_DESCRIPTOR.set(descriptor, `${field}_lo`, value % 0x1_0000);
    if (descriptor.length >= GROUP_DESCRIPTOR.size) {
      GROUP_DESCRIPTOR.set(descriptor, `${field}_hi`, Math.floor(value / 0x1_0000));
    }
  }

  #writeSuperblock(): void {
    const { parameters } = this.#volume;
    const bytes = this.#volume.superblock;
    // The kernel counts free clusters, but stores their blocks.
    const before = superblockCount(parameters, 's_free_blocks_count');
    const blocks = Math.max(0, before + this.#clusters * parameters.clusterBlocks);
    SUPERBLOCK.set(bytes, 's_free_blocks_count_lo', blocks % 0x1_0000_0000);
    if (this.#volume.has('64bit')) {
      SUPERBLOCK.set(bytes, 's_free_blocks_count_hi', Math.floor(blocks / 0x1_0000_0000));
    }
    const inodes = SUPERBLOCK.get(bytes, 's_free_inodes_count');
    SUPERBLOCK.set(bytes, 's_free_inodes_count', Math.max(0, inodes + this.#inodes));
    for (const name of this.#newFeatures) {
      const word = `s_feature_${FEATURES[name].word}` as const;
      SUPERBLOCK.set(bytes, word, (SUPERBLOCK.get(bytes, word) | FEATURES[name].bit) >>> 0);
    }
    setSuperblockChecksum(parameters, bytes);
    this.#edits.write('allocation', SUPERBLOCK_OFFSET, bytes);
  }
}
