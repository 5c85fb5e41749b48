import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatBytes, MIB, roundUp } from '../../rescue/units.ts';
import { chooseFiles, copyFiles } from '../demo/files.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { attachLoop } from '../support/loop.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences, snapshot, type Tree } from '../support/tree.ts';
import type { Kind } from './kinds.ts';

/** What both sides work on: a volume with files of this machine, and what it takes to know it again. */
export interface Subject {
  readonly kind: Kind;
  readonly folder: string;
  /** The volume in a file; never written to again. */
  readonly pristine: string;
  readonly size: number;
  readonly files: Tree;
  readonly usedBytes: number;
}

/** Room for the files, for an image of them at two thirds of their size, and for what stays free. */
const volumeFor = (data: number): number => roundUp(data * 1.75 + 96 * MIB, 4 * MIB);

export const makeSubject = (cleanup: Cleanup, kind: Kind, data: number): Subject => {
  const size = volumeFor(data);
  const { bavail, bsize } = statfsSync(tmpdir());
  // The pristine volume, one for each side, and the peer's image.
  const needed = size * 3 + data;
  if (bavail * bsize < needed) {
    throw new Error(
      `${formatBytes(needed)} are needed in ${tmpdir()}, ${formatBytes(bavail * bsize)} are free: give a smaller --size`,
    );
  }
  const folder = temporaryFolder(cleanup);
  const pristine = join(folder, 'pristine');
  kind.make(pristine, size);
  const loop = attachLoop(cleanup, pristine);
  const filling = kind.mount(cleanup, loop.device, false);
  copyFiles(chooseFiles(data), filling.path, !kind.keepsOwners);
  filling.unmount();
  // As a later mount shows it: while it is being filled, a file system may say other things of it.
  const mount = kind.mount(cleanup, loop.device, true);
  const files = snapshot(mount.path, { inodeDetails: kind.keepsOwners });
  const volume = statfsSync(mount.path);
  mount.unmount();
  loop.detach();
  return { kind, folder, pristine, size, files, usedBytes: (volume.blocks - volume.bfree) * volume.bsize };
};

/** Throws unless the volume on this device is sound and holds the very same files. */
export const mustBeTheSame = (cleanup: Cleanup, subject: Subject, device: string): void => {
  subject.kind.judge(device);
  const mount = subject.kind.mount(cleanup, device, true);
  const lines = differences(
    subject.files,
    snapshot(mount.path, { inodeDetails: subject.kind.keepsOwners }),
    10,
  );
  mount.unmount();
  if (lines.length > 0) throw new Error(`restored files differ:\n${lines.join('\n')}`);
};

/** Writes a file out and has the kernel forget it, so that each run reads from the disk. dd(1): nocache. */
export const forget = (path: string): void => {
  mustRun('sync', [path]);
  mustRun('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
};
