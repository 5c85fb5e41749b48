import type { Cleanup } from './cleanup.ts';
import { attachLoop } from './loop.ts';
import { mustRun } from './run.ts';
import { makeFile } from './volume.ts';

export interface PartitionRequest {
  /** Bytes from the start of the disk; without it, after the one before (1 MiB for the first). */
  readonly start?: number | undefined;
  /** Bytes; without it, all that is left. */
  readonly size?: number | undefined;
  /**
   * As sfdisk takes it: `83`, `linux`, a GUID, `21686148-6449-6E6F-744E-656564454649` (BIOS boot), or `extended` in
   * an MBR, after which further entries are logical partitions within it. Default: Linux.
   */
  readonly type?: string | undefined;
  readonly uuid?: string | undefined;
  readonly name?: string | undefined;
  readonly bootable?: boolean | undefined;
  /** Of a GPT, as sfdisk takes them: `RequiredPartition`, `GUID:63`, several with blanks between them. */
  readonly attributes?: string | undefined;
}

export interface DiskOptions {
  readonly size: number;
  readonly table: 'gpt' | 'mbr';
  /** Default 512. */
  readonly sectorSize?: 512 | 4096 | undefined;
  readonly partitions: readonly PartitionRequest[];
}

export interface PartitionPlace {
  readonly number: number;
  /** Bytes from the start of the disk. */
  readonly start: number;
  readonly size: number;
  readonly type: string;
  readonly uuid: string | undefined;
}

const DISK_GUID = 'C0FFEE00-1234-4ABC-8DEF-0123456789AB';
const DISK_SIGNATURE = '0x5eaf00d5';

/** Makes a disk in a sparse file with a partition table written by sfdisk; ids of disk and partitions are fixed. */
export const makeDisk = (cleanup: Cleanup, path: string, options: DiskOptions): PartitionPlace[] => {
  const sectorSize = options.sectorSize ?? 512;
  const isGpt = options.table === 'gpt';
  makeFile(path, options.size);
  const sectors = (bytes: number): number => {
    if (bytes % sectorSize !== 0) throw new Error(`${bytes} bytes are no whole number of sectors`);
    return bytes / sectorSize;
  };
  const lines = [
    `label: ${isGpt ? 'gpt' : 'dos'}`,
    `label-id: ${isGpt ? DISK_GUID : DISK_SIGNATURE}`,
    'unit: sectors',
    '',
    ...options.partitions.map((partition, index) => {
      const words: string[] = [];
      if (partition.start !== undefined) words.push(`start=${sectors(partition.start)}`);
      words.push(partition.size === undefined ? 'size=+' : `size=${sectors(partition.size)}`);
      words.push(`type=${partition.type ?? 'linux'}`);
      if (isGpt)
        words.push(
          `uuid=${partition.uuid ?? `0F5E7A11-0000-4000-8000-${String(index + 1).padStart(12, '0')}`}`,
        );
      if (partition.name !== undefined) words.push(`name="${partition.name}"`);
      if (partition.bootable === true) words.push('bootable');
      if (partition.attributes !== undefined) words.push(`attrs="${partition.attributes}"`);
      return words.join(', ');
    }),
  ];
  // sfdisk takes a file for a disk of 512-byte sectors; for others it must meet a device that says so.
  const loop = sectorSize === 512 ? undefined : attachLoop(cleanup, path, { sectorSize });
  const target = loop?.device ?? path;
  mustRun('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', '--wipe', 'never', target], {
    input: `${lines.join('\n')}\n`,
  });
  const places = partitionsOf(target);
  loop?.detach();
  return places;
};

/** The partitions of a disk in a file or device, as sfdisk reads them: a second opinion on our own reader. */
export const partitionsOf = (path: string): PartitionPlace[] => {
  const { partitiontable: table } = JSON.parse(mustRun('sfdisk', ['--json', path]).stdout) as {
    partitiontable: {
      sectorsize?: number;
      partitions?: { node: string; start: number; size: number; type: string; uuid?: string }[];
    };
  };
  const sectorSize = table.sectorsize ?? 512;
  return (table.partitions ?? []).map(({ node, start, size, type, uuid }) => ({
    number: Number(/(\d+)$/.exec(node)?.[1]),
    start: start * sectorSize,
    size: size * sectorSize,
    type,
    uuid,
  }));
};
