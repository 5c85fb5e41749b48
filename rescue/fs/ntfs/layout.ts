import { struct } from '../../bytes/fields.ts';

/**
 * On-disk structures of NTFS 3.x. All numbers are little-endian. Field names are those of Microsoft's documentation
 * ("Master File Table", FILE_RECORD_SEGMENT_HEADER, ATTRIBUTE_RECORD_HEADER, ...) in the spelling of the Linux-NTFS
 * project, which has names for all of them.
 * Sources: flatcap.github.io/linux-ntfs/ntfs (concepts, attributes, files); learn.microsoft.com, "Master File Table
 * (Local File Systems)"; ntfs-3g `layout.h`, `logfile.h`, `bootsect.h` (facts only).
 *
 * A file reference (48 bits of record number, 16 bits of sequence number) is three fields here: `..._low`, `..._high`
 * and `..._sequence`. Times (100 ns since 1601) and LSNs do not fit a number: they are bytes.
 */

// --- boot sector ($Boot) ------------------------------------------------------------------------------------------

export const BOOT_SECTOR = struct('NTFS boot sector', 512, {
  jump: [0x0, 'bytes:3'],
  oem_id: [0x3, 'bytes:8', '"NTFS    "'],
  bytes_per_sector: [0xb, 'u16le', 'bytes'],
  sectors_per_cluster: [0xd, 'u8', 'sectors; above 0x80: 2^(256 - this)'],
  reserved_sectors: [0xe, 'u16le', 'zero'],
  fats: [0x10, 'u8', 'zero'],
  root_entries: [0x11, 'u16le', 'zero'],
  sectors: [0x13, 'u16le', 'zero'],
  media_type: [0x15, 'u8', '0xf8: hard disk'],
  sectors_per_fat: [0x16, 'u16le', 'zero'],
  sectors_per_track: [0x18, 'u16le'],
  heads: [0x1a, 'u16le'],
  hidden_sectors: [0x1c, 'u32le', "sectors before the partition, counted in the disk's sectors"],
  large_sectors: [0x20, 'u32le', 'zero'],
  physical_drive: [0x24, 'u8'],
  current_head: [0x25, 'u8'],
  extended_boot_signature: [0x26, 'u8', '0x80'],
  reserved2: [0x27, 'u8'],
  number_of_sectors: [0x28, 'u64le', 'sectors of the volume, without the last one, which holds the backup'],
  mft_lcn: [0x30, 'u64le', 'cluster'],
  mftmirr_lcn: [0x38, 'u64le', 'cluster'],
  clusters_per_mft_record: [0x40, 'u8', 'clusters; above 0x80: 2^(256 - this) bytes'],
  reserved0: [0x41, 'bytes:3'],
  clusters_per_index_record: [0x44, 'u8', 'clusters; above 0x80: 2^(256 - this) bytes'],
  reserved1: [0x45, 'bytes:3'],
  volume_serial_number: [0x48, 'bytes:8'],
  checksum: [0x50, 'u32le', 'unused: zero'],
  bootstrap: [0x54, 'bytes:426'],
  end_of_sector_marker: [0x1fe, 'u16le', '0xaa55'],
});
export const OEM_ID = 'NTFS    ';

// --- records with an update sequence ------------------------------------------------------------------------------

/** Start of every structure that an update sequence protects (concepts/fixup). */
export const RECORD_HEADER = struct('NTFS record header', 8, {
  magic: [0x0, 'bytes:4'],
  usa_ofs: [0x4, 'u16le', 'bytes from the start of the record'],
  usa_count: [0x6, 'u16le', 'words: the number itself and one for each stride'],
});
/** An update sequence replaces the last word of every 512 bytes, whatever the sector size (concepts/fixup). */
export const STRIDE = 512;

// --- MFT records --------------------------------------------------------------------------------------------------

