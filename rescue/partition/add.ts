import type { ReadableDevice } from '../device/device.ts';
import { refused } from '../errors.ts';
import { roundDown } from '../units.ts';
import { MBR, MBR_SIGNATURE, type MbrRecord, readRecords, recordOffset } from './boot-record.ts';
import { MAX_EBRS, MAX_LOGICAL_NUMBER } from './extended.ts';
import type { GptContent } from './gpt-write.ts';
import { emptyEbr, encodeRecord, freeEbr, linkRecord } from './mbr-write.ts';
import { type Candidate, unfit } from './merge.ts';
import { describePartition, type ExtendedPartition } from './model.ts';
import { mbrType } from './partition-type.ts';
import { placeEntry } from './rebuild-gpt.ts';
import { MBR_REACH } from './rebuild-mbr.ts';
import type { LiveTable } from './table.ts';
import { ebrChange, gptPhases, type Phases, type SectorChange } from './writes.ts';

const place = (candidate: Candidate): string =>
  `bytes ${candidate.start} to ${candidate.start + candidate.size - 1}`;

const noFreeEntry = (count: number): Error =>
  refused(`the partition table is valid, does not list the partition, and all ${count} entries are taken`, {
    code: 'table.no-free-entry',
    wayOut: 'Delete a partition that is no longer needed, or restore to another place with --to.',
  });

/** Throws `refused` with the numbers if anything in the live table lies where the candidate is to be. */
export const refuseOverlap = (live: LiveTable, candidate: Candidate): void => {
  const end = candidate.start + candidate.size;
  const meets = (other: { start: number; size: number }): boolean =>
    other.start < end && candidate.start < other.start + other.size;
  const inside = (outer: ExtendedPartition): boolean =>
    candidate.start > outer.start && end <= outer.start + outer.size;
  const rivals = [
    ...live.partitions.filter(meets),
    ...live.extended.filter((each) => meets(each) && !inside(each)),
  ];
  if (rivals.length === 0) return;
  throw refused(
    `the partition table is valid, but the partition at ${place(candidate)} is not in it and overlaps ${rivals
      .map(describePartition)
      .join(', ')}`,
    {
      code: 'table.overlap',
      structure: 'partition table',
      offset: candidate.start,
      wayOut: 'Delete what overlaps if it is not needed, or restore to another place with --to.',
    },
  );
};

/** One more entry in both copies of a valid GPT. */
export const addToGpt = (
  live: LiveTable,
  content: GptContent,
  candidate: Candidate,
  bootSector: Uint8Array,
): Phases => {
  const { sectorSize } = live;
  const bounds = {
    start: content.firstUsable * sectorSize,
    end: (content.lastUsable + 1) * sectorSize,
    sectorSize,
  };
  const reason = unfit(candidate, bounds);
  if (reason !== null)
    throw refused(`the partition cannot be added to the table: ${reason}`, { code: 'table.outside-usable' });
  const count = content.entries.length / content.entrySize;
  const unusable = live.gpt?.best?.unusable ?? [];
  const used = new Set([...live.partitions, ...unusable].map((partition) => partition.number));
  let number = candidate.number ?? 1;
  if (number < 1 || number > count || used.has(number)) {
    number = 1;
    while (used.has(number)) number += 1;
  }
  if (number > count) throw noFreeEntry(count);
  const entries = Uint8Array.from(content.entries);
  placeEntry(entries, content.entrySize, candidate, number, sectorSize);
  return gptPhases({ ...content, entries }, bootSector, live.gpt?.primary.copy === null);
};

const isFree = (record: MbrRecord): boolean => record.sectors === 0;

const addPrimary = (device: ReadableDevice, live: LiveTable, candidate: Candidate): Phases => {
  const mbr = live.mbr!;
  const start = candidate.start / device.sectorSize;
  const sectors = candidate.size / device.sectorSize;
  const free = mbr.records.filter(isFree);
  const slot = free.find((record) => record.index + 1 === candidate.number) ?? free[0];
  if (slot === undefined) throw noFreeEntry(mbr.records.length);
  const sector = Uint8Array.from(mbr.sector);
  const { bootable, record: raw } = candidate;
  const content = { bootable, type: mbrType(candidate.type), start, sectors, absolute: start, raw };
  sector.set(encodeRecord(content), recordOffset(slot.index));
  return [[{ offset: 0, data: sector }]];
};

