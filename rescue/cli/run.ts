import { cancelled, usage } from '../errors.ts';
import type { JobEvent, Phase } from '../job/context.ts';
import type { Jobs } from '../job/jobs.ts';
import type { Intent } from '../job/results.ts';
import { VERSION } from '../version.ts';
import { type Invocation, parseArguments, wantsJson } from './args.ts';
import { COMMAND_RUNS, type Outcome } from './commands.ts';
import { askForName, type Input, noTerminal } from './confirm.ts';
import { equivalentCommand } from './equivalent.ts';
import { EXIT, type ExitCode, type Failure, failureDocument, failureOf, traceOf } from './exit.ts';
import { type Interrupts, type SignalSource, watchInterrupts } from './interrupts.ts';
import { openLog } from './log.ts';
import { Output, type Stream, widthOf } from './output.ts';
import { Progress } from './progress.ts';
import { isUnicode } from './text.ts';

/** The world around the command line. */
export interface Surroundings {
  readonly jobs: Jobs;
  readonly stdin: Input;
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ctrl-C and the like; without it nothing interrupts. */
  readonly signals?: SignalSource;
  /**
   * Throws if TARGET is none. Used where a command would be refused before its job looks at TARGET, so that a wrong
   * path is called a wrong path.
   */
  readonly checkTarget?: (path: string) => void;
  /** Runs the full-screen interface to its end; every entry of its log is passed on. */
  readonly screen?: (log: (text: string) => void) => Promise<unknown>;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  /** Milliseconds since 1970, for the log. */
  readonly wallClock?: () => number;
}

/** Milliseconds between progress lines in the log. */
const LOG_EVERY = 30_000;

/** Jobs that ask before they write. The others write in safe steps from their start, or never. */
const ASKS = new Set<Invocation['command']>(['restore', 'remove']);
/** Phases in which a job writes. */
const WRITING = new Set<Phase>(['capture', 'claim', 'write', 'release', 'wipe']);

const startLog = (output: Output, { command, target, values }: Invocation, world: Surroundings): void => {
  if (values.log === undefined) return;
  const { wallClock = Date.now } = world;
  output.log = openLog({
    path: values.log,
    used: [target, values.from, values.to].filter((path) => path !== undefined),
    wallClock,
    onFailure: (reason) => output.say(`warning: the log cannot be written any more (${reason})`),
  });
  output.log.write(`holdfast ${VERSION}: ${equivalentCommand({ command, target, values })}`);
};

const startProgress = (output: Output, { values }: Invocation, world: Surroundings): void => {
  const { stderr, env, now = () => performance.now() } = world;
  const asked = values.progress ?? 'auto';
  const movable = stderr.isTTY === true && env['TERM'] !== 'dumb';
  const mode = asked !== 'auto' ? asked : movable ? 'line' : 'plain';
  const columns = (): number => stderr.columns ?? 80;
  output.progress = new Progress({ mode, now, columns, write: (text) => stderr.write(text) });
  const write = (text: string): void => output.log.write(text);
  output.loggedProgress = new Progress({ mode: 'plain', now, columns, write, plainEvery: LOG_EVERY });
};

/** A refusal that can be had at once is not kept for the end of an hour's checking. */
const refuseUnasked = (invocation: Invocation, canAsk: boolean, world: Surroundings): void => {
  const { yes = false, dryRun = false } = invocation.values;
  if (yes || dryRun || canAsk || !ASKS.has(invocation.command)) return;
  world.checkTarget?.(invocation.target);
  throw noTerminal();
};

/** Watches what the job does: which phases it went through, and whether it may have begun to write. */
class JobWatch {
  readonly phases = new Set<Phase>();
  readonly #writesUnasked: boolean;
  agreed = false;

  constructor({ command, values }: Invocation) {
    this.#writesUnasked = command === 'create' && !values.dryRun;
  }

  event(event: JobEvent): void {
    if ('phase' in event) this.phases.add(event.phase);
  }

  mayHaveWritten(): boolean {
    return this.#writesUnasked || this.agreed || [...this.phases].some((phase) => WRITING.has(phase));
  }
}

const perform = async (
  invocation: Invocation,
  output: Output,
  interrupts: Interrupts | undefined,
  watch: JobWatch,
  world: Surroundings,
): Promise<Outcome> => {
  const { stdin, stdout, stderr, jobs } = world;
  const { values } = invocation;
  // A question that nobody sees must not be waited for.
  const canAsk = stdin.isTTY === true && stderr.isTTY === true;
  refuseUnasked(invocation, canAsk, world);
  const signal = interrupts?.signal ?? new AbortController().signal;
  const confirm = async (intent: Intent): Promise<boolean> => {
    const width = widthOf(stderr);
    // The time that a person takes is not the job's.
    output.endProgress();
    if (invocation.command === 'create') {
      if (intent.loses.length > 0) output.say(intent.loses.join('\n'));
      return true;
    }
    await askForName(intent, { output, stdin, signal, width, canAsk, yes: values.yes ?? false });
    watch.agreed = true;
    return true;
  };
  const onEvent = (event: JobEvent): void => {
    watch.event(event);
    output.event(event, values.progress ?? 'auto');
  };
  const work = COMMAND_RUNS[invocation.command]({
    jobs,
    invocation,
    confirm,
    width: widthOf(stdout),
    phases: watch.phases,
    options: { onEvent, signal },
  });
  if (interrupts === undefined) return work;
  // Nobody waits for it any more after a forced end.
  work.catch(() => {});
  const forced = interrupts.forced.then((): never => {
    throw cancelled('stopped at once; nothing was written', { code: 'cancelled' });
  });
  return Promise.race([work, forced]);
};

