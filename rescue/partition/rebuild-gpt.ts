import { hash } from 'node:crypto';
import type { ReadableDevice } from '../device/device.ts';
import { MBR_RECORD, readRecords, recordOffset, TYPE_PROTECTIVE } from './boot-record.ts';
import { lastLba } from './gpt.ts';
import { contentOf, fitContent, freshContent, type GptContent, protect, setEntry } from './gpt-write.ts';
import { isGuid } from './guid.ts';
import { type Candidate, type DroppedEntry, droppedOf } from './merge.ts';
import type { Partition } from './model.ts';
import { gptType } from './partition-type.ts';
import { MBR_TABLE_RANGE } from './ranges.ts';
import type { LiveTable } from './table.ts';
import { gptPhases, type Phases } from './writes.ts';

/**
 * A GUID made from `seed`, for what nobody recorded: the same input gives the same table (version 8, RFC 9562
 * section 5.8).
 */
export const derivedGuid = (seed: string): string => {
  const hex = hash('sha256', `holdfast ${seed}`, 'hex');
  const text = `${hex.slice(0, 12)}8${hex.slice(13, 16)}8${hex.slice(17, 32)}`;
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
};

/** The candidate as a GPT partition with the number `number`. */
export const asGptPartition = (candidate: Candidate, number: number): Partition => ({
  number,
  start: candidate.start,
  size: candidate.size,
  type: gptType(candidate.type),
  uuid:
    candidate.uuid !== null && isGuid(candidate.uuid)
      ? candidate.uuid
      : derivedGuid(`partition ${candidate.start} ${candidate.size}`),
  name: candidate.name,
  bootable: candidate.bootable,
  // Bit 2: "legacy BIOS bootable"; what an active MBR partition becomes.
  attributes: candidate.attributes || (candidate.bootable ? '4' : '0').padStart(16, '0'),
  logical: false,
});

/** Puts a candidate into `entries`: its raw entry where known, then the fields. */
export const placeEntry = (
  entries: Uint8Array,
  entrySize: number,
  candidate: Candidate,
  number: number,
  sectorSize: number,
): void => {
  const at = (number - 1) * entrySize;
  entries.fill(0, at, at + entrySize);
  if (candidate.entry?.length === entrySize) entries.set(candidate.entry, at);
  setEntry(entries, entrySize, asGptPartition(candidate, number), sectorSize);
};

/**
 * Numbers 1..count for the candidates: the recorded one where free, then the lowest free; none when none is left. The first candidate always
 * gets one, if need be that of the last.
 */
export const assignNumbers = <C extends { readonly number: number | null }>(
  candidates: readonly C[],
  count: number,
): Map<C, number> => {
  const numbers = new Map<C, number>();
  const taken = new Set<number>();
  for (const candidate of candidates) {
    const { number } = candidate;
    if (number === null || number < 1 || number > count || taken.has(number)) continue;
    numbers.set(candidate, number);
    taken.add(number);
  }
  const first = candidates[0];
  const last = [...numbers.keys()].at(-1);
  if (first !== undefined && !numbers.has(first) && last !== undefined && taken.size === count) {
    numbers.set(first, numbers.get(last)!);
    numbers.delete(last);
  }
  let next = 1;
  for (const candidate of candidates) {
    if (numbers.has(candidate)) continue;
    while (taken.has(next)) next += 1;
    if (next > count) break;
    numbers.set(candidate, next);
    taken.add(next);
  }
  return numbers;
};

/** The empty content that a rebuilt GPT starts from: the saved one, fitted to this disk, or a usual one. */
export const baseContent = (device: ReadableDevice, base: LiveTable | null, seed: string): GptContent => {
  const { size, sectorSize } = device;
  const copy = base?.gpt?.best ?? null;
  if (base?.scheme !== 'gpt' || copy === null)
    return freshContent(size, sectorSize, derivedGuid(`disk ${seed}`));
  if (base.sectorSize !== sectorSize) return freshContent(size, sectorSize, copy.diskGuid);
  const saved = contentOf(copy, sectorSize, { primary: copy, backup: null, backupLba: copy.alternateLba });
  const sectors = saved.backupLba - saved.backupEntriesLba;
  const sound =
    base.diskSize === size &&
    saved.backupLba <= lastLba(device) &&
    saved.lastUsable < saved.backupLba - sectors;
  return sound ? saved : fitContent(saved, size);
};

/** LBA 0: boot code as it is, the rest from the saved table; hybrid records only for partitions that come back. */
const bootSectorOf = (
  device: ReadableDevice,
  base: LiveTable | null,
  kept: readonly Candidate[],
): Uint8Array => {
  const { sectorSize } = device;
  const sector = device.read(0, sectorSize);
  const { start, length } = MBR_TABLE_RANGE;
  sector.fill(0, start, start + length);
  const saved = base?.scheme === 'gpt' && base.sectorSize === sectorSize ? (base.mbr?.sector ?? null) : null;
  if (saved !== null) sector.set(saved.subarray(start, start + length), start);
  for (const record of readRecords(sector)) {
    if (record.type === TYPE_PROTECTIVE || record.type === 0) continue;
    const stays = kept.some(
      (each) => each.start === record.start * sectorSize && each.size === record.sectors * sectorSize,
    );
    const at = recordOffset(record.index);
    if (!stays) sector.fill(0, at, at + MBR_RECORD.size);
  }
  protect(sector, Math.floor(device.size / sectorSize));
  return sector;
};

export interface Rebuilt {
  readonly phases: Phases;
  readonly dropped: readonly DroppedEntry[];
}

/** A whole new GPT with the accepted candidates, the first of them the wanted one. */
export const rebuildGpt = (
  device: ReadableDevice,
  content: GptContent,
  base: LiveTable | null,
  accepted: readonly Candidate[],
): Rebuilt => {
  const { entrySize } = content;
  const count = content.entries.length / entrySize;
  const numbers = assignNumbers(accepted, count);
  const entries = Uint8Array.from(content.entries);
  const used = new Set(numbers.values());
  for (let number = 1; number <= count; number += 1)
    if (!used.has(number)) entries.fill(0, (number - 1) * entrySize, number * entrySize);
  for (const [candidate, number] of numbers)
    placeEntry(entries, entrySize, candidate, number, device.sectorSize);
  const kept = [...numbers.keys()];
  const dropped = accepted
    .filter((candidate) => !numbers.has(candidate))
    .map((candidate) => droppedOf(candidate, `all ${count} entries are taken`));
  return { phases: gptPhases({ ...content, entries }, bootSectorOf(device, base, kept), false), dropped };
};
