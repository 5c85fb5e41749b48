import { closeSync, constants, fstatSync, openSync, type Stats, statSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { usage } from '../errors.ts';

/** Where everything that is said and done is kept. */
export interface Log {
  /** One entry; further lines of `text` are indented. Never throws: a full disk must not stop a restore. */
  write(text: string): void;
  close(): void;
}

export const NO_LOG: Log = { write: () => {}, close: () => {} };

const wrong = (path: string, reason: string, cause?: unknown) =>
  usage(`--log ${path}: ${reason}`, { code: 'option.log', ...(cause === undefined ? {} : { cause }) });

const statOf = (path: string): Stats | undefined => {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // Opening it will say what is wrong.
    return undefined;
  }
};

/** A log must not end up in what the job works on. */
const refuseOthers = (path: string, used: readonly string[]): void => {
  const found = statOf(path);
  if (found !== undefined && !found.isFile()) throw wrong(path, 'not a regular file');
  for (const other of used) {
    const theirs = statOf(other);
    const same =
      found !== undefined && theirs !== undefined && found.dev === theirs.dev && found.ino === theirs.ino;
    if (same || resolve(path) === resolve(other)) throw wrong(path, 'this is what the command works on');
  }
};

export interface LogOptions {
  readonly path: string;
  /** Files and devices of the job: no log goes there. */
  readonly used: readonly string[];
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Told once if an entry could not be written; nothing is logged after that. */
  readonly onFailure: (reason: string) => void;
}

/** Opens a log for appending; the file is made if it is missing. Throws `usage` (`option.log`). */
export const openLog = ({ path, used, wallClock, onFailure }: LogOptions): Log => {
  refuseOthers(path, used);
  let descriptor: number | undefined;
  try {
    const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = constants;
    descriptor = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o644);
  } catch (error) {
    throw wrong(path, `cannot be opened (${(error as NodeJS.ErrnoException).code})`, error);
  }
  const close = (): void => {
    if (descriptor !== undefined) closeSync(descriptor);
    descriptor = undefined;
  };
  if (!fstatSync(descriptor).isFile()) {
    close();
    throw wrong(path, 'not a regular file');
  }
  return {
    write: (text) => {
      if (descriptor === undefined) return;
      const entry = text.replace(/\n+$/, '').replaceAll('\n', '\n    ');
      try {
        writeSync(descriptor, `${new Date(wallClock()).toISOString()} ${entry}\n`);
      } catch (error) {
        close();
        onFailure((error as NodeJS.ErrnoException).code ?? String(error));
      }
    },
    close,
  };
};
