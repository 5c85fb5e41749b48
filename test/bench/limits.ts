import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { MIB } from '../../rescue/units.ts';
import { mustRun, run } from '../support/run.ts';
import { forget } from './subject.ts';

/** How fast this disk is for dd, which does nothing else. Bytes per second. */
export interface DiskSpeed {
  /** `dd` from memory to a new file, fsync included. */
  readonly write: number;
  /** `dd` from that file, not from the page cache. */
  readonly read: number;
}

const seconds = (body: () => void): number => {
  const startedAt = performance.now();
  body();
  return (performance.now() - startedAt) / 1000;
};

export const diskSpeed = (folder: string, bytes: number): DiskSpeed => {
  const path = join(folder, 'speed');
  const count = Math.max(1, Math.round(bytes / (4 * MIB)));
  const write = seconds(() =>
    mustRun('dd', ['if=/dev/zero', `of=${path}`, 'bs=4M', `count=${count}`, 'conv=fsync']),
  );
  forget(path);
  const read = seconds(() => mustRun('dd', [`if=${path}`, 'of=/dev/null', 'bs=4M']));
  mustRun('rm', ['-f', path]);
  return { write: (count * 4 * MIB) / write, read: (count * 4 * MIB) / read };
};

export interface Machine {
  readonly cpus: number;
  readonly cpu: string;
  readonly memory: number;
  readonly kernel: string;
  readonly node: string;
  /** File system type of the temporary folder. */
  readonly fileSystem: string;
  /** Load average of the last minute before anything was run: above 1, others were at work. */
  readonly load: number;
  readonly partclone: string;
  readonly zstd: string;
}

export const describeMachine = (): Machine => {
  const version = (program: string): string =>
    /\d+(\.\d+)+/.exec(run(program, ['--version']).stdout + run(program, ['--version']).stderr)?.[0] ?? '?';
  return {
    cpus: availableParallelism(),
    cpu: cpus()[0]?.model ?? '?',
    memory: totalmem(),
    kernel: release(),
    node: process.version,
    fileSystem: mustRun('stat', ['--file-system', '--format=%T', tmpdir()]).stdout.trim(),
    load: Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]),
    partclone: version('partclone.ext4'),
    zstd: version('zstd'),
  };
};