export const MFT_RECORD = struct('MFT record', 48, {
  magic: [0x0, 'bytes:4', '"FILE"'],
  usa_ofs: [0x4, 'u16le'],
  usa_count: [0x6, 'u16le'],
  lsn: [0x8, 'bytes:8', 'LSN of the last change'],
  sequence_number: [0x10, 'u16le', 'how often the record was reused'],
  link_count: [0x12, 'u16le', 'names of the file'],
  attrs_offset: [0x14, 'u16le', 'bytes from the start of the record'],
  flags: [0x16, 'u16le', 'RECORD_* bits'],
  bytes_in_use: [0x18, 'u32le', 'bytes'],
  bytes_allocated: [0x1c, 'u32le', 'bytes: the record size'],
  base_mft_record_low: [0x20, 'u32le', 'base record of an extension record; a base record has zeros'],
  base_mft_record_high: [0x24, 'u16le'],
  base_mft_record_sequence: [0x26, 'u16le'],
  next_attr_instance: [0x28, 'u16le'],
  reserved: [0x2a, 'u16le', 'NTFS 3.1'],
  mft_record_number: [0x2c, 'u32le', 'NTFS 3.1: number of this record'],
});
export const MAGIC_FILE = 'FILE';
/** Flags of an MFT record. */
export const RECORD_IN_USE = 0x1;
export const RECORD_IS_DIRECTORY = 0x2;

/** Records of the system files (files/index). */
export const FILE_MFT = 0;
export const FILE_MFTMIRR = 1;
export const FILE_LOGFILE = 2;
export const FILE_VOLUME = 3;
export const FILE_ROOT = 5;
export const FILE_BITMAP = 6;
export const FILE_BADCLUS = 8;
export const FILE_UPCASE = 10;
/** In use on a new volume, without a name or content: in reserve for the second extent of $MFT, which must be found before the others (ntfs-3g `mft.c`). */
export const FILE_MFT_EXTENSION = 15;
/** Records that $MFTMirr repeats. On large clusters it has room for more, which Windows 10 does not keep up to date. */
export const MIRRORED_RECORDS = 4;

// --- attributes ---------------------------------------------------------------------------------------------------

/** Types of attributes (attributes/index). */
export const AT_STANDARD_INFORMATION = 0x10;
export const AT_ATTRIBUTE_LIST = 0x20;
export const AT_FILE_NAME = 0x30;
export const AT_SECURITY_DESCRIPTOR = 0x50;
export const AT_VOLUME_NAME = 0x60;
export const AT_VOLUME_INFORMATION = 0x70;
export const AT_DATA = 0x80;
export const AT_INDEX_ROOT = 0x90;
export const AT_INDEX_ALLOCATION = 0xa0;
export const AT_BITMAP = 0xb0;
export const AT_REPARSE_POINT = 0xc0;
export const AT_END = 0xffffffff;

/** What all attributes begin with. */
export const ATTRIBUTE = struct('NTFS attribute', 16, {
  type: [0x0, 'u32le', 'AT_*'],
  length: [0x4, 'u32le', 'bytes, header included, a multiple of 8'],
  non_resident: [0x8, 'u8', '0 or 1'],
  name_length: [0x9, 'u8', 'UTF-16 units'],
  name_offset: [0xa, 'u16le', 'bytes from the start of the attribute'],
  flags: [0xc, 'u16le', 'ATTRIBUTE_* bits'],
  instance: [0xe, 'u16le', 'unique in the record'],
});
export const ATTRIBUTE_COMPRESSION_MASK = 0x00ff;
export const ATTRIBUTE_ENCRYPTED = 0x4000;
export const ATTRIBUTE_SPARSE = 0x8000;

export const RESIDENT_ATTRIBUTE = struct('resident NTFS attribute', 24, {
  value_length: [0x10, 'u32le', 'bytes'],
  value_offset: [0x14, 'u16le', 'bytes from the start of the attribute'],
  resident_flags: [0x16, 'u8', '1: indexed'],
  reserved: [0x17, 'u8'],
});

