import type { ReadableDevice } from '../../device/device.ts';
import { corrupt } from '../../errors.ts';
import type { ByteLength, ByteOffset } from '../../units.ts';
import { groupChecksumOk } from './checksum.ts';
import type { FeatureName } from './features.ts';
import {
  GROUP_BLOCK_UNINIT,
  GROUP_DESCRIPTOR,
  GROUP_INODE_UNINIT,
  OLD_DESCRIPTOR_SIZE,
  SUPERBLOCK,
} from './layout.ts';
import { type ExtParameters, readParameters } from './superblock.ts';

/** One group descriptor, its halves put together. */
export interface GroupDescriptor {
  readonly index: number;
  /** Where its primary copy stands on the device. */
  readonly offset: ByteOffset;
  /** The descriptor itself, `descriptorSize` bytes. */
  readonly bytes: Uint8Array;
  /** Block numbers. */
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  readonly freeClusters: number;
  readonly freeInodes: number;
  readonly usedDirectories: number;
  /** Inodes at the end of the table that were never used; 0 where descriptors have no checksums. */
  readonly unusedInodes: number;
  /** GROUP_* bits; none where descriptors have no checksums. */
  readonly flags: number;
  readonly blockUninitialised: boolean;
  readonly inodeUninitialised: boolean;
}

/** Where a group's own copies of superblock and descriptors stand. */
export interface GroupOverhead {
  /** First block of the group. */
  readonly first: number;
  readonly hasSuperblock: boolean;
  /** Blocks from the superblock copy on (or from the first block) that hold copies, growth reserve included. */
  readonly start: number;
  readonly length: number;
}

/** Descriptor blocks held in memory: 64 of them describe 4096 groups of 4 KiB blocks (512 GiB). */
const CACHED_DESCRIPTOR_BLOCKS = 64;
/** Descriptors held in memory ready for use. */
const CACHED_GROUPS = 256;

/** A power of `base` (base^0 counts): the groups that hold backups with sparse_super. */
const isPower = (value: number, base: number): boolean => {
  let power = 1;
  while (power < value) power *= base;
  return power === value;
};

/**
 * An ext volume: its checked numbers, its blocks and its group descriptors. Only descriptors are cached; after
 * writing to the device behind its back, call `forget` (numbers from the superblock stay as they were).
 */
export class ExtVolume {
  readonly device: ReadableDevice;
  readonly parameters: ExtParameters;
  readonly #descriptors = new Map<number, Uint8Array>();
  /** Descriptors that were checked and put together. */
  readonly #groups = new Map<number, GroupDescriptor>();

  /** Throws like `readParameters`. */
  constructor(device: ReadableDevice) {
    this.device = device;
    this.parameters = readParameters(device);
  }

  has(feature: FeatureName): boolean {
    return this.parameters.features.has(feature);
  }

  /** A fresh copy of the primary superblock as it was when the volume was opened: 1024 bytes. */
  get superblock(): Uint8Array {
    return Uint8Array.from(this.parameters.superblock);
  }

  get blockSize(): ByteLength {
    return this.parameters.blockSize;
  }

  get blockCount(): number {
    return this.parameters.blockCount;
  }

  get clusterSize(): ByteLength {
    return this.parameters.blockSize * this.parameters.clusterBlocks;
  }

  /** Clusters counted from byte 0 of the partition. */
  get clusterCount(): number {
    return this.parameters.blockCount / this.parameters.clusterBlocks;
  }

  get groupCount(): number {
    return this.parameters.groupCount;
  }

  /** Drops what is cached of the descriptors. */
  forget(): void {
    this.#descriptors.clear();
    this.#groups.clear();
  }

  blockOffset(block: number): ByteOffset {
    return block * this.parameters.blockSize;
  }

  hasBlocks(block: number, count: number): boolean {
    const { firstDataBlock, blockCount } = this.parameters;
    return block >= firstDataBlock && count >= 0 && block + count <= blockCount;
  }

  /** Throws `corrupt` (`ext.block-range`) unless `count` blocks from `block` on lie inside the volume. */
  requireBlocks(block: number, count: number, structure: string): void {
    const { firstDataBlock, blockCount } = this.parameters;
    if (this.hasBlocks(block, count)) return;
    throw corrupt(`points outside the volume to block ${block} (${count} blocks)`, {
      code: 'ext.block-range',
      structure,
      expected: `blocks ${firstDataBlock} to ${blockCount - 1}`,
      found: block,
    });
  }

