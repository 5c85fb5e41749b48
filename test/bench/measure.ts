import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Cleanup } from '../support/cleanup.ts';
import {
  type DeviceTraffic,
  deviceTraffic,
  parseCpu,
  parseIo,
  type Transferred,
  trafficSince,
} from './counters.ts';

/** Bytes resident at the moment at which a process had most. Linux tells them apart (proc(5)). */
export interface Resident {
  readonly anonymous: number;
  /** Pages of mapped files: mostly the program itself. */
  readonly file: number;
  readonly shared: number;
}

export interface Process {
  readonly name: string;
  /** Highest resident size ever, as the kernel keeps it (VmHWM). Bytes. */
  readonly peak: number;
  readonly resident: Resident;
}

export interface Measurement {
  /** From start to everything on disk. */
  readonly seconds: number;
  /** CPU seconds, user and system, of all programs of the script. */
  readonly cpu: number;
  /** Sum over the processes that worked together: they ran at the same time. Bytes. */
  readonly peak: number;
  readonly processes: readonly Process[];
  /** Of all programs of the script together. */
  readonly transferred: Transferred;
  /** What the block device at hand was asked for meanwhile, read-ahead and write-back included. */
  readonly device?: DeviceTraffic;
  /** Whether everything that the programs read and wrote is on that device. */
  readonly onlyDevice?: boolean;
  readonly stdout: string;
}

/**
 * Bytes that really moved. Of a program that uses nothing but the device: what the device saw. (The kernel's `write_bytes` also counts pages
 * that were never written: it told 505 MB of a run in which write calls and device agree on 6 MB.) Of others, what the processes fetched from
 * disks and handed on to them, or what the device saw if that is more.
 */
export const bytesMoved = ({ transferred, device, onlyDevice }: Measurement): DeviceTraffic =>
  onlyDevice === true && device !== undefined
    ? device
    : {
        read: Math.max(transferred.fromDisk, device?.read ?? 0),
        written: Math.max(transferred.toDisk, device?.written ?? 0),
      };

/** The kernel keeps the peak itself, so that only what a process does in its very last moment can be missed. */
const SAMPLE_EVERY = 25;

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

/** What is known of a process now, together with what was known before. */
const look = (pid: number, before: Process | undefined): Process | undefined => {
  const status = read(`/proc/${pid}/status`);
  if (status === undefined) return before;
  const peak = kilobytes(status, 'VmHWM');
  // A process that is ending has no memory any more.
  if (peak === 0) return before;
  const resident = {
    anonymous: kilobytes(status, 'RssAnon'),
    file: kilobytes(status, 'RssFile'),
    shared: kilobytes(status, 'RssShmem'),
  };
  const sum = ({ anonymous, file, shared }: Resident): number => anonymous + file + shared;
  const most = before !== undefined && sum(before.resident) > sum(resident) ? before.resident : resident;
  const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? '';
  return { name, peak: Math.max(peak, before?.peak ?? 0), resident: most };
};

const SHELLS = new Set(['bash', 'sh', 'sync']);

/**
 * The shell's last act is to tell what the kernel counted for it, on descriptor 3. That of a child is added to its parent's
 * when it is waited for, so nothing is missed, however short a program lived.
 */
const ACCOUNT = 'printf "%s\\n" "$(</proc/$$/stat)" "$(</proc/$$/io)" >&3';

const textOf = (stream: Readable): (() => string) => {
  let text = '';
  stream.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  return () => text;
};

export interface MeasureOptions {
  /** `/dev/loopN`, the traffic of which counts. */
  readonly device?: string | undefined;
  /** Whether the programs use no other disk. Default false. */
  readonly onlyDevice?: boolean;
  /** Exit codes that are no failure. Default 0 alone. */
  readonly exits?: readonly number[];
}

/** Runs one bash script to its end and measures it. Throws with what it said unless it ends as it may. */
export const measure = (
  cleanup: Cleanup,
  script: string,
  args: readonly string[],
  { device, onlyDevice = false, exits = [0] }: MeasureOptions = {},
): Promise<Measurement> =>
  new Promise((resolve, reject) => {
    const before = device === undefined ? undefined : deviceTraffic(device);
    const startedAt = performance.now();
    // A program that may end with something else than 0 does not end the script; its code is the script's.
    const lenient = exits.some((exit) => exit !== 0) ? `{ ${script}; } || exit=$?` : script;
    const words = ['-c', `set -e -o pipefail; exit=0; ${lenient}; ${ACCOUNT}; exit $exit`, 'bash', ...args];
    const child = spawn('bash', words, {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
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
      for (const each of descendants(pid)) {
        const known = look(each, seen.get(each));
        if (known !== undefined) seen.set(each, known);
      }
    }, SAMPLE_EVERY);
    const stdout = textOf(child.stdout as Readable);
    const stderr = textOf(child.stderr as Readable);
    const account = textOf(child.stdio[3] as Readable);
    const outcome = (seconds: number): Measurement => {
      // A child is still called bash until it has become what it is to be.
      const processes = [...seen.values()].filter(({ name }) => !SHELLS.has(name));
      const [stat = '', ...io] = account().split('\n');
      return {
        seconds,
        cpu: parseCpu(stat, 'children'),
        peak: processes.reduce((sum, each) => sum + each.peak, 0),
        processes,
        onlyDevice,
        transferred: parseIo(io.join('\n')),
        ...(device === undefined || before === undefined ? {} : { device: trafficSince(device, before) }),
        stdout: stdout(),
      };
    };
    child.once('error', (error) => {
      clearInterval(timer);
      reject(error);
    });
    child.once('close', (exit) => {
      clearInterval(timer);
      const seconds = (performance.now() - startedAt) / 1000;
      if (exit === null || !exits.includes(exit)) {
        reject(new Error(`exit code ${exit}: ${script} (${args.join(' ')})\n${stdout()}\n${stderr()}`));
        return;
      }
      try {
        resolve(outcome(seconds));
      } catch (failure) {
        reject(failure);
      }
    });
  });
