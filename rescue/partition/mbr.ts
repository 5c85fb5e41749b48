import type { ReadableDevice } from '../device/device.ts';
import { type ByteOffset, type Lba, roundDown } from '../units.ts';
import {
  type Ebr,
  isExtendedType,
  MBR,
  MBR_RECORDS,
  MBR_SIGNATURE,
  type MbrRecord,
  readRecords,
  recordOffset,
  TYPE_PROTECTIVE,
} from './boot-record.ts';
import { readChain } from './extended.ts';
import {
  describePartition,
  type ExtendedPartition,
  overlaps,
  type Partition,
  type TableProblem,
} from './model.ts';

/** Where a partition of an MBR table is described: record `index` of `ebr`, or of the MBR when that is null. */
export interface RecordPlace {
  readonly ebr: Lba | null;
  readonly index: number;
  readonly raw: Uint8Array;
}

export interface MbrReading {
  /** The whole first logical sector. */
  readonly sector: Uint8Array;
  /** 55 aa at byte 510. */
  readonly signed: boolean;
  /** Every boot indicator is 0x00 or 0x80: what Linux asks before it believes a table. */
  readonly plausible: boolean;
  /**
   * `protective`: a record of type ee and nothing else; `hybrid`: others beside it. Wherever it starts: Linux does not
   * believe an MBR that has one.
   */
  readonly role: 'legacy' | 'protective' | 'hybrid';
  readonly records: readonly MbrRecord[];
  /** Eight lower-case hexadecimal digits. */
  readonly diskSignature: string;
  readonly partitions: readonly Partition[];
  readonly places: ReadonlyMap<number, RecordPlace>;
  readonly extended: readonly ExtendedPartition[];
  readonly ebrs: readonly Ebr[];
  readonly problems: readonly TableProblem[];
}

const typeText = (type: number): string => type.toString(16).padStart(2, '0');

/** PARTUUID of an MBR partition as Linux spells it (`%08x-%02x`). */
export const mbrUuid = (signature: string, number: number): string =>
  `${signature}-${number.toString(16).padStart(2, '0')}`;

const roleOf = (records: readonly MbrRecord[]): MbrReading['role'] => {
  if (!records.some((record) => record.type === TYPE_PROTECTIVE)) return 'legacy';
  return records.some((record) => record.type !== TYPE_PROTECTIVE && record.type !== 0)
    ? 'hybrid'
    : 'protective';
};

const invalid = (
  code: string,
  message: string,
  offset: ByteOffset,
  entries?: readonly number[],
): TableProblem => ({
  code,
  severity: 'invalid',
  message,
  offset,
  ...(entries === undefined ? {} : { entries }),
});

/** As Linux does: what reaches beyond the end of the disk is cut there for use. The record stays as it is. */
const cutAtEnd = <S extends { readonly start: number; readonly size: number }>(
  span: S,
  device: ReadableDevice,
): S => {
  const end = roundDown(device.size, device.sectorSize);
  return span.start < end && span.start + span.size > end ? { ...span, size: end - span.start } : span;
};

/** Problems of where the partitions lie: beyond the disk, at sector 0, over one another or over an EBR. */
const placement = (
  partitions: readonly Partition[],
  extended: readonly ExtendedPartition[],
  ebrs: readonly Ebr[],
  device: ReadableDevice,
): TableProblem[] => {
  const problems: TableProblem[] = [];
  const at = MBR.offsetOf('PartitionRecord');
  // What is said of an extended partition is said of all in it.
  const concerned = (...all: readonly { readonly number: number }[]): number[] => [
    ...all.map((each) => each.number),
    ...(all.some((each) => extended.some((other) => other.number === each.number))
      ? partitions.flatMap((each) => (each.logical ? [each.number] : []))
      : []),
  ];
  for (const each of [...partitions, ...extended]) {
    if (each.start === 0) {
      const message = `partition ${each.number} starts at sector 0`;
      problems.push(invalid('mbr.start-zero', message, at, concerned(each)));
    }
    if (each.start + each.size > device.size) {
      const message = `${describePartition(each)} begins beyond the disk of ${device.size} bytes`;
      problems.push(invalid('mbr.start-beyond', message, at, concerned(each)));
    }
  }
  const primary = partitions.filter((partition) => !partition.logical);
  const pairs = [...overlaps([...primary, ...extended]), ...overlaps(partitions)];
  const seen = new Set<string>();
  for (const [a, b] of pairs) {
    const message = `${describePartition(a)} and ${describePartition(b)} overlap`;
    if (seen.has(message)) continue;
    seen.add(message);
    problems.push(invalid('mbr.overlap', message, at, concerned(a, b)));
  }
  const links = ebrs.map((ebr) => ({
    number: 0,
    start: ebr.lba * device.sectorSize,
    size: device.sectorSize,
  }));
  for (const [a, b] of overlaps([...partitions, ...links])) {
    if ((a.number === 0) === (b.number === 0)) continue;
    const [link, partition] = a.number === 0 ? [a, b] : [b, a];
    const message = `an extended boot record lies inside ${describePartition(partition)}`;
    problems.push(invalid('mbr.ebr-overlap', message, link.start, [partition.number]));
  }
  return problems;
};

