import { struct } from '../../bytes/fields.ts';

/**
 * On-disk structures of ext2/3/4. Field names are the kernel's (`struct ext4_super_block` and so on).
 * Sources: Linux `Documentation/filesystems/ext4/` (super.rst, group_descr.rst, inodes.rst, ifork.rst, directory.rst,
 * attributes.rst, mmp.rst, orphan.rst, journal.rst). All numbers are little-endian, but for the journal's.
 */

/** The primary superblock's place, whatever the block size (super.rst). */
export const SUPERBLOCK_OFFSET = 1024;
export const EXT_MAGIC = 0xef53;

/** super.rst "The Super Block". */
export const SUPERBLOCK = struct('ext superblock', 1024, {
  s_inodes_count: [0x0, 'u32le', 'inodes'],
  s_blocks_count_lo: [0x4, 'u32le', 'blocks'],
  s_r_blocks_count_lo: [0x8, 'u32le', 'blocks that only the superuser may take'],
  s_free_blocks_count_lo: [0xc, 'u32le', 'free blocks (whole clusters, counted in blocks)'],
  s_free_inodes_count: [0x10, 'u32le', 'free inodes'],
  s_first_data_block: [0x14, 'u32le', 'block: 1 for 1 KiB blocks without bigalloc, else 0'],
  s_log_block_size: [0x18, 'u32le', 'block size is 2^(10 + this)'],
  s_log_cluster_size: [0x1c, 'u32le', 'cluster size is 2^(10 + this) with bigalloc'],
  s_blocks_per_group: [0x20, 'u32le'],
  s_clusters_per_group: [0x24, 'u32le'],
  s_inodes_per_group: [0x28, 'u32le'],
  s_mtime: [0x2c, 'u32le', 'seconds since 1970: last mount'],
  s_wtime: [0x30, 'u32le', 'seconds since 1970: last write'],
  s_mnt_count: [0x34, 'u16le'],
  s_max_mnt_count: [0x36, 'u16le'],
  s_magic: [0x38, 'u16le', '0xEF53'],
  s_state: [0x3a, 'u16le', 'STATE_* bits'],
  s_errors: [0x3c, 'u16le', 'what the kernel does on errors'],
  s_minor_rev_level: [0x3e, 'u16le'],
  s_lastcheck: [0x40, 'u32le'],
  s_checkinterval: [0x44, 'u32le'],
  s_creator_os: [0x48, 'u32le'],
  s_rev_level: [0x4c, 'u32le', '0: fixed inode size and no feature words, 1: dynamic'],
  s_def_resuid: [0x50, 'u16le'],
  s_def_resgid: [0x52, 'u16le'],
  s_first_ino: [0x54, 'u32le', 'first inode that is not reserved'],
  s_inode_size: [0x58, 'u16le', 'bytes'],
  s_block_group_nr: [0x5a, 'u16le', 'group of this copy'],
  s_feature_compat: [0x5c, 'u32le'],
  s_feature_incompat: [0x60, 'u32le'],
  s_feature_ro_compat: [0x64, 'u32le'],
  s_uuid: [0x68, 'bytes:16'],
  s_volume_name: [0x78, 'bytes:16'],
  s_last_mounted: [0x88, 'bytes:64'],
  s_algorithm_usage_bitmap: [0xc8, 'u32le'],
  s_prealloc_blocks: [0xcc, 'u8'],
  s_prealloc_dir_blocks: [0xcd, 'u8'],
  s_reserved_gdt_blocks: [0xce, 'u16le', 'blocks kept behind the descriptor table for growth'],
  s_journal_uuid: [0xd0, 'bytes:16'],
  s_journal_inum: [0xe0, 'u32le', 'inode of the journal, 0 if it is on another device'],
  s_journal_dev: [0xe4, 'u32le'],
  s_last_orphan: [0xe8, 'u32le', 'first inode of the list of deleted or truncated ones'],
  s_hash_seed: [0xec, 'bytes:16', 'four 32-bit words for htree hashes'],
  s_def_hash_version: [0xfc, 'u8'],
  s_jnl_backup_type: [0xfd, 'u8'],
  s_desc_size: [0xfe, 'u16le', 'bytes of a group descriptor with 64bit'],
  s_default_mount_opts: [0x100, 'u32le'],
  s_first_meta_bg: [0x104, 'u32le', 'descriptor block from which meta_bg placement applies'],
  s_mkfs_time: [0x108, 'u32le'],
  s_jnl_blocks: [0x10c, 'bytes:68', "copy of the journal inode's i_block and size"],
  s_blocks_count_hi: [0x150, 'u32le', 'with 64bit'],
  s_r_blocks_count_hi: [0x154, 'u32le'],
  s_free_blocks_count_hi: [0x158, 'u32le'],
  s_min_extra_isize: [0x15c, 'u16le'],
  s_want_extra_isize: [0x15e, 'u16le'],
  s_flags: [0x160, 'u32le', 'SUPER_FLAG_* bits'],
  s_raid_stride: [0x164, 'u16le'],
  s_mmp_interval: [0x166, 'u16le'],
  s_mmp_block: [0x168, 'u64le', 'block'],
  s_raid_stripe_width: [0x170, 'u32le'],
  s_log_groups_per_flex: [0x174, 'u8', 'a flexible group is 2^this groups'],
  s_checksum_type: [0x175, 'u8', '1: crc32c'],
  s_encryption_level: [0x176, 'u8'],
  s_reserved_pad: [0x177, 'u8'],
  s_kbytes_written: [0x178, 'bytes:8'],
  s_snapshot_inum: [0x180, 'u32le'],
  s_snapshot_id: [0x184, 'u32le'],
  s_snapshot_r_blocks_count: [0x188, 'bytes:8'],
  s_snapshot_list: [0x190, 'u32le'],
  s_error_count: [0x194, 'u32le', 'errors seen by the kernel since the last full e2fsck'],
  s_first_error_time: [0x198, 'u32le'],
  s_first_error_ino: [0x19c, 'u32le'],
  s_first_error_block: [0x1a0, 'bytes:8'],
  s_first_error_func: [0x1a8, 'bytes:32'],
  s_first_error_line: [0x1c8, 'u32le'],
  s_last_error_time: [0x1cc, 'u32le'],
  s_last_error_ino: [0x1d0, 'u32le'],
  s_last_error_line: [0x1d4, 'u32le'],
  s_last_error_block: [0x1d8, 'bytes:8'],
  s_last_error_func: [0x1e0, 'bytes:32'],
  s_mount_opts: [0x200, 'bytes:64'],
  s_usr_quota_inum: [0x240, 'u32le'],
  s_grp_quota_inum: [0x244, 'u32le'],
  s_overhead_clusters: [0x248, 'u32le'],
  s_backup_bgs_0: [0x24c, 'u32le', 'group with a backup superblock (sparse_super2)'],
  s_backup_bgs_1: [0x250, 'u32le', 'the other one'],
  s_encrypt_algos: [0x254, 'bytes:4'],
  s_encrypt_pw_salt: [0x258, 'bytes:16'],
  s_lpf_ino: [0x268, 'u32le'],
  s_prj_quota_inum: [0x26c, 'u32le'],
  s_checksum_seed: [0x270, 'u32le', 'with metadata_csum_seed'],
  s_wtime_hi: [0x274, 'u8'],
  s_mtime_hi: [0x275, 'u8'],
  s_mkfs_time_hi: [0x276, 'u8'],
  s_lastcheck_hi: [0x277, 'u8'],
  s_first_error_time_hi: [0x278, 'u8'],
  s_last_error_time_hi: [0x279, 'u8'],
  s_first_error_errcode: [0x27a, 'u8'],
  s_last_error_errcode: [0x27b, 'u8'],
  s_encoding: [0x27c, 'u16le'],
  s_encoding_flags: [0x27e, 'u16le'],
  s_orphan_file_inum: [0x280, 'u32le'],
  s_checksum: [0x3fc, 'u32le', 'crc32c of all that stands before it'],
});