const tellOutcome = (outcome: Outcome, invocation: Invocation, output: Output): void => {
  if (invocation.values.json) output.printDocument(outcome.document);
  else {
    output.print(outcome.report.join('\n'));
    output.print('');
    output.print('The same again in one line:');
    output.print(`  ${outcome.command}`, true);
  }
  if (outcome.complaint !== undefined) output.say(`holdfast: ${outcome.complaint}`);
};

/** Commands for which "refused" is worth the words "nothing was written". */
const WRITERS = new Set<string>(['create', 'restore', 'remove']);

const tellFailure = (
  failure: Failure,
  options: {
    readonly output: Output;
    readonly json: boolean;
    readonly command?: string;
    readonly debug: boolean;
  },
): void => {
  const { output, json, command, debug } = options;
  if (json) {
    // `list` shows that it found no image as it would otherwise: with an empty list.
    const nothing = command === 'list' && failure.exit === 'not-found' ? { images: [] } : {};
    output.printDocument({ ...nothing, ...failureDocument(failure) });
  }
  output.say(`holdfast: ${failure.message}`);
  // After the first write a failure says what to do next.
  const before = failure.next === undefined && !/nothing was written/i.test(failure.message);
  const stopped = failure.exit === 'refused' || failure.exit === 'cancelled';
  if (stopped && before && WRITERS.has(command ?? '')) output.say('Nothing was written.');
  if (failure.next !== undefined) output.say(`What to do next: ${failure.next}`);
  const trace = traceOf(failure.error);
  output.log.write(`failed: ${trace}`);
  if (debug) output.printText(`${trace}\n`, 'stderr');
};

const showText = (
  { text, exit }: { readonly text: string; readonly exit: 'done' | 'usage' },
  output: Output,
): ExitCode => {
  output.printText(text, exit === 'done' ? 'stdout' : 'stderr');
  return EXIT[exit].code;
};

/** Throws `usage` (`no-terminal`) where there is nobody to look at a screen. */
const runScreen = async (logPath: string | undefined, output: Output, world: Surroundings): Promise<void> => {
  const { screen, stdin, stdout, wallClock = Date.now } = world;
  if (screen === undefined || stdin.isTTY !== true || stdout.isTTY !== true) {
    throw usage('the full-screen interface needs a terminal on standard input and standard output', {
      code: 'no-terminal',
      wayOut: 'Without one, use the other commands. See: holdfast --help',
    });
  }
  if (logPath !== undefined) {
    output.log = openLog({
      path: logPath,
      used: [],
      wallClock,
      // Nobody would see it while the screen is there.
      onFailure: () => {},
    });
  }
  await screen((text) => output.log.write(text));
};

/** Runs one command line (without the program's own name) and gives the exit code. Never throws. */
export const run = async (argv: readonly string[], world: Surroundings): Promise<ExitCode> => {
  const { stdout, stderr, env } = world;
  const output = new Output({ stdout, stderr, unicode: isUnicode(env) });
  let invocation: Invocation | undefined;
  let interrupts: Interrupts | undefined;
  let code: ExitCode;
  try {
    const parsed = parseArguments(argv, { width: widthOf(stdout) });
    if ('text' in parsed) {
      code = showText(parsed, output);
    } else if ('screen' in parsed) {
      await runScreen(parsed.screen.log, output, world);
      code = EXIT.done.code;
    } else {
      invocation = parsed.invocation;
      startLog(output, invocation, world);
      startProgress(output, invocation, world);
      const watch = new JobWatch(invocation);
      const mayHaveWritten = (): boolean => watch.mayHaveWritten();
      const say = (text: string): void => output.say(text);
      if (world.signals !== undefined) interrupts = watchInterrupts(world.signals, { say, mayHaveWritten });
      const outcome = await perform(invocation, output, interrupts, watch, world);
      output.endProgress();
      tellOutcome(outcome, invocation, output);
      code = EXIT[outcome.exit].code;
    }
  } catch (error) {
    output.endProgress();
    const failure = failureOf(error);
    tellFailure(failure, {
      output,
      json: invocation?.values.json ?? (invocation === undefined && wantsJson(argv)),
      ...(invocation === undefined ? {} : { command: invocation.command }),
      // Faults of the program itself are told in full to whoever keeps a log anyway.
      debug:
        Boolean(env['HOLDFAST_DEBUG']) ||
        (failure.kind === 'internal' && invocation?.values.log !== undefined),
    });
    code = EXIT[failure.exit].code;
  } finally {
    interrupts?.stop();
  }
  const lost = await output.flush();
  if (lost !== undefined) {
    output.say(`holdfast: the result could not be written to standard output: ${lost.message}`);
    if (code === 0) code = EXIT.unfinished.code;
  }
  output.log.write(`exit code ${code}`);
  output.log.close();
  return code;
};
