import type { ReadableDevice } from '../device/device.ts';
import { refused } from '../errors.ts';
import { addToGpt, addToMbr, refuseOverlap } from './add.ts';
import { lastLba } from './gpt.ts';
import { contentOf, type GptContent, protect } from './gpt-write.ts';
import { isGuid } from './guid.ts';
import {
  type Candidate,
  candidateOf,
  DAMAGED_TABLE,
  type DroppedEntry,
  droppedOf,
  type KnownPartition,
  mergeKnown,
  SavedTables,
  unfit,
} from './merge.ts';
import type { Scheme, TableWrite } from './model.ts';
import { describePartition, isSoundEntry } from './model.ts';
import { normaliseType } from './partition-type.ts';
import { baseContent, type Rebuilt, rebuildGpt } from './rebuild-gpt.ts';
import { MBR_REACH, rebuildMbr } from './rebuild-mbr.ts';
import { type LiveTable, readTable } from './table.ts';
import { gptPhases, type Phases, preview, toWrites } from './writes.ts';

export interface TablePlanOptions {
  /** The whole disk. */
  readonly device: ReadableDevice;
  /** Its table now; read from `device` if left out. */
  readonly live?: LiveTable;
  /** The partition that is to be restored. */
  readonly wanted: KnownPartition;
  /** The other images found on this disk, best first. */
  readonly others?: readonly KnownPartition[];
  /** The target is one partition or a file system on a whole device: there is no table to care for. */
  readonly bare?: boolean;
}

export interface TablePlan {
  /** `kept` may still write: the repair of a damaged GPT copy. */
  readonly action: 'kept' | 'added' | 'rebuilt' | 'none';
  /** One sentence for people. */
  readonly reason: string;
  readonly before: LiveTable;
  /** Read back from the planned bytes by the same reader. */
  readonly after: LiveTable;
  /** In a safe order, a flush after each phase; whole sectors. Same shape as a patch. */
  readonly patch: { readonly sectorSize: number; readonly phases: readonly (readonly TableWrite[])[] };
  /** Entries that somebody named and that will not be in the table. */
  readonly dropped: readonly DroppedEntry[];
  /** What else the person should know, e.g. that a PARTUUID changes. */
  readonly notes: readonly string[];
}

const placeOf = (span: { readonly start: number; readonly size: number }): string =>
  `bytes ${span.start} to ${span.start + span.size - 1}`;

const matches = (a: { start: number; size: number }, b: { start: number; size: number }): boolean =>
  a.start === b.start && a.size === b.size;

/** Whether a partition of the table has room for the other from its start on: one that has grown since has. */
const holds = (a: { start: number; size: number }, b: { start: number; size: number }): boolean =>
  a.start === b.start && a.size >= b.size;

const PROTECTIVE_FAULTS = new Set(['gpt.no-protective-mbr', 'gpt.protective-start']);

/** The content of the copy that counts, and LBA 0 as it should be. */
const liveGpt = (
  device: ReadableDevice,
  live: LiveTable,
): { readonly content: GptContent; readonly bootSector: Uint8Array } => {
  const gpt = live.gpt!;
  const content = contentOf(gpt.best!, live.sectorSize, {
    primary: gpt.primary.copy,
    backup: gpt.backup.copy,
    backupLba: gpt.backupLba,
  });
  const bootSector = Uint8Array.from(live.mbr!.sector);
  if (live.problems.some((problem) => PROTECTIVE_FAULTS.has(problem.code)))
    protect(bootSector, lastLba(device) + 1);
  return { content, bootSector };
};

const repairs = (live: LiveTable): readonly string[] =>
  live.problems.filter((problem) => problem.severity === 'repairable').map((problem) => problem.message);

/** Says of a plan that keeps the table what it repairs, and what it cannot. */
const withRepairs = (plan: TablePlan): TablePlan => {
  const left = repairs(plan.after);
  const mended = repairs(plan.before).filter((message) => !left.includes(message));
  const reason = mended.length === 0 ? plan.reason : `${plan.reason}; repaired: ${mended.join('; ')}`;
  return {
    ...plan,
    reason,
    notes: [...plan.notes, ...left.map((message) => `cannot be repaired: ${message}`)],
  };
};

const repairPhases = (device: ReadableDevice, live: LiveTable): Phases => {
  if (live.scheme !== 'gpt' || repairs(live).length === 0) return [];
  const { content, bootSector } = liveGpt(device, live);
  return gptPhases(content, bootSector, live.gpt!.primary.copy === null);
};

