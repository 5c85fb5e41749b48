import type { ByteLength, ByteOffset } from '../units.ts';

/** One partition, of either scheme. JSON-safe. */
export interface Partition {
  /** As Linux counts: GPT entry index + 1; MBR slots 1..4, logical partitions from 5 in chain order. */
  readonly number: number;
  /** Bytes from the start of the disk. */
  readonly start: ByteOffset;
  /** Bytes. */
  readonly size: ByteLength;
  /** MBR: the type byte as two lower-case hexadecimal digits. GPT: the type GUID, lower case. */
  readonly type: string;
  /** PARTUUID as Linux spells it: GPT GUID in lower case, or `SIGNATURE-NN` for MBR. */
  readonly uuid: string;
  /** GPT only; empty for MBR. */
  readonly name: string;
  /** MBR boot indicator 0x80; for GPT, attribute bit 2 ("legacy BIOS bootable"). */
  readonly bootable: boolean;
  /** GPT attributes as 16 hexadecimal digits, most significant first; empty for MBR. */
  readonly attributes: string;
  /** Described by an EBR inside an extended partition. */
  readonly logical: boolean;
}

/** An MBR entry of type 05, 0f or 85: it holds logical partitions and no data of its own. */
export interface ExtendedPartition {
  readonly number: number;
  readonly start: ByteOffset;
  readonly size: ByteLength;
  readonly type: string;
}

/**
 * `invalid`: the table cannot be trusted. `repairable`: one copy is damaged, the other is whole.
 * `note`: odd, but every reader would accept it.
 */
export type Severity = 'invalid' | 'repairable' | 'note';

/** One finding about a table, coded for programs and worded for people. JSON-safe. */
export interface TableProblem {
  /** Stable, e.g. `gpt.header-crc`, `mbr.overlap`. The README lists all. */
  readonly code: string;
  readonly severity: Severity;
  readonly message: string;
  /** Byte position on the disk of the structure concerned. */
  readonly offset: ByteOffset;
  /**
   * Of an `invalid` one: numbers of the entries that are wrong, where the others can be told from them; none where an entry
   * is missing. Left out where the table as a whole is not to be trusted.
   */
  readonly entries?: readonly number[];
}

export type Scheme = 'mbr' | 'gpt' | 'none';

/** A partition table, of either scheme. JSON-safe. */
export interface Table {
  readonly scheme: Scheme;
  /** No problem of severity `invalid`, and at least one whole copy. False for scheme `none`. */
  readonly valid: boolean;
  /** Bytes. */
  readonly sectorSize: number;
  readonly diskSize: ByteLength;
  /** MBR: signature as 8 hexadecimal digits. GPT: disk GUID, lower case. Empty for `none`. */
  readonly diskId: string;
  /** Ascending by number. Extended partitions are not in here. */
  readonly partitions: readonly Partition[];
  readonly extended: readonly ExtendedPartition[];
  readonly problems: readonly TableProblem[];
}

/** Whether one entry can be trusted: the table is valid, or what is wrong with it concerns other entries. */
export const isSoundEntry = (table: Table, number: number): boolean =>
  table.scheme !== 'none' &&
  table.partitions.some((partition) => partition.number === number) &&
  table.problems.every(
    ({ severity, entries }) => severity !== 'invalid' || (entries !== undefined && !entries.includes(number)),
  );

/** A change of whole sectors, with what must be there before. Same shape as a patch's write. */
export interface TableWrite {
  readonly offset: ByteOffset;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/** Pairs of neighbours that overlap, after sorting by start. Empty spans never overlap. */
export const overlaps = <S extends { readonly start: number; readonly size: number }>(
  spans: readonly S[],
): [S, S][] => {
  const sorted = spans.filter((span) => span.size > 0).sort((a, b) => a.start - b.start);
  const found: [S, S][] = [];
  let reach: S | undefined;
  for (const span of sorted) {
    if (reach !== undefined && span.start < reach.start + reach.size) found.push([reach, span]);
    if (reach === undefined || span.start + span.size > reach.start + reach.size) reach = span;
  }
  return found;
};

/** `partition 3 (1048576..2097151)`: for messages. */
export const describePartition = (partition: {
  readonly number: number;
  readonly start: number;
  readonly size: number;
}): string =>
  `partition ${partition.number} (bytes ${partition.start} to ${partition.start + partition.size - 1})`;
