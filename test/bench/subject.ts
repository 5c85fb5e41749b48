import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { normalise, totalLength } from '../../rescue/bytes/runs.ts';
import { openFile } from '../../rescue/device/file.ts';
import { probeFileSystem } from '../../rescue/fs/probe.ts';
import { type Extent, formatBytes, MIB, roundUp } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { attachLoop } from '../support/loop.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences, type Tree } from '../support/tree.ts';
import type { Kind } from './kinds.ts';

/** What both sides work on: a volume with files of this machine, and what it takes to know it again. */
export interface Subject {
  readonly kind: Kind;
  readonly folder: string;
  /** The volume in a file; never written to again. */
  readonly pristine: string;
  readonly size: number;
  readonly files: Tree;
  /** Bytes of all clusters in use and of what belongs to no cluster, ascending. */
  readonly used: readonly Extent[];
  readonly usedBytes: number;
  readonly clusterSize: number;
}

/** Room for the files, for an image of them that is not compressed, and for what stays free. */
const volumeFor = (data: number): number => roundUp(data * 2.3 + 96 * MIB, 4 * MIB);

/**
 * Volumes and images that exist at the same time, in shares of the files' size: pristine, its used bytes in one piece, ours with its image, the
 * peer's and its image, a volume with an image that is not compressed.
 */
const AT_ONCE = 7;

export interface SubjectOptions {
  /** Bytes of the volume; as many as the files and their images need unless given. */
  readonly size?: number | undefined;
  /** Volumes and images that will exist at the same time, in shares of the files' size. */
  readonly atOnce?: number;
}

/** Where the volume in this file has content, by the driver that reads it for `create`. */
const usedIn = (file: string): Pick<Subject, 'used' | 'usedBytes' | 'clusterSize'> => {
  const device = openFile(file);
  try {
    const found = probeFileSystem(device);
    if (!('driver' in found)) throw new Error(`${file} holds ${found.other}`);
    const fileSystem = found.driver.open(device);
    const { clusterSize, clusterBase, outside } = fileSystem.geometry;
    const clusters = [...fileSystem.allocation()].map(({ start, length }) => ({
      start: clusterBase + start * clusterSize,
      length: length * clusterSize,
    }));
    const used = normalise([...clusters, ...outside]);
    return { used, usedBytes: totalLength(used), clusterSize };
  } finally {
    device.close();
  }
};

/** Throws where the temporary folder has no room for `bytes`. */
export const requireRoom = (bytes: number): void => {
  const { bavail, bsize } = statfsSync(tmpdir());
  if (bavail * bsize >= bytes) return;
  throw new Error(
    `${formatBytes(bytes)} are needed in ${tmpdir()}, ${formatBytes(bavail * bsize)} are free: give a smaller --size`,
  );
};

export const makeSubject = (
  cleanup: Cleanup,
  kind: Kind,
  data: number,
  { size = volumeFor(data), atOnce = AT_ONCE }: SubjectOptions = {},
): Subject => {
  requireRoom(data * atOnce);
  const folder = temporaryFolder(cleanup);
  const pristine = join(folder, 'pristine');
  kind.make(pristine, size);
  const loop = attachLoop(cleanup, pristine);
  kind.fill(cleanup, loop.device, data);
  // As a later mount shows it: while it is being filled, a file system may say other things of it.
  const files = kind.tree(cleanup, loop.device);
  loop.detach();
  return { kind, folder, pristine, size, files, ...usedIn(pristine) };
};

/** Throws unless the volume on this device is sound and holds the very same files. */
export const mustBeTheSame = (cleanup: Cleanup, subject: Subject, device: string): void => {
  subject.kind.judge(cleanup, device);
  const lines = differences(subject.files, subject.kind.tree(cleanup, device), 10);
  if (lines.length > 0) throw new Error(`restored files differ:\n${lines.join('\n')}`);
};
