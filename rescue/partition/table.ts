import type { ReadableDevice } from '../device/device.ts';
import { TYPE_PROTECTIVE } from './boot-record.ts';
import { type GptCopy, type GptReading, lastLba, PRIMARY_LBA, readGpt, readGptCopy } from './gpt.ts';
import { type MbrReading, readMbr } from './mbr.ts';
import {
  describePartition,
  overlaps,
  type Partition,
  type Scheme,
  type Table,
  type TableProblem,
} from './model.ts';
import { wholeDeviceFileSystem } from './superfloppy.ts';

/** A table as it stands on a device: the model, and the raw structures that an edit in place starts from. */
export interface LiveTable extends Table {
  /** Null only for a device too small to hold one. */
  readonly mbr: MbrReading | null;
  readonly gpt: GptReading | null;
}

/** A table needs at least sectors 0 to 2. */
const MINIMUM_SECTORS = 3;

const findings = (
  device: ReadableDevice,
  mbr: MbrReading,
  gpt: GptReading,
  best: GptCopy,
): TableProblem[] => {
  const problems: TableProblem[] = [];
  const { sectorSize } = device;
  const at = best.lba * sectorSize;
  const put = (severity: TableProblem['severity'], code: string, message: string, offset = at): void => {
    problems.push({ code, severity, message, offset });
  };
  const putWrong = (code: string, message: string, ...wrong: readonly Partition[]): void => {
    const entries = wrong.map((partition) => partition.number);
    problems.push({ code, severity: 'invalid', message, offset: at, entries });
  };
  if (gpt.primary.problem !== null) problems.push(gpt.primary.problem);
  if (gpt.backup.problem !== null) problems.push(gpt.backup.problem);
  if (mbr.role === 'legacy') put('repairable', 'gpt.no-protective-mbr', 'the protective MBR is missing', 0);
  else if (!mbr.records.some((record) => record.type === TYPE_PROTECTIVE && record.start === PRIMARY_LBA))
    put('repairable', 'gpt.protective-start', 'the protective record does not start at sector 1', 0);
  if (mbr.role === 'hybrid') put('note', 'gpt.hybrid-mbr', 'the MBR lists partitions besides the GPT', 0);
  const { copy: primary } = gpt.primary;
  const { copy: backup } = gpt.backup;
  if (primary !== null && backup !== null && !sameContent(primary, backup))
    put(
      'repairable',
      'gpt.copies-differ',
      'the two copies differ; the primary counts',
      backup.lba * sectorSize,
    );
  if (backup !== null && backup.lba !== lastLba(device))
    put('note', 'gpt.backup-place', `the backup is at sector ${backup.lba}, not at the end of the disk`);
  for (const partition of best.partitions) {
    const first = partition.start / sectorSize;
    const last = first + partition.size / sectorSize - 1;
    if (first < best.firstUsable || last > best.lastUsable)
      put('note', 'gpt.entry-unusable', `${describePartition(partition)} lies outside the usable sectors`);
  }
  for (const { message } of best.unusable) put('note', 'gpt.entry-range', `${message}: it is left alone`, at);
  for (const [a, b] of overlaps(best.partitions))
    putWrong('gpt.overlap', `${describePartition(a)} and ${describePartition(b)} overlap`, a, b);
  const seen = new Map<string, Partition>();
  for (const partition of best.partitions) {
    const other = seen.get(partition.uuid);
    if (other !== undefined)
      put('note', 'gpt.duplicate-uuid', `partitions ${other.number} and ${partition.number} have one GUID`);
    seen.set(partition.uuid, partition);
  }
  const own = [0, PRIMARY_LBA, ...entrySectors(best, sectorSize), gpt.backupLba].map((lba) => ({
    start: lba * sectorSize,
    size: sectorSize,
  }));
  for (const partition of best.partitions) {
    if (own.some((span) => span.start >= partition.start && span.start < partition.start + partition.size))
      putWrong('gpt.entry-on-table', `${describePartition(partition)} covers the table itself`, partition);
  }
  return problems;
};

const entrySectors = (copy: GptCopy, sectorSize: number): number[] =>
  Array.from({ length: Math.ceil(copy.entries.length / sectorSize) }, (_, index) => copy.entriesLba + index);

/** Whether two copies say the same about the disk; where each copy lies does not count. */
export const sameContent = (a: GptCopy, b: GptCopy): boolean =>
  a.diskGuid === b.diskGuid &&
  a.firstUsable === b.firstUsable &&
  a.lastUsable === b.lastUsable &&
  a.entrySize === b.entrySize &&
  a.alternateLba === b.lba &&
  b.alternateLba === a.lba &&
  Buffer.compare(a.entries, b.entries) === 0;