  /** One block in a new array. */
  readBlock(block: number, structure = 'ext block'): Uint8Array {
    return this.readBlocks(block, 1, structure);
  }

  /** `count` blocks in a new array: the caller bounds the count. */
  readBlocks(block: number, count: number, structure = 'ext blocks'): Uint8Array {
    this.requireBlocks(block, count, structure);
    return this.device.read(this.blockOffset(block), count * this.parameters.blockSize);
  }

  // --- groups ---------------------------------------------------------------------------------------------------

  groupStart(group: number): number {
    return this.parameters.firstDataBlock + group * this.parameters.blocksPerGroup;
  }

  /** The last group may be shorter. */
  groupBlocks(group: number): number {
    return Math.min(this.parameters.blocksPerGroup, this.parameters.blockCount - this.groupStart(group));
  }

  groupClusters(group: number): number {
    return this.groupBlocks(group) / this.parameters.clusterBlocks;
  }

  groupOfBlock(block: number): number {
    return Math.floor((block - this.parameters.firstDataBlock) / this.parameters.blocksPerGroup);
  }

  groupOfInode(inode: number): number {
    return Math.floor((inode - 1) / this.parameters.inodesPerGroup);
  }

  /** blockgroup.rst; sparse_super2: only group 0 and the two that the superblock names. */
  groupHasSuperblock(group: number): boolean {
    if (group === 0) return true;
    if (this.has('sparse_super2')) return this.backupGroups().includes(group);
    if (group === 1 || !this.has('sparse_super')) return true;
    return isPower(group, 3) || isPower(group, 5) || isPower(group, 7);
  }

  /** The two groups that sparse_super2 names; 0 stands for none. */
  backupGroups(): readonly number[] {
    const { superblock } = this.parameters;
    const named = [
      SUPERBLOCK.get(superblock, 's_backup_bgs_0'),
      SUPERBLOCK.get(superblock, 's_backup_bgs_1'),
    ];
    return named.filter((group) => group > 0);
  }

  /** Copies of superblock and descriptors (and growth reserve) at the group's start. */
  groupOverhead(group: number): GroupOverhead {
    const { descriptorsPerBlock, firstMetaBlock, descriptorBlocks, reservedDescriptorBlocks } =
      this.parameters;
    const first = this.groupStart(group);
    const hasSuperblock = this.groupHasSuperblock(group);
    // bigalloc with 1 KiB blocks numbers from block 0 but keeps the superblock in block 1.
    const start = group === 0 ? this.parameters.superblockBlock : first;
    let length = hasSuperblock ? 1 : 0;
    const metaGroup = Math.floor(group / descriptorsPerBlock);
    if (!this.has('meta_bg') || metaGroup < firstMetaBlock) {
      if (hasSuperblock)
        length += this.has('meta_bg') ? firstMetaBlock : descriptorBlocks + reservedDescriptorBlocks;
    } else if ([0, 1, descriptorsPerBlock - 1].includes(group % descriptorsPerBlock)) length += 1;
    return { first, hasSuperblock, start, length: Math.min(length, this.parameters.blockCount - start) };
  }

  /** Block that holds the primary copy of descriptor block `index` (blockgroup.rst "Meta Block Groups"). */
  descriptorBlock(index: number): number {
    const { firstMetaBlock, superblockBlock, descriptorsPerBlock } = this.parameters;
    if (index < firstMetaBlock) return superblockBlock + 1 + index;
    const overhead = this.groupOverhead(index * descriptorsPerBlock);
    return overhead.start + (overhead.hasSuperblock ? 1 : 0);
  }

  /** The descriptor's bytes as they are, not checked. */
  descriptorBytes(group: number): Uint8Array {
    const { descriptorsPerBlock, descriptorSize } = this.parameters;
    if (group < 0 || group >= this.groupCount) throw new RangeError(`no group ${group}`);
    const index = Math.floor(group / descriptorsPerBlock);
    let block = this.#descriptors.get(index);
    if (block === undefined) {
      block = this.readBlock(this.descriptorBlock(index), 'ext group descriptors');
      if (this.#descriptors.size >= CACHED_DESCRIPTOR_BLOCKS) {
        const [oldest] = this.#descriptors.keys();
        this.#descriptors.delete(oldest!);
      }
      this.#descriptors.set(index, block);
    }
    const at = (group % descriptorsPerBlock) * descriptorSize;
    return block.slice(at, at + descriptorSize);
  }

