import { readFileSync } from 'node:fs';
import { openTarget } from '../../rescue/device/target.ts';
import { create } from '../../rescue/job/create.ts';
import { info } from '../../rescue/job/info.ts';
import type { Jobs } from '../../rescue/job/jobs.ts';
import { list } from '../../rescue/job/list.ts';
import { remove } from '../../rescue/job/remove.ts';
import { restore } from '../../rescue/job/restore.ts';
import { verify } from '../../rescue/job/verify.ts';
import { type Said, say, type WorldOptions } from './world.ts';

/** The engine itself, as `rescue/main.ts` hands it to the command line. */
export const REAL_JOBS: Jobs = { create, list, info, verify, restore, remove };

/** What a program reads from `--json` after a failure. */
export interface ErrorDocument {
  readonly code: number;
  readonly kind: string;
  /** The stable code within the kind. */
  readonly reason: string;
  readonly message: string;
  readonly next?: string;
}

export interface Outcome extends Said {
  /** The document of `--json`, if there is one. */
  readonly document: Record<string, unknown> & { readonly error?: ErrorDocument };
}

const documentOf = (text: string): Outcome['document'] => {
  try {
    return JSON.parse(text) as Outcome['document'];
  } catch {
    return {};
  }
};

/** One command line on the real jobs, in this process: starting one costs more than most of these jobs. */
export const holdfast = async (argv: readonly string[], options: WorldOptions = {}): Promise<Outcome> => {
  const checkTarget = (path: string): void => openTarget(path).close();
  const said = await say(argv, { jobs: REAL_JOBS, checkTarget, ...options });
  return { ...said, document: documentOf(said.stdout) };
};

/** Commands with the fewest words that let them work without a person. */
export const COMMANDS = {
  create: ['create', '--min-free', '0'],
  list: ['list'],
  info: ['info'],
  verify: ['verify'],
  restore: ['restore', '--yes'],
  remove: ['remove', '--image', 'latest', '--yes'],
} as const;
export type Command = keyof typeof COMMANDS;
export const COMMAND_NAMES = Object.keys(COMMANDS) as Command[];

/** `command` on `target` with `--json`. */
export const wordsOf = (command: Command, target: string, ...more: string[]): string[] => [
  ...COMMANDS[command],
  target,
  '--json',
  '--progress',
  'none',
  ...more,
];

/** Bytes of a small file, to compare with later. */
export const bytesOf = (path: string): Buffer => readFileSync(path);
