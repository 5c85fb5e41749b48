import type { Cluster } from '../../units.ts';
import {
  ATTRIBUTE_LONG_NAME,
  DIRECTORY_ENTRY,
  ENTRY_SIZE,
  LAST_LONG_ENTRY,
  LONG_ENTRY,
  LONG_ENTRY_CHARACTERS,
} from './layout.ts';
import { shortNameChecksum } from './names.ts';
import { dateTimeOf } from './times.ts';
import type { FatVolume } from './volume.ts';

export interface NewEntry {
  /** DIR_Name: eleven bytes. */
  readonly shortName: Uint8Array;
  /** Undefined for `.` and `..`. */
  readonly longName: string | undefined;
  /** DIR_Attr. */
  readonly attributes: number;
  /** Undefined for nothing, and where `..` means the root. */
  readonly first: Cluster | undefined;
  /** Bytes; 0 for folders. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly time: number;
}

/** The slots of an entry as they stand on disk, one behind the other: the parts of the long name, last part first, then the short entry. */
export const encodeEntry = (volume: FatVolume, entry: NewEntry): Uint8Array =>
  Buffer.concat([...longParts(entry), shortEntry(volume, entry)]);

/** How many slots an entry of that long name takes. */
export const slotsFor = (longName: string): number => Math.ceil(longName.length / LONG_ENTRY_CHARACTERS) + 1;

const shortEntry = (volume: FatVolume, entry: NewEntry): Uint8Array => {
  const { date, time } = dateTimeOf(entry.time);
  const first = entry.first === undefined ? 0 : volume.entryOf(entry.first);
  return DIRECTORY_ENTRY.encode({
    DIR_Name: entry.shortName,
    DIR_Attr: entry.attributes,
    // The words count two seconds each, this one the second between.
    DIR_CrtTimeTenth: (Math.floor(entry.time) % 2) * 100,
    DIR_CrtTime: time,
    DIR_CrtDate: date,
    DIR_LstAccDate: date,
    // Not defined on FAT12 and FAT16, whose numbers have 16 bits at most.
    DIR_FstClusHI: first >>> 16,
    DIR_WrtTime: time,
    DIR_WrtDate: date,
    DIR_FstClusLO: first & 0xffff,
    DIR_FileSize: entry.size,
  });
};

/** fatgen103 "Long Directory Entries": a name that does not fill its last part ends with 0, and the rest is 0xFFFF. */
function* longParts({ longName, shortName }: NewEntry): Generator<Uint8Array> {
  if (longName === undefined) return;
  const checksum = shortNameChecksum(shortName);
  const count = Math.ceil(longName.length / LONG_ENTRY_CHARACTERS);
  for (let number = count; number > 0; number -= 1) {
    const part = longName.slice((number - 1) * LONG_ENTRY_CHARACTERS, number * LONG_ENTRY_CHARACTERS);
    const units = Buffer.alloc(LONG_ENTRY_CHARACTERS * 2, 0xff);
    units.write(part, 'utf16le');
    if (part.length < LONG_ENTRY_CHARACTERS) units.writeUInt16LE(0, part.length * 2);
    const fields = {
      LDIR_Ord: number === count ? number | LAST_LONG_ENTRY : number,
      LDIR_Attr: ATTRIBUTE_LONG_NAME,
      LDIR_Chksum: checksum,
      LDIR_Name1: units.subarray(0, 10),
      LDIR_Name2: units.subarray(10, 22),
      LDIR_Name3: units.subarray(22, 26),
    };
    const bytes = LONG_ENTRY.encode(fields);
    if (bytes.length !== ENTRY_SIZE) throw new RangeError('a slot has another size');
    yield bytes;
  }
}
