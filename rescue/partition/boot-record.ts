import { struct } from '../bytes/fields.ts';
import type { Lba } from '../units.ts';

/**
 * Master boot record and extended boot record (UEFI specification 2.10, section 5.2.1 "Legacy Master Boot Record";
 * the extended chain as Linux reads it, block/partitions/msdos.c). It fills the first 512 bytes of a logical
 * sector, whatever the sector's size.
 */
export const MBR = struct('master boot record', 512, {
  BootCode: [0, 'bytes:440', 'never changed by a table write'],
  UniqueMBRDiskSignature: [440, 'u32le', 'first half of every PARTUUID'],
  Unknown: [444, 'bytes:2', 'kept; 5a5a means copy-protected'],
  PartitionRecord: [446, 'bytes:64', 'four records of 16 bytes'],
  Signature: [510, 'u16le', '0xaa55'],
});

export const MBR_RECORD = struct('MBR partition record', 16, {
  BootIndicator: [0, 'u8', '0x80 active, 0x00 not; nothing else'],
  StartingCHS: [1, 'bytes:3', 'head, sector and cylinder bits'],
  OSType: [4, 'u8'],
  EndingCHS: [5, 'bytes:3'],
  StartingLBA: [8, 'u32le', 'logical sectors; in an EBR relative, see extended.ts'],
  SizeInLBA: [12, 'u32le', 'logical sectors; 0 means unused'],
});

export const MBR_SIGNATURE = 0xaa55;
export const MBR_RECORDS = 4;
export const TYPE_PROTECTIVE = 0xee;
const EXTENDED_TYPES = new Set([0x05, 0x0f, 0x85]);

export const isExtendedType = (type: number): boolean => EXTENDED_TYPES.has(type);

/** Where record `index` (0..3) starts in a boot record. */
export const recordOffset = (index: number): number =>
  MBR.offsetOf('PartitionRecord') + index * MBR_RECORD.size;

export interface MbrRecord {
  readonly index: number;
  readonly bootIndicator: number;
  readonly type: number;
  readonly start: Lba;
  readonly sectors: number;
  /** The 16 bytes as found. */
  readonly raw: Uint8Array;
}

/** The four records of a boot record, unused ones included. */
export const readRecords = (bytes: Uint8Array): MbrRecord[] =>
  Array.from({ length: MBR_RECORDS }, (_, index) => {
    const at = recordOffset(index);
    return {
      index,
      bootIndicator: MBR_RECORD.get(bytes, 'BootIndicator', at),
      type: MBR_RECORD.get(bytes, 'OSType', at),
      start: MBR_RECORD.get(bytes, 'StartingLBA', at),
      sectors: MBR_RECORD.get(bytes, 'SizeInLBA', at),
      raw: Uint8Array.from(bytes.subarray(at, at + MBR_RECORD.size)),
    };
  });

/** One extended boot record of a chain. */
export interface Ebr {
  readonly lba: Lba;
  /** The whole logical sector. */
  readonly sector: Uint8Array;
}

const HEADS = 255;
const SECTORS_PER_TRACK = 63;

/**
 * Cylinder-head-sector bytes for `lba` in the geometry that everybody assumes (255 heads, 63 sectors); past cylinder 1023
 * the agreed fe ff ff. Nothing modern reads them.
 */
export const chsBytes = (lba: Lba): Uint8Array => {
  const cylinder = Math.floor(lba / (HEADS * SECTORS_PER_TRACK));
  if (cylinder > 1023) return Uint8Array.of(0xfe, 0xff, 0xff);
  const head = Math.floor(lba / SECTORS_PER_TRACK) % HEADS;
  const sector = (lba % SECTORS_PER_TRACK) + 1;
  return Uint8Array.of(head, sector | ((cylinder >> 2) & 0xc0), cylinder & 0xff);
};