/** `s_state` (super.rst "The superblock state"). */
export const STATE_VALID = 0x1;
export const STATE_ERRORS = 0x2;
export const STATE_ORPHANS = 0x4;
export const STATE_FAST_COMMIT_REPLAY = 0x20;

/** `s_flags`: how directory hashes treat bytes above 127. */
export const SUPER_FLAG_SIGNED_HASH = 0x1;
export const SUPER_FLAG_UNSIGNED_HASH = 0x2;
export const SUPER_FLAG_TEST_FILESYS = 0x4;

export const REVISION_DYNAMIC = 1;
export const GOOD_OLD_INODE_SIZE = 128;
export const GOOD_OLD_FIRST_INODE = 11;
export const CHECKSUM_TYPE_CRC32C = 1;

/** special_inodes.rst. */
export const BAD_BLOCKS_INODE = 1;
export const ROOT_INODE = 2;
export const RESIZE_INODE = 7;
export const JOURNAL_INODE = 8;

/** group_descr.rst; 32 bytes without 64bit, then the fields from 0x20 on do not exist. */
export const GROUP_DESCRIPTOR = struct('ext group descriptor', 64, {
  bg_block_bitmap_lo: [0x0, 'u32le', 'block'],
  bg_inode_bitmap_lo: [0x4, 'u32le', 'block'],
  bg_inode_table_lo: [0x8, 'u32le', 'block'],
  bg_free_blocks_count_lo: [0xc, 'u16le', 'clusters, despite the name'],
  bg_free_inodes_count_lo: [0xe, 'u16le'],
  bg_used_dirs_count_lo: [0x10, 'u16le'],
  bg_flags: [0x12, 'u16le', 'GROUP_* bits'],
  bg_exclude_bitmap_lo: [0x14, 'u32le'],
  bg_block_bitmap_csum_lo: [0x18, 'u16le'],
  bg_inode_bitmap_csum_lo: [0x1a, 'u16le'],
  bg_itable_unused_lo: [0x1c, 'u16le', 'inodes at the end of the table that were never used'],
  bg_checksum: [0x1e, 'u16le'],
  bg_block_bitmap_hi: [0x20, 'u32le'],
  bg_inode_bitmap_hi: [0x24, 'u32le'],
  bg_inode_table_hi: [0x28, 'u32le'],
  bg_free_blocks_count_hi: [0x2c, 'u16le'],
  bg_free_inodes_count_hi: [0x2e, 'u16le'],
  bg_used_dirs_count_hi: [0x30, 'u16le'],
  bg_itable_unused_hi: [0x32, 'u16le'],
  bg_exclude_bitmap_hi: [0x34, 'u32le'],
  bg_block_bitmap_csum_hi: [0x38, 'u16le'],
  bg_inode_bitmap_csum_hi: [0x3a, 'u16le'],
  bg_reserved: [0x3c, 'u32le'],
});
/** Size of a descriptor without 64bit. */
export const OLD_DESCRIPTOR_SIZE = 32;