/** The saved table whose scheme, disk id and geometry a rebuilt table takes over: the first valid one. */
const baseOf = (known: readonly KnownPartition[], tables: SavedTables): LiveTable | null => {
  for (const each of known) {
    const table = tables.of(each);
    if (table !== null) return table;
  }
  return null;
};

/** A damaged table some of whose entries can still be trusted: it gives what no saved table says. */
const partlyReadable = (live: LiveTable): LiveTable | undefined =>
  live.partitions.some((partition) => isSoundEntry(live, partition.number)) ? live : undefined;

const schemeFor = (
  wanted: KnownPartition,
  base: LiveTable | null,
  sectorSize: number,
): Exclude<Scheme, 'none'> => {
  if (base !== null && base.scheme !== 'none') return base.scheme;
  const type = normaliseType(wanted.type);
  if (type !== null) return isGuid(type) ? 'gpt' : 'mbr';
  const beyond = (wanted.start + wanted.size) / sectorSize > MBR_REACH;
  return beyond || (wanted.uuid !== null && isGuid(wanted.uuid)) ? 'gpt' : 'mbr';
};

const rebuild = (
  device: ReadableDevice,
  wanted: KnownPartition,
  others: readonly KnownPartition[],
  tables: SavedTables,
  before: LiveTable,
): Rebuilt & { readonly scheme: Scheme } => {
  const { sectorSize } = device;
  const live = partlyReadable(before);
  const base = baseOf([wanted, ...others], tables) ?? live ?? null;
  const scheme = schemeFor(wanted, base, sectorSize);
  const content = scheme === 'gpt' ? baseContent(device, base, wanted.uuid ?? `${wanted.start}`) : null;
  const bounds =
    content === null
      ? { start: sectorSize, end: (lastLba(device) + 1) * sectorSize, sectorSize }
      : { start: content.firstUsable * sectorSize, end: (content.lastUsable + 1) * sectorSize, sectorSize };
  const reason = unfit(wanted, bounds);
  if (reason !== null) {
    throw refused(
      `the partition of ${wanted.size} bytes at byte ${wanted.start} has no place here: ${reason}`,
      {
        code: wanted.start + wanted.size > bounds.end ? 'table.disk-too-small' : 'table.outside-usable',
        expected: `a disk of ${wanted.diskSize ?? `more than ${wanted.start + wanted.size}`} bytes`,
        found: `${device.size} bytes`,
        wayOut: 'Restore to another place with --to.',
      },
    );
  }
  const merged = mergeKnown(wanted, others, tables, bounds, live);
  const built =
    content === null
      ? rebuildMbr(device, base, merged.accepted)
      : rebuildGpt(device, content, base, merged.accepted);
  return { scheme, phases: built.phases, dropped: [...merged.dropped, ...built.dropped] };
};

const noteUuid = (wanted: Candidate, after: LiveTable): string[] => {
  const now = after.partitions.find((partition) => holds(partition, wanted));
  if (now === undefined || wanted.uuid === null || now.uuid === wanted.uuid) return [];
  return [`the partition's PARTUUID is ${now.uuid}; when the image was made it was ${wanted.uuid}`];
};

/**
 * What becomes of the disk's partition table when `wanted` is restored (DESIGN section 6, "The partition table"). Writes nothing.
 * Throws `refused` (`table.*`) when the partition cannot be had in a table; `io` when the device fails.
 */
