import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { KIB, MIB } from '../../rescue/units.ts';
import { noiseSource } from '../support/noise.ts';
import { mustRun, run } from '../support/run.ts';
import { forget } from './cache.ts';

/** How fast this disk is for dd, which does nothing else. Bytes per second. */
export interface DiskSpeed {
  /** `dd` from memory to a new file, fsync included. */
  readonly write: number;
  /** `dd` from that file, not from the page cache. */
  readonly read: number;
}

/** What the page cache gives in requests as long as the scan's: bytes per second, by one reader, and by two together. */
export interface CacheSpeed {
  readonly one: number;
  readonly two: number;
}

/** What the processors do with data in memory, one core unless said otherwise. Bytes per second. */
export interface ComputeSpeed {
  /** `zstd -b1`, level 1, of the bytes that the bench images; with one thread, and with two. */
  readonly compress: number;
  readonly compressOnTwo: number;
  readonly decompress: number;
  readonly sha256: number;
  readonly copy: number;
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

/** Starts a dd for each of the places after the file and the count, a number of requests of 64 KiB each, and waits for all. */
const READERS =
  'file=$1 count=$2; shift 2; for skip; do LC_ALL=C dd if="$file" of=/dev/null bs=64k count="$count" skip="$skip" & done; wait';

/** Of several tries the best: others at work take from it, and nothing adds to it. */
export const cacheSpeed = (folder: string, bytes: number): CacheSpeed => {
  const path = join(folder, 'cached');
  const requests = Math.max(1, Math.round(bytes / 2 / (64 * KIB)));
  mustRun('dd', ['if=/dev/zero', `of=${path}`, 'bs=64k', `count=${2 * requests}`]);
  const rate = (places: readonly number[]): number => {
    const { stderr } = mustRun('bash', [
      '-c',
      READERS,
      'bash',
      path,
      String(requests),
      ...places.map(String),
    ]);
    // By their own clocks: to start them takes as long as some of the reading.
    const took = [...stderr.matchAll(/([\d.e-]+) s,/g)].map(([, text]) => Number(text));
    if (took.length !== places.length) throw new Error(`dd told no times: ${stderr}`);
    return (places.length * requests * 64 * KIB) / Math.max(...took);
  };
  const tries = Array.from({ length: 5 }, () => ({ one: rate([0]), two: rate([0, requests]) }));
  mustRun('rm', ['-f', path]);
  return { one: Math.max(...tries.map(({ one }) => one)), two: Math.max(...tries.map(({ two }) => two)) };
};

/** Both speeds out of the last line of zstd's benchmark. Throws where there are none. */
export const parseZstdBenchmark = (text: string): { compress: number; decompress: number } => {
  // It writes its line anew while it goes on, with carriage returns.
  const match = [...text.matchAll(/([\d.]+) MB\/s\s*,\s*([\d.]+) MB\/s/g)].at(-1);
  if (match === null || match === undefined) throw new Error(`zstd -b1 told no speeds: ${text}`);
  return { compress: Number(match[1]) * 1e6, decompress: Number(match[2]) * 1e6 };
};

/** `from`: the bytes that are imaged, of which a sample is taken from the middle. */
export const computeSpeed = (folder: string, from: string, bytes: number): ComputeSpeed => {
  const sample = join(folder, 'sample');
  const blocks = Math.max(1, Math.floor(Math.min(bytes / 2, 128 * MIB) / MIB));
  const skip = Math.floor(bytes / 2 / MIB / 2);
  mustRun('dd', [`if=${from}`, `of=${sample}`, 'bs=1M', `skip=${skip}`, `count=${blocks}`]);
  const zstd = (threads: number) => {
    const { stdout, stderr } = mustRun('zstd', ['-b1', '-i1', `-T${threads}`, sample]);
    return parseZstdBenchmark(stdout + stderr);
  };
  const one = zstd(1);
  const two = zstd(2);
  mustRun('rm', ['-f', sample]);
  const memory = noiseSource('speed')(64 * MIB);
  const target = Buffer.alloc(memory.length);
  const rate = (body: () => void): number => memory.length / Math.min(seconds(body), seconds(body));
  return {
    compress: one.compress,
    compressOnTwo: two.compress,
    decompress: one.decompress,
    sha256: rate(() => createHash('sha256').update(memory).digest()),
    copy: rate(() => memory.copy(target)),
  };
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
  const version = (program: string): string => {
    const { stdout, stderr } = run(program, ['--version']);
    return /\d+(\.\d+)+/.exec(stdout + stderr)?.[0] ?? '?';
  };
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
