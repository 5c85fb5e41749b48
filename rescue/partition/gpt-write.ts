import { crc32 } from 'node:zlib';
import { refused } from '../errors.ts';
import type { Lba } from '../units.ts';
import { MBR, MBR_RECORD, MBR_SIGNATURE, readRecords, recordOffset, TYPE_PROTECTIVE } from './boot-record.ts';
import {
  type CopyName,
  GPT_ENTRY,
  GPT_HEADER,
  GPT_REVISION,
  GPT_SIGNATURE,
  type GptCopy,
  headerCrc,
  nameText,
  PRIMARY_LBA,
} from './gpt.ts';
import { guidBytes, guidText, NIL_GUID } from './guid.ts';
import type { Partition } from './model.ts';

/** Entries of a table made from nothing: 128 of 128 bytes, as everybody does. */
const USUAL_ENTRY_COUNT = 128;

/** All that both copies of a GPT say, and where they go. */
export interface GptContent {
  readonly sectorSize: number;
  /** A header sector to start from: reserved bytes and header size are kept. */
  readonly header: Uint8Array;
  readonly entries: Uint8Array;
  readonly entrySize: number;
  readonly diskGuid: string;
  readonly firstUsable: Lba;
  readonly lastUsable: Lba;
  readonly primaryEntriesLba: Lba;
  readonly backupEntriesLba: Lba;
  readonly backupLba: Lba;
}

/** Sectors that `bytes` bytes of entries fill. */
export const arraySectors = (bytes: number, sectorSize: number): number => Math.ceil(bytes / sectorSize);

/** A header sector made from nothing. */
export const freshHeader = (sectorSize: number): Uint8Array => {
  const sector = new Uint8Array(sectorSize);
  GPT_HEADER.set(sector, 'Signature', GPT_SIGNATURE);
  GPT_HEADER.set(sector, 'Revision', GPT_REVISION);
  GPT_HEADER.set(sector, 'HeaderSize', GPT_HEADER.size);
  return sector;
};

/** A content without partitions for a disk of `diskSize` bytes. */
export const freshContent = (diskSize: number, sectorSize: number, diskGuid: string): GptContent =>
  fitContent(
    {
      sectorSize,
      header: freshHeader(sectorSize),
      entries: new Uint8Array(USUAL_ENTRY_COUNT * GPT_ENTRY.size),
      entrySize: GPT_ENTRY.size,
      diskGuid,
      firstUsable: PRIMARY_LBA + 1,
      lastUsable: 0,
      primaryEntriesLba: PRIMARY_LBA + 1,
      backupEntriesLba: 0,
      backupLba: 0,
    },
    diskSize,
  );

/**
 * The same content for a disk of `diskSize` bytes: the backup goes to the very end, the last usable sector just
 * before it, the first usable one not before the end of the primary entries.
 */
export const fitContent = (content: GptContent, diskSize: number): GptContent => {
  const { sectorSize } = content;
  const sectors = arraySectors(content.entries.length, sectorSize);
  const backupLba = Math.floor(diskSize / sectorSize) - 1;
  const firstUsable = Math.max(content.firstUsable, content.primaryEntriesLba + sectors);
  const lastUsable = backupLba - sectors - 1;
  if (lastUsable < firstUsable) {
    throw refused('the disk has no room for a GPT', {
      code: 'table.disk-too-small',
      expected: (firstUsable + sectors + 2) * sectorSize,
      found: diskSize,
    });
  }
  return { ...content, firstUsable, lastUsable, backupEntriesLba: backupLba - sectors, backupLba };
};

/** The content of one whole copy, with the places of both. `backupLba` and entries stay where the table has them. */
export const contentOf = (
  copy: GptCopy,
  sectorSize: number,
  places: { readonly primary: GptCopy | null; readonly backup: GptCopy | null; readonly backupLba: Lba },
): GptContent => {
  const sectors = arraySectors(copy.entries.length, sectorSize);
  return {
    sectorSize,
    header: copy.header,
    entries: copy.entries,
    entrySize: copy.entrySize,
    diskGuid: copy.diskGuid,
    firstUsable: copy.firstUsable,
    lastUsable: copy.lastUsable,
    primaryEntriesLba: places.primary?.entriesLba ?? PRIMARY_LBA + 1,
    backupEntriesLba: places.backup?.entriesLba ?? places.backupLba - sectors,
    backupLba: places.backupLba,
  };
};

/**
 * Whether a copy may be written where the content has it: not over usable sectors, nor over a partition. A table that
 * was made by others may leave no room for its own second copy.
 */
export const copyFits = (content: GptContent, which: CopyName): boolean => {
  const { entries, entrySize, sectorSize, backupLba } = content;
  const entriesLba = which === 'primary' ? content.primaryEntriesLba : content.backupEntriesLba;
  const end = entriesLba + arraySectors(entries.length, sectorSize);
  const [from, to] = which === 'primary' ? [PRIMARY_LBA, end] : [entriesLba, backupLba + 1];
  const placed =
    which === 'primary'
      ? entriesLba > PRIMARY_LBA && end <= content.firstUsable
      : entriesLba > content.lastUsable && end <= backupLba;
  if (!placed) return false;
  for (let at = 0; at < entries.length; at += entrySize) {
    if (guidText(GPT_ENTRY.get(entries, 'PartitionTypeGUID', at)) === NIL_GUID) continue;
    const start = GPT_ENTRY.get(entries, 'StartingLBA', at);
    if (start < to && GPT_ENTRY.get(entries, 'EndingLBA', at) >= from) return false;
  }
  return true;
};

