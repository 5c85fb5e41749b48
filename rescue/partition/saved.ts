import type { ReadableDevice } from '../device/device.ts';
import { MemoryDevice } from '../device/memory.ts';
import { corrupt } from '../errors.ts';
import type { Lba } from '../units.ts';
import { MBR } from './boot-record.ts';
import { MAX_EBRS } from './extended.ts';
import { GPT_HEADER, MAX_ENTRY_ARRAY, PRIMARY_LBA } from './gpt.ts';
import { contentOf, encodeCopy } from './gpt-write.ts';
import type { Table } from './model.ts';
import { MBR_TABLE_RANGE } from './ranges.ts';
import { type LiveTable, modelOf, readTable } from './table.ts';

/**
 * A partition table as an image's control stream keeps it: the raw bytes that are needed to write it back, base64, and
 * the model for people. Only the raw bytes count when it is read again. JSON-safe. At most about 1.6 MiB (an entry
 * array of 1 MiB, 256 extended boot records); a few KiB is usual, since trailing zeros of the entries are left out.
 */
export interface SavedTable {
  readonly version: 1;
  readonly sectorSize: 512 | 4096;
  readonly diskSize: number;
  /** Bytes 440 to 511 of the disk: disk signature, records, 55 aa. Empty for scheme `none`. */
  readonly mbr: string;
  /** First 512 bytes of each extended boot record, in chain order. */
  readonly ebrs: readonly { readonly lba: number; readonly data: string }[];
  /** Primary header (one sector) and its entries, trailing zero bytes left out. */
  readonly gpt: { readonly header: string; readonly entries: string } | null;
  readonly table: Table;
}

const VERSION = 1;
/** Offsets must stay exact: 8 PiB. */
const MAX_DISK_SIZE = Number.MAX_SAFE_INTEGER;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const withoutTrailingZeros = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1);

/** Damage of the other copy says nothing about the saved one. */
const modelForSaving = (table: Table): Table => ({
  ...modelOf(table),
  problems: table.problems.filter((problem) => problem.severity !== 'repairable'),
});

/** The saved form of a table that was read. A table that is not valid is saved as scheme `none`. */
export const saveTable = (device: ReadableDevice, table: LiveTable = readTable(device)): SavedTable => {
  const sectorSize = device.sectorSize === 4096 ? 4096 : 512;
  const common = { version: VERSION, sectorSize, diskSize: device.size } as const;
  const { mbr, gpt } = table;
  if (!table.valid || mbr === null || gpt === null) {
    const none = { scheme: 'none' as const, valid: false, diskId: '', partitions: [], extended: [] };
    return { ...common, mbr: '', ebrs: [], gpt: null, table: { ...modelForSaving(table), ...none } };
  }
  const { start, length } = MBR_TABLE_RANGE;
  const head = base64(mbr.sector.subarray(start, start + length));
  if (table.scheme === 'mbr') {
    const ebrs = mbr.ebrs.map((ebr) => ({ lba: ebr.lba, data: base64(ebr.sector.subarray(0, MBR.size)) }));
    return { ...common, mbr: head, ebrs, gpt: null, table: modelForSaving(table) };
  }
  const content = contentOf(gpt.best!, sectorSize, {
    primary: gpt.primary.copy,
    backup: gpt.backup.copy,
    backupLba: gpt.backupLba,
  });
  const { header } = encodeCopy(content, 'primary');
  return {
    ...common,
    mbr: head,
    ebrs: [],
    gpt: { header: base64(header), entries: base64(withoutTrailingZeros(content.entries)) },
    table: modelForSaving(table),
  };
};

const wrong = (message: string, expected?: string | number, found?: string | number): Error =>
  corrupt(message, {
    code: 'saved-table.invalid',
    structure: 'saved partition table',
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
  });

/** A value for a message: numbers and short texts as they are, of anything else the type. */
const shown = (value: unknown): string =>
  typeof value === 'number' || typeof value === 'string' ? `${value}`.slice(0, 32) : typeof value;

const objectOf = (value: unknown, what: string): Record<string, unknown> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(`${what} is no object`);
  return value as Record<string, unknown>;
};

const integer = (value: unknown, what: string, least: number, most: number): number => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most)
    throw wrong(`${what} is out of range`, `${least} to ${most}`, shown(value));
  return value;
};

/** Bytes of a base64 text, between `least` and `most` of them. Checks the text's length before it decodes. */
const bytesOf = (value: unknown, what: string, least: number, most: number): Uint8Array => {
  if (typeof value !== 'string' || value.length > Math.ceil(most / 3) * 4)
    throw wrong(`${what} is no base64 text of up to ${most} bytes`);
  const bytes = Uint8Array.from(Buffer.from(value, 'base64'));
  if (base64(bytes) !== value) throw wrong(`${what} is not base64`);
  if (bytes.length < least || bytes.length > most)
    throw wrong(`${what} has a wrong length`, `${least} to ${most}`, bytes.length);
  return bytes;
};

/** The raw parts of a saved table as a disk that holds nothing else. */
export const savedDevice = (saved: SavedTable): MemoryDevice => {
  const { sectorSize } = saved;
  const device = new MemoryDevice(saved.diskSize, sectorSize, 'saved partition table');
  if (saved.mbr === '') return device;
  device.write(MBR_TABLE_RANGE.start, Buffer.from(saved.mbr, 'base64'));
  for (const ebr of saved.ebrs) device.write(ebr.lba * sectorSize, Buffer.from(ebr.data, 'base64'));
  if (saved.gpt !== null) {
    const header = Buffer.from(saved.gpt.header, 'base64');
    device.write(PRIMARY_LBA * sectorSize, header);
    device.write(
      GPT_HEADER.get(header, 'PartitionEntryLBA') * sectorSize,
      Buffer.from(saved.gpt.entries, 'base64'),
    );
  }
  return device;
};

