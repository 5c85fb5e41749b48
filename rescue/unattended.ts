import { EXIT, type ExitName, failureOf, traceOf } from './cli/exit.ts';
import { intentLines } from './cli/intent.ts';
import type { KernelOptions } from './cli/kernel-cmdline.ts';
import { Progress } from './cli/progress.ts';
import { createReport, restoreReport, verifyReport } from './cli/report.ts';
import { isHoldfastError, notFound } from './errors.ts';
import { DEFAULT_ZSTD_LEVEL } from './image/codec.ts';
import type { JobEvent, JobOptions, Phase } from './job/context.ts';
import type { DiskFacts } from './job/disks.ts';
import type { AllJobs } from './job/jobs.ts';
import type { Intent } from './job/results.ts';
import {
  chooseImage,
  chooseSource,
  describeDisk,
  describeFound,
  disksFor,
  type FoundImage,
  isMeant,
  refuseDisagreement,
  unfitDisk,
} from './live/candidates.ts';

/** What the unattended run touches. */
export interface UnattendedWorld {
  readonly jobs: AllJobs;
  /** One or more lines for the person and the log. */
  say(text: string): void;
  /** Progress: for the person, not for the log. */
  show(text: string): void;
  /** For the log only. */
  note(text: string): void;
  /** Calls back with every key; returns how to stop that. */
  onKey(listener: (key: string) => void): () => void;
  /** Milliseconds. */
  sleep(time: number): Promise<void>;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Node of a device that was named by a link, as under /dev/disk; the path itself if it is none. */
  resolve(path: string): string;
}

export interface UnattendedOutcome {
  readonly result: 'ok' | 'failed' | 'refused' | 'left';
  readonly code: number;
  /** What the medium does now. */
  readonly next: 'reboot' | 'poweroff' | 'shell' | 'tui';
  /** For machines, the last line on the console; undefined when a person took over. */
  readonly line: string | undefined;
}

/** Columns of the texts: those of a serial console. */
const WIDTH = 80;
const PROGRESS_EVERY = 5000;
/** Milliseconds that a named disk, or any disk at all, is waited for. */
const PATIENCE = 30_000;
const LOOK_AGAIN = 2000;
const CTRL_C = '\x03';

/** A key was pressed: the person takes over. */
class LeftByKey extends Error {}

interface Done {
  readonly exit: ExitName;
  readonly image: string;
  readonly target: string;
}

const nothingTouched = { image: 'none', target: 'none' };

/** The last console line. Values have no blanks; what is not known is `none`. */
export const resultLine = (
  result: string,
  code: number,
  { image, target }: { image: string; target: string },
): string => `holdfast: result=${result} code=${code} image=${image} target=${target}`;

const resultOf = (exit: ExitName): 'ok' | 'failed' | 'refused' =>
  exit === 'done'
    ? 'ok'
    : exit === 'usage' || exit === 'not-found' || exit === 'refused'
      ? 'refused'
      : 'failed';

class Run {
  readonly #options: KernelOptions;
  readonly #world: UnattendedWorld;
  readonly #phases = new Set<Phase>();
  /** What the run is about, for the last line, as far as it is known. */
  about = nothingTouched;

  constructor(options: KernelOptions, world: UnattendedWorld) {
    this.#options = options;
    this.#world = world;
  }

  async perform(): Promise<Done> {
    const { action } = this.#options;
    const disks = await this.#disks();
    if (action === 'create') return this.#create(disks);
    const found = await this.#find(disksFor(disks, this.#target));
    return action === 'verify' ? this.#verify(found) : this.#restore(found);
  }

  get #target(): KernelOptions['target'] {
    const { target } = this.#options;
    return target.by === 'path' ? { by: 'path', value: this.#world.resolve(target.value) } : target;
  }

