import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { quote } from '../../rescue/cli/equivalent.ts';
import { wrap } from '../../rescue/cli/text.ts';
import type { Cleanup } from '../support/cleanup.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'rescue', 'main.ts');

export interface Typist {
  readonly cleanup: Cleanup;
  /** Gets each line that a person would see. */
  readonly say: (line: string) => void;
}

export interface TypedOptions {
  /** Folder to run in, so that a person's command has short paths. */
  readonly cwd: string;
  /** Print the command, and nothing that it says: a document for machines. */
  readonly quiet?: boolean | undefined;
}

const WIDTH = 80;

/** A long line broken at blanks, its further lines indented like a continuation. */
export const fold = (line: string): string =>
  line.length <= WIDTH
    ? line
    : wrap(line.trim(), { width: WIDTH, first: /^ */.exec(line)![0], rest: '      ' });

/** Every report ends with the command that was just typed, its defaults spelled out: not needed here. */
const withoutEquivalent = (report: string): string => report.split('\n\nThe same again in one line:')[0]!;

/**
 * Runs the real command line from its source: shows the command as a person would type it, then its report. Progress
 * is shown on a terminal only. Gives standard output and seconds; throws with all that was said unless it ends with 0.
 */
export const type = (
  { cleanup, say }: Typist,
  words: readonly string[],
  { cwd, quiet = false }: TypedOptions,
): Promise<{ stdout: string; seconds: number }> =>
  new Promise((resolve, reject) => {
    const shown = ['holdfast', ...words].map(quote).join(' ');
    say(`$ ${shown}`);
    const startedAt = performance.now();
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      cwd,
      stdio: ['ignore', 'pipe', process.stderr.isTTY ? 'inherit' : 'pipe'],
    });
    // When we are told to stop, nothing may go on working on a disk that is about to be deleted.
    cleanup.teardown(() => {
      if (child.exitCode === null) child.kill('SIGKILL');
    });
    let stdout = '';
    let stderr = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (exit, signal) => {
      const seconds = (performance.now() - startedAt) / 1000;
      if (!quiet) for (const line of withoutEquivalent(stdout.trimEnd()).split('\n')) say(fold(line));
      if (exit === 0) resolve({ stdout, seconds });
      else {
        const end = signal === null ? `exit code ${exit}` : `ended by ${signal}`;
        reject(new Error([`${shown}: ${end}`, quiet ? stdout : '', stderr].join('\n').trimEnd()));
      }
    });
  });