/** `bg_flags`: valid only where descriptors have checksums. */
export const GROUP_INODE_UNINIT = 0x1;
export const GROUP_BLOCK_UNINIT = 0x2;
export const GROUP_INODE_ZEROED = 0x4;

/** inodes.rst; the fields from 0x80 on exist as far as `128 + i_extra_isize` reaches. */
export const INODE = struct('ext inode', 160, {
  i_mode: [0x0, 'u16le'],
  i_uid: [0x2, 'u16le'],
  i_size_lo: [0x4, 'u32le', 'bytes'],
  i_atime: [0x8, 'i32le', 'seconds since 1970'],
  i_ctime: [0xc, 'i32le'],
  i_mtime: [0x10, 'i32le'],
  i_dtime: [0x14, 'u32le', 'time of deletion, or next inode of the orphan list'],
  i_gid: [0x18, 'u16le'],
  i_links_count: [0x1a, 'u16le', '1 also stands for "more than 65000" in directories'],
  i_blocks_lo: [0x1c, 'u32le', '512-byte units, or blocks with INODE_HUGE_FILE'],
  i_flags: [0x20, 'u32le', 'INODE_* bits'],
  i_version: [0x24, 'u32le', 'l_i_version; reference count of an ea_inode'],
  i_block: [0x28, 'bytes:60', 'block map, extent tree root, inline data, or symbolic link'],
  i_generation: [0x64, 'u32le'],
  i_file_acl_lo: [0x68, 'u32le', 'block of extended attributes'],
  i_size_high: [0x6c, 'u32le'],
  i_obso_faddr: [0x70, 'u32le'],
  i_blocks_high: [0x74, 'u16le'],
  i_file_acl_high: [0x76, 'u16le'],
  i_uid_high: [0x78, 'u16le'],
  i_gid_high: [0x7a, 'u16le'],
  i_checksum_lo: [0x7c, 'u16le'],
  i_reserved: [0x7e, 'u16le'],
  i_extra_isize: [0x80, 'u16le', 'bytes used beyond the first 128'],
  i_checksum_hi: [0x82, 'u16le'],
  i_ctime_extra: [0x84, 'u32le', 'nanoseconds << 2 | epoch'],
  i_mtime_extra: [0x88, 'u32le'],
  i_atime_extra: [0x8c, 'u32le'],
  i_crtime: [0x90, 'i32le'],
  i_crtime_extra: [0x94, 'u32le'],
  i_version_hi: [0x98, 'u32le'],
  i_projid: [0x9c, 'u32le'],
});

