import { spawn, spawnSync } from 'node:child_process';

export interface RunOptions {
  readonly cwd?: string | undefined;
  /** Given on standard input; without it standard input is empty. */
  readonly input?: string | Uint8Array | undefined;
  /** Added to the environment, which otherwise is this process's own with `LC_ALL=C` and the sbin folders. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds after which the program is killed. Default: two minutes. */
  readonly timeout?: number | undefined;
}

export interface RunResult {
  /** The command line, for messages. */
  readonly command: string;
  /** Exit code, or null if a signal ended it. */
  readonly exit: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as it came: for output that is not UTF-8. */
  readonly stdoutBytes: Buffer;
}

const TWO_MINUTES = 120_000;
const MOST_OUTPUT = 512 * 1024 * 1024;

const environment = (extra: RunOptions['env']): NodeJS.ProcessEnv => ({
  ...process.env,
  LC_ALL: 'C',
  PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`,
  ...extra,
});

/** Runs a program to its end. Throws only if it cannot be started; look at `exit` for the rest. */
export const run = (program: string, args: readonly string[] = [], options: RunOptions = {}): RunResult => {
  const result = spawnSync(program, args, {
    cwd: options.cwd,
    input: options.input ?? '',
    env: environment(options.env),
    timeout: options.timeout ?? TWO_MINUTES,
    killSignal: 'SIGKILL',
    maxBuffer: MOST_OUTPUT,
  });
  // A time-out is reported as an error too, but then there is output worth showing; and where this process was halted together with the
  // program, the program may have ended by itself all the same.
  if (result.error !== undefined && result.signal === null && result.status === null)
    throw new Error(`${program} could not be run: ${result.error.message}`, { cause: result.error });
  return {
    command: [program, ...args].join(' '),
    exit: result.status,
    signal: result.signal,
    stdout: result.stdout.toString('utf8'),
    stderr: result.stderr.toString('utf8'),
    stdoutBytes: result.stdout,
  };
};

/** Like `run`, without blocking this thread: for two programs at a time, or a test of cancelling. */
export const runInBackground = (
  program: string,
  args: readonly string[] = [],
  options: RunOptions & {
    readonly signal?: AbortSignal | undefined;
    /** Sees standard error as it comes, e.g. to send a signal at a certain line. */
    readonly onStderr?: ((text: string, send: (signal: NodeJS.Signals) => void) => void) | undefined;
  } = {},
): Promise<RunResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: environment(options.env),
      timeout: options.timeout ?? TWO_MINUTES,
      killSignal: 'SIGKILL',
      signal: options.signal,
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      stderr.push(chunk);
      options.onStderr?.(chunk.toString('utf8'), (signal) => child.kill(signal));
    });
    child.once('error', reject);
    // A program may end without reading what it is given.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.once('close', (exit, signal) => {
      const stdoutBytes = Buffer.concat(stdout);
      resolve({
        command: [program, ...args].join(' '),
        exit,
        signal,
        stdout: stdoutBytes.toString('utf8'),
        stderr: Buffer.concat(stderr).toString('utf8'),
        stdoutBytes,
      });
    });
  });

/** What a program did, all of it: for messages of failed tests. */
export const everythingSaid = (result: RunResult): string =>
  [
    `$ ${result.command}`,
    result.signal === null ? `exit code ${result.exit}` : `ended by ${result.signal}`,
    result.stdout === '' ? '' : `standard output:\n${result.stdout.trimEnd()}`,
    result.stderr === '' ? '' : `standard error:\n${result.stderr.trimEnd()}`,
  ]
    .filter((part) => part !== '')
    .join('\n');

/** `run`, and throws with everything said unless the program ends with 0. */
export const mustRun = (
  program: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): RunResult => {
  const result = run(program, args, options);
  if (result.exit !== 0) throw new Error(everythingSaid(result));
  return result;
};
