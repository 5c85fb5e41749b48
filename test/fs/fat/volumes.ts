import { KIB } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';
import { makeFile } from '../../support/volume.ts';
import { setActiveTable } from './patching.ts';

/**
 * FAT volumes as other people's programs make them (mkfs.fat), fill them and list them (mtools: `mtools.ts`, `content.ts`), and judge them
 * (fsck.fat: `fsck.ts`). What none of them can make is made by patching bytes (`patching.ts`).
 */

export interface FatOptions {
  /** Bytes; a multiple of 1 KiB. */
  readonly size: number;
  readonly bits: 12 | 16 | 32;
  /** Default 512. */
  readonly sectorSize?: 512 | 1024 | 2048 | 4096;
  /** Default: what mkfs.fat finds right. */
  readonly sectorsPerCluster?: number;
  /** Default 2. */
  readonly tables?: 1 | 2;
  readonly reserved?: number;
  readonly hidden?: number;
  readonly backup?: number;
  /** Entries of the fixed root folder. */
  readonly rootEntries?: number;
  readonly label?: string;
  /** Eight hexadecimal digits. Default 0F8A7B6C. */
  readonly serial?: string;
  /** Default true; false is mkfs.fat's `-a`. */
  readonly aligned?: boolean;
  /** Byte offset in the file, a multiple of the sector size, for a partition of a disk that exists already. */
  readonly offset?: number;
  /** FAT32 only: mirroring off, this FAT is the one in use; the other holds nonsense. */
  readonly active?: 0 | 1;
}

export const FAT_SERIAL = '0F8A7B6C';

/** Makes a FAT volume with mkfs.fat, reproducibly. Without `offset` the file is made or given exactly `size`. */
export const makeFat = (path: string, options: FatOptions): string => {
  const { size, bits, sectorSize = 512, offset = 0 } = options;
  if (options.offset === undefined) makeFile(path, size);
  const args = ['--invariant', '-F', String(bits), '-S', String(sectorSize)];
  args.push('-i', options.serial ?? FAT_SERIAL);
  const numbers: readonly [string, number | undefined][] = [
    ['-s', options.sectorsPerCluster],
    ['-f', options.tables],
    ['-R', options.reserved],
    ['-h', options.hidden],
    ['-b', options.backup],
    ['-r', options.rootEntries],
  ];
  for (const [option, value] of numbers) if (value !== undefined) args.push(option, String(value));
  if (options.label !== undefined) args.push('-n', options.label);
  if (options.aligned === false) args.push('-a');
  if (offset > 0) args.push(`--offset=${offset / sectorSize}`);
  mustRun('mkfs.fat', [...args, path, String(size / KIB)]);
  if (options.active !== undefined) setActiveTable(path, options.active, offset);
  return path;
};