/** Reads a saved table's raw bytes with the same reader as a disk's. */
export const readSaved = (saved: SavedTable): LiveTable => readTable(savedDevice(saved));

/**
 * Checks everything of a saved table that came out of a stream: shapes, limits, and that its raw bytes are a
 * valid table; the model is derived anew from them. Throws `corrupt` (`saved-table.*`).
 */
export const parseSavedTable = (json: unknown): SavedTable => {
  const object = objectOf(json, 'it');
  if (object['version'] !== VERSION) throw wrong('unknown version', VERSION, shown(object['version']));
  const sectorSize = integer(object['sectorSize'], 'sectorSize', 512, 4096);
  if (sectorSize !== 512 && sectorSize !== 4096) throw wrong('sectorSize', '512 or 4096', sectorSize);
  const diskSize = integer(object['diskSize'], 'diskSize', 0, MAX_DISK_SIZE);
  const lastSector = Math.floor(diskSize / sectorSize) - 1;
  const head = bytesOf(object['mbr'], 'mbr', 0, MBR_TABLE_RANGE.length);
  const common = { version: VERSION, sectorSize, diskSize } as const;
  if (head.length === 0) {
    const empty = readTable(new MemoryDevice(diskSize, sectorSize));
    return { ...common, mbr: '', ebrs: [], gpt: null, table: modelOf(empty) };
  }
  if (head.length !== MBR_TABLE_RANGE.length || lastSector < PRIMARY_LBA)
    throw wrong('mbr has a wrong length');
  const list = object['ebrs'];
  if (!Array.isArray(list) || list.length > MAX_EBRS) throw wrong(`ebrs is no list of up to ${MAX_EBRS}`);
  const ebrs = list.map((each: unknown) => {
    const ebr = objectOf(each, 'an extended boot record');
    const lba: Lba = integer(ebr['lba'], 'lba', 1, lastSector);
    return { lba, data: base64(bytesOf(ebr['data'], 'data', MBR.size, MBR.size)) };
  });
  const gpt = object['gpt'] === null ? null : gptParts(object['gpt'], sectorSize, lastSector);
  const saved = { ...common, mbr: base64(head), ebrs, gpt };
  const table = readSaved({ ...saved, table: EMPTY });
  const scheme = gpt === null ? 'mbr' : 'gpt';
  if (!table.valid || table.scheme !== scheme || (scheme === 'gpt' && table.gpt?.primary.copy === null)) {
    const why = table.problems.find((problem) => problem.severity !== 'note');
    throw wrong(`its bytes are no valid ${scheme} table${why === undefined ? '' : `: ${why.message}`}`);
  }
  return { ...saved, table: modelForSaving(table) };
};

const EMPTY: Table = {
  scheme: 'none',
  valid: false,
  sectorSize: 512,
  diskSize: 0,
  diskId: '',
  partitions: [],
  extended: [],
  problems: [],
};

const gptParts = (value: unknown, sectorSize: number, lastSector: Lba): NonNullable<SavedTable['gpt']> => {
  const object = objectOf(value, 'gpt');
  const header = bytesOf(object['header'], 'gpt.header', sectorSize, sectorSize);
  const entries = bytesOf(object['entries'], 'gpt.entries', 0, MAX_ENTRY_ARRAY);
  const at = GPT_HEADER.get(header, 'PartitionEntryLBA');
  if (at > lastSector || at * sectorSize + entries.length > (lastSector + 1) * sectorSize)
    throw wrong('gpt.header puts the entries beyond the disk');
  return { header: base64(header), entries: base64(entries) };
};

/** One difference between two tables, for people. */
export interface TableDifference {
  /** The partition's number, or null for what concerns the whole disk. */
  readonly number: number | null;
  readonly what: 'missing' | 'extra' | 'changed';
  readonly field: string;
  readonly live: string;
  readonly saved: string;
}

const COMPARED = ['start', 'size', 'type', 'uuid', 'name', 'bootable', 'attributes'] as const;

/** How the live table differs from a saved one: per partition, matched by number. */
export const compareTables = (live: Table, saved: Table | SavedTable): TableDifference[] => {
  const other: Table = 'table' in saved ? saved.table : saved;
  const differences: TableDifference[] = [];
  for (const field of ['scheme', 'diskId', 'sectorSize', 'diskSize'] as const) {
    if (live[field] === other[field]) continue;
    differences.push({
      number: null,
      what: 'changed',
      field,
      live: `${live[field]}`,
      saved: `${other[field]}`,
    });
  }
  const numbers = new Set([...live.partitions, ...other.partitions].map((partition) => partition.number));
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const mine = live.partitions.find((partition) => partition.number === number);
    const theirs = other.partitions.find((partition) => partition.number === number);
    const span = (partition: typeof mine): string =>
      partition === undefined ? '' : `bytes ${partition.start} to ${partition.start + partition.size - 1}`;
    if (mine === undefined || theirs === undefined) {
      const what = mine === undefined ? 'missing' : 'extra';
      differences.push({ number, what, field: 'partition', live: span(mine), saved: span(theirs) });
      continue;
    }
    for (const field of COMPARED) {
      if (mine[field] === theirs[field]) continue;
      differences.push({ number, what: 'changed', field, live: `${mine[field]}`, saved: `${theirs[field]}` });
    }
  }
  return differences;
};
