import { getDiskInfo } from 'node-disk-info';
import { type BlockDeviceFacts, type Bus, listDisks, type PartitionNode } from '../device/block-facts.ts';
import { CountingReader } from '../device/counting.ts';
import type { ReadableDevice } from '../device/device.ts';
import { openDisk } from '../device/disk.ts';
import { ReadableWindow } from '../device/window.ts';
import { isHoldfastError } from '../errors.ts';
import type { FileSystemKind } from '../fs/filesystem.ts';
import { probeFileSystem } from '../fs/probe.ts';
import { containerTest } from '../locate/container-test.ts';
import { isEfiSystem } from '../partition/companion.ts';
import { carriesMedium } from '../partition/medium.ts';
import type { Partition, Scheme } from '../partition/model.ts';
import { readTable } from '../partition/table.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { JobContext, type JobOptions } from './context.ts';

/** What is in a partition, or on a whole disk without a table. */
export interface Content {
  /** A kind that jobs can work on; null for everything else. */
  readonly filesystem: FileSystemKind | null;
  /** `ext4`, `LUKS2 (encrypted)`, `empty (all zeros)`, `unknown`, ... */
  readonly name: string;
  readonly label: string;
  /** UUID or volume serial; empty where it is not known. */
  readonly uuid: string;
  /** Containers that its directory lists. */
  readonly containers: number;
  /** Why it cannot be read, where that is so. */
  readonly trouble?: string;
}

export interface PartitionFacts {
  readonly number: number;
  /** Node, where the kernel knows the partition. */
  readonly path: string | null;
  readonly offset: ByteOffset;
  readonly size: ByteLength;
  readonly name: string;
  /** As in the table: two hexadecimal digits, or a GUID. */
  readonly type: string;
  /** As Linux spells it. */
  readonly partuuid: string;
  readonly content: Content;
  /** An EFI system partition: it belongs to the system beside it, and is not what people mean by a partition. */
  readonly efiSystem?: true;
  readonly mountPoints: readonly string[];
}

export interface DiskFacts {
  readonly path: string;
  readonly model: string;
  readonly serial: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly bus: Bus;
  readonly rotational: boolean;
  readonly removable: boolean;
  readonly readOnly: boolean;
  /** The rescue medium is on it: never a target. */
  readonly medium: boolean;
  readonly table: { readonly scheme: Scheme; readonly valid: boolean; readonly trouble: string };
  readonly partitions: readonly PartitionFacts[];
  /** Of a disk without a table. */
  readonly content: Content | null;
  readonly mountPoints: readonly string[];
  /** Why the disk itself cannot be read, where that is so. */
  readonly trouble?: string;
}

export interface DisksResult {
  readonly disks: readonly DiskFacts[];
}

const nothing = (trouble: string): Content => ({
  filesystem: null,
  name: 'unreadable',
  label: '',
  uuid: '',
  containers: 0,
  trouble,
});

const contentOf = (device: ReadableDevice, region: Extent): Content => {
  const { start, length } = region;
  const within = {
    start: Math.min(start, device.size),
    length: Math.max(0, Math.min(length, device.size - start)),
  };
  let name = 'unknown';
  try {
    const window = new ReadableWindow(device, within);
    const probed = probeFileSystem(window);
    if (!('driver' in probed))
      return { filesystem: null, name: probed.other, label: '', uuid: '', containers: 0 };
    name = probed.driver.name;
    const fileSystem = probed.driver.open(window, containerTest(window));
    const { kind, label, uuid } = fileSystem;
    return {
      filesystem: kind,
      name: kind,
      label,
      uuid,
      ...containersOf(() => fileSystem.containers().length),
    };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { ...nothing(error.message), name };
  }
};

/** A damaged directory does not hide what file system it is. */
const containersOf = (count: () => number): Pick<Content, 'containers' | 'trouble'> => {
  try {
    return { containers: count() };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { containers: 0, trouble: error.message };
  }
};

/** Mount points by device node. On the rescue medium nothing is mounted, and there `df` has nothing to say. */
const mountPoints = async (note: (text: string) => void): Promise<ReadonlyMap<string, readonly string[]>> => {
  const found = new Map<string, string[]>();
  try {
    for (const { filesystem, mounted } of await getDiskInfo()) {
      found.set(filesystem, [...(found.get(filesystem) ?? []), mounted]);
    }
  } catch (error) {
    note(`Mounted volumes are not known: ${(error as Error).message.trim()}`);
  }
  return found;
};

type Mounts = ReadonlyMap<string, readonly string[]>;

const partitionFacts = (
  device: ReadableDevice,
  entry: Partition,
  nodes: readonly PartitionNode[],
  mounts: Mounts,
): PartitionFacts => {
  const path = nodes.find((each) => each.offset === entry.start)?.path ?? null;
  return {
    number: entry.number,
    path,
    offset: entry.start,
    size: entry.size,
    name: entry.name,
    type: entry.type,
    partuuid: entry.uuid,
    content: contentOf(device, { start: entry.start, length: entry.size }),
    ...(isEfiSystem(entry) ? { efiSystem: true } : {}),
    mountPoints: path === null ? [] : (mounts.get(path) ?? []),
  };
};

const diskFacts = (facts: BlockDeviceFacts, mounts: Mounts): DiskFacts => {
  const own = {
    path: facts.path,
    model: facts.model ?? facts.backingFile ?? '',
    serial: facts.serial ?? '',
    size: facts.size,
    sectorSize: facts.sectorSize,
    bus: facts.bus,
    rotational: facts.rotational,
    removable: facts.removable,
    readOnly: facts.readOnly,
    mountPoints: mounts.get(facts.path) ?? [],
  };
  try {
    const { device: disk } = openDisk(facts.path);
    try {
      const device = new CountingReader(disk);
      const table = readTable(device);
      const { scheme, valid, problems } = table;
      const trouble = valid ? '' : (problems[0]?.message ?? '');
      return {
        ...own,
        medium: carriesMedium(device),
        table: { scheme, valid, trouble },
        partitions: table.partitions.map((each) => partitionFacts(device, each, facts.partitions, mounts)),
        content: scheme === 'none' ? contentOf(device, { start: 0, length: device.size }) : null,
      };
    } finally {
      disk.close();
    }
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    const table = { scheme: 'none', valid: false, trouble: '' } as const;
    return { ...own, medium: false, table, partitions: [], content: null, trouble: error.message };
  }
};

/**
 * All disks of this machine with what is seen at a glance: tables, file systems, mounts. Optical drives and memory
 * disks are left out; nothing is scanned. Never writes.
 */
export const disks = async (_request: object = {}, options: JobOptions = {}): Promise<DisksResult> => {
  const context = new JobContext(options);
  try {
    const mounts = await mountPoints((text) => context.note(text, 'warning'));
    const found: DiskFacts[] = [];
    for (const facts of listDisks()) {
      await context.checkpoint();
      if (facts.bus !== 'optical' && facts.bus !== 'ram') found.push(diskFacts(facts, mounts));
    }
    return { disks: found };
  } finally {
    await context.close();
  }
};
