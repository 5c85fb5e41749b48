import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { ioError, refused } from '../errors.ts';
import {
  type BlockDeviceFacts,
  deviceNumber,
  readBlockDeviceFacts,
  refuseWithoutMedium,
} from './block-facts.ts';
import { DescriptorDevice } from './descriptor.ts';
import type { Closable } from './device.ts';
import { openFailure } from './failure.ts';
import { lockFile } from './file-lock.ts';
import { mountPointsOf, refuseUses } from './in-use.ts';

export interface DiskOptions {
  /** Default: read only. */
  readonly write?: boolean;
  /**
   * Default false. Nobody else may mount it or open it exclusively while we have it, and it is refused if anybody does
   * now. For a disk this includes every one of its partitions, so the disk of a partition target is opened without.
   */
  readonly exclusive?: boolean;
}

export interface OpenDisk {
  readonly device: DescriptorDevice;
  readonly facts: BlockDeviceFacts;
}

/**
 * Opens the block device that `path` leads to: a disk or a partition.
 * Throws `refused` (`mounted`, `in-use`, `read-only`, `no-medium`, `no-permission`), `usage`, `io`, `unsupported`.
 */
export const openDisk = (path: string, options: DiskOptions = {}): OpenDisk => {
  const writable = options.write ?? false;
  const facts = readBlockDeviceFacts(path);
  refuseWithoutMedium(facts);
  if (writable && facts.readOnly) {
    throw refused(`${path} is read-only`, {
      code: 'read-only',
      wayOut:
        'Release its write protection (a switch on the medium, or blockdev --setrw), or name another target.',
    });
  }
  // Says where it is mounted; the exclusive open below says only that it is.
  if (options.exclusive === true) refuseUses(path, mountPointsOf(facts));
  // open(2): O_EXCL without O_CREAT, on a block device, fails with EBUSY if the device is in use by the system.
  const exclusive = options.exclusive === true ? constants.O_EXCL : 0;
  let descriptor: number;
  try {
    descriptor = openSync(facts.path, (writable ? constants.O_RDWR : constants.O_RDONLY) | exclusive);
  } catch (error) {
    throw openFailure(path, error);
  }
  let lock: Closable | undefined;
  try {
    const opened = fstatSync(descriptor, { bigint: true });
    if (!opened.isBlockDevice() || deviceNumber(opened.rdev) !== facts.number) {
      throw ioError(`${path} became another device while it was opened`, {
        code: 'changed',
        expected: facts.number,
        found: deviceNumber(opened.rdev),
      });
    }
    lock = writable ? lockBackingFile(path, facts) : undefined;
    const device = new DescriptorDevice(descriptor, {
      lock,
      name: path,
      size: facts.size,
      sectorSize: facts.sectorSize,
      writable,
      rotational: facts.rotational,
    });
    return { device, facts };
  } catch (error) {
    lock?.close();
    closeSync(descriptor);
    throw error;
  }
};

/** The kernel keeps others from a loop device, but not from the file below it. */
const lockBackingFile = (path: string, { kind, backingFile }: BlockDeviceFacts): Closable | undefined => {
  if (kind !== 'disk' || backingFile === undefined) return undefined;
  // The file may have been deleted since: then nobody else can name it.
  const file = statSync(backingFile, { bigint: true, throwIfNoEntry: false });
  return file?.isFile() === true ? lockFile(path, file) : undefined;
};