/** `i_mode`: file types. */
export const MODE_TYPE = 0xf000;
export const MODE_FIFO = 0x1000;
export const MODE_CHARACTER = 0x2000;
export const MODE_DIRECTORY = 0x4000;
export const MODE_BLOCK = 0x6000;
export const MODE_FILE = 0x8000;
export const MODE_SYMLINK = 0xa000;
export const MODE_SOCKET = 0xc000;

/** `i_flags` (inodes.rst "Inode flags"), those that matter here. */
export const INODE_IMMUTABLE = 0x10;
export const INODE_NODUMP = 0x40;
export const INODE_NOATIME = 0x80;
export const INODE_ENCRYPT = 0x800;
export const INODE_INDEX = 0x1000;
export const INODE_JOURNAL_DATA = 0x4000;
export const INODE_HUGE_FILE = 0x40000;
export const INODE_EXTENTS = 0x80000;
export const INODE_VERITY = 0x100000;
export const INODE_EA_INODE = 0x200000;
export const INODE_INLINE_DATA = 0x10000000;
export const INODE_CASEFOLD = 0x40000000;

/** Block map (ifork.rst "Direct/Indirect Block Addressing"): 12 direct pointers, then one of each depth. */
export const DIRECT_BLOCKS = 12;
export const BLOCK_POINTERS = 15;

/** ifork.rst "Extent Tree". */
export const EXTENT_HEADER = struct('ext extent header', 12, {
  eh_magic: [0x0, 'u16le', '0xF30A'],
  eh_entries: [0x2, 'u16le'],
  eh_max: [0x4, 'u16le'],
  eh_depth: [0x6, 'u16le', '0: the entries are extents, else index entries; at most 5'],
  eh_generation: [0x8, 'u32le'],
});
export const EXTENT_MAGIC = 0xf30a;
export const EXTENT_MAX_DEPTH = 5;
export const EXTENT_INDEX = struct('ext extent index', 12, {
  ei_block: [0x0, 'u32le', 'first file block below'],
  ei_leaf_lo: [0x4, 'u32le', 'block of the node below'],
  ei_leaf_hi: [0x8, 'u16le'],
  ei_unused: [0xa, 'u16le'],
});
export const EXTENT_LEAF = struct('ext extent', 12, {
  ee_block: [0x0, 'u32le', 'first file block'],
  ee_len: [0x4, 'u16le', 'blocks; above 32768: uninitialised, minus 32768'],
  ee_start_hi: [0x6, 'u16le'],
  ee_start_lo: [0x8, 'u32le'],
});
export const EXTENT_TAIL = struct('ext extent tail', 4, { eb_checksum: [0x0, 'u32le'] });
/** Longest initialised extent, in blocks; an uninitialised one is one block shorter. */
export const EXTENT_MAX_LENGTH = 32768;

/** directory.rst "Linear (Classic) Directories"; the name follows. */
export const DIRECTORY_ENTRY = struct('ext directory entry', 8, {
  inode: [0x0, 'u32le', '0: unused'],
  rec_len: [0x4, 'u16le', 'bytes to the next entry; 0 and 65535 stand for 64 KiB blocks'],
  name_len: [0x6, 'u8', 'bytes'],
  file_type: [0x7, 'u8', 'FILE_TYPE_*; high byte of the length without filetype'],
});
export const DIRECTORY_TAIL = struct('ext directory tail', 12, {
  det_reserved_zero1: [0x0, 'u32le'],
  det_rec_len: [0x4, 'u16le', '12'],
  det_reserved_zero2: [0x6, 'u8'],
  det_reserved_ft: [0x7, 'u8', '0xDE'],
  det_checksum: [0x8, 'u32le'],
});
export const DIRECTORY_TAIL_TYPE = 0xde;
export const NAME_MAX = 255;

