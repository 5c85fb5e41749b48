import type { ByteLength, ByteOffset } from '../units.ts';
import { MBR } from './boot-record.ts';
import { isGuid } from './guid.ts';
import { isSoundEntry, type Partition } from './model.ts';
import { normaliseType } from './partition-type.ts';
import { readSaved, type SavedTable } from './saved.ts';
import type { LiveTable } from './table.ts';

/** Source of entries of the table that is on the disk and is not valid. */
export const DAMAGED_TABLE = 'the damaged table';

/** What one image knows of its partition and disk: from its slots, and from its control stream if that is whole. */
export interface KnownPartition {
  /** Who says so, for people: the image's name or id. */
  readonly source: string;
  /** Bytes from the start of the disk. */
  readonly start: ByteOffset;
  readonly size: ByteLength;
  readonly sectorSize: number;
  /** MBR type byte in hexadecimal or GPT type GUID; null when the slots do not say. */
  readonly type: string | null;
  /** PARTUUID, as Linux spells it. */
  readonly uuid: string | null;
  /** Bytes; null when not known. */
  readonly diskSize: ByteLength | null;
  /** The table that the control stream holds, checked by `parseSavedTable`. */
  readonly saved: SavedTable | null;
}

/** One entry that somebody wants in the table, with all that is known of it. */
export interface Candidate {
  readonly start: ByteOffset;
  readonly size: ByteLength;
  readonly number: number | null;
  readonly type: string | null;
  readonly uuid: string | null;
  readonly name: string;
  readonly bootable: boolean;
  readonly attributes: string;
  readonly logical: boolean;
  /** The 16 bytes of its MBR record, if they count sectors of the right size. */
  readonly record: Uint8Array | null;
  /** The bytes of its GPT entry, likewise. */
  readonly entry: Uint8Array | null;
  readonly ebr: { readonly lba: number; readonly bytes: Uint8Array } | null;
  readonly source: string;
  /** The partition that is to be restored. */
  readonly wanted: boolean;
}

/** An entry that will not be in the table, and why. */
export interface DroppedEntry {
  readonly source: string;
  readonly number: number | null;
  readonly name: string;
  readonly start: ByteOffset;
  readonly size: ByteLength;
  readonly reason: string;
}

const MBR_UUID = /^([0-9a-f]{8})-([0-9a-f]{2})$/;

/** Disk signature and partition number of an MBR PARTUUID; null for other text. */
export const parseMbrUuid = (
  uuid: string | null,
): { readonly signature: string; readonly number: number } | null => {
  const match = MBR_UUID.exec(uuid?.toLowerCase() ?? '');
  return match === null ? null : { signature: match[1]!, number: Number.parseInt(match[2]!, 16) };
};

/** Saved tables, each decoded once. */
export class SavedTables {
  readonly #read = new Map<SavedTable, LiveTable>();

  of(known: KnownPartition): LiveTable | null {
    const { saved } = known;
    if (saved === null || saved.mbr === '') return null;
    let table = this.#read.get(saved);
    if (table === undefined) {
      table = readSaved(saved);
      this.#read.set(saved, table);
    }
    return table.valid ? table : null;
  }
}

/** What a saved table says of one of its partitions. Raw bytes only if they count sectors of `sectorSize`. */
const fromTable = (table: LiveTable, partition: Partition, sectorSize: number, source: string): Candidate => {
  const comparable = table.sectorSize === sectorSize;
  const place = comparable ? table.mbr?.places.get(partition.number) : undefined;
  const isGpt = table.scheme === 'gpt';
  const copy = comparable && isGpt ? (table.gpt?.best ?? null) : null;
  const at = copy === null ? 0 : (partition.number - 1) * copy.entrySize;
  const ebr = isGpt ? undefined : table.mbr?.ebrs.find((each) => each.lba === place?.ebr);
  return {
    ...partition,
    record: isGpt ? null : (place?.raw ?? null),
    entry: copy === null ? null : copy.entries.subarray(at, at + copy.entrySize),
    ebr: ebr === undefined ? null : { lba: ebr.lba, bytes: ebr.sector.subarray(0, MBR.size) },
    source,
    wanted: false,
  };
};

const same = (a: { start: number; size: number }, b: { start: number; size: number }): boolean =>
  a.start === b.start && a.size === b.size;

