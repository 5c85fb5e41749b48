import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Cleanup } from './cleanup.ts';
import { everythingSaid, mustRun, run } from './run.ts';
import { temporaryFolder } from './temporary.ts';

export interface LoopOptions {
  /** Byte offset in the file at which the device starts. */
  readonly offset?: number | undefined;
  /** Bytes that the device shows; without it, up to the end of the file. */
  readonly size?: number | undefined;
  /** Logical sector size, 512 or 4096. */
  readonly sectorSize?: number | undefined;
  readonly readOnly?: boolean | undefined;
  /** Make `/dev/loopNp1`, ... of the partition table. */
  readonly partitions?: boolean | undefined;
  /** Transfers go past the page cache of the file below, as on a disk that is no file. Its file system must know O_DIRECT. */
  readonly direct?: boolean | undefined;
}

export interface Loop {
  /** `/dev/loopN` */
  readonly device: string;
  /** `/dev/loopNpM` (needs the option `partitions`); throws unless it is there. */
  partition(number: number): string;
  /** Gives the device back. A second call does nothing; the end of the test calls it anyway. */
  detach(): void;
}

const wait = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};

/** Something may look at a device for a moment (a probing daemon); a few tries over two seconds, then an error. */
const insist = (program: string, args: readonly string[]): void => {
  for (let attempt = 1; ; attempt += 1) {
    const result = run(program, args);
    if (result.exit === 0) return;
    if (attempt === 20) throw new Error(everythingSaid(result));
    wait(100);
  }
};

/**
 * Takes away the nodes of partitions that a device still has: those that the program under test made the kernel see, or that
 * somebody left when he detached it. They stay with the device, whatever file it gets next.
 */
const dropPartitions = (device: string): void => {
  const name = basename(device);
  const nodes = readdirSync(`/sys/block/${name}`).filter((each) => each.startsWith(`${name}p`));
  if (nodes.length > 0) run('partx', ['--delete', device]);
};

/** Makes a loop device of a file. Detaches only this device, at the latest at the end of the test. */
export const attachLoop = (cleanup: Cleanup, file: string, options: LoopOptions = {}): Loop => {
  const args = ['--find', '--show'];
  if (options.offset !== undefined) args.push('--offset', String(options.offset));
  if (options.size !== undefined) args.push('--sizelimit', String(options.size));
  if (options.sectorSize !== undefined) args.push('--sector-size', String(options.sectorSize));
  if (options.readOnly === true) args.push('--read-only');
  if (options.direct === true) args.push('--direct-io=on');
  const device = mustRun('losetup', [...args, file]).stdout.trim();
  if (!/^\/dev\/loop\d+$/.test(device)) throw new Error(`losetup named no device, but '${device}'`);
  let attached = true;
  const detach = (): void => {
    if (!attached) return;
    dropPartitions(device);
    insist('losetup', ['--detach', device]);
    attached = false;
  };
  cleanup.teardown(detach);
  // Not `losetup --partscan`: some kernels are built without any partition table reader; partx brings its own.
  dropPartitions(device);
  if (options.partitions === true) mustRun('partx', ['--add', device]);
  return {
    device,
    partition: (number) => {
      const path = `${device}p${number}`;
      for (let attempt = 0; attempt < 20 && !existsSync(path); attempt += 1) wait(50);
      if (!existsSync(path)) throw new Error(`there is no ${path}`);
      return path;
    },
    detach,
  };
};

export interface MountOptions {
  /** Default false. Even a read-only mount replays a journal, unless `options` has `noload` (not for ext2). */
  readonly readOnly?: boolean | undefined;
  /** As after `mount -o`. */
  readonly options?: readonly string[] | undefined;
  /** As after `mount -t`. */
  readonly type?: string | undefined;
}

export interface Mount {
  readonly path: string;
  /** Returns when everything is written. A second call does nothing; the end of the test calls it anyway. */
  unmount(): void;
}

/** Mounts a block device on a new temporary folder. */
export const mountDevice = (cleanup: Cleanup, device: string, options: MountOptions = {}): Mount => {
  const path = join(temporaryFolder(cleanup), 'mounted');
  mkdirSync(path);
  const words = [options.readOnly === true ? 'ro' : 'rw', ...(options.options ?? [])];
  const type = options.type === undefined ? [] : ['-t', options.type];
  mustRun('mount', [...type, '-o', words.join(','), device, path]);
  let mounted = true;
  const unmount = (): void => {
    if (!mounted) return;
    insist('umount', [path]);
    mounted = false;
  };
  cleanup.teardown(unmount);
  return { path, unmount };
};

/** Mounts a file system that lies in a file, or at `offset` in a file; `unmount` also gives the loop device back. */
export const mountFile = (
  cleanup: Cleanup,
  file: string,
  options: MountOptions & LoopOptions = {},
): Mount & { readonly device: string } => {
  const loop = attachLoop(cleanup, file, options);
  const mount = mountDevice(cleanup, loop.device, options);
  return {
    path: mount.path,
    device: loop.device,
    unmount: () => {
      mount.unmount();
      loop.detach();
    },
  };
};