export const FILE_TYPE_UNKNOWN = 0;
export const FILE_TYPE_FILE = 1;
export const FILE_TYPE_DIRECTORY = 2;
export const FILE_TYPE_CHARACTER = 3;
export const FILE_TYPE_BLOCK = 4;
export const FILE_TYPE_FIFO = 5;
export const FILE_TYPE_SOCKET = 6;
export const FILE_TYPE_SYMLINK = 7;

/** directory.rst "Hash Tree Directories": block 0, whose first 24 bytes look like the entries `.` and `..`. */
export const DX_ROOT = struct('ext dx_root', 40, {
  dot_inode: [0x0, 'u32le'],
  dot_rec_len: [0x4, 'u16le', '12'],
  dotdot_inode: [0xc, 'u32le'],
  dotdot_rec_len: [0x10, 'u16le', 'block size - 12'],
  reserved_zero: [0x18, 'u32le'],
  hash_version: [0x1c, 'u8'],
  info_length: [0x1d, 'u8', '8'],
  indirect_levels: [0x1e, 'u8', 'depth: at most 1, 2 with large_dir'],
  unused_flags: [0x1f, 'u8'],
  limit: [0x20, 'u16le', 'most entries, this head included'],
  count: [0x22, 'u16le', 'entries, this head included'],
  block: [0x24, 'u32le', 'file block for hash 0'],
});
/** An interior node: begins with an unused entry over the whole block. */
export const DX_NODE = struct('ext dx_node', 16, {
  fake_inode: [0x0, 'u32le', '0'],
  fake_rec_len: [0x4, 'u16le', 'block size'],
  fake_name_len: [0x6, 'u8'],
  fake_file_type: [0x7, 'u8'],
  limit: [0x8, 'u16le'],
  count: [0xa, 'u16le'],
  block: [0xc, 'u32le'],
});
/** Entries after the head; the head itself has this shape with limit and count in place of the hash. */
export const DX_ENTRY = struct('ext dx_entry', 8, {
  hash: [0x0, 'u32le'],
  block: [0x4, 'u32le', 'file block; the top 4 bits are not part of it'],
});
export const DX_COUNT_LIMIT = struct('ext dx_countlimit', 4, {
  limit: [0x0, 'u16le'],
  count: [0x2, 'u16le'],
});
/** Stands after `limit` entries. */
export const DX_TAIL = struct('ext dx_tail', 8, {
  dt_reserved: [0x0, 'u32le'],
  dt_checksum: [0x4, 'u32le'],
});

/** attributes.rst: header of an attribute block. */
export const XATTR_HEADER = struct('ext attribute block', 32, {
  h_magic: [0x0, 'u32le', '0xEA020000'],
  h_refcount: [0x4, 'u32le'],
  h_blocks: [0x8, 'u32le', '1'],
  h_hash: [0xc, 'u32le'],
  h_checksum: [0x10, 'u32le'],
  h_reserved: [0x14, 'bytes:12'],
});
export const XATTR_MAGIC = 0xea020000;
/** Magic in front of attributes inside an inode, 4 bytes. */
export const XATTR_IN_INODE = struct('ext in-inode attributes', 4, { h_magic: [0x0, 'u32le'] });
export const XATTR_ENTRY = struct('ext attribute', 16, {
  e_name_len: [0x0, 'u8'],
  e_name_index: [0x1, 'u8', 'prefix of the name; 7: system.'],
  e_value_offs: [0x2, 'u16le', 'from the block, or from the first entry in an inode'],
  e_value_inum: [0x4, 'u32le', 'inode that holds the value (ea_inode), or 0'],
  e_value_size: [0x8, 'u32le', 'bytes'],
  e_hash: [0xc, 'u32le'],
});
export const XATTR_INDEX_SYSTEM = 7;