/** The sizes count only in the extent that begins at VCN 0. */
export const NON_RESIDENT_ATTRIBUTE = struct('non-resident NTFS attribute', 64, {
  lowest_vcn: [0x10, 'u64le', 'first VCN of this extent'],
  highest_vcn_low: [0x18, 'u32le', 'last VCN of this extent, or -1 for none'],
  highest_vcn_high: [0x1c, 'u32le'],
  mapping_pairs_offset: [0x20, 'u16le', 'bytes from the start of the attribute'],
  compression_unit: [0x22, 'u8', 'a compression unit is 2^this clusters; 0: not compressed'],
  reserved: [0x23, 'bytes:5'],
  allocated_size: [0x28, 'u64le', 'bytes: all VCNs'],
  data_size: [0x30, 'u64le', 'bytes'],
  initialized_size: [0x38, 'u64le', 'bytes: what lies behind reads as zeros'],
});

export const ATTRIBUTE_LIST_ENTRY = struct('attribute list entry', 26, {
  type: [0x0, 'u32le'],
  length: [0x4, 'u16le', 'bytes, a multiple of 8'],
  name_length: [0x6, 'u8', 'UTF-16 units'],
  name_offset: [0x7, 'u8', 'bytes from the start of the entry'],
  lowest_vcn: [0x8, 'u64le'],
  mft_reference_low: [0x10, 'u32le', 'record that holds the attribute'],
  mft_reference_high: [0x14, 'u16le'],
  mft_reference_sequence: [0x16, 'u16le'],
  instance: [0x18, 'u16le'],
});
/** Windows' cache manager sets this limit (attributes/attribute_list). */
export const LONGEST_ATTRIBUTE_LIST = 256 * 1024;

export const STANDARD_INFORMATION = struct('$STANDARD_INFORMATION', 48, {
  creation_time: [0x0, 'bytes:8'],
  last_data_change_time: [0x8, 'bytes:8'],
  last_mft_change_time: [0x10, 'bytes:8'],
  last_access_time: [0x18, 'bytes:8'],
  file_attributes: [0x20, 'u32le', 'FILE_ATTRIBUTE_* bits'],
  maximum_versions: [0x24, 'u32le'],
  version_number: [0x28, 'u32le'],
  class_id: [0x2c, 'u32le'],
});

export const FILE_NAME = struct('$FILE_NAME', 66, {
  parent_directory_low: [0x0, 'u32le', 'folder that lists the name'],
  parent_directory_high: [0x4, 'u16le'],
  parent_directory_sequence: [0x6, 'u16le'],
  creation_time: [0x8, 'bytes:8'],
  last_data_change_time: [0x10, 'bytes:8'],
  last_mft_change_time: [0x18, 'bytes:8'],
  last_access_time: [0x20, 'bytes:8'],
  allocated_size: [0x28, 'bytes:8'],
  data_size: [0x30, 'bytes:8'],
  file_attributes: [0x38, 'u32le'],
  reparse_point_tag: [0x3c, 'u32le', 'or the packed size of extended attributes'],
  file_name_length: [0x40, 'u8', 'UTF-16 units'],
  file_name_type: [0x41, 'u8', 'NAMESPACE_*'],
});
/** FILE_ATTRIBUTE_* bits (MS-FSCC 2.6); the last one stands in $FILE_NAME only: the file has an index of names. */
export const ATTRIBUTE_READ_ONLY = 0x1;
export const ATTRIBUTE_HIDDEN = 0x2;
export const ATTRIBUTE_SYSTEM = 0x4;
export const ATTRIBUTE_HAS_INDEX = 0x1000_0000;
/** Namespace of a name that is no short name and owes none. */
export const NAMESPACE_POSIX = 0;
/** Namespace of a short name that accompanies a long one: it is no link of its own. */
export const NAMESPACE_DOS = 2;

