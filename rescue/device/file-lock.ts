import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isHoldfastError, refused } from '../errors.ts';
import type { Closable } from './device.ts';
import { errnoOf } from './failure.ts';

/**
 * Keeps two runs of this program from writing one regular file at a time, which the kernel does for block devices only: a
 * small file named after the device and inode number says which process writes. It binds nobody else.
 */

/** Emptied at every start of the machine, as a rule: so that no lock outlives the process ids in it. */
const folders = (): string[] => ['/run', tmpdir()];

export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** Locks that this process holds: how many times, and in which file. */
const held = new Map<string, { times: number; readonly path: string | undefined }>();

const removeHeld = (): void => {
  for (const { path } of held.values()) if (path !== undefined) rmSync(path, { force: true });
};

/** Throws `refused` (`in-use`) if another process that is alive has the file open for writing. */
export const lockFile = (path: string, { dev, ino }: FileIdentity): Closable => {
  const name = `holdfast-${dev}-${ino}.lock`;
  const own = held.get(name) ?? { times: 0, path: take(path, name) };
  own.times += 1;
  // A process that ends without closing leaves nothing behind either, unless it is killed.
  if (held.size === 0) process.once('exit', removeHeld);
  held.set(name, own);
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    own.times -= 1;
    if (own.times > 0) return;
    held.delete(name);
    if (held.size === 0) process.off('exit', removeHeld);
    if (own.path !== undefined) rmSync(own.path, { force: true });
  };
  return { close };
};

const ATTEMPTS = 10;

/** The lock's path; undefined where there is no place for one: then nobody is kept away, as nobody can be told. */
const take = (path: string, name: string): string | undefined => {
  for (const folder of folders()) refuseOthers(path, join(folder, name));
  for (const folder of folders()) if (takeIn(path, folder, name)) return join(folder, name);
  return undefined;
};

/** Throws `refused` (`in-use`) if the lock is there and its process is alive. */
const refuseOthers = (path: string, lock: string): void => {
  const owner = readMark(lock);
  if (owner === undefined || !isAlive(owner)) return;
  throw refused(`${path} is being written by another run of this program`, {
    code: 'in-use',
    found: `process ${owner.pid}`,
    wayOut: 'Wait until it has ended, or stop it.',
  });
};

const takeIn = (path: string, folder: string, name: string): boolean => {
  const lock = join(folder, name);
  const draft = `${lock}.${process.pid}`;
  try {
    writeFileSync(draft, `${process.pid} ${processStart(process.pid) ?? ''}\n`);
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        // Never there without its content.
        linkSync(draft, lock);
        return true;
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') return false;
        refuseOthers(path, lock);
        removeStale(lock);
      }
    }
    return false;
  } catch (error) {
    if (isHoldfastError(error)) throw error;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
};

interface Mark {
  readonly pid: number;
  /** When the process was started, in ticks since the machine was: process ids come again. */
  readonly started: string;
}

const readMark = (lock: string): Mark | undefined => {
  try {
    const [, pid, started] = /^(\d{1,10}) (\d*)\n$/.exec(readFileSync(lock, 'utf8')) ?? [];
    return pid === undefined ? undefined : { pid: Number(pid), started: started ?? '' };
  } catch {
    return undefined;
  }
};

/** Undefined for a process that has ended, also one that nobody has asked for its exit code. */
const processStart = (pid: number): string | undefined => {
  try {
    // proc_pid_stat(5): fields 3 and 22, counted behind the name, which may hold spaces.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
};

const isAlive = ({ pid, started }: Mark): boolean => {
  const now = processStart(pid);
  return now !== undefined && (started === '' || now === started);
};

/** Moved away first, so that of two who find it stale only one removes it, and looks again at what it has moved. */
const removeStale = (lock: string): void => {
  const aside = `${lock}.${process.pid}.stale`;
  try {
    renameSync(lock, aside);
    const taken = readMark(aside);
    if (taken !== undefined && isAlive(taken)) renameSync(aside, lock);
    else rmSync(aside, { force: true });
  } catch {
    // Somebody else was faster.
  }
};