  /** Byte position of the primary copy of a descriptor. */
  descriptorOffset(group: number): ByteOffset {
    const { descriptorsPerBlock, descriptorSize } = this.parameters;
    const block = this.descriptorBlock(Math.floor(group / descriptorsPerBlock));
    return this.blockOffset(block) + (group % descriptorsPerBlock) * descriptorSize;
  }

  /**
   * A group's descriptor, its checksum and its pointers checked. It may be shared: copy `bytes` before a change.
   * Throws `corrupt` (`ext.group-checksum`, `ext.block-range`), `io`.
   */
  group(index: number): GroupDescriptor {
    const known = this.#groups.get(index);
    if (known !== undefined) return known;
    const bytes = this.descriptorBytes(index);
    const offset = this.descriptorOffset(index);
    if (!groupChecksumOk(this.parameters, index, bytes)) {
      const structure = `ext group descriptor ${index}`;
      throw corrupt('wrong checksum', { code: 'ext.group-checksum', structure, offset });
    }
    const descriptor = parseDescriptor(index, offset, bytes, this.parameters.groupChecksums !== 'none');
    const { blockBitmap, inodeBitmap, inodeTable } = descriptor;
    const { inodeTableBlocks } = this.parameters;
    const fits =
      this.hasBlocks(blockBitmap, 1) &&
      this.hasBlocks(inodeBitmap, 1) &&
      this.hasBlocks(inodeTable, inodeTableBlocks);
    if (!fits) {
      const structure = `ext group descriptor ${index}`;
      this.requireBlocks(blockBitmap, 1, structure);
      this.requireBlocks(inodeBitmap, 1, structure);
      this.requireBlocks(inodeTable, inodeTableBlocks, structure);
    }
    if (this.#groups.size >= CACHED_GROUPS) {
      const [oldest] = this.#groups.keys();
      this.#groups.delete(oldest!);
    }
    this.#groups.set(index, descriptor);
    return descriptor;
  }

  /**
   * Byte position of an inode.
   * Throws `corrupt` (`ext.inode-range`) for a number that the volume does not have.
   */
  inodeOffset(number: number): ByteOffset {
    const { inodeCount, inodesPerGroup, inodeSize } = this.parameters;
    if (!Number.isInteger(number) || number < 1 || number > inodeCount) {
      throw corrupt(`no inode has the number ${number}`, {
        code: 'ext.inode-range',
        structure: 'ext inode',
        expected: `1 to ${inodeCount}`,
        found: number,
      });
    }
    const { inodeTable } = this.group(this.groupOfInode(number));
    return this.blockOffset(inodeTable) + ((number - 1) % inodesPerGroup) * inodeSize;
  }
}

/** Both halves of a field; old descriptors have the lower ones only. */
const wide = (bytes: Uint8Array, name: WideField, bits: 16 | 32): number => {
  const low = GROUP_DESCRIPTOR.get(bytes, `${name}_lo`);
  return bytes.length > OLD_DESCRIPTOR_SIZE
    ? low + GROUP_DESCRIPTOR.get(bytes, `${name}_hi`) * 2 ** bits
    : low;
};

const parseDescriptor = (
  index: number,
  offset: ByteOffset,
  bytes: Uint8Array,
  checked: boolean,
): GroupDescriptor => {
  // Without checksums the kernel ignores flags and the count of unused inodes.
  const flags = checked ? GROUP_DESCRIPTOR.get(bytes, 'bg_flags') : 0;
  return {
    index,
    offset,
    bytes,
    blockBitmap: wide(bytes, 'bg_block_bitmap', 32),
    inodeBitmap: wide(bytes, 'bg_inode_bitmap', 32),
    inodeTable: wide(bytes, 'bg_inode_table', 32),
    freeClusters: wide(bytes, 'bg_free_blocks_count', 16),
    freeInodes: wide(bytes, 'bg_free_inodes_count', 16),
    usedDirectories: wide(bytes, 'bg_used_dirs_count', 16),
    unusedInodes: checked ? wide(bytes, 'bg_itable_unused', 16) : 0,
    flags,
    blockUninitialised: (flags & GROUP_BLOCK_UNINIT) !== 0,
    inodeUninitialised: (flags & GROUP_INODE_UNINIT) !== 0,
  };
};

type WideField =
  | 'bg_block_bitmap'
  | 'bg_inode_bitmap'
  | 'bg_inode_table'
  | 'bg_free_blocks_count'
  | 'bg_free_inodes_count'
  | 'bg_used_dirs_count'
  | 'bg_itable_unused';
