import { blockNumberOf } from './block-facts.ts';
import { tryProgram } from './programs.ts';

export interface Reread {
  /** `not-needed`: a regular file has no partition nodes. */
  readonly outcome: 'done' | 'not-needed' | 'failed';
  /** For people: what did it, or what each program said. */
  readonly message: string;
}

const PROGRAMS = [
  // First partx: it changes only the entries that differ, and reads the table itself, where `--rereadpt` asks a
  // kernel that may have been built without a reader for it and drops all partitions first.
  ['partx', '--update'],
  ['blockdev', '--rereadpt'],
] as const;

/**
 * Makes the kernel take over the partition table that now stands on the disk at `path`. Flush and close it first: a
 * partition that is open cannot be changed, and a table without any entry leaves the old nodes. Never throws: the table on the disk is right, and the next boot reads it.
 */
export const rereadPartitionTable = (path: string): Reread => {
  if (blockNumberOf(path) === undefined) return { outcome: 'not-needed', message: `${path} is a file` };
  const said: string[] = [];
  for (const [program, option] of PROGRAMS) {
    const trouble = tryProgram(program, [option, path]);
    if (trouble === undefined) return { outcome: 'done', message: program };
    said.push(trouble);
  }
  return { outcome: 'failed', message: said.join('; ') };
};
