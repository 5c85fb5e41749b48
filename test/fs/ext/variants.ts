import type { FeatureName } from '../../../rescue/fs/ext/features.ts';
import { MIB } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';

/** One way to make an ext volume that Holdfast must handle. */
export interface Variant extends Omit<VolumeOptions, 'blockSize'> {
  readonly name: string;
  /** Default 4096. */
  readonly blockSize?: number;
  /** Features of the README's table that this volume has and that no more ordinary variant stands for. */
  readonly covers?: readonly FeatureName[];
  /** Features that mke2fs knows but does not set: debugfs does. */
  readonly set?: readonly FeatureName[];
  /** Why the kernel here cannot mount it: then it stays as mke2fs made it. */
  readonly unmountable?: string;
}

/** mke2fs with the options of a variant. Returns the path. */
export const makeVariant = (path: string, variant: Variant): string => {
  const { blockSize = 4096, more = [], ...rest } = variant;
  makeVolume(path, { ...rest, more: ['-b', String(blockSize), ...more] });
  if (variant.set !== undefined) mustRun('debugfs', ['-w', '-R', `feature ${variant.set.join(' ')}`, path]);
  return path;
};

const SMALL = 48 * MIB;
/** Several groups of 4 KiB blocks (128 MiB each), the last one short. */
const GROUPS = 300 * MIB;

export const VARIANTS: readonly Variant[] = [
  {
    name: 'ext4 as Debian makes it',
    size: GROUPS,
    covers: [
      'has_journal',
      'ext_attr',
      'resize_inode',
      'dir_index',
      'filetype',
      'extent',
      '64bit',
      'flex_bg',
      'sparse_super',
      'large_file',
      'huge_file',
      'dir_nlink',
      'extra_isize',
      'metadata_csum',
    ],
  },
  { name: 'ext4, 1 KiB blocks', size: SMALL, blockSize: 1024 },
  { name: 'ext4, 2 KiB blocks', size: 100 * MIB, blockSize: 2048 },
  { name: 'ext4, inode tables written', size: SMALL, extended: ['lazy_itable_init=0'] },
  { name: 'ext4, no journal', size: GROUPS, features: ['^has_journal'] },
  { name: 'ext2, 1 KiB blocks', size: SMALL, type: 'ext2', blockSize: 1024 },
  { name: 'ext2, 4 KiB blocks', size: GROUPS, type: 'ext2' },
  { name: 'ext2, no file types, no index', size: SMALL, type: 'ext2', features: ['^filetype', '^dir_index'] },
  { name: 'ext2, original revision', size: SMALL, type: 'ext2', more: ['-r', '0'] },
  { name: 'ext3, 1 KiB blocks', size: SMALL, type: 'ext3', blockSize: 1024 },
  { name: 'ext3, 4 KiB blocks', size: GROUPS, type: 'ext3' },
  { name: 'block maps on ext4', size: SMALL, features: ['^extent', '^64bit', '^flex_bg'] },
  { name: 'no flexible groups', size: GROUPS, features: ['^flex_bg'] },
  { name: 'flexible groups of 2', size: GROUPS, more: ['-G', '2', '-g', '8192'] },
  { name: 'short descriptors', size: GROUPS, features: ['^64bit'] },
  {
    name: 'meta_bg',
    size: 200 * MIB,
    blockSize: 1024,
    features: ['meta_bg', '^resize_inode'],
    covers: ['meta_bg'],
  },
  {
    name: 'meta_bg without flexible groups',
    size: 200 * MIB,
    blockSize: 1024,
    features: ['meta_bg', '^resize_inode', '^flex_bg', '^64bit'],
  },
  {
    name: 'crc16 in descriptors',
    size: GROUPS,
    features: ['^metadata_csum', 'uninit_bg'],
    covers: ['uninit_bg'],
  },
  { name: 'no checksums at all', size: GROUPS, features: ['^metadata_csum', '^uninit_bg'] },
  { name: 'checksum seed', size: SMALL, features: ['metadata_csum_seed'], covers: ['metadata_csum_seed'] },
  { name: 'bigalloc', size: GROUPS, features: ['bigalloc'], covers: ['bigalloc'] },
  { name: 'bigalloc, 1 KiB blocks', size: GROUPS, blockSize: 1024, features: ['bigalloc'] },
  { name: 'bigalloc, clusters of 4 blocks', size: SMALL, features: ['bigalloc'], more: ['-C', '16384'] },
  {
    name: 'bigalloc, 1 KiB blocks, no journal',
    size: SMALL,
    blockSize: 1024,
    features: ['bigalloc', '^has_journal'],
    more: ['-C', '8192'],
  },
  { name: 'orphan file', size: SMALL, features: ['orphan_file'], covers: ['orphan_file'] },
  { name: 'inline data', size: SMALL, features: ['inline_data'], covers: ['inline_data'] },
  {
    name: 'inline data, inodes of 512 bytes, 1 KiB blocks',
    size: SMALL,
    blockSize: 1024,
    features: ['inline_data'],
    more: ['-I', '512'],
  },
  { name: 'inodes of 128 bytes', size: SMALL, more: ['-I', '128'] },
  { name: 'ea_inode', size: SMALL, features: ['ea_inode'], covers: ['ea_inode'] },
  {
    name: 'sparse_super2',
    size: GROUPS,
    features: ['sparse_super2', '^resize_inode'],
    covers: ['sparse_super2'],
  },
  {
    name: 'a superblock in every group',
    size: 100 * MIB,
    blockSize: 1024,
    type: 'ext2',
    features: ['^sparse_super', '^resize_inode'],
  },
  { name: 'large_dir', size: SMALL, features: ['large_dir'], covers: ['large_dir'] },
  { name: 'fast_commit', size: SMALL, features: ['fast_commit'], covers: ['fast_commit'] },
  { name: 'stable_inodes', size: SMALL, features: ['stable_inodes'], covers: ['stable_inodes'] },
  { name: 'verity and encrypt', size: SMALL, features: ['verity', 'encrypt'], covers: ['verity', 'encrypt'] },
  {
    name: 'casefold',
    size: SMALL,
    features: ['casefold'],
    covers: ['casefold'],
    unmountable: 'needs a kernel that knows Unicode',
  },
  { name: 'multiple mount protection', size: SMALL, features: ['mmp'], covers: ['mmp'] },
  {
    name: 'hints of old',
    size: SMALL,
    type: 'ext2',
    set: ['dir_prealloc', 'imagic_inodes'],
    covers: ['dir_prealloc', 'imagic_inodes'],
  },
  {
    name: 'blocks of 64 KiB',
    size: 256 * MIB,
    blockSize: 65536,
    unmountable: 'larger than a page',
  },
];
