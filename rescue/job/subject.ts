import { CountingDevice, CountingReader } from '../device/counting.ts';
import type { Device, ReadableDevice } from '../device/device.ts';
import { openDisk } from '../device/disk.ts';
import { dropCachedPages } from '../device/programs.ts';
import { openTarget, type Target } from '../device/target.ts';
import { ReadableWindow, Window } from '../device/window.ts';
import { refused, usage } from '../errors.ts';
import { probeFileSystem } from '../fs/probe.ts';
import { efiSystemPartitions } from '../partition/companion.ts';
import { describePartition, isSoundEntry, type Partition, type Table } from '../partition/model.ts';
import { type LiveTable, readTable, sectorSizeByTable } from '../partition/table.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { refuseContainerFile } from './locating.ts';
import { otherThanFileSystem, type SurroundingDisk } from './volume.ts';

/** TARGET, opened, with what surrounds it. */
export interface Subject {
  readonly target: Target;
  /** TARGET as a whole, counted. */
  readonly device: CountingDevice;
  /** Table on TARGET, if TARGET holds a disk: valid or not. Undefined for a partition. */
  readonly table: LiveTable | undefined;
  /** Where TARGET starts on its disk: 0 but for a partition node. */
  readonly diskOffset: ByteOffset;
  close(): void;
}

/** A regular file that holds a disk says only by its GPT which sector size that disk had; `otherwise` is a guess. */
const openWithSectorSize = (path: string, write: boolean, otherwise: number | undefined): Target => {
  const target = openTarget(path, { write });
  if (target.kind !== 'file') return target;
  const sectorSize = sectorSizeByTable(target.device) ?? otherwise;
  if (sectorSize === undefined || sectorSize === target.device.sectorSize) return target;
  target.close();
  return openTarget(path, { write, sectorSize });
};

/**
 * Opens TARGET. With `write`, exclusively; throws as `openTarget` does. `sectorSize`: of a regular file in which no GPT says it,
 * such as the image's own after the table was lost.
 */
export const openSubject = (path: string, write: boolean, sectorSize?: number): Subject => {
  const target = openWithSectorSize(path, write, sectorSize);
  // What was written through a partition's node must be seen through the disk's.
  if (target.kind === 'disk' && target.nodes.length > 0) dropCachedPages(path);
  const device = new CountingDevice(target.device);
  try {
    const table = target.kind === 'partition' ? undefined : readTable(device);
    return {
      target,
      device,
      // A file system that fills the device has no table to care for.
      table: table?.scheme === 'none' && probesAsFileSystem(device) ? undefined : table,
      diskOffset: target.partition?.offset ?? 0,
      close: () => target.close(),
    };
  } catch (error) {
    target.close();
    throw error;
  }
};

const faultOf = (table: Table): string | undefined =>
  table.problems.find((problem) => problem.severity === 'invalid')?.message;

const probesAsFileSystem = (device: ReadableDevice): boolean => 'driver' in probeFileSystem(device);

/** One partition of a subject, with its own handle where it has a node of its own. */
export interface OpenPartition {
  readonly subject: Subject;
  /** Counted. Positions count from the partition's start. */
  readonly device: Device;
  /** Where it starts on TARGET. */
  readonly offset: ByteOffset;
  /** Where it starts on its disk; 0 where there is no disk. */
  readonly diskOffset: ByteOffset;
  readonly entry: Partition | undefined;
  readonly disk: SurroundingDisk | undefined;
  /** Why the table of the disk around it does not count, where that is so. */
  readonly tableFault: string | undefined;
  readonly traffic: () => { readonly bytesRead: ByteLength; readonly bytesWritten: ByteLength };
  close(): void;
}

/**
 * The entry that is meant: the numbered one, or the only one with a file system that can be handled. An EFI system partition
 * is meant where there is nothing else: it belongs to the system beside it.
 */
const chooseEntry = (subject: Subject, table: LiveTable, number: number | undefined): Partition => {
  const { path } = subject.target;
  const names = table.partitions.map(describePartition).join('; ') || 'none';
  if (number !== undefined) {
    const entry = table.partitions.find((each) => each.number === number);
    if (entry !== undefined) return entry;
    throw usage(`there is no partition ${number} on ${path}`, {
      code: 'partition.missing',
      expected: names,
    });
  }
  // The signature at the end of an MBR is in many a boot sector, too (BitLocker's, exFAT's).
  if (table.partitions.length === 0) {
    const probed = probeFileSystem(subject.device);
    if (!('driver' in probed)) throw otherThanFileSystem(path, probed);
  }
  const contents = table.partitions.map((entry) => ({ entry, content: contentOf(subject.device, entry) }));
  const handled = contents.filter(({ content }) => content === undefined).map(({ entry }) => entry);
  const firmware = efiSystemPartitions(table);
  const systems = handled.filter((each) => !firmware.includes(each));
  const [only, ...more] = systems.length > 0 ? systems : handled;
  if (only !== undefined && more.length === 0) return only;
  const several = handled.length > 0;
  const described = contents.map(({ entry, content }) =>
    content === undefined ? describePartition(entry) : `${describePartition(entry)}: ${content}`,
  );
  throw refused(
    several
      ? `${path} has several partitions that could be meant`
      : `no partition of ${path} has a file system that Holdfast can handle`,
    {
      code: several ? 'ambiguous' : 'unknown-filesystem',
      found: described.join('; ') || 'none',
      wayOut: several
        ? 'Choose one with --partition N, or name the partition itself.'
        : 'Choose one with --partition N to be told what to do about it, or another disk.',
    },
  );
};

