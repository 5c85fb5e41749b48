import { crc32 } from 'node:zlib';
import { struct } from '../bytes/fields.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import { isPowerOfTwo, KIB, type Lba, MIB } from '../units.ts';
import { guidText, NIL_GUID } from './guid.ts';
import type { Partition, TableProblem } from './model.ts';

/** UEFI specification 2.10, section 5.3.2, "GPT Header". The rest of its logical sector is reserved. */
export const GPT_HEADER = struct('GPT header', 92, {
  Signature: [0, 'bytes:8', '"EFI PART"'],
  Revision: [8, 'u32le', '0x00010000'],
  HeaderSize: [12, 'u32le', 'bytes, 92 up to one sector'],
  HeaderCRC32: [16, 'u32le', 'over HeaderSize bytes, this field as zero'],
  Reserved: [20, 'u32le'],
  MyLBA: [24, 'u64le'],
  AlternateLBA: [32, 'u64le', 'the other header'],
  FirstUsableLBA: [40, 'u64le'],
  LastUsableLBA: [48, 'u64le', 'inclusive'],
  DiskGUID: [56, 'bytes:16'],
  PartitionEntryLBA: [72, 'u64le', 'first sector of this copy of the entries'],
  NumberOfPartitionEntries: [80, 'u32le'],
  SizeOfPartitionEntry: [84, 'u32le', 'bytes: 128 * 2^n'],
  PartitionEntryArrayCRC32: [88, 'u32le', 'over number * size bytes'],
});

/** UEFI specification 2.10, section 5.3.3, "GPT Partition Entry Array". */
export const GPT_ENTRY = struct('GPT partition entry', 128, {
  PartitionTypeGUID: [0, 'bytes:16', 'zero: unused'],
  UniquePartitionGUID: [16, 'bytes:16'],
  StartingLBA: [32, 'u64le'],
  EndingLBA: [40, 'u64le', 'inclusive'],
  Attributes: [48, 'bytes:8', '64 bits, little-endian; bit 2: legacy BIOS bootable'],
  PartitionName: [56, 'bytes:72', 'UTF-16LE, ends at the first zero'],
});

export const GPT_SIGNATURE = new Uint8Array(Buffer.from('EFI PART', 'latin1'));
export const GPT_REVISION = 0x0001_0000;
export const PRIMARY_LBA = 1;
/** Largest entry that is believed. The specification knows 128 * 2^n, everybody writes 128. */
export const MAX_ENTRY_SIZE = 4 * KIB;
/** Largest entry array that is believed: 64 times the usual 16 KiB. Linux allows 4 MiB. */
export const MAX_ENTRY_ARRAY = MIB;

/** One whole, verified copy: header and entries. */
export interface GptCopy {
  readonly lba: Lba;
  /** The header's whole logical sector. */
  readonly header: Uint8Array;
  readonly entriesLba: Lba;
  /** NumberOfPartitionEntries * SizeOfPartitionEntry bytes. */
  readonly entries: Uint8Array;
  readonly entrySize: number;
  readonly entryCount: number;
  readonly alternateLba: Lba;
  readonly firstUsable: Lba;
  readonly lastUsable: Lba;
  readonly diskGuid: string;
  readonly partitions: readonly Partition[];
  /** Entries that lie outside the disk, which nobody can use; not among `partitions`. */
  readonly unusable: readonly { readonly number: number; readonly message: string }[];
}

export type GptCopyReading =
  | { readonly copy: GptCopy; readonly problem: null }
  | {
      readonly copy: null;
      readonly problem: TableProblem /** "EFI PART" is there. */;
      readonly signed: boolean;
    };

export type CopyName = 'primary' | 'backup';

/** Last logical sector of the device, a partial one at the end not counted. -1 when there is none. */
export const lastLba = (device: Pick<ReadableDevice, 'size' | 'sectorSize'>): Lba =>
  Math.floor(device.size / device.sectorSize) - 1;

/** CRC-32 of the first HeaderSize bytes with the CRC field taken as zero. */
export const headerCrc = (header: Uint8Array): number => {
  const bytes = Uint8Array.from(header.subarray(0, GPT_HEADER.get(header, 'HeaderSize')));
  GPT_HEADER.set(bytes, 'HeaderCRC32', 0);
  return crc32(bytes);
};