  /** Disks that are there, or come within half a minute: some take their time. */
  async #disks(): Promise<readonly DiskFacts[]> {
    const { jobs, say, sleep, now } = this.#world;
    const until = now() + PATIENCE;
    for (let told = false; ; told = true) {
      const { disks } = await jobs.disks({}, this.#jobOptions());
      const missing = this.#missing(disks);
      if (missing === undefined || now() >= until) {
        for (const disk of disks) {
          const unfit = unfitDisk(disk);
          say(`Disk: ${describeDisk(disk)}${unfit === undefined ? '' : ` (left alone: ${unfit})`}`);
        }
        return disks;
      }
      if (!told) say(`Waiting for ${missing} (up to ${PATIENCE / 1000} s)`);
      await sleep(LOOK_AGAIN);
    }
  }

  #missing(disks: readonly DiskFacts[]): string | undefined {
    const target = this.#target;
    try {
      return disksFor(disks, target).length > 0 ? undefined : 'a disk';
    } catch (error) {
      if (!isHoldfastError(error) || error.detail.code !== 'no-such-target' || target.by === 'auto')
        throw error;
      return `disk ${target.value}`;
    }
  }

  async #find(disks: readonly DiskFacts[]): Promise<FoundImage[]> {
    const { jobs, say } = this.#world;
    const found: FoundImage[] = [];
    for (const disk of disks) {
      say(`Looking for images on ${disk.path}`);
      try {
        const request = { target: disk.path, depth: 'quick' } as const;
        const { images } = await this.#watched((options) => jobs.list(request, options));
        for (const image of images) {
          found.push({ disk, image });
          const state =
            image.state === 'committed' ? '' : ` (${image.state}: ${image.reason ?? 'no reason known'})`;
          say(`Found: ${describeFound({ disk, image })}${state}`);
        }
      } catch (error) {
        // One bad disk must not keep the others from being used; it cannot be overwritten by mistake either.
        if (!isHoldfastError(error) || error.kind === 'cancelled' || disks.length === 1) throw error;
        say(`warning: ${disk.path} is left out: ${error.message}`);
      }
    }
    return found;
  }

  async #restore(found: readonly FoundImage[]): Promise<Done> {
    const { jobs, say } = this.#world;
    const chosen = chooseImage(found, this.#target, this.#options.image);
    const { disk, image } = chosen;
    this.about = { image: image.id, target: disk.path };
    refuseDisagreement(chosen, this.#target);
    say(`Chosen: ${describeFound(chosen)}`);
    say(`because it is ${this.#why(found)} and lies where it was made.`);
    await this.#countdown(`Restoring ${disk.path}`);
    const request = {
      target: disk.path,
      image: image.id,
      drop: [],
      salvage: false,
      verifyAfter: true,
      dryRun: false,
      confirm: this.#agree,
    };
    const result = await this.#watched((options) => jobs.restore(request, options));
    say(
      restoreReport(result, { width: WIDTH, phases: this.#phases, to: disk.path, verifyAfter: true }).join(
        '\n',
      ),
    );
    return { exit: 'done', ...this.about };
  }

  #why(found: readonly FoundImage[]): string {
    const { image, target } = this.#options;
    const which =
      image === 'latest'
        ? 'the latest image'
        : image === 'factory'
          ? 'the factory image'
          : `the image called ${image}`;
    const where =
      target.by === 'auto' ? 'on the only partition that has any' : `of ${target.by} ${target.value}`;
    return found.length === 1
      ? `the only image ${target.by === 'auto' ? 'there is' : where}`
      : `${which} ${where}`;
  }

  async #verify(found: readonly FoundImage[]): Promise<Done> {
    const { jobs, say } = this.#world;
    const meant = found.filter((each) => isMeant(each, this.#target));
    if (meant.length === 0) throw notFound('no image was found', { code: 'no-image' });
    await this.#countdown(`Checking ${meant.length === 1 ? 'one image' : `${meant.length} images`}`);
    let exit: ExitName = 'done';
    for (const { disk, image } of meant) {
      this.about = { image: image.id, target: disk.path };
      say(`Checking ${describeFound({ disk, image })}`);
      const request = { target: disk.path, image: image.id, repair: false };
      const result = await this.#watched((options) => jobs.verify(request, options));
      say(verifyReport(result, WIDTH).join('\n'));
      if (result.problems.length > 0 || image.state === 'damaged') exit = 'damaged';
    }
    if (meant.length > 1) this.about = { image: 'all', target: 'all' };
    return { exit, ...this.about };
  }

  async #create(disks: readonly DiskFacts[]): Promise<Done> {
    const { jobs, say } = this.#world;
    const { disk, partition } = chooseSource(disks, this.#target);
    const target = partition?.path ?? disk.path;
    this.about = { image: 'none', target };
    say(`Chosen: ${target} on ${describeDisk(disk)}`);
    await this.#countdown(`Making an image of ${target}`);
    const request = {
      target: disk.path,
      ...(partition === undefined ? {} : { partition: partition.number }),
      kind: 'user',
      codec: { codec: 'zstd', level: DEFAULT_ZSTD_LEVEL },
      keepOld: false,
      replaceFirst: false,
      forceFactory: false,
      dryRun: false,
      confirm: this.#agree,
    } as const;
    const result = await this.#watched((options) => jobs.create(request, options));
    this.about = { image: result.image.id, target };
    say(createReport(result, { width: WIDTH, phases: this.#phases }).join('\n'));
    return { exit: 'done', ...this.about };
  }

  /** The plan is shown and agreed to: the countdown was the time to say no. */
  readonly #agree = async (intent: Intent): Promise<boolean> => {
    this.#world.say(intentLines(intent, WIDTH).join('\n'));
    return true;
  };

  #jobOptions(signal?: AbortSignal, onEvent?: (event: JobEvent) => void): JobOptions {
    return { ...(signal === undefined ? {} : { signal }), ...(onEvent === undefined ? {} : { onEvent }) };
  }

  /** A job with plain lines of progress, which Ctrl-C stops at a safe point. */
  async #watched<Result>(work: (options: JobOptions) => Promise<Result>): Promise<Result> {
    const { say, show, now, onKey } = this.#world;
    const cancelling = new AbortController();
    const stop = onKey((key) => {
      if (key !== CTRL_C || cancelling.signal.aborted) return;
      say('Stopping at the next safe point...');
      cancelling.abort();
    });
    const progress = new Progress({
      mode: 'plain',
      now,
      write: show,
      columns: () => WIDTH,
      plainEvery: PROGRESS_EVERY,
    });
    const onEvent = (event: JobEvent): void => {
      progress.event(event);
      if ('phase' in event) this.#phases.add(event.phase);
      if ('note' in event) say(event.severity === 'warning' ? `warning: ${event.note}` : event.note);
    };
    try {
      return await work(this.#jobOptions(cancelling.signal, onEvent));
    } finally {
      progress.finish();
      stop();
    }
  }

  /** Throws `LeftByKey` when a key is pressed before it is over. */
  async #countdown(what: string): Promise<void> {
    const { say, show, sleep, onKey } = this.#world;
    const { countdown } = this.#options;
    let pressed = false;
    const stop = onKey(() => {
      pressed = true;
    });
    try {
      if (countdown > 0) say(`${what} in ${countdown} s. Press any key for the menu instead.`);
      for (let left = countdown; left > 0 && !pressed; left -= 1) {
        show(`${left}\n`);
        await sleep(1000);
      }
    } finally {
      stop();
    }
    if (pressed) throw new LeftByKey();
    say(what);
  }
}

/** Does what the kernel command line asks for, without a person. Never throws. */
export const runUnattended = async (
  options: KernelOptions,
  world: UnattendedWorld,
): Promise<UnattendedOutcome> => {
  const run = new Run(options, world);
  let exit: ExitName;
  try {
    ({ exit } = await run.perform());
  } catch (error) {
    if (error instanceof LeftByKey) {
      world.say('A key was pressed: nothing is done by itself any more.');
      return { result: 'left', code: EXIT.cancelled.code, next: 'tui', line: undefined };
    }
    const failure = failureOf(error);
    exit = failure.exit;
    world.say(`holdfast: ${failure.message}`);
    if (failure.next !== undefined) world.say(`What to do next: ${failure.next}`);
    else if (exit === 'refused' || exit === 'not-found') world.say('Nothing was written.');
    world.note(traceOf(error));
  }
  const result = resultOf(exit);
  const { code } = EXIT[exit];
  const next = result === 'ok' ? options.on_success : options.on_fail;
  return { result, code, next, line: resultLine(result, code, run.about) };
};
