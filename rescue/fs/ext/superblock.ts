import type { ReadableDevice } from '../../device/device.ts';
import { corrupt, unsupported } from '../../errors.ts';
import { type ByteLength, isPowerOfTwo, roundUp } from '../../units.ts';
import { superblockChecksum } from './checksum.ts';
import { crc32c } from './crc.ts';
import { type FeatureName, featureNames, requireSupported } from './features.ts';
import {
  CHECKSUM_TYPE_CRC32C,
  EXT_MAGIC,
  GOOD_OLD_FIRST_INODE,
  GOOD_OLD_INODE_SIZE,
  GROUP_DESCRIPTOR,
  OLD_DESCRIPTOR_SIZE,
  REVISION_DYNAMIC,
  SUPER_FLAG_TEST_FILESYS,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
} from './layout.ts';

/** Numbers that follow from the superblock, all checked against each other and against the device. */
export interface ExtParameters {
  readonly superblock: Uint8Array;
  readonly features: ReadonlySet<FeatureName>;
  readonly uuidBytes: Uint8Array;
  readonly metadataChecksums: boolean;
  readonly groupChecksums: 'none' | 'crc16' | 'crc32c';
  readonly checksumSeed: number;
  /** Bytes. */
  readonly blockSize: ByteLength;
  /** Blocks per cluster: 1 without bigalloc. */
  readonly clusterBlocks: number;
  readonly blockCount: number;
  /** 1 for 1 KiB blocks without bigalloc, else 0: where group 0 starts. */
  readonly firstDataBlock: number;
  /** Block that holds the primary superblock. */
  readonly superblockBlock: number;
  readonly blocksPerGroup: number;
  readonly clustersPerGroup: number;
  readonly inodesPerGroup: number;
  readonly groupCount: number;
  readonly inodeCount: number;
  /** Bytes. */
  readonly inodeSize: ByteLength;
  readonly firstInode: number;
  /** Bytes. */
  readonly descriptorSize: ByteLength;
  readonly descriptorsPerBlock: number;
  /** Blocks that hold the group descriptor table. */
  readonly descriptorBlocks: number;
  /** Descriptor blocks below this stand behind the superblock, the others as meta_bg says. */
  readonly firstMetaBlock: number;
  readonly reservedDescriptorBlocks: number;
  /** Blocks of one group's inode table. */
  readonly inodeTableBlocks: number;
  readonly groupsPerFlex: number;
}

/** Physical block numbers have 48 bits in an extent (ifork.rst). */
const MAX_BLOCKS = 2 ** 48;

type Field = Parameters<typeof SUPERBLOCK.get>[1];

/** Throws unless `ok`; names the field, its place and what it holds. */
const demand = (
  superblock: Uint8Array,
  ok: boolean,
  field: Field,
  message: string,
  expected?: string | number,
) => {
  if (ok) return;
  const value = SUPERBLOCK.get(superblock, field);
  throw corrupt(message, {
    code: `ext.superblock.${String(field)}`,
    structure: 'ext superblock',
    offset: SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf(field),
    ...(expected === undefined ? {} : { expected }),
    found: typeof value === 'number' ? value : Buffer.from(value).toString('hex'),
  });
};

/** True if the device is long enough for a superblock and shows the magic number. */
export const hasSuperblock = (device: ReadableDevice): boolean =>
  device.size >= SUPERBLOCK_OFFSET + SUPERBLOCK.size &&
  SUPERBLOCK.get(device.read(SUPERBLOCK_OFFSET, SUPERBLOCK.size), 's_magic') === EXT_MAGIC;

const readFeatures = (superblock: Uint8Array): ReadonlySet<FeatureName> => {
  const words = {
    compat: SUPERBLOCK.get(superblock, 's_feature_compat'),
    incompat: SUPERBLOCK.get(superblock, 's_feature_incompat'),
    ro_compat: SUPERBLOCK.get(superblock, 's_feature_ro_compat'),
  };
  const features = new Set(featureNames(words));
  if (features.has('metadata_csum')) {
    const type = SUPERBLOCK.get(superblock, 's_checksum_type');
    demand(
      superblock,
      type === CHECKSUM_TYPE_CRC32C,
      's_checksum_type',
      'unknown kind of checksum',
      CHECKSUM_TYPE_CRC32C,
    );
    const checksum = superblockChecksum(superblock);
    demand(
      superblock,
      SUPERBLOCK.get(superblock, 's_checksum') === checksum,
      's_checksum',
      'wrong checksum',
      checksum,
    );
  }
  requireSupported(words, SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf('s_feature_compat'));
  if ((SUPERBLOCK.get(superblock, 's_flags') & SUPER_FLAG_TEST_FILESYS) !== 0) {
    throw unsupported('is marked as a test of development code (test_fs)', {
      code: 'ext.test-filesystem',
      structure: 'ext superblock',
      offset: SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf('s_flags'),
      wayOut: 'Clear the mark: tune2fs -E ^test_fs DEVICE',
    });
  }
  if (features.has('has_journal') && SUPERBLOCK.get(superblock, 's_journal_inum') === 0) {
    throw unsupported('its journal is on another device', {
      code: 'ext.external-journal',
      structure: 'ext superblock',
      offset: SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf('s_journal_inum'),
      wayOut: 'Move the journal into the file system: tune2fs -O ^has_journal DEVICE; tune2fs -j DEVICE',
    });
  }
  return features;
};