/** Appends to the chain of the extended partition that holds the candidate: the new EBR first, then the link to it. */
const addLogical = (
  device: ReadableDevice,
  live: LiveTable,
  container: ExtendedPartition,
  candidate: Candidate,
): Phases => {
  const { sectorSize } = device;
  const containerStart = container.start / sectorSize;
  const start = candidate.start / sectorSize;
  const span = { start, sectors: candidate.size / sectorSize };
  const end = containerStart + container.size / sectorSize;
  const ebrs = live.mbr!.ebrs.filter((ebr) => ebr.lba >= containerStart && ebr.lba < end);
  const covered = ebrs.find((ebr) => ebr.lba >= start && ebr.lba < start + span.sectors);
  if (covered !== undefined)
    throw refused(`an extended boot record lies where the partition at ${place(candidate)} is to be`, {
      code: 'table.overlap',
      offset: covered.lba * sectorSize,
    });
  const used = live.partitions.filter((partition) => partition.logical).length;
  if (ebrs.length >= MAX_EBRS || used + 5 > MAX_LOGICAL_NUMBER) throw noFreeEntry(MAX_EBRS);
  const last = ebrs.at(-1);
  const empty = !live.partitions.some(
    (each) => each.start > container.start && each.start < container.start + container.size,
  );
  const first = last === undefined || (empty && ebrs.length === 1);
  const taken = live.partitions.map((each) => ({
    start: each.start / sectorSize,
    sectors: each.size / sectorSize,
  }));
  const lba = first
    ? containerStart
    : freeEbr(start, containerStart + 1, taken, new Set(ebrs.map((ebr) => ebr.lba)), sectorSize);
  if (lba === null)
    throw refused(`there is no free sector before ${place(candidate)} for an extended boot record`, {
      code: 'table.no-free-entry',
    });
  const bytes = last?.lba === lba ? Uint8Array.from(last.sector.subarray(0, MBR.size)) : emptyEbr();
  const { bootable, record: raw } = candidate;
  const data = {
    bootable,
    type: mbrType(candidate.type),
    sectors: span.sectors,
    start: start - lba,
    absolute: start,
    raw,
  };
  bytes.set(encodeRecord(data), recordOffset(0));
  const added = ebrChange(device, { lba, bytes });
  if (first) return [[added]];
  const link: SectorChange = { offset: last.lba * sectorSize, data: Uint8Array.from(last.sector) };
  const records = readRecords(last.sector);
  // An EBR without data of its own (its partition was deleted) keeps record 0 free for it.
  const free = records.find((record) => record.index > 0 && isFree(record));
  if (free === undefined) throw noFreeEntry(records.length);
  link.data.set(linkRecord(containerStart, lba, span), recordOffset(free.index));
  MBR.set(link.data, 'Signature', MBR_SIGNATURE);
  return [[added], [link]];
};

/** One more record in a valid MBR or in one of its extended chains. */
export const addToMbr = (device: ReadableDevice, live: LiveTable, candidate: Candidate): Phases => {
  const { sectorSize } = device;
  const reason = unfit(candidate, { start: sectorSize, end: roundDown(device.size, sectorSize), sectorSize });
  const reach = MBR_REACH * sectorSize;
  if (reason !== null || candidate.start >= reach || candidate.size >= reach) {
    const why = reason ?? `an MBR counts at most ${MBR_REACH} sectors of ${sectorSize} bytes`;
    throw refused(`the partition cannot be added to the table: ${why}`, { code: 'table.outside-usable' });
  }
  const end = candidate.start + candidate.size;
  const container = live.extended.find(
    (each) => candidate.start > each.start && end <= each.start + each.size,
  );
  return container === undefined
    ? addPrimary(device, live, candidate)
    : addLogical(device, live, container, candidate);
};