/**
 * First page of a swap area (kernel, union swap_header in include/linux/swap.h): version 1, in the machine's byte order. mkswap
 * writes zeros wherever nothing is named here.
 */
export const SWAP_HEADER = struct('swap header', 4096, {
  bootbits: [0x0, 'bytes:1024', 'left to disk labels and boot loaders'],
  version: [0x400, 'u32le', '1'],
  last_page: [0x404, 'u32le', 'pages, counted from 0'],
  nr_badpages: [0x408, 'u32le'],
  sws_uuid: [0x40c, 'bytes:16'],
  sws_volume: [0x41c, 'bytes:16'],
  padding: [0x42c, 'bytes:468'],
  badpages: [0x600, 'bytes:2550'],
  signature: [0xff6, 'bytes:10', 'SWAPSPACE2'],
});

/** mmp.rst. */
export const MMP = struct('ext MMP block', 1024, {
  mmp_magic: [0x0, 'u32le', '0x004D4D50'],
  mmp_seq: [0x4, 'u32le', 'MMP_CLEAN when unmounted'],
  mmp_time: [0x8, 'bytes:8'],
  mmp_nodename: [0x10, 'bytes:64'],
  mmp_bdevname: [0x50, 'bytes:32'],
  mmp_check_interval: [0x70, 'u16le'],
  mmp_checksum: [0x3fc, 'u32le'],
});
export const MMP_MAGIC = 0x004d4d50;
export const MMP_CLEAN = 0xff4d4d50;
export const MMP_FSCK = 0xe24d4d50;

/** orphan.rst: the last 8 bytes of each block of the orphan file; inode numbers (or 0) stand before. */
export const ORPHAN_TAIL = struct('ext orphan block tail', 8, {
  ob_magic: [0x0, 'u32le', '0x0B10CA04'],
  ob_checksum: [0x4, 'u32le'],
});
export const ORPHAN_MAGIC = 0x0b10ca04;

/** journal.rst "Super Block" of jbd2, in the journal's first block; big-endian. */
export const JOURNAL_SUPERBLOCK = struct('jbd2 superblock', 1024, {
  h_magic: [0x0, 'u32be', '0xC03B3998'],
  h_blocktype: [0x4, 'u32be', '3: version 1, 4: version 2'],
  h_sequence: [0x8, 'u32be'],
  s_blocksize: [0xc, 'u32be', 'bytes'],
  s_maxlen: [0x10, 'u32be', 'blocks in the journal'],
  s_first: [0x14, 'u32be', 'first block of the log'],
  s_sequence: [0x18, 'u32be', 'first commit id expected'],
  s_start: [0x1c, 'u32be', 'block where the log starts; 0: empty'],
  s_errno: [0x20, 'u32be'],
  s_feature_compat: [0x24, 'u32be'],
  s_feature_incompat: [0x28, 'u32be'],
  s_feature_ro_compat: [0x2c, 'u32be'],
  s_uuid: [0x30, 'bytes:16'],
  s_nr_users: [0x40, 'u32be'],
  s_dynsuper: [0x44, 'u32be'],
  s_max_transaction: [0x48, 'u32be'],
  s_max_trans_data: [0x4c, 'u32be'],
  s_checksum_type: [0x50, 'u8', '4: crc32c'],
  s_num_fc_blks: [0x54, 'u32be', 'fast commit blocks'],
  s_head: [0x58, 'u32be'],
  s_checksum: [0xfc, 'u32be', 'crc32c of the 1024 bytes with this field zero'],
  s_users: [0x100, 'bytes:768'],
});
export const JOURNAL_MAGIC = 0xc03b3998;
export const JOURNAL_SUPERBLOCK_V1 = 3;
export const JOURNAL_SUPERBLOCK_V2 = 4;
export const JOURNAL_INCOMPAT_REVOKE = 0x1;
export const JOURNAL_INCOMPAT_64BIT = 0x2;
export const JOURNAL_INCOMPAT_ASYNC_COMMIT = 0x4;
export const JOURNAL_INCOMPAT_CSUM_V2 = 0x8;
export const JOURNAL_INCOMPAT_CSUM_V3 = 0x10;
export const JOURNAL_INCOMPAT_FAST_COMMIT = 0x20;
export const JOURNAL_COMPAT_CHECKSUM = 0x1;