export const planTable = (options: TablePlanOptions): TablePlan => {
  const { device, wanted, others = [] } = options;
  const before = options.live ?? readTable(device);
  const { sectorSize } = device;
  const finish = (
    action: TablePlan['action'],
    reason: string,
    phases: Phases,
    dropped: readonly DroppedEntry[] = [],
  ): TablePlan => {
    const writes = toWrites(device, phases);
    const after = writes.length === 0 ? before : readTable(preview(device, writes));
    if (action !== 'none') checkResult(after, wanted, action);
    const candidate = candidateOf(wanted, others, tables, sectorSize, { wanted: true });
    const notes = action === 'none' ? [] : noteUuid(candidate, after);
    return { action, reason, before, after, patch: { sectorSize, phases: writes }, dropped, notes };
  };
  const tables = new SavedTables();
  if (options.bare === true || wanted.start === 0)
    return finish('none', 'the target has no partition table of its own', []);
  if (before.valid) {
    // A valid table has no overlaps: a larger entry lies over nothing else.
    const present = before.partitions.find((partition) => holds(partition, wanted));
    if (present !== undefined) {
      const larger = present.size > wanted.size;
      const size = `, with ${present.size} bytes where the image needs ${wanted.size}`;
      const reason = `the table is valid and lists the partition as number ${present.number}${larger ? size : ''}`;
      return withRepairs(finish('kept', reason, repairPhases(device, before)));
    }
    const candidate = candidateOf(wanted, others, tables, sectorSize, { wanted: true });
    refuseSmaller(device, before, wanted);
    refuseOverlap(before, candidate);
    const reason = `the table is valid, ${placeOf(wanted)} are free in it: one entry is added`;
    if (before.scheme === 'mbr') return finish('added', reason, addToMbr(device, before, candidate));
    const { content, bootSector } = liveGpt(device, before);
    return finish('added', reason, addToGpt(before, content, candidate, bootSector));
  }
  const present = before.partitions.find((partition) => holds(partition, wanted));
  const faults = before.problems.filter((problem) => problem.severity === 'invalid');
  // What is missing can come back if somebody knows of it.
  const isMissing = faults.some((fault) => fault.entries?.length === 0);
  const isKnown = baseOf([wanted, ...others], tables) !== null;
  if (present !== undefined && isSoundEntry(before, present.number) && !(isMissing && isKnown)) {
    const reason = `the table lists the partition as number ${present.number}, and what is wrong with it concerns other entries`;
    const notes = faults.map(({ message }) => `left as it is: ${message}`);
    const plan = finish('kept', reason, []);
    return { ...plan, notes: [...plan.notes, ...notes] };
  }
  const built = rebuild(device, wanted, others, tables, before);
  const plan = finish('rebuilt', rebuildReason(before, built.scheme), built.phases, built.dropped);
  const lost = before.partitions
    .filter((old) => ![...plan.after.partitions, ...built.dropped].some((now) => matches(now, old)))
    .map((old) =>
      droppedOf({ ...old, source: DAMAGED_TABLE }, 'only the damaged table names it, and it is wrong there'),
    );
  return { ...plan, dropped: [...built.dropped, ...lost] };
};

/** An entry at the right place that is smaller, and nothing else in the way: the person may make it larger. */
const refuseSmaller = ({ size }: ReadableDevice, before: LiveTable, wanted: KnownPartition): void => {
  const end = wanted.start + wanted.size;
  const present = before.partitions.find(({ start }) => start === wanted.start);
  const meets = (each: { start: number; size: number }): boolean =>
    each.start < end && wanted.start < each.start + each.size;
  if (present === undefined || end > size) return;
  if (before.partitions.some((each) => each !== present && meets(each))) return;
  throw refused(`partition ${present.number} starts where the image belongs, but is smaller than it`, {
    code: 'table.entry-too-small',
    structure: 'partition table',
    offset: present.start,
    expected: `at least ${wanted.size} bytes`,
    found: `${present.size} bytes`,
    wayOut: 'Make the partition larger with a partitioning program, or restore to another place with --to.',
  });
};

const rebuildReason = (before: LiveTable, scheme: Scheme): string => {
  const fault = before.problems.find((problem) => problem.severity === 'invalid');
  const why =
    before.scheme === 'none'
      ? 'the disk has no partition table'
      : `the ${before.scheme.toUpperCase()} is damaged (${fault?.message ?? 'no whole copy'})`;
  return `${why}: a new ${scheme.toUpperCase()} is built from what the images say`;
};

/** The planned bytes, read by our own reader, must be a valid table that lists the partition. */
const checkResult = (after: LiveTable, wanted: KnownPartition, action: TablePlan['action']): void => {
  const present = after.partitions.find((partition) => holds(partition, wanted));
  const isSound = after.valid || (action === 'kept' && isSoundEntry(after, present?.number ?? 0));
  if (isSound && present !== undefined) return;
  const fault = after.problems.find((problem) => problem.severity === 'invalid')?.message;
  const listed = after.partitions.map(describePartition).join(', ') || 'nothing';
  throw refused('no valid table with the partition could be built', {
    code: 'table.impossible',
    structure: 'partition table',
    expected: placeOf(wanted),
    found: fault ?? listed,
    wayOut: 'Make the partition with a partitioning program, then restore again, or use --to.',
  });
};
