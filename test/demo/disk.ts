import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { type Extent, MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { makeDisk, type PartitionPlace } from '../support/disk.ts';
import { mountFile } from '../support/loop.ts';
import { noiseSource } from '../support/noise.ts';
import { populate } from '../support/populate.ts';
import { run } from '../support/run.ts';
import { snapshot, type Tree } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { chooseFiles, copyFiles } from './files.ts';
import type { Sizes } from './machine.ts';

const BIOS_BOOT = '21686148-6449-6E6F-744E-656564454649';
/** UEFI specification, 5.2.1: boot code is the first 440 bytes of sector 0, also of a GPT disk. */
const BOOT_CODE: Extent = { start: 0, length: 440 };

/** A disk as it was, with all that it takes to tell whether it came back. */
export interface DemoDisk {
  readonly path: string;
  readonly size: number;
  /** The ext4 partition. */
  readonly partition: PartitionPlace;
  /** Boot code and BIOS boot partition. */
  readonly boot: readonly Extent[];
  /** `sfdisk --dump` of the disk. */
  readonly table: string;
  readonly files: Tree;
  /** Bytes of file content, as the files take room for it: holes are none. */
  readonly contentBytes: number;
}

/** Makes a disk in a sparse file: GPT, a BIOS boot partition, and ext4 with files of this machine. */
export const makeDemoDisk = (cleanup: Cleanup, path: string, sizes: Sizes): DemoDisk => {
  const places = makeDisk(cleanup, path, {
    size: sizes.disk,
    table: 'gpt',
    partitions: [
      { size: MIB, type: BIOS_BOOT, name: 'bios boot' },
      { name: 'system', size: sizes.disk - 3 * MIB },
    ],
  });
  const [biosBoot, partition] = places as [PartitionPlace, PartitionPlace];
  const boot: Extent[] = [BOOT_CODE, { start: biosBoot.start, length: biosBoot.size }];
  writeBoot(path, boot);
  makeVolume(path, { size: partition.size, offset: partition.start, label: 'system' });
  const mount = mountFile(cleanup, path, { offset: partition.start, size: partition.size });
  // Real files, and beside them a small tree of what careless programs lose: odd names, holes, links, ACLs, devices.
  copyFiles(chooseFiles(sizes.data), mount.path);
  populate(mount.path, { size: MIB, entries: 200 });
  const files = snapshot(mount.path);
  mount.unmount();
  return {
    path,
    size: sizes.disk,
    partition,
    boot,
    table: dumpTable(path),
    files,
    contentBytes: contentBytes(files),
  };
};

/** What stands for a boot loader: bytes that nobody could guess. */
const writeBoot = (path: string, extents: readonly Extent[]): void => {
  const next = noiseSource('boot loader');
  const handle = openSync(path, 'r+');
  try {
    for (const { start, length } of extents) writeSync(handle, next(length), 0, length, start);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
};

/** The partition table in sfdisk's own words, or what it says instead. */
export const dumpTable = (path: string): string => {
  const result = run('sfdisk', ['--dump', path]);
  return result.exit === 0 ? result.stdout : result.stderr;
};

const contentBytes = (files: Tree): number => {
  let sum = 0;
  for (const properties of files.values()) {
    if (properties.get('type') === 'file' && !properties.has('same file as')) {
      // `blocks` counts units of 512 bytes (stat(2)); a file's last block may reach past its end.
      sum += Math.min(Number(properties.get('size')), Number(properties.get('blocks')) * 512);
    }
  }
  return sum;
};