const startsWith = (bytes: Uint8Array, prefix: Uint8Array): boolean =>
  prefix.every((byte, index) => bytes[index] === byte);

const attributeText = (bytes: Uint8Array): string => Buffer.from(bytes).reverse().toString('hex');

/** The name up to its first zero character. */
export const nameText = (bytes: Uint8Array): string => {
  const text = Buffer.from(bytes).toString('utf16le');
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
};

const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;

/** Damage met while one copy is read; becomes that copy's problem. */
class Damage extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const demand = (condition: boolean, code: string, message: string): void => {
  if (!condition) throw new Damage(code, message);
};

const decodeEntries = (
  entries: Uint8Array,
  entrySize: number,
  sectorSize: number,
  last: Lba,
  lenient: boolean,
): Pick<GptCopy, 'partitions' | 'unusable'> => {
  const partitions: Partition[] = [];
  const unusable: { number: number; message: string }[] = [];
  for (let at = 0; at < entries.length; at += entrySize) {
    const type = guidText(GPT_ENTRY.get(entries, 'PartitionTypeGUID', at));
    if (type === NIL_GUID) continue;
    const number = at / entrySize + 1;
    const first = GPT_ENTRY.get(entries, 'StartingLBA', at);
    const end = GPT_ENTRY.get(entries, 'EndingLBA', at);
    const message =
      end < first
        ? `partition ${number} ends at sector ${end}, before its start ${first}`
        : `partition ${number} ends at sector ${end}, beyond the disk's last sector ${last}`;
    const fits = end >= first && end <= last;
    demand(fits || lenient, 'gpt.entry-range', message);
    if (!fits) {
      unusable.push({ number, message });
      continue;
    }
    const attributes = GPT_ENTRY.get(entries, 'Attributes', at);
    partitions.push({
      number,
      start: first * sectorSize,
      size: (end - first + 1) * sectorSize,
      type,
      uuid: guidText(GPT_ENTRY.get(entries, 'UniquePartitionGUID', at)),
      name: nameText(GPT_ENTRY.get(entries, 'PartitionName', at)),
      bootable: (attributes[0]! & 4) !== 0,
      attributes: attributeText(attributes),
      logical: false,
    });
  }
  return { partitions, unusable };
};

const readCopy = (device: ReadableDevice, lba: Lba, which: CopyName, lenient: boolean): GptCopy => {
  const { sectorSize } = device;
  const last = lastLba(device);
  demand(
    lba >= PRIMARY_LBA && lba <= last,
    'gpt.header-outside',
    `sector ${lba} is outside the disk (last sector ${last})`,
  );
  const header = device.read(lba * sectorSize, sectorSize);
  demand(startsWith(header, GPT_SIGNATURE), 'gpt.signature', 'no "EFI PART"');
  const headerSize = GPT_HEADER.get(header, 'HeaderSize');
  demand(
    headerSize >= GPT_HEADER.size && headerSize <= sectorSize,
    'gpt.header-size',
    `header size ${headerSize}, expected ${GPT_HEADER.size} to ${sectorSize}`,
  );
  const actual = headerCrc(header);
  const crc = GPT_HEADER.get(header, 'HeaderCRC32');
  demand(crc === actual, 'gpt.header-crc', `header CRC ${hex(crc)}, computed ${hex(actual)}`);
  const field = GPT_HEADER.decode(header);
  demand(field.Revision >>> 16 === 1, 'gpt.revision', `revision ${hex(field.Revision)}, expected 1.x`);
  demand(
    field.MyLBA === lba,
    'gpt.my-lba',
    `the header says that it is at sector ${field.MyLBA}, found at ${lba}`,
  );
  const { FirstUsableLBA: firstUsable, LastUsableLBA: lastUsable } = field;
  demand(
    firstUsable <= lastUsable && lastUsable <= last,
    'gpt.usable-range',
    `usable sectors ${firstUsable} to ${lastUsable} on a disk whose last sector is ${last}`,
  );
  const { SizeOfPartitionEntry: entrySize, NumberOfPartitionEntries: entryCount } = field;
  demand(
    isPowerOfTwo(entrySize) && entrySize >= GPT_ENTRY.size && entrySize <= MAX_ENTRY_SIZE,
    'gpt.entry-size',
    `entries of ${entrySize} bytes, expected 128 * 2^n up to ${MAX_ENTRY_SIZE}`,
  );
  const length = entrySize * entryCount;
  demand(
    entryCount > 0 && length <= MAX_ENTRY_ARRAY,
    'gpt.entry-count',
    `${entryCount} entries of ${entrySize} bytes, expected 1 entry up to ${MAX_ENTRY_ARRAY} bytes in all`,
  );
  const entriesLba = field.PartitionEntryLBA;
  const entriesEnd = entriesLba + Math.ceil(length / sectorSize);
  const fits =
    which === 'primary'
      ? entriesLba > lba && entriesEnd <= firstUsable
      : entriesLba > lastUsable && entriesEnd <= lba;
  demand(
    fits,
    'gpt.entries-place',
    `the entry array is said to fill sectors ${entriesLba} to ${entriesEnd - 1}, not between header and usable sectors`,
  );
  const entries = device.read(entriesLba * sectorSize, length);
  const entriesCrc = crc32(entries);
  demand(
    entriesCrc === field.PartitionEntryArrayCRC32,
    'gpt.entries-crc',
    `entry array CRC ${hex(field.PartitionEntryArrayCRC32)}, computed ${hex(entriesCrc)}`,
  );
  return {
    lba,
    header,
    entriesLba,
    entries,
    entrySize,
    entryCount,
    alternateLba: field.AlternateLBA,
    firstUsable,
    lastUsable,
    diskGuid: guidText(field.DiskGUID),
    ...decodeEntries(entries, entrySize, sectorSize, last, lenient),
  };
};