/**
 * Reads the first sector and every extended chain. Damage becomes problems; only `io` is thrown. The caller
 * (table.ts) decides whether what was read is a partition table at all.
 */
export const readMbr = (device: ReadableDevice): MbrReading => {
  const sector = device.read(0, device.sectorSize);
  const records = readRecords(sector);
  const signed = MBR.get(sector, 'Signature') === MBR_SIGNATURE;
  const plausible = records.every((record) => (record.bootIndicator & 0x7f) === 0);
  const role = signed ? roleOf(records) : 'legacy';
  const diskSignature = MBR.get(sector, 'UniqueMBRDiskSignature').toString(16).padStart(8, '0');
  const partitions: Partition[] = [];
  const places = new Map<number, RecordPlace>();
  const extended: ExtendedPartition[] = [];
  const ebrs: Ebr[] = [];
  const problems: TableProblem[] = [];
  const reading = { sector, signed, plausible, role, records, diskSignature };
  if (!signed || !plausible) {
    if (signed) {
      const message = 'a boot indicator is neither 0x00 nor 0x80';
      problems.push(invalid('mbr.boot-indicator', message, recordOffset(0)));
    }
    return { ...reading, partitions, places, extended, ebrs, problems };
  }
  const cut = (span: { readonly number: number; readonly start: number; readonly size: number }) => {
    const now = cutAtEnd(span, device);
    if (now !== span) {
      const message = `${describePartition(span)} reaches beyond the disk of ${device.size} bytes and is cut there`;
      problems.push({
        code: 'mbr.beyond-disk',
        severity: 'note',
        message,
        offset: MBR.offsetOf('PartitionRecord'),
      });
    }
    return now;
  };
  const add = (record: MbrRecord, number: number, start: Lba, ebr: Lba | null): void => {
    places.set(number, { ebr, index: record.index, raw: record.raw });
    const place = cut({ number, start: start * device.sectorSize, size: record.sectors * device.sectorSize });
    partitions.push({
      ...place,
      type: typeText(record.type),
      uuid: mbrUuid(diskSignature, number),
      name: '',
      bootable: record.bootIndicator === 0x80,
      attributes: '',
      logical: ebr !== null,
    });
  };
  for (const record of records) {
    if (record.sectors === 0 || (role !== 'legacy' && record.type === TYPE_PROTECTIVE)) continue;
    if (!isExtendedType(record.type)) {
      add(record, record.index + 1, record.start, null);
      continue;
    }
    const number = record.index + 1;
    const place = {
      number,
      start: record.start * device.sectorSize,
      size: record.sectors * device.sectorSize,
    };
    extended.push({ ...cut(place), type: typeText(record.type) });
  }
  let next = MBR_RECORDS + 1;
  for (const record of records) {
    if (record.sectors === 0 || !isExtendedType(record.type)) continue;
    const chain = readChain(device, record, next);
    for (const logical of chain.logicals) {
      add(logical.record, next, logical.start, logical.ebr);
      next += 1;
    }
    ebrs.push(...chain.ebrs);
    problems.push(...chain.problems);
  }
  problems.push(...placement(partitions, extended, ebrs, device));
  return { ...reading, partitions, places, extended, ebrs, problems };
};
