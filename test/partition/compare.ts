import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import type { KnownPartition } from '../../rescue/partition/merge.ts';
import type { TablePlan } from '../../rescue/partition/plan.ts';
import { saveTable } from '../../rescue/partition/saved.ts';
import { type LiveTable, readTable } from '../../rescue/partition/table.ts';
import { MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { type DiskOptions, makeDisk, type PartitionPlace, partitionsOf } from '../support/disk.ts';
import { partitionTableSound, type Verdict } from '../support/judges.ts';
import { attachLoop } from '../support/loop.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile } from '../support/volume.ts';

/** Reads a disk file into memory. Only for small or mostly empty disks: zeros are not kept. */
export const load = (path: string, size: number, sectorSize: number): MemoryDevice => {
  const device = new MemoryDevice(size, sectorSize, path);
  const handle = openSync(path, 'r');
  try {
    const chunk = new Uint8Array(MIB);
    const zeros = new Uint8Array(MIB);
    for (let at = 0; at < size; ) {
      const count = readSync(handle, chunk, 0, Math.min(chunk.length, size - at), at);
      if (count === 0) throw new Error(`${path} ends at ${at}`);
      const part = chunk.subarray(0, count);
      if (Buffer.compare(part, zeros.subarray(0, count)) !== 0) device.write(at, part);
      at += count;
    }
  } finally {
    closeSync(handle);
  }
  return device;
};

/** Applies a plan to a device, checking every before-image first, phase by phase. */
export const apply = (device: MemoryDevice, plan: TablePlan): void => {
  for (const phase of plan.patch.phases)
    for (const write of phase) {
      if (Buffer.compare(device.read(write.offset, write.before.length), write.before) !== 0)
        throw new Error(`before-image at ${write.offset} does not match`);
      device.write(write.offset, write.after);
    }
};

/** Writes the sectors of a plan into a file. */
export const applyToFile = (path: string, plan: TablePlan): void => {
  const handle = openSync(path, 'r+');
  try {
    for (const write of plan.patch.phases.flat())
      writeSync(handle, write.after, 0, write.after.length, write.offset);
  } finally {
    closeSync(handle);
  }
};

/** What sfdisk and sgdisk say of a disk in memory: whether its table is sound, and what is in it. */
export const judged = (
  cleanup: Cleanup,
  device: MemoryDevice,
): { readonly verdict: Verdict; readonly places: readonly PartitionPlace[] } => {
  const path = makeFile(`${temporaryFolder(cleanup)}/judged`, device.size);
  const handle = openSync(path, 'r+');
  try {
    const empty = new MemoryDevice(device.size, device.sectorSize);
    for (const { start, length } of device.differences(empty))
      writeSync(handle, device.read(start, length), 0, length, start);
  } finally {
    closeSync(handle);
  }
  // sfdisk takes a file for a disk of 512-byte sectors.
  const loop =
    device.sectorSize === 512 ? undefined : attachLoop(cleanup, path, { sectorSize: device.sectorSize });
  const target = loop?.device ?? path;
  const result = { verdict: partitionTableSound(target), places: partitionsOf(target) };
  loop?.detach();
  rmSync(path);
  return result;
};

/** Number, start, size, type and PARTUUID of every entry, as sfdisk gives them (extended partitions included). */
export const asSfdisk = (table: LiveTable): PartitionPlace[] =>
  [
    ...table.partitions.map(({ number, start, size, type, uuid }) => {
      const isGpt = table.scheme === 'gpt';
      const text = isGpt ? type.toUpperCase() : type.replace(/^0/, '');
      return { number, start, size, type: text, uuid: isGpt ? uuid.toUpperCase() : undefined };
    }),
    ...table.extended.map(({ number, start, size, type }) => ({
      number,
      start,
      size,
      type: type.replace(/^0/, ''),
      uuid: undefined,
    })),
  ].sort((a, b) => a.number - b.number);

export interface TestDisk {
  readonly path: string;
  readonly device: MemoryDevice;
  readonly table: LiveTable;
  readonly places: readonly PartitionPlace[];
}

/** A disk made by sfdisk, in a file and in memory. */
export const testDisk = (cleanup: Cleanup, options: DiskOptions): TestDisk => {
  const path = `${temporaryFolder(cleanup)}/disk`;
  const places = makeDisk(cleanup, path, options);
  const device = load(path, options.size, options.sectorSize ?? 512);
  return { path, device, table: readTable(device), places };
};

/** What an image of partition `number` knows, with or without its control stream. */
export const knownOf = (disk: TestDisk, number: number, withSaved: boolean): KnownPartition => {
  const partition = disk.table.partitions.find((each) => each.number === number);
  if (partition === undefined) throw new Error(`no partition ${number}`);
  return {
    source: `image of partition ${number}`,
    start: partition.start,
    size: partition.size,
    sectorSize: disk.table.sectorSize,
    type: partition.type,
    uuid: partition.uuid,
    diskSize: disk.table.diskSize,
    saved: withSaved ? saveTable(disk.device, disk.table) : null,
  };
};

/** A device of pseudo-random bytes that never look like a table. */
export const noise = (size: number, sectorSize: number): MemoryDevice => {
  const device = new MemoryDevice(size, sectorSize);
  const block = new Uint8Array(64 * 1024);
  let state = 0x9e3779b9;
  for (let index = 0; index < block.length; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    block[index] = state >>> 24;
  }
  device.write(0, block.subarray(0, Math.min(block.length, size)));
  const tail = Math.min(block.length, size);
  device.write(size - tail, block.subarray(0, tail));
  return device;
};

/** The disks that every reading and rebuilding test goes through. */
export const DISKS: readonly (DiskOptions & { readonly title: string })[] = [
  {
    title: 'GPT, 512',
    size: 64 * MIB,
    table: 'gpt',
    partitions: [
      { size: MIB, type: '21686148-6449-6E6F-744E-656564454649', name: 'bios' },
      { size: 20 * MIB, name: 'Käse 🧀' },
      { size: 8 * MIB, type: 'swap' },
      {},
    ],
  },
  {
    title: 'GPT, 4096',
    size: 64 * MIB,
    table: 'gpt',
    sectorSize: 4096,
    partitions: [{ size: 16 * MIB, name: 'one' }, { size: 20 * MIB }, {}],
  },
  {
    title: 'MBR, 512',
    size: 64 * MIB,
    table: 'mbr',
    partitions: [{ size: 16 * MIB, bootable: true }, { size: 8 * MIB, type: '7' }, {}],
  },
  {
    title: 'MBR, 4096',
    size: 64 * MIB,
    table: 'mbr',
    sectorSize: 4096,
    partitions: [{ size: 16 * MIB }, {}],
  },
  {
    title: 'MBR with logical partitions, 512',
    size: 96 * MIB,
    table: 'mbr',
    partitions: [
      { size: 16 * MIB, bootable: true },
      { size: 8 * MIB },
      { type: 'extended' },
      { size: 8 * MIB },
      { size: 16 * MIB, type: '82' },
      {},
    ],
  },
  {
    title: 'MBR with logical partitions, 4096',
    size: 96 * MIB,
    table: 'mbr',
    sectorSize: 4096,
    partitions: [{ size: 16 * MIB }, { type: 'extended' }, { size: 8 * MIB }, {}],
  },
];
