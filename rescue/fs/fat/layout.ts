import { struct } from '../../bytes/fields.ts';

/**
 * On-disk structures of FAT12, FAT16 and FAT32. Field names are those of Microsoft's "FAT: General Overview of On-Disk
 * Format" (fatgen103, version 1.03); where it is silent, of Linux `Documentation/filesystems/vfat.rst` and ECMA-107. All
 * numbers are little-endian.
 */

/** Bytes of a boot sector that are laid down; larger sectors leave the rest to boot code. */
export const BOOT_SECTOR_SIZE = 512;
/** `Signature_word`: 55 AA on disk, at 510 whatever the sector size. */
export const BOOT_SIGNATURE = 0xaa55;

/** fatgen103 "Boot Sector and BPB": what all three types have. */
export const BOOT_SECTOR = struct('FAT boot sector', BOOT_SECTOR_SIZE, {
  BS_jmpBoot: [0, 'bytes:3', 'jump to boot code: EB ?? 90 or E9 ?? ??'],
  BS_OEMName: [3, 'bytes:8', 'who formatted it; says nothing'],
  BPB_BytsPerSec: [11, 'u16le', 'bytes: 512, 1024, 2048 or 4096'],
  BPB_SecPerClus: [13, 'u8', 'sectors per cluster: a power of two'],
  BPB_RsvdSecCnt: [14, 'u16le', 'sectors before the first FAT, this one included'],
  BPB_NumFATs: [16, 'u8', 'FATs, one behind the other'],
  BPB_RootEntCnt: [17, 'u16le', '32-byte entries of the fixed root folder; 0 on FAT32'],
  BPB_TotSec16: [19, 'u16le', 'sectors of the volume, or 0: then BPB_TotSec32'],
  BPB_Media: [21, 'u8', '0xF0 or 0xF8 to 0xFF'],
  BPB_FATSz16: [22, 'u16le', 'sectors of one FAT; 0 on FAT32'],
  BPB_SecPerTrk: [24, 'u16le', 'for BIOS calls only'],
  BPB_NumHeads: [26, 'u16le', 'for BIOS calls only'],
  BPB_HiddSec: [28, 'u32le', 'sectors of the disk before this volume, for boot code'],
  BPB_TotSec32: [32, 'u32le', 'sectors of the volume'],
  Signature_word: [510, 'u16le', 'BOOT_SIGNATURE'],
});

/** fatgen103 "Fat12 and Fat16 Structure Starting at Offset 36". Offsets are those in the boot sector. */
export const EXTENDED_16 = struct('FAT12/16 boot sector', BOOT_SECTOR_SIZE, {
  BS_DrvNum: [36, 'u8', 'BIOS drive number'],
  BS_Reserved1: [37, 'u8', 'BOOT_STATE_* bits'],
  BS_BootSig: [38, 'u8', '0x29: the three following fields are there; 0x28: the first of them'],
  BS_VolID: [39, 'u32le', 'serial number'],
  BS_VolLab: [43, 'bytes:11', 'label, `NO NAME    ` for none'],
  BS_FilSysType: [54, 'bytes:8', 'for people; says nothing of the type'],
});

/** fatgen103 "FAT32 Structure Starting at Offset 36". Offsets are those in the boot sector. */
export const EXTENDED_32 = struct('FAT32 boot sector', BOOT_SECTOR_SIZE, {
  BPB_FATSz32: [36, 'u32le', 'sectors of one FAT'],
  BPB_ExtFlags: [40, 'u16le', 'EXTENDED_FLAGS_*'],
  BPB_FSVer: [42, 'u16le', 'version: 0'],
  BPB_RootClus: [44, 'u32le', 'number of the FAT entry of the root folder, usually 2'],
  BPB_FSInfo: [48, 'u16le', 'sector of the FSInfo structure; 0 or 0xFFFF for none'],
  BPB_BkBootSec: [50, 'u16le', 'sector of the copy of the boot sector, usually 6; 0 or 0xFFFF for none'],
  BPB_Reserved: [52, 'bytes:12'],
  BS_DrvNum: [64, 'u8', 'BIOS drive number'],
  BS_Reserved1: [65, 'u8', 'BOOT_STATE_* bits'],
  BS_BootSig: [66, 'u8', '0x29: the three following fields are there; 0x28: the first of them'],
  BS_VolID: [67, 'u32le', 'serial number'],
  BS_VolLab: [71, 'bytes:11', 'label, `NO NAME    ` for none'],
  BS_FilSysType: [82, 'bytes:8', 'for people; says nothing of the type'],
});

/** BPB_ExtFlags: only the FAT of this number is in use ... */
export const EXTENDED_FLAGS_ACTIVE = 0x000f;
/** ... if this bit is set; else all FATs are kept alike. */
export const EXTENDED_FLAGS_NOT_MIRRORED = 0x0080;

/** BS_Reserved1 as Linux (`FAT_STATE_DIRTY`) and Windows NT use it: the volume is in use, or was not unmounted. */
export const BOOT_STATE_DIRTY = 0x01;
/** Windows NT: errors were met, its surface is to be tested. */
export const BOOT_STATE_TEST = 0x02;

export const BOOT_SIG_SERIAL = 0x28;
export const BOOT_SIG_LABEL = 0x29;
/** Stands in BPB_FSInfo and BPB_BkBootSec for "none", like 0. */
export const NO_SECTOR = 0xffff;