/** One copy as it goes to disk: whole sectors of header and entries, CRCs right. */
export const encodeCopy = (
  content: GptContent,
  which: CopyName,
): {
  readonly headerLba: Lba;
  readonly header: Uint8Array;
  readonly entriesLba: Lba;
  readonly entries: Uint8Array;
} => {
  const headerLba = which === 'primary' ? PRIMARY_LBA : content.backupLba;
  const entriesLba = which === 'primary' ? content.primaryEntriesLba : content.backupEntriesLba;
  const header = Uint8Array.from(content.header);
  GPT_HEADER.set(header, 'MyLBA', headerLba);
  GPT_HEADER.set(header, 'AlternateLBA', which === 'primary' ? content.backupLba : PRIMARY_LBA);
  GPT_HEADER.set(header, 'FirstUsableLBA', content.firstUsable);
  GPT_HEADER.set(header, 'LastUsableLBA', content.lastUsable);
  GPT_HEADER.set(header, 'DiskGUID', guidBytes(content.diskGuid));
  GPT_HEADER.set(header, 'PartitionEntryLBA', entriesLba);
  GPT_HEADER.set(header, 'NumberOfPartitionEntries', content.entries.length / content.entrySize);
  GPT_HEADER.set(header, 'SizeOfPartitionEntry', content.entrySize);
  GPT_HEADER.set(header, 'PartitionEntryArrayCRC32', crc32(content.entries));
  GPT_HEADER.set(header, 'HeaderCRC32', headerCrc(header));
  const entries = new Uint8Array(
    arraySectors(content.entries.length, content.sectorSize) * content.sectorSize,
  );
  entries.set(content.entries);
  return { headerLba, header, entriesLba, entries };
};

/** Writes a partition into an entry array: type, GUID, place, attributes, name; nothing else of the entry. */
export const setEntry = (
  entries: Uint8Array,
  entrySize: number,
  partition: Partition,
  sectorSize: number,
): void => {
  const at = (partition.number - 1) * entrySize;
  const first = partition.start / sectorSize;
  GPT_ENTRY.set(entries, 'PartitionTypeGUID', guidBytes(partition.type), at);
  GPT_ENTRY.set(entries, 'UniquePartitionGUID', guidBytes(partition.uuid), at);
  GPT_ENTRY.set(entries, 'StartingLBA', first, at);
  GPT_ENTRY.set(entries, 'EndingLBA', first + partition.size / sectorSize - 1, at);
  const attributes = new Uint8Array(Buffer.from(partition.attributes.padStart(16, '0'), 'hex').reverse());
  GPT_ENTRY.set(entries, 'Attributes', attributes, at);
  // Bytes after the name's end are not ours: a name that says the same stays as it is.
  if (nameText(GPT_ENTRY.get(entries, 'PartitionName', at)) === partition.name) return;
  const name = new Uint8Array(GPT_ENTRY.widthOf('PartitionName'));
  name.set(new Uint8Array(Buffer.from(partition.name, 'utf16le')).subarray(0, name.length));
  GPT_ENTRY.set(entries, 'PartitionName', name, at);
};

/** UEFI specification 2.10, section 5.2.3 "Protective MBR": these CHS values, and at most 0xffffffff sectors. */
const protectiveRecord = (diskSectors: number): Uint8Array =>
  MBR_RECORD.encode({
    StartingCHS: Uint8Array.of(0x00, 0x02, 0x00),
    OSType: TYPE_PROTECTIVE,
    EndingCHS: Uint8Array.of(0xff, 0xff, 0xff),
    StartingLBA: 1,
    SizeInLBA: Math.min(diskSectors - 1, 0xffff_ffff),
  });

/**
 * Makes the boot record in `sector` protective, in place, boot code and disk signature untouched. A record of type ee that is
 * there already keeps its slot, and the other records stay (a hybrid MBR); without one, all four are replaced.
 */
export const protect = (sector: Uint8Array, diskSectors: number): void => {
  const records = readRecords(sector);
  const signed = MBR.get(sector, 'Signature') === MBR_SIGNATURE;
  const present = records.find((record) => record.type === TYPE_PROTECTIVE);
  MBR.set(sector, 'Signature', MBR_SIGNATURE);
  if (!signed || present === undefined) {
    sector.fill(0, recordOffset(0), recordOffset(0) + MBR.widthOf('PartitionRecord'));
    sector.set(protectiveRecord(diskSectors), recordOffset(0));
    return;
  }
  const alone = records.every((record) => record.index === present.index || record.type === 0);
  // A hybrid's ee record often covers the table alone: leave it.
  MBR_RECORD.set(sector, 'StartingLBA', PRIMARY_LBA, recordOffset(present.index));
  if (alone) sector.set(protectiveRecord(diskSectors), recordOffset(present.index));
};