/** All that is known of `known` itself: its own saved table first, then the others', then the slots alone. */
export const candidateOf = (
  known: KnownPartition,
  all: readonly KnownPartition[],
  tables: SavedTables,
  sectorSize: number,
  options: { readonly wanted?: boolean; readonly live?: LiveTable | undefined } = {},
): Candidate => {
  const { wanted = false, live } = options;
  for (const each of [known, ...all]) {
    const table = tables.of(each);
    const partition = table?.partitions.find((other) => same(other, known));
    if (table !== null && partition !== undefined)
      return { ...fromTable(table, partition, sectorSize, known.source), wanted };
  }
  const mbr = parseMbrUuid(known.uuid);
  const uuid = known.uuid?.toLowerCase() ?? null;
  const partition = live?.partitions.find((other) => same(other, known));
  if (live !== undefined && partition !== undefined) {
    const found = fromTable(live, partition, sectorSize, known.source);
    const own = uuid !== null && live.scheme === 'gpt' && isGuid(uuid) ? uuid : found.uuid;
    return { ...found, type: normaliseType(known.type) ?? found.type, uuid: own, wanted };
  }
  return {
    start: known.start,
    size: known.size,
    number: mbr?.number ?? null,
    type: normaliseType(known.type),
    uuid: uuid !== null && (mbr !== null || isGuid(uuid)) ? uuid : null,
    name: '',
    bootable: false,
    attributes: '',
    logical: (mbr?.number ?? 0) > 4,
    record: null,
    entry: null,
    ebr: null,
    source: known.source,
    wanted,
  };
};

export interface Bounds {
  /** First byte that a partition may use. */
  readonly start: ByteOffset;
  /** First byte that it may not use. */
  readonly end: ByteOffset;
  readonly sectorSize: number;
}

/** Why a span cannot be a partition within `bounds`, or null. */
export const unfit = (
  span: { readonly start: number; readonly size: number },
  bounds: Bounds,
): string | null => {
  const { start, size } = span;
  if (![start, size, start + size].every(Number.isSafeInteger) || start < 0 || size <= 0)
    return `start ${start} and size ${size} make no sense`;
  if (start % bounds.sectorSize !== 0 || size % bounds.sectorSize !== 0)
    return `start ${start} or size ${size} is no multiple of the sector size ${bounds.sectorSize}`;
  if (start < bounds.start)
    return `it starts at byte ${start}, the first that a partition may use is ${bounds.start}`;
  if (start + size > bounds.end)
    return `it ends at byte ${start + size}, the disk's last usable byte is ${bounds.end - 1}`;
  return null;
};

export interface Merged {
  /** Never overlapping, all within the bounds; the wanted one first. */
  readonly accepted: readonly Candidate[];
  readonly dropped: readonly DroppedEntry[];
}

export const droppedOf = (
  candidate: Candidate | (Partition & { source: string }),
  reason: string,
): DroppedEntry => {
  const { source, number, name, start, size } = candidate;
  return { source, number, name, start, size, reason };
};

/**
 * Merges what all images say. An image that was found proves its own partition, so those come first (the wanted one
 * before all), then the entries of saved tables in the order of the images, last the sound ones of the damaged table on the disk.
 * Whatever overlaps an entry accepted before it is dropped and named; the same place said twice counts once.
 */
export const mergeKnown = (
  wanted: KnownPartition,
  others: readonly KnownPartition[],
  tables: SavedTables,
  bounds: Bounds,
  live?: LiveTable,
): Merged => {
  const all = [wanted, ...others];
  const { sectorSize } = bounds;
  const accepted: Candidate[] = [];
  const dropped: DroppedEntry[] = [];
  const offer = (candidate: Candidate): void => {
    if (accepted.some((other) => same(other, candidate))) return;
    const reason = unfit(candidate, bounds);
    const rival = accepted.find(
      (other) => candidate.start < other.start + other.size && other.start < candidate.start + candidate.size,
    );
    if (reason === null && rival === undefined) {
      accepted.push(candidate);
      return;
    }
    if (dropped.some((other) => same(other, candidate))) return;
    const overlap = `it overlaps bytes ${rival?.start} to ${(rival?.start ?? 0) + (rival?.size ?? 0) - 1}, which ${rival?.source} names`;
    dropped.push(droppedOf(candidate, reason ?? overlap));
  };
  for (const known of all)
    offer(candidateOf(known, all, tables, sectorSize, { wanted: known === wanted, live }));
  for (const known of all) {
    const table = tables.of(known);
    for (const partition of table?.partitions ?? [])
      offer(fromTable(table!, partition, sectorSize, known.source));
  }
  for (const partition of live?.partitions ?? [])
    if (isSoundEntry(live!, partition.number)) offer(fromTable(live!, partition, sectorSize, DAMAGED_TABLE));
  return { accepted, dropped };
};