export const VOLUME_INFORMATION = struct('$VOLUME_INFORMATION', 12, {
  reserved: [0x0, 'bytes:8'],
  major_ver: [0x8, 'u8'],
  minor_ver: [0x9, 'u8'],
  flags: [0xa, 'u16le', 'VOLUME_* bits'],
});
export const VOLUME_IS_DIRTY = 0x0001;
export const VOLUME_RESIZE_LOG_FILE = 0x0002;
export const VOLUME_UPGRADE_ON_MOUNT = 0x0004;
export const VOLUME_DELETE_USN_UNDERWAY = 0x0010;
export const VOLUME_REPAIR_OBJECT_ID = 0x0020;
export const VOLUME_CHKDSK_UNDERWAY = 0x4000;
export const VOLUME_MODIFIED_BY_CHKDSK = 0x8000;

/** Start of the content of $REPARSE_POINT. */
export const REPARSE_POINT = struct('$REPARSE_POINT', 8, {
  reparse_tag: [0x0, 'u32le'],
  reparse_data_length: [0x4, 'u16le'],
  reserved: [0x6, 'u16le'],
});
/** MS-FSCC 2.1.2.1: links of Windows, mount points, links of its Linux subsystem. */
export const REPARSE_SYMLINK = 0xa000000c;
export const REPARSE_MOUNT_POINT = 0xa0000003;
export const REPARSE_LX_SYMLINK = 0xa000001d;

// --- indexes ------------------------------------------------------------------------------------------------------

/** Name of the index of names in a folder. */
export const NAME_INDEX = '$I30';

export const INDEX_ROOT = struct('$INDEX_ROOT', 16, {
  type: [0x0, 'u32le', 'indexed attribute: AT_FILE_NAME in folders'],
  collation_rule: [0x4, 'u32le'],
  index_block_size: [0x8, 'u32le', 'bytes'],
  clusters_per_index_block: [0xc, 'u8'],
  reserved: [0xd, 'bytes:3'],
});
export const COLLATION_FILE_NAME = 1;
/** `ih_flags`: there are sub-nodes (a large index, in the root). */
export const INDEX_HAS_NODES = 1;

/** Offsets count from the start of this header. */
export const INDEX_HEADER = struct('index header', 16, {
  entries_offset: [0x0, 'u32le', 'bytes'],
  index_length: [0x4, 'u32le', 'bytes: this header and the entries'],
  allocated_size: [0x8, 'u32le', 'bytes'],
  ih_flags: [0xc, 'u8', '1: has sub-nodes'],
  reserved: [0xd, 'bytes:3'],
});

export const INDEX_BLOCK = struct('index block', 24, {
  magic: [0x0, 'bytes:4', '"INDX"'],
  usa_ofs: [0x4, 'u16le'],
  usa_count: [0x6, 'u16le'],
  lsn: [0x8, 'bytes:8'],
  index_block_vcn: [0x10, 'u64le', 'number of this block'],
});
export const MAGIC_INDX = 'INDX';

/** A sub-node's number, if there is one, is the last 8 bytes of the entry. */
export const INDEX_ENTRY = struct('index entry', 16, {
  indexed_file_low: [0x0, 'u32le', 'file that the entry names'],
  indexed_file_high: [0x4, 'u16le'],
  indexed_file_sequence: [0x6, 'u16le'],
  length: [0x8, 'u16le', 'bytes, a multiple of 8'],
  key_length: [0xa, 'u16le', 'bytes'],
  ie_flags: [0xc, 'u16le', 'INDEX_ENTRY_* bits'],
  reserved: [0xe, 'u16le'],
});
export const INDEX_ENTRY_NODE = 0x1;
export const INDEX_ENTRY_END = 0x2;
export const SUB_NODE = struct('index entry', 8, {
  vcn: [0x0, 'u64le', 'block of the entries before this one'],
});

