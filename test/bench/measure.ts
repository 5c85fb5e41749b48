import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Cleanup } from '../support/cleanup.ts';

/** Bytes resident at the moment at which a process had most. Linux tells them apart (proc(5)). */
export interface Resident {
  readonly anonymous: number;
  /** Pages of mapped files: mostly the program itself. */
  readonly file: number;
  readonly shared: number;
}

/** Bytes that a process read and wrote, by the kernel's count (proc(5), `/proc/PID/io`). */
export interface Transferred {
  /** Fetched from a disk: `read_bytes`. What came from the page cache is not in it. */
  readonly fromDisk: number;
  /** Handed on to a disk: `write_bytes`, counted when a page is made dirty. */
  readonly toDisk: number;
  /** Asked for by system calls, page cache included: `rchar` and `wchar`. */
  readonly read: number;
  readonly written: number;
}

export interface Process {
  readonly name: string;
  /** Highest resident size ever, as the kernel keeps it (VmHWM). Bytes. */
  readonly peak: number;
  readonly resident: Resident;
  /** CPU seconds, user and system, all threads. */
  readonly cpu: number;
  /** At the last look: what a process moves after it is missed. */
  readonly transferred: Transferred;
}

export interface Measurement {
  /** From start to everything on disk. */
  readonly seconds: number;
  readonly cpu: number;
  /** Sum over the processes that worked together: they ran at the same time. Bytes. */
  readonly peak: number;
  readonly processes: readonly Process[];
  readonly stdout: string;
}

/** The kernel keeps the peak itself, so that only what a process does in its very last moment can be missed. */
const SAMPLE_EVERY = 25;
/** proc(5): CPU times are in clock ticks, of which Linux shows user space 100 a second on all common machines. */
const TICKS = 100;

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It ended between two looks.
    return undefined;
  }
};

const descendants = (pid: number): number[] => {
  const children = (read(`/proc/${pid}/task/${pid}/children`) ?? '').split(' ').filter((word) => word !== '');
  return children.flatMap((child) => [Number(child), ...descendants(Number(child))]);
};

const kilobytes = (status: string, field: string): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;

const NOTHING: Transferred = { fromDisk: 0, toDisk: 0, read: 0, written: 0 };

const transferredBy = (pid: number, before: Transferred): Transferred => {
  const io = read(`/proc/${pid}/io`);
  if (io === undefined) return before;
  const count = (field: string): number => {
    const digits = new RegExp(`^${field}: (\\d+)$`, 'm').exec(io)?.[1];
    if (digits === undefined) throw new Error(`/proc/${pid}/io has no ${field}`);
    return Number(digits);
  };
  return {
    fromDisk: count('read_bytes'),
    toDisk: count('write_bytes'),
    read: count('rchar'),
    written: count('wchar'),
  };
};

/** What is known of a process now, together with what was known before. */
const look = (pid: number, before: Process | undefined): Process | undefined => {
  const status = read(`/proc/${pid}/status`);
  const stat = read(`/proc/${pid}/stat`);
  if (status === undefined || stat === undefined) return before;
  const peak = kilobytes(status, 'VmHWM');
  // A process that is ending has no memory any more.
  if (peak === 0) return before;
  const resident = {
    anonymous: kilobytes(status, 'RssAnon'),
    file: kilobytes(status, 'RssFile'),
    shared: kilobytes(status, 'RssShmem'),
  };
  // The name, in parentheses, may hold blanks: count from behind it. Fields 14 and 15: utime, stime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const cpu = (Number(fields[11]) + Number(fields[12])) / TICKS;
  const sum = ({ anonymous, file, shared }: Resident): number => anonymous + file + shared;
  const most = before !== undefined && sum(before.resident) > sum(resident) ? before.resident : resident;
  const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? '';
  return {
    name,
    peak: Math.max(peak, before?.peak ?? 0),
    resident: most,
    cpu,
    transferred: transferredBy(pid, before?.transferred ?? NOTHING),
  };
};

const SHELLS = new Set(['bash', 'sh', 'sync']);

/** Runs one bash script to its end and measures it. Throws with what it said unless it ends with 0. */
export const measure = (cleanup: Cleanup, script: string, args: readonly string[]): Promise<Measurement> =>
  new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const child = spawn('bash', ['-c', `set -e -o pipefail; ${script}`, 'bash', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that all of it can be ended.
      detached: true,
    });
    const pid = child.pid;
    const end = (): void => {
      if (pid !== undefined && child.exitCode === null && child.signalCode === null)
        process.kill(-pid, 'SIGKILL');
    };
    cleanup.teardown(end);
    const seen = new Map<number, Process>();
    const timer = setInterval(() => {
      if (pid === undefined) return;
      // Bash itself becomes the last program of a script, if it can.
      for (const each of [pid, ...descendants(pid)]) {
        const known = look(each, seen.get(each));
        if (known !== undefined) seen.set(each, known);
      }
    }, SAMPLE_EVERY);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', (error) => {
      clearInterval(timer);
      reject(error);
    });
    child.once('close', (exit) => {
      clearInterval(timer);
      const seconds = (performance.now() - startedAt) / 1000;
      if (exit !== 0) {
        reject(new Error(`exit code ${exit}: ${script} (${args.join(' ')})\n${stdout}\n${stderr}`));
        return;
      }
      // A child is still called bash until it has become what it is to be.
      const processes = [...seen.values()].filter(({ name }) => !SHELLS.has(name));
      resolve({
        seconds,
        cpu: processes.reduce((sum, each) => sum + each.cpu, 0),
        peak: processes.reduce((sum, each) => sum + each.peak, 0),
        processes,
        stdout,
      });
    });
  });
