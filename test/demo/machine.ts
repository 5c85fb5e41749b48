import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { formatBytes, MIB, roundUp } from '../../rescue/units.ts';
import { run } from '../support/run.ts';

/** The machine lacks something that the demo needs: the message says what, and what to do. */
export class CannotStart extends Error {
  override readonly name = 'CannotStart';
}

const PROGRAMS = {
  mke2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  lsattr: 'e2fsprogs',
  sfdisk: 'fdisk',
  blkid: 'util-linux',
  losetup: 'mount',
  mount: 'mount',
  tar: 'tar',
  getfattr: 'attr',
  setfacl: 'acl',
} as const;

/** Throws `CannotStart` unless disks in files can be made, mounted and judged here. */
export const requireMachine = (user = process.getuid?.()): void => {
  if (user !== 0) {
    throw new CannotStart('This mounts a disk that it makes in a file: run it as root (sudo npm start).');
  }
  const missing = Object.entries(PROGRAMS).filter(
    ([program]) => run('sh', ['-c', `command -v ${program}`]).exit !== 0,
  );
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
    throw new CannotStart(
      `Missing programs: ${missing.map(([program]) => program).join(', ')}. Try: apt-get install ${packages}`,
    );
  }
  const loop = run('losetup', ['--find']);
  if (loop.exit !== 0) {
    throw new CannotStart(
      `There is no loop device, which the kernel needs to mount a disk in a file (${loop.stderr.trim()}). In a container it must be privileged.`,
    );
  }
};

/** Bytes of files to copy, and of the disk that they fit in with an image of themselves. */
export interface Sizes {
  readonly data: number;
  readonly disk: number;
}

export const USUAL_DATA = 400 * MIB;
const SMALLEST_DATA = 8 * MIB;
/** Files, an image of all of them even if nothing can be compressed, and what every ext4 volume takes for itself. */
const DISK_PER_DATA = 2.3;
const DISK_AT_LEAST = 64 * MIB;
/** Left to whoever else uses the temporary folder. */
const LEAVE_FREE = 128 * MIB;

const diskFor = (data: number): number => roundUp(data * DISK_PER_DATA + DISK_AT_LEAST, MIB);

/** Sizes for a temporary folder with `free` bytes: less data than wanted if need be. Throws `CannotStart`. */
export const chooseSizes = (wanted: number, free: number, folder = tmpdir()): Sizes => {
  const room = free - LEAVE_FREE;
  const fits = Math.floor((room - DISK_AT_LEAST - MIB) / DISK_PER_DATA);
  const data = Math.min(wanted, fits);
  if (data < Math.min(wanted, SMALLEST_DATA)) {
    throw new CannotStart(
      `Only ${formatBytes(free)} are free in ${folder}; the smallest demo needs ${formatBytes(diskFor(SMALLEST_DATA) + LEAVE_FREE)}. Free some space, or set TMPDIR to a folder that has it.`,
    );
  }
  return { data, disk: diskFor(data) };
};

/** Bytes free for us in the temporary folder. */
export const freeForDisks = (): number => {
  const { bavail, bsize } = statfsSync(tmpdir());
  return bavail * bsize;
};