// --- security descriptors (MS-DTYP 2.4) ----------------------------------------------------------------------------

export const SECURITY_DESCRIPTOR = struct('security descriptor', 20, {
  revision: [0x0, 'u8', '1'],
  sbz1: [0x1, 'u8'],
  control: [0x2, 'u16le', 'SECURITY_* bits'],
  offset_owner: [0x4, 'u32le', 'bytes from the start'],
  offset_group: [0x8, 'u32le'],
  offset_sacl: [0xc, 'u32le', '0: none'],
  offset_dacl: [0x10, 'u32le'],
});
export const SECURITY_SELF_RELATIVE = 0x8000;
export const SECURITY_DACL_PRESENT = 0x0004;
/** Nothing is inherited into it when somebody changes the rights of a folder above. */
export const SECURITY_DACL_PROTECTED = 0x1000;

export const ACCESS_LIST = struct('access control list', 8, {
  acl_revision: [0x0, 'u8', '2'],
  sbz1: [0x1, 'u8'],
  acl_size: [0x2, 'u16le', 'bytes, entries included'],
  ace_count: [0x4, 'u16le'],
  sbz2: [0x6, 'u16le'],
});
/** The identifier to whom the entry belongs follows. Type 0 allows. */
export const ACCESS_ENTRY = struct('access control entry', 8, {
  ace_type: [0x0, 'u8'],
  ace_flags: [0x1, 'u8'],
  ace_size: [0x2, 'u16le', 'bytes, identifier included'],
  mask: [0x4, 'u32le'],
});
/** Followed by `sub_authority_count` numbers of 32 bits. */
export const SECURITY_ID = struct('security identifier', 8, {
  revision: [0x0, 'u8', '1'],
  sub_authority_count: [0x1, 'u8'],
  identifier_authority: [0x2, 'bytes:6', 'big-endian'],
});

// --- $LogFile -----------------------------------------------------------------------------------------------------

export const RESTART_PAGE = struct('$LogFile restart page', 30, {
  magic: [0x0, 'bytes:4', '"RSTR", or "CHKD" after chkdsk'],
  usa_ofs: [0x4, 'u16le'],
  usa_count: [0x6, 'u16le'],
  chkdsk_lsn: [0x8, 'bytes:8'],
  system_page_size: [0x10, 'u32le', 'bytes of a restart page'],
  log_page_size: [0x14, 'u32le', 'bytes'],
  restart_area_offset: [0x18, 'u16le', 'bytes from the start of the page, a multiple of 8'],
  minor_ver: [0x1a, 'u16le'],
  major_ver: [0x1c, 'u16le'],
});
export const MAGIC_RSTR = 'RSTR';
export const MAGIC_CHKD = 'CHKD';

export const RESTART_AREA = struct('$LogFile restart area', 48, {
  current_lsn: [0x0, 'bytes:8'],
  log_clients: [0x8, 'u16le'],
  client_free_list: [0xa, 'u16le'],
  client_in_use_list: [0xc, 'u16le', 'first client with the log open, or NO_CLIENT'],
  flags: [0xe, 'u16le', 'RESTART_* bits'],
  seq_number_bits: [0x10, 'u32le'],
  restart_area_length: [0x14, 'u16le', 'bytes'],
  client_array_offset: [0x16, 'u16le'],
  file_size: [0x18, 'bytes:8'],
  last_lsn_data_length: [0x20, 'u32le'],
  log_record_header_length: [0x24, 'u16le'],
  log_page_data_offset: [0x26, 'u16le'],
  restart_log_open_count: [0x28, 'u32le'],
  reserved: [0x2c, 'u32le'],
});
export const NO_CLIENT = 0xffff;
/** Since Windows XP the log stays open; this bit says that the volume was dismounted. */
export const RESTART_VOLUME_IS_CLEAN = 0x0002;
