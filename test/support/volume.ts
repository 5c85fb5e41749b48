import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { mustRun } from './run.ts';

/** Fixed, so that two runs of a test work on the same bytes. */
export const VOLUME_UUID = '0f8a7b6c-1d2e-4f30-9a5b-6c7d8e9f0a1b';
export const HASH_SEED = '5d1c3a52-8e0b-4c6d-a7f1-2b3c4d5e6f70';
/** 2024-02-29 12:00:00 UTC: what e2fsprogs takes for "now". */
const FIXED_TIME = '1709208000';

export interface VolumeOptions {
  /** Bytes; a multiple of 1 KiB. */
  readonly size: number;
  /** Byte offset in the file, for a partition of a disk. Default 0. */
  readonly offset?: number | undefined;
  /** Default ext4. */
  readonly type?: 'ext2' | 'ext3' | 'ext4' | undefined;
  readonly blockSize?: 1024 | 2048 | 4096 | undefined;
  /** As after `mke2fs -O`, e.g. `['bigalloc', '^has_journal']`. */
  readonly features?: readonly string[] | undefined;
  /** As after `mke2fs -E`, e.g. `['lazy_itable_init=0']`. */
  readonly extended?: readonly string[] | undefined;
  readonly label?: string | undefined;
  readonly uuid?: string | undefined;
  /** Any further arguments, e.g. `['-N', '4096']`. */
  readonly more?: readonly string[] | undefined;
}

/** Makes an empty sparse file of `size` bytes, or gives an existing one that size. */
export const makeFile = (path: string, size: number): string => {
  const handle = openSync(path, 'a');
  try {
    ftruncateSync(handle, size);
  } finally {
    closeSync(handle);
  }
  return path;
};

/**
 * Makes an ext volume in a file with `mke2fs`, reproducibly: UUID, hash seed and times are fixed. Without `offset` the
 * file is made or given exactly `size`; with it the file is a disk that exists already (see `makeDisk`).
 */
export const makeVolume = (path: string, options: VolumeOptions): string => {
  const offset = options.offset ?? 0;
  if (options.size % 1024 !== 0) throw new Error(`a volume of ${options.size} bytes is no multiple of 1 KiB`);
  if (options.offset === undefined) makeFile(path, options.size);
  const extended = [`hash_seed=${HASH_SEED}`, ...(options.extended ?? [])];
  if (offset > 0) extended.push(`offset=${offset}`);
  const args = ['-q', '-F', '-t', options.type ?? 'ext4', '-U', options.uuid ?? VOLUME_UUID];
  if (options.blockSize !== undefined) args.push('-b', String(options.blockSize));
  if (options.features !== undefined && options.features.length > 0)
    args.push('-O', options.features.join(','));
  if (options.label !== undefined) args.push('-L', options.label);
  args.push('-E', extended.join(','), ...(options.more ?? []), path, `${options.size / 1024}k`);
  mustRun('mke2fs', args, { env: { E2FSPROGS_FAKE_TIME: FIXED_TIME, MKE2FS_SYNC: '0' } });
  return path;
};
