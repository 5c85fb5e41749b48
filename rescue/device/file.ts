import { closeSync, constants, fstatSync, fsyncSync, ftruncateSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { refused, usage } from '../errors.ts';
import type { ByteLength } from '../units.ts';
import { isSectorSize } from './bounds.ts';
import { DescriptorDevice } from './descriptor.ts';
import type { Closable } from './device.ts';
import { errnoOf, ioFailure, openFailure } from './failure.ts';
import { lockFile } from './file-lock.ts';
import { mountPointsOfFile, refuseUses } from './in-use.ts';

export interface FileOptions {
  /** Default: read only. */
  readonly write?: boolean;
  /** Logical sector size of the disk that the file holds; default 512. */
  readonly sectorSize?: ByteLength;
}

const DEFAULT_SECTOR_SIZE = 512;

const sectorSizeOf = (options: { readonly sectorSize?: ByteLength }): ByteLength => {
  const sectorSize = options.sectorSize ?? DEFAULT_SECTOR_SIZE;
  if (!isSectorSize(sectorSize)) {
    throw usage('not a sector size', {
      code: 'sector-size',
      expected: '512, 1024, 2048 or 4096',
      found: sectorSize,
    });
  }
  return sectorSize;
};

/**
 * Opens a regular file that holds a disk or a partition; never creates one. Its size is taken once, here.
 * Throws `usage` (`target.missing`, `target.directory`, `target.not-a-file`), `refused` (`read-only`,
 * `no-permission`, `in-use`), `io`.
 */
export const openFile = (path: string, options: FileOptions = {}): DescriptorDevice => {
  const sectorSize = sectorSizeOf(options);
  const writable = options.write ?? false;
  let descriptor: number;
  try {
    // O_NONBLOCK: a FIFO must be refused below, not waited for. It means nothing for regular files.
    descriptor = openSync(
      path,
      (writable ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
  } catch (error) {
    throw openFailure(path, error);
  }
  try {
    const facts = fstatSync(descriptor);
    if (facts.isDirectory()) throw usage(`${path} is a directory`, { code: 'target.directory' });
    if (!facts.isFile()) throw usage(`${path} is not a regular file`, { code: 'target.not-a-file' });
    const lock = writable ? lockFile(path, fstatSync(descriptor, { bigint: true })) : undefined;
    return new DescriptorDevice(descriptor, { name: path, size: facts.size, sectorSize, writable, lock });
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
};

export interface CreateOptions {
  readonly sectorSize?: ByteLength;
  /** Default: a file that exists is refused. */
  readonly overwrite?: boolean;
}

/**
 * Makes a file of `size` bytes that reads as zeros and takes no space yet, open for reading and writing.
 * Throws `refused` (`exists`, `mounted`, `read-only`, ...), `usage`, `io` (`ENOSPC`, `EFBIG`; no new file is left behind).
 */
export const createSparseFile = (
  path: string,
  size: ByteLength,
  options: CreateOptions = {},
): DescriptorDevice => {
  const sectorSize = sectorSizeOf(options);
  const { descriptor, isNew } = openNew(path, options.overwrite ?? false);
  let lock: Closable | undefined;
  try {
    if (!fstatSync(descriptor).isFile())
      throw usage(`${path} is not a regular file`, { code: 'target.not-a-file' });
    lock = lockFile(path, fstatSync(descriptor, { bigint: true }));
    ftruncateSync(descriptor, 0);
    ftruncateSync(descriptor, size);
    syncFolderOf(path);
    return new DescriptorDevice(descriptor, { name: path, size, sectorSize, writable: true, lock });
  } catch (error) {
    lock?.close();
    closeSync(descriptor);
    if (isNew) rmSync(path, { force: true });
    throw ioFailure('create', path, error);
  }
};

const openNew = (path: string, overwrite: boolean): { descriptor: number; isNew: boolean } => {
  try {
    return {
      descriptor: openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o666),
      isNew: true,
    };
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw openFailure(path, error);
    if (!overwrite) {
      throw refused(`${path} exists already`, {
        code: 'exists',
        wayOut: 'Name another file, or remove this one first.',
        cause: error,
      });
    }
  }
  refuseUses(path, mountPointsOfFile(path));
  try {
    return { descriptor: openSync(path, constants.O_RDWR | constants.O_NONBLOCK), isNew: false };
  } catch (error) {
    throw openFailure(path, error);
  }
};

/** The new name itself must survive a power cut, and belongs to the folder. */
const syncFolderOf = (path: string): void => {
  const folder = openSync(dirname(path), constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
};
