import { type Stats, statSync } from 'node:fs';
import { refused, usage } from '../errors.ts';
import type { ByteLength, ByteOffset } from '../units.ts';
import type { BlockDeviceFacts, PartitionNode } from './block-facts.ts';
import type { Closable, Device } from './device.ts';
import { openDisk } from './disk.ts';
import { openFailure } from './failure.ts';
import { openFile } from './file.ts';
import { mountPointsOfFile, refuseUses } from './in-use.ts';

/** What TARGET on the command line names, open. */
export interface Target extends Closable {
  /** As the person wrote it. */
  readonly path: string;
  readonly device: Device;
  /** `file`: a regular file, which may hold a disk or a partition. */
  readonly kind: 'file' | 'disk' | 'partition';
  /** Whether `device` can be written. */
  readonly writable: boolean;
  /** By which a person tells it from others. */
  readonly identity: {
    readonly size: ByteLength;
    readonly model?: string;
    readonly serial?: string;
    readonly removable: boolean;
    readonly rotational: boolean;
    /** Put together from other devices (LVM, LUKS, RAID). */
    readonly mapped: boolean;
  };
  /** Of a partition node. */
  readonly partition?: {
    readonly number: number;
    /** Bytes from the start of the disk. */
    readonly offset: ByteOffset;
    /** Node of the disk, for `openDisk` (never exclusively: a neighbour may be mounted). */
    readonly parentPath: string;
  };
  /** Of a disk: partitions that have nodes now. Nothing of what the table on the disk says. */
  readonly nodes: readonly PartitionNode[];
}

export interface TargetOptions {
  /** Default: read only, which is allowed on a mounted target. Otherwise exclusive. */
  readonly write?: boolean;
  /** Of a regular file; default 512. Block devices say theirs. */
  readonly sectorSize?: ByteLength;
}

const NO_CONTENT = 'Name a block device, or a regular file that holds a disk or a partition.';

const statOf = (path: string): Stats => {
  try {
    return statSync(path);
  } catch (error) {
    throw openFailure(path, error);
  }
};

/**
 * Opens TARGET: a regular file or a block device, symbolic links followed.
 * Throws `usage` (`target.missing`, `target.directory`, `target.empty`, `target.not-a-disk`), `refused` (`read-only`,
 * `mounted`, `in-use`, `no-medium`, `no-permission`), `io`, `unsupported`.
 */
export const openTarget = (path: string, options: TargetOptions = {}): Target => {
  const found = statOf(path);
  if (found.isDirectory())
    throw usage(`${path} is a directory`, { code: 'target.directory', wayOut: NO_CONTENT });
  if (found.isBlockDevice()) return blockTarget(path, options);
  if (!found.isFile()) {
    throw usage(`${path} is neither a block device nor a regular file`, {
      code: 'target.not-a-disk',
      wayOut: NO_CONTENT,
    });
  }
  if (found.size === 0) throw usage(`${path} is empty`, { code: 'target.empty', wayOut: NO_CONTENT });
  return fileTarget(path, found, options);
};

const fileTarget = (path: string, found: Stats, options: TargetOptions): Target => {
  const writable = options.write ?? false;
  if (writable) {
    // Root may write it all the same, but whoever took the permission away meant it.
    if ((found.mode & 0o222) === 0) {
      throw refused(`${path} is read-only`, {
        code: 'read-only',
        wayOut: `Allow it with: chmod u+w ${path}`,
      });
    }
    refuseUses(path, mountPointsOfFile(path));
  }
  const device = openFile(path, options);
  return {
    path,
    device,
    kind: 'file',
    writable,
    identity: { size: device.size, removable: false, rotational: false, mapped: false },
    nodes: [],
    close: () => device.close(),
  };
};

const identityOf = (facts: BlockDeviceFacts): Target['identity'] => ({
  size: facts.size,
  ...(facts.model === undefined ? {} : { model: facts.model }),
  ...(facts.serial === undefined ? {} : { serial: facts.serial }),
  removable: facts.removable,
  rotational: facts.rotational,
  mapped: facts.mapped,
});

const blockTarget = (path: string, options: TargetOptions): Target => {
  const writable = options.write ?? false;
  const { device, facts } = openDisk(path, { write: writable, exclusive: writable });
  return {
    path,
    device,
    kind: facts.kind,
    writable,
    identity: identityOf(facts),
    ...(facts.partition === undefined ? {} : { partition: facts.partition }),
    nodes: facts.partitions,
    close: () => device.close(),
  };
};