const isSigned = (device: ReadableDevice, lba: Lba): boolean =>
  lba >= PRIMARY_LBA &&
  lba <= lastLba(device) &&
  startsWith(device.read(lba * device.sectorSize, GPT_SIGNATURE.length), GPT_SIGNATURE);

/**
 * Reads and checks one copy by itself. Damage becomes its problem; only `io` is thrown. `lenient`: as Linux does, an entry
 * that lies outside the disk is passed over and the others count.
 */
export const readGptCopy = (
  device: ReadableDevice,
  lba: Lba,
  which: CopyName,
  lenient = false,
): GptCopyReading => {
  try {
    return { copy: readCopy(device, lba, which, lenient), problem: null };
  } catch (error) {
    // A 64-bit field above 2^53 - 1 is reported by the field table itself.
    const tooLarge = isHoldfastError(error, 'corrupt');
    if (!(error instanceof Damage) && !tooLarge) throw error;
    const code = error instanceof Damage ? error.code : 'gpt.field-too-large';
    const problem: TableProblem = {
      code,
      severity: 'repairable',
      message: `${which} GPT: ${error.message}`,
      offset: lba * device.sectorSize,
    };
    return { copy: null, problem, signed: isSigned(device, lba) };
  }
};

export interface GptReading {
  readonly primary: GptCopyReading;
  readonly backup: GptCopyReading;
  /** The copy to believe: the primary if it is whole, as Linux does. */
  readonly best: GptCopy | null;
  /** Where the backup header is, or belongs. */
  readonly backupLba: Lba;
}

/**
 * Reads both copies: the backup where the primary says, or else in the last sector. A copy with an entry outside the disk
 * counts only if there is none without.
 */
export const readGpt = (device: ReadableDevice): GptReading => {
  const strict = readBoth(device, false);
  if (strict.best !== null) return strict;
  const isFaulty = ({ problem }: GptCopyReading): boolean => problem?.code === 'gpt.entry-range';
  return isFaulty(strict.primary) || isFaulty(strict.backup) ? readBoth(device, true) : strict;
};

const readBoth = (device: ReadableDevice, lenient: boolean): GptReading => {
  const end = lastLba(device);
  const primary = readGptCopy(device, PRIMARY_LBA, 'primary', lenient);
  const named = primary.copy?.alternateLba ?? end;
  const believable = named > PRIMARY_LBA && named <= end ? named : end;
  let backupLba = believable;
  let backup = readGptCopy(device, backupLba, 'backup', lenient);
  if (backup.copy === null && backupLba !== end) {
    const atEnd = readGptCopy(device, end, 'backup', lenient);
    if (atEnd.copy !== null) {
      backup = atEnd;
      backupLba = end;
    }
  }
  return { primary, backup, best: primary.copy ?? backup.copy, backupLba };
};
