import { spawnSync } from 'node:child_process';

export interface ProgramOptions {
  /** Working folder; without it, this process's own. */
  readonly folder?: string | undefined;
  readonly input?: string | Uint8Array | undefined;
  /** Added to the environment, which otherwise is this process's own with `LC_ALL=C` and the sbin folders. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds after which it is killed. Default: ten minutes. */
  readonly timeout?: number | undefined;
}

const TEN_MINUTES = 600_000;
const MOST_OUTPUT = 1024 * 1024 * 1024;

/**
 * Runs a program of the build, silent unless it fails, and gives its standard output. Throws with all that it said if
 * it cannot be started or does not end with 0.
 */
export const runProgram = (
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Buffer => {
  const result = spawnSync(program, args, {
    cwd: options.folder,
    input: options.input ?? '',
    env: {
      ...process.env,
      LC_ALL: 'C',
      PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`,
      ...options.env,
    },
    timeout: options.timeout ?? TEN_MINUTES,
    killSignal: 'SIGKILL',
    maxBuffer: MOST_OUTPUT,
  });
  if (result.error === undefined && result.status === 0) return result.stdout;
  const why = result.error?.message ?? `exit code ${result.status}, signal ${result.signal}`;
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`.trimEnd();
  throw new Error(`${program} ${args.join(' ')} failed: ${why}\n${said}`, { cause: result.error });
};
