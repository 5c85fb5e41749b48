import type { ReadableDevice } from '../device/device.ts';
import type { Lba } from '../units.ts';
import { type Ebr, isExtendedType, MBR, MBR_SIGNATURE, type MbrRecord, readRecords } from './boot-record.ts';
import type { TableProblem } from './model.ts';

/**
 * The chain of extended boot records (EBR). Each EBR has the MBR's layout; of its records the first is a logical
 * partition whose start counts from that EBR, and one of type 05/0f/85 links to the next EBR, whose start counts
 * from the *extended partition*. Example, extended partition at sector 1000:
 *
 *     EBR at 1000: [start 63 -> sector 1063][link, start 500 -> EBR at 1500]
 *     EBR at 1500: [start 63 -> sector 1563][no link]
 *
 * Linux (block/partitions/msdos.c, parse_extended) takes data from all four records, but records 3 and 4 only if
 * they fit, since they "sometimes contain random garbage"; so does this.
 */

/** Partitions of one disk that Linux has room for (DISK_MAX_PARTS, block/partitions/check.h: 256 minors). */
export const MAX_LOGICAL_NUMBER = 255;
/** Links followed in one chain. Linux stops after 100 without a data partition; loops are found by the visited set. */
export const MAX_EBRS = 256;

export interface Logical {
  readonly record: MbrRecord;
  /** Absolute. */
  readonly start: Lba;
  readonly ebr: Lba;
}

export interface ChainReading {
  readonly logicals: readonly Logical[];
  readonly ebrs: readonly Ebr[];
  readonly problems: readonly TableProblem[];
}

/** Follows the chain of `extended`, whose first logical partition gets the number `firstNumber`. */
export const readChain = (
  device: ReadableDevice,
  extended: Pick<MbrRecord, 'start' | 'sectors'>,
  firstNumber: number,
): ChainReading => {
  const logicals: Logical[] = [];
  const ebrs: Ebr[] = [];
  const problems: TableProblem[] = [];
  const visited = new Set<Lba>();
  const end = extended.start + extended.sectors;
  const stop = (code: string, message: string, lba: Lba): ChainReading => {
    problems.push({ code, severity: 'invalid', message, offset: lba * device.sectorSize, entries: [] });
    return { logicals, ebrs, problems };
  };
  let lba = extended.start;
  for (;;) {
    if (lba < extended.start || lba >= end)
      return stop('mbr.ebr-outside', `extended boot record at sector ${lba} is outside its partition`, lba);
    if ((lba + 1) * device.sectorSize > device.size)
      return stop('mbr.ebr-outside', `extended boot record at sector ${lba} is beyond the disk`, lba);
    if (visited.has(lba)) return stop('mbr.ebr-loop', `the extended chain returns to sector ${lba}`, lba);
    if (visited.size >= MAX_EBRS)
      return stop('mbr.ebr-count', `more than ${MAX_EBRS} extended boot records`, lba);
    visited.add(lba);
    const sector = device.read(lba * device.sectorSize, device.sectorSize);
    if (lba === extended.start && sector.every((byte) => byte === 0)) {
      // An extended partition whose first EBR was never written: Linux sees no logical partitions, and so do we.
      const message = `the extended partition at sector ${lba} holds no extended boot record`;
      problems.push({ code: 'mbr.ebr-none', severity: 'note', message, offset: lba * device.sectorSize });
      return { logicals, ebrs, problems };
    }
    if (MBR.get(sector, 'Signature') !== MBR_SIGNATURE)
      return stop('mbr.ebr-signature', `no 55 aa in the extended boot record at sector ${lba}`, lba);
    ebrs.push({ lba, sector });
    const records = readRecords(sector);
    for (const record of records) {
      if (record.sectors === 0 || isExtendedType(record.type)) continue;
      const start = lba + record.start;
      const fits = record.start > 0 && start + record.sectors <= end;
      if (!fits && record.index >= 2) continue;
      if (!fits)
        return stop(
          'mbr.logical-outside',
          `a logical partition at sector ${start} leaves its container`,
          lba,
        );
      if (firstNumber + logicals.length > MAX_LOGICAL_NUMBER)
        return stop('mbr.too-many', `more than ${MAX_LOGICAL_NUMBER} partitions`, lba);
      logicals.push({ record, start, ebr: lba });
    }
    const link = records.find((record) => record.sectors > 0 && isExtendedType(record.type));
    if (link === undefined) return { logicals, ebrs, problems };
    lba = extended.start + link.start;
  }
};