const isSigned = (gpt: GptReading): boolean =>
  [gpt.primary, gpt.backup].some((reading) => reading.copy !== null || reading.signed);

/** Which scheme the disk has. The README gives the order of the rules and why. */
const schemeOf = (device: ReadableDevice, mbr: MbrReading, gpt: GptReading): Scheme => {
  if (mbr.role !== 'legacy') return 'gpt';
  const inUse = mbr.partitions.length + mbr.extended.length > 0;
  const sound = mbr.signed && !mbr.problems.some((problem) => problem.severity === 'invalid');
  // A partition over the header of a whole GPT is a protective record that lost its type, not a partition.
  const covers = mbr.partitions.some(({ start }) => start === PRIMARY_LBA * device.sectorSize);
  if (sound && inUse && !(covers && gpt.primary.copy !== null)) return 'mbr';
  const fileSystem = wholeDeviceFileSystem(device, mbr.sector);
  if (fileSystem !== null && !(gpt.primary.copy !== null && fileSystem === 'ext')) return 'none';
  if (gpt.best !== null) return 'gpt';
  if (sound) return 'mbr';
  if (isSigned(gpt)) return 'gpt';
  return mbr.signed ? 'mbr' : 'none';
};

const tableOf = (device: ReadableDevice, mbr: MbrReading, gpt: GptReading): Table => {
  const scheme = schemeOf(device, mbr, gpt);
  const common = { scheme, sectorSize: device.sectorSize, diskSize: device.size };
  const leftOver: TableProblem[] =
    scheme !== 'gpt' && gpt.best !== null
      ? [
          {
            code: 'gpt.stale',
            severity: 'note',
            message: 'a GPT of earlier use is still there; it does not count',
            offset: gpt.best.lba * device.sectorSize,
          },
        ]
      : [];
  if (scheme === 'none')
    return { ...common, valid: false, diskId: '', partitions: [], extended: [], problems: leftOver };
  if (scheme === 'mbr') {
    const problems = [...mbr.problems, ...leftOver];
    const valid = !problems.some((problem) => problem.severity === 'invalid');
    const { diskSignature: diskId, partitions, extended } = mbr;
    return { ...common, valid, diskId, partitions, extended, problems };
  }
  if (gpt.best === null) {
    const problems = [gpt.primary.problem, gpt.backup.problem]
      .filter((problem) => problem !== null)
      .map((problem) => ({ ...problem, severity: 'invalid' as const }));
    return { ...common, valid: false, diskId: '', partitions: [], extended: [], problems };
  }
  const problems = findings(device, mbr, gpt, gpt.best);
  const valid = !problems.some((problem) => problem.severity === 'invalid');
  const { diskGuid: diskId, partitions } = gpt.best;
  return { ...common, valid, diskId, partitions, extended: [], problems };
};

/**
 * Reads the partition table of a whole disk: GPT first, then MBR. Damage never throws, it becomes `problems`; only
 * `io` is thrown. A file system that fills the device gives scheme `none`.
 */
export const readTable = (device: ReadableDevice): LiveTable => {
  if (lastLba(device) + 1 < MINIMUM_SECTORS) {
    return {
      scheme: 'none',
      valid: false,
      sectorSize: device.sectorSize,
      diskSize: device.size,
      diskId: '',
      partitions: [],
      extended: [],
      problems: [],
      mbr: null,
      gpt: null,
    };
  }
  const mbr = readMbr(device);
  const gpt = readGpt(device);
  return { ...tableOf(device, mbr, gpt), mbr, gpt };
};

/** The model alone, without the raw structures: safe to print as JSON. */
export const modelOf = (table: Table): Table => {
  const { scheme, valid, sectorSize, diskSize, diskId, partitions, extended, problems } = table;
  return { scheme, valid, sectorSize, diskSize, diskId, partitions, extended, problems };
};

/**
 * The logical sector size for which a GPT on this device makes sense, or null when there is no whole GPT. For files
 * that hold a disk: nothing else says which sector size the disk had.
 */
export const sectorSizeByTable = (device: ReadableDevice): 512 | 4096 | null => {
  for (const sectorSize of [512, 4096] as const) {
    const view: ReadableDevice = {
      name: device.name,
      size: device.size,
      sectorSize,
      uncachedReads: false,
      readInto: (offset, target) => device.readInto(offset, target),
      read: (offset, length) => device.read(offset, length),
      readUncachedInto: (offset, target) => device.readUncachedInto(offset, target),
    };
    if (readGptCopy(view, PRIMARY_LBA, 'primary').copy !== null) return sectorSize;
    if (readGptCopy(view, lastLba(view), 'backup').copy !== null) return sectorSize;
  }
  return null;
};