/** What an entry holds if that cannot be handled, by name. */
const contentOf = (disk: ReadableDevice, { start, size }: Partition): string | undefined => {
  if (start + size > disk.size) return 'reaches beyond the end of the disk';
  const probed = probeFileSystem(new ReadableWindow(disk, { start, length: size }));
  return 'driver' in probed ? undefined : probed.other;
};

/**
 * Opens the partition that a request names: TARGET itself, or an entry of its table. For writing, a partition that
 * has a node of its own is opened through that node, exclusively: disk and partition have separate page caches, and
 * a neighbour may be mounted. Throws `refused`, `usage`, `io`.
 */
export const openPartition = (
  path: string,
  options: { readonly partition?: number | undefined; readonly write: boolean },
): OpenPartition => {
  const looking = openSubject(path, false);
  try {
    refuseContainerFile(looking);
    return choosePartition(looking, options);
  } catch (error) {
    looking.close();
    throw error;
  }
};

/** Faults of entries that begin beyond the disk: everybody passes over those, and the other entries stay what they are. */
const BEYOND = new Set(['mbr.start-beyond', 'gpt.entry-range']);
const isOnlyBeyond = ({ problems }: Table): boolean =>
  problems.every(({ severity, code }) => severity !== 'invalid' || BEYOND.has(code));

const choosePartition = (
  looking: Subject,
  { partition: number, write }: { readonly partition?: number | undefined; readonly write: boolean },
): OpenPartition => {
  const { target, table } = looking;
  if (table === undefined || (table.scheme === 'none' && number === undefined)) {
    if (number !== undefined) {
      throw usage(`${target.path} has no partition table`, { code: 'partition.no-table' });
    }
    return openWhole(looking, write);
  }
  if (!table.valid && (number === undefined || !isSoundEntry(table, number) || !isOnlyBeyond(table))) {
    throw refused(`the partition table of ${target.path} is damaged`, {
      code: 'table.invalid',
      found: faultOf(table) ?? 'no table',
      wayOut: 'Name the partition itself, or repair the table first.',
    });
  }
  const entry = chooseEntry(looking, table, number);
  const extent: Extent = { start: entry.start, length: entry.size };
  const node = target.nodes.find((each) => each.number === entry.number);
  const disk = table.valid ? { device: looking.device, table, nodes: target.nodes } : undefined;
  const tableFault = table.valid ? undefined : faultOf(table);
  const whole = { subject: looking, offset: entry.start, diskOffset: entry.start, entry, disk, tableFault };
  if (write && target.kind === 'disk' && node !== undefined) {
    const own = openTarget(node.path, { write });
    const device = new CountingDevice(own.device);
    const close = (): void => {
      own.close();
      looking.close();
    };
    return { ...whole, device, traffic: () => sum(device, looking.device), close };
  }
  if (!write) {
    const device = new Window(looking.device, extent);
    return { ...whole, device, traffic: () => looking.device.traffic, close: () => looking.close() };
  }
  looking.close();
  const subject = openSubject(target.path, true);
  const device = new Window(subject.device, extent, `${target.path} partition ${entry.number}`);
  const traffic = () => subject.device.traffic;
  return {
    ...whole,
    subject,
    disk: disk === undefined ? undefined : { ...disk, device: subject.device },
    device,
    traffic,
    close: () => subject.close(),
  };
};

const sum = (a: CountingReader, b: CountingReader) => ({
  bytesRead: a.traffic.bytesRead + b.traffic.bytesRead,
  bytesWritten: a.traffic.bytesWritten + b.traffic.bytesWritten,
});

/** TARGET is the partition. If it is a node, its disk is opened beside it, to read the table. */
const openWhole = (looking: Subject, write: boolean): OpenPartition => {
  let subject = looking;
  if (write) {
    looking.close();
    subject = openSubject(looking.target.path, true);
  }
  const own = subject.target.partition;
  // What was written through another partition's node must be seen through the disk's.
  if (own !== undefined) dropCachedPages(own.parentPath);
  const parent = own === undefined ? undefined : openDisk(own.parentPath);
  const reader = parent === undefined ? undefined : new CountingReader(parent.device);
  const table = reader === undefined ? undefined : readTable(reader);
  return {
    subject,
    device: subject.device,
    offset: 0,
    diskOffset: own?.offset ?? 0,
    entry: table?.partitions.find((each) => each.start === own?.offset && isSoundEntry(table, each.number)),
    tableFault:
      own === undefined || table === undefined || table.valid
        ? undefined
        : (faultOf(table) ?? 'it cannot be recognised'),
    disk:
      reader !== undefined && table?.valid === true
        ? { device: reader, table, nodes: parent!.facts.partitions }
        : undefined,
    traffic: () => (reader === undefined ? subject.device.traffic : sum(subject.device, reader)),
    close: () => {
      parent?.device.close();
      subject.close();
    },
  };
};