/** fatgen103 "FAT32 FSInfo Sector Structure". Its numbers are hints: nothing relies on them. */
export const FS_INFO = struct('FAT32 FSInfo sector', 512, {
  FSI_LeadSig: [0, 'u32le', 'FSINFO_LEAD'],
  FSI_Reserved1: [4, 'bytes:480'],
  FSI_StrucSig: [484, 'u32le', 'FSINFO_STRUCTURE'],
  FSI_Free_Count: [488, 'u32le', 'free clusters, FSINFO_UNKNOWN if nobody counted'],
  FSI_Nxt_Free: [492, 'u32le', 'FAT entry to begin a search for free ones at, or FSINFO_UNKNOWN'],
  FSI_Reserved2: [496, 'bytes:12'],
  FSI_TrailSig: [508, 'u32le', 'FSINFO_TRAIL'],
});
export const FSINFO_LEAD = 0x41615252;
export const FSINFO_STRUCTURE = 0x61417272;
export const FSINFO_TRAIL = 0xaa550000;
export const FSINFO_UNKNOWN = 0xffffffff;

/** fatgen103 "FAT Directory Structure": one name, or a part of a long one. */
export const ENTRY_SIZE = 32;
export const DIRECTORY_ENTRY = struct('FAT directory entry', ENTRY_SIZE, {
  DIR_Name: [0, 'bytes:11', 'eight and three characters of an OEM code page, padded with blanks'],
  DIR_Attr: [11, 'u8', 'ATTRIBUTE_* bits'],
  DIR_NTRes: [12, 'u8', 'CASE_* bits'],
  DIR_CrtTimeTenth: [13, 'u8', '10 ms: 0 to 199'],
  DIR_CrtTime: [14, 'u16le', 'time of creation'],
  DIR_CrtDate: [16, 'u16le'],
  DIR_LstAccDate: [18, 'u16le'],
  DIR_FstClusHI: [20, 'u16le', 'upper half of the first FAT entry; FAT32 only, else not defined'],
  DIR_WrtTime: [22, 'u16le', 'time of the last write'],
  DIR_WrtDate: [24, 'u16le'],
  DIR_FstClusLO: [26, 'u16le', 'lower half of the first FAT entry; 0 for an empty file'],
  DIR_FileSize: [28, 'u32le', 'bytes; 0 for folders'],
});

/** fatgen103 "FAT Long Directory Entries": 13 characters of a name, stored before the short entry, last part first. */
export const LONG_ENTRY = struct('FAT long directory entry', ENTRY_SIZE, {
  LDIR_Ord: [0, 'u8', 'number of the part from 1; LAST_LONG_ENTRY with the last one'],
  LDIR_Name1: [1, 'bytes:10', 'UTF-16'],
  LDIR_Attr: [11, 'u8', 'ATTRIBUTE_LONG_NAME'],
  LDIR_Type: [12, 'u8', '0'],
  LDIR_Chksum: [13, 'u8', 'of DIR_Name of the short entry'],
  LDIR_Name2: [14, 'bytes:12', 'UTF-16'],
  LDIR_FstClusLO: [26, 'u16le', '0'],
  LDIR_Name3: [28, 'bytes:4', 'UTF-16'],
});

export const ATTRIBUTE_READ_ONLY = 0x01;
export const ATTRIBUTE_HIDDEN = 0x02;
export const ATTRIBUTE_SYSTEM = 0x04;
export const ATTRIBUTE_VOLUME_ID = 0x08;
export const ATTRIBUTE_DIRECTORY = 0x10;
export const ATTRIBUTE_ARCHIVE = 0x20;
/** The lower four together mark a part of a long name ... */
export const ATTRIBUTE_LONG_NAME = 0x0f;
/** ... when looked at through this mask. */
export const ATTRIBUTE_LONG_NAME_MASK = 0x3f;

/** Windows NT and Linux: the name or the extension of an 8.3 name is all lower case. */
export const CASE_LOWER_NAME = 0x08;
export const CASE_LOWER_EXTENSION = 0x10;

export const LAST_LONG_ENTRY = 0x40;
export const LONG_ENTRY_CHARACTERS = 13;
/** fatgen103: a long name has at most 255 characters. */
export const LONG_NAME_MOST = 255;
export const LONG_ENTRIES_MOST = Math.ceil(LONG_NAME_MOST / LONG_ENTRY_CHARACTERS);

/** First byte of a name: this entry and all behind it are free. */
export const NAME_END = 0x00;
/** First byte of a name: this entry is free. */
export const NAME_DELETED = 0xe5;
/** First byte of a name: stands for 0xE5, a letter in Japanese code pages. */
export const NAME_KANJI_E5 = 0x05;

/** fatgen103: a folder has at most 65536 entries. */
export const FOLDER_MOST = 65536 * ENTRY_SIZE;

/** fatgen103 "FAT Type Determination": fewer clusters than this are FAT12 ... */
export const FAT16_FROM = 4085;
/** ... and fewer than this FAT16. */
export const FAT32_FROM = 65525;

/** The first two entries of a FAT belong to no cluster. */
export const FIRST_DATA_ENTRY = 2;

/** Values of a FAT entry by the width in bits. FAT32 keeps the upper four bits for something else. */
export const ENTRY_VALUES = {
  12: { mask: 0xfff, bad: 0xff7, end: 0xff8 },
  16: { mask: 0xffff, bad: 0xfff7, end: 0xfff8 },
  32: { mask: 0x0fffffff, bad: 0x0ffffff7, end: 0x0ffffff8 },
} as const;

/** fatgen103 "FAT Data Structure", FAT[1]: set while the volume is cleanly unmounted; FAT12 has none. */
export const CLEAN_SHUTDOWN = { 12: 0, 16: 0x8000, 32: 0x08000000 } as const;
/** fatgen103, FAT[1]: set unless the driver met read or write errors. */
export const NO_HARD_ERRORS = { 12: 0, 16: 0x4000, 32: 0x04000000 } as const;

/** DIR_FileSize has 32 bits. */
export const FILE_MOST = 0xffffffff;