const wide = (superblock: Uint8Array, low: Field, high: Field, has64bit: boolean): number =>
  (SUPERBLOCK.get(superblock, low) as number) +
  (has64bit ? (SUPERBLOCK.get(superblock, high) as number) * 0x1_0000_0000 : 0);

/** A 64-bit superblock counter, whose upper half counts only with 64bit. */
export const superblockCount = (
  parameters: Pick<ExtParameters, 'features' | 'superblock'>,
  field: 's_blocks_count' | 's_r_blocks_count' | 's_free_blocks_count',
): number => wide(parameters.superblock, `${field}_lo`, `${field}_hi`, parameters.features.has('64bit'));

/**
 * Reads and checks the primary superblock.
 * Throws `corrupt` (`ext.magic`, `ext.superblock.FIELD`, `ext.beyond-device`), `unsupported` (`ext.feature`,
 * `ext.external-journal`, `ext.revision`), `io`.
 */
export const readParameters = (device: ReadableDevice): ExtParameters => {
  if (!hasSuperblock(device)) {
    throw corrupt('no ext file system', {
      code: 'ext.magic',
      structure: 'ext superblock',
      offset: SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf('s_magic'),
      expected: EXT_MAGIC,
    });
  }
  const superblock = device.read(SUPERBLOCK_OFFSET, SUPERBLOCK.size);
  const field = (name: Field): number => SUPERBLOCK.get(superblock, name) as number;
  const check = (ok: boolean, name: Field, message: string, expected?: string | number) =>
    demand(superblock, ok, name, message, expected);
  const revision = field('s_rev_level');
  if (revision > REVISION_DYNAMIC) {
    throw unsupported(`has revision ${revision}`, {
      code: 'ext.revision',
      structure: 'ext superblock',
      offset: SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf('s_rev_level'),
      expected: '0 or 1',
    });
  }
  const features = readFeatures(superblock);
  const dynamic = revision === REVISION_DYNAMIC;

  check(field('s_log_block_size') <= 6, 's_log_block_size', 'block size out of range', '0 to 6');
  const blockSize = 1024 * 2 ** field('s_log_block_size');
  const bigalloc = features.has('bigalloc');
  const logRatio = bigalloc ? field('s_log_cluster_size') - field('s_log_block_size') : 0;
  check(logRatio >= 0 && logRatio <= 19, 's_log_cluster_size', 'cluster size out of range', '1 to 19 more');
  const clusterBlocks = 2 ** logRatio;

  const blocksPerGroup = field('s_blocks_per_group');
  const clustersPerGroup = bigalloc ? field('s_clusters_per_group') : blocksPerGroup;
  check(
    clustersPerGroup > 0 && clustersPerGroup <= 8 * blockSize && clustersPerGroup % 8 === 0,
    bigalloc ? 's_clusters_per_group' : 's_blocks_per_group',
    'group size out of range',
    `a multiple of 8 up to ${8 * blockSize}`,
  );
  check(
    blocksPerGroup === clustersPerGroup * clusterBlocks,
    's_blocks_per_group',
    'disagrees with the clusters per group',
    clustersPerGroup * clusterBlocks,
  );

  const firstDataBlock = blockSize === 1024 && !bigalloc ? 1 : 0;
  check(
    field('s_first_data_block') === firstDataBlock,
    's_first_data_block',
    'wrong first block',
    firstDataBlock,
  );
  const blockCount = superblockCount({ superblock, features }, 's_blocks_count');
  check(
    blockCount > firstDataBlock && blockCount <= MAX_BLOCKS,
    's_blocks_count_lo',
    'block count out of range',
    `up to ${MAX_BLOCKS}`,
  );
  if (blockCount * blockSize > device.size) {
    throw corrupt('the file system is larger than what holds it', {
      code: 'ext.beyond-device',
      structure: 'ext superblock',
      offset: SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf('s_blocks_count_lo'),
      expected: `at most ${device.size} bytes`,
      found: `${blockCount * blockSize} bytes`,
      wayOut: 'Run e2fsck -f and resize2fs on it, or give the whole partition',
    });
  }
  check(
    blockCount % clusterBlocks === 0,
    's_blocks_count_lo',
    'not a whole number of clusters',
    `a multiple of ${clusterBlocks}`,
  );

  const inodeSize = dynamic ? field('s_inode_size') : GOOD_OLD_INODE_SIZE;
  check(
    inodeSize >= GOOD_OLD_INODE_SIZE && inodeSize <= blockSize && isPowerOfTwo(inodeSize),
    's_inode_size',
    'inode size out of range',
    `a power of two from 128 to ${blockSize}`,
  );
  const firstInode = dynamic ? field('s_first_ino') : GOOD_OLD_FIRST_INODE;
  const inodesPerGroup = field('s_inodes_per_group');
  check(
    inodesPerGroup > 0 &&
      inodesPerGroup <= 8 * blockSize &&
      inodesPerGroup % 8 === 0 &&
      inodesPerGroup * inodeSize >= blockSize,
    's_inodes_per_group',
    'inodes per group out of range',
    `a multiple of 8 up to ${8 * blockSize}`,
  );
  const groupCount = Math.ceil((blockCount - firstDataBlock) / blocksPerGroup);
  const inodeCount = field('s_inodes_count');
  check(
    inodeCount === groupCount * inodesPerGroup,
    's_inodes_count',
    'disagrees with the groups',
    groupCount * inodesPerGroup,
  );
  check(
    firstInode >= GOOD_OLD_FIRST_INODE && firstInode <= inodeCount,
    's_first_ino',
    'first inode out of range',
    `${GOOD_OLD_FIRST_INODE} to ${inodeCount}`,
  );

  const descriptorSize = features.has('64bit') ? field('s_desc_size') : OLD_DESCRIPTOR_SIZE;
  check(
    !features.has('64bit') ||
      (descriptorSize >= GROUP_DESCRIPTOR.size && descriptorSize <= 1024 && isPowerOfTwo(descriptorSize)),
    's_desc_size',
    'descriptor size out of range',
    'a power of two from 64 to 1024',
  );
  const descriptorsPerBlock = blockSize / descriptorSize;
  const descriptorBlocks = Math.ceil(groupCount / descriptorsPerBlock);
  const firstMetaBlock = features.has('meta_bg') ? field('s_first_meta_bg') : descriptorBlocks;
  check(
    firstMetaBlock <= descriptorBlocks,
    's_first_meta_bg',
    'beyond the descriptor table',
    `up to ${descriptorBlocks}`,
  );
  const reservedDescriptorBlocks = field('s_reserved_gdt_blocks');
  check(
    reservedDescriptorBlocks <= blockSize / 4,
    's_reserved_gdt_blocks',
    'too many reserved descriptor blocks',
    `up to ${blockSize / 4}`,
  );
  const logFlex = features.has('flex_bg') ? field('s_log_groups_per_flex') : 0;
  check(logFlex <= 31, 's_log_groups_per_flex', 'flexible group size out of range', '0 to 31');

  const uuidBytes = Uint8Array.from(SUPERBLOCK.get(superblock, 's_uuid'));
  const metadataChecksums = features.has('metadata_csum');
  const groupChecksums = metadataChecksums ? 'crc32c' : features.has('uninit_bg') ? 'crc16' : 'none';
  return {
    superblock,
    features,
    uuidBytes,
    metadataChecksums,
    groupChecksums,
    checksumSeed: features.has('metadata_csum_seed')
      ? field('s_checksum_seed')
      : crc32c(0xffff_ffff, uuidBytes),
    blockSize,
    clusterBlocks,
    blockCount,
    firstDataBlock,
    superblockBlock: blockSize === 1024 ? 1 : 0,
    blocksPerGroup,
    clustersPerGroup,
    inodesPerGroup,
    groupCount,
    inodeCount,
    inodeSize,
    firstInode,
    descriptorSize,
    descriptorsPerBlock,
    descriptorBlocks,
    firstMetaBlock,
    reservedDescriptorBlocks,
    inodeTableBlocks: roundUp(inodesPerGroup * inodeSize, blockSize) / blockSize,
    groupsPerFlex: 2 ** logFlex,
  };
};
