import { createInterface, type Interface } from 'node:readline';
import { equivalentCommand } from '../rescue/cli/equivalent.ts';
import { failureOf } from '../rescue/cli/exit.ts';
import { imageTable } from '../rescue/cli/image-table.ts';
import { intentLines } from '../rescue/cli/intent.ts';
import { Progress } from '../rescue/cli/progress.ts';
import { restoreReport } from '../rescue/cli/report.ts';
import { printable } from '../rescue/cli/text.ts';
import type { JobOptions, Phase } from '../rescue/job/context.ts';
import type { DiskFacts } from '../rescue/job/disks.ts';
import type { ImageSummary, Intent } from '../rescue/job/results.ts';
import { formatBytes } from '../rescue/units.ts';
import type { TuiWorld } from './app.ts';
import { lookOf } from './cells.ts';
import type { TuiOutcome } from './screen.ts';
import { diskState } from './screens/disks.ts';
import { terminalOf } from './terminal.ts';

/** Questions and answers, for terminals that cannot move their cursor: find an image, and restore it. */

const WIDTH = 80;

class Talk {
  readonly #world: TuiWorld;
  readonly #lines: Interface;
  readonly #unicode: boolean;
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  readonly #typed: string[] = [];
  #closed = false;
  readonly phases = new Set<Phase>();
  #stop: AbortController | undefined;

  constructor(world: TuiWorld) {
    this.#world = world;
    this.#unicode = terminalOf(world.env).unicode;
    this.#lines = createInterface({ input: world.stdin, terminal: false });
    this.#lines.on('line', (line) => {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#typed.push(line);
      else waiting(line);
    });
    this.#lines.on('close', () => {
      this.#closed = true;
      for (const waiting of this.#waiting.splice(0)) waiting(undefined);
    });
  }

  say(text: string): void {
    for (const line of text.split('\n')) this.#world.stdout.write(`${printable(line, this.#unicode)}\n`);
    this.#world.log?.(text);
  }

  /** Undefined at the end of the input. */
  async ask(question: string): Promise<string | undefined> {
    this.#world.stdout.write(`${question} `);
    const typed = this.#typed.shift();
    if (typed !== undefined || this.#closed) return typed;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A number from 1 to `count`; undefined for anything that means going back. */
  async choose(question: string, count: number): Promise<number | undefined> {
    for (;;) {
      const answer = (await this.ask(`${question} (1 to ${count}; q goes back):`))?.trim();
      if (answer === undefined || answer === 'q' || answer === '') return undefined;
      const number = Number(answer);
      if (Number.isInteger(number) && number >= 1 && number <= count) return number - 1;
      this.say(`"${answer}" is not one of them.`);
    }
  }

  /** One job with its progress in lines. Ctrl-C stops it at its next safe point. */
  async job<Result>(start: (options: JobOptions) => Promise<Result>): Promise<Result> {
    const { now = () => performance.now() } = this.#world;
    const write = (text: string): void => this.say(text.trimEnd());
    const progress = new Progress({ mode: 'plain', now, columns: () => WIDTH, write });
    this.#stop = new AbortController();
    try {
      return await start({
        signal: this.#stop.signal,
        onEvent: (event) => {
          progress.event(event);
          if ('phase' in event) this.phases.add(event.phase);
          if ('note' in event) this.say(event.severity === 'warning' ? `warning: ${event.note}` : event.note);
        },
      });
    } finally {
      progress.finish();
      this.#stop = undefined;
    }
  }

  interrupt(): void {
    if (this.#stop === undefined) this.#lines.close();
    else {
      this.#stop.abort();
      this.say('stopping at the next safe point...');
    }
  }

  close(): void {
    this.#lines.close();
  }
}

const agree = async (talk: Talk, intent: Intent): Promise<boolean> => {
  talk.say(intentLines(intent, WIDTH).join('\n'));
  const answer = await talk.ask(`Type ${intent.deviceName} to go on; anything else stops here:`);
  return answer?.trim() === intent.deviceName;
};

const restore = async (talk: Talk, world: TuiWorld, disk: DiskFacts, image: ImageSummary): Promise<void> => {
  const target = disk.path;
  const request = {
    target,
    image: image.id,
    drop: [],
    salvage: false,
    verifyAfter: true,
    dryRun: false,
    confirm: (intent: Intent) => agree(talk, intent),
  };
  talk.phases.clear();
  const result = await talk.job((options) => world.jobs.restore(request, options));
  talk.say(
    restoreReport(result, { phases: talk.phases, width: WIDTH, to: target, verifyAfter: true }).join('\n'),
  );
  const command = equivalentCommand({ command: 'restore', target, values: { image: image.id } });
  talk.say(`The same again in one line:\n  ${command}`);
};

const searchDisk = async (talk: Talk, world: TuiWorld, disk: DiskFacts): Promise<void> => {
  const { images } = await talk.job((options) =>
    world.jobs.list({ target: disk.path, depth: 'quick' }, options),
  );
  if (images.length === 0) {
    talk.say(`No image found on ${disk.path}. To read every byte: holdfast list ${disk.path} --depth full`);
    return;
  }
  talk.say(imageTable(images, WIDTH).join('\n'));
  const question = `Which image, from the top${images.length === 1 ? '' : ' of the list'}?`;
  const chosen = await talk.choose(question, images.length);
  if (chosen !== undefined) await restore(talk, world, disk, images[chosen]!);
};

const oneRound = async (talk: Talk, world: TuiWorld): Promise<boolean> => {
  const { disks } = await talk.job((options) => world.jobs.disks({}, options));
  const look = lookOf(terminalOf(world.env).unicode, false);
  const usable = disks.filter((disk) => !disk.medium && disk.trouble === undefined);
  if (usable.length === 0) {
    talk.say('No disk was found that could be searched.');
    return false;
  }
  talk.say('');
  usable.forEach((disk, index) => {
    const facts = [disk.model, disk.serial, formatBytes(disk.size), disk.bus].filter((each) => each !== '');
    talk.say(`${index + 1}. ${disk.path}: ${facts.join(', ')}\n   ${diskState(disk, look)}`);
  });
  const chosen = await talk.choose(
    'Which disk shall be searched for images? It is only read.',
    usable.length,
  );
  if (chosen === undefined) return false;
  await searchDisk(talk, world, usable[chosen]!);
  return true;
};

export const runPlain = async (world: TuiWorld): Promise<TuiOutcome> => {
  const talk = new Talk(world);
  const interrupt = (): void => talk.interrupt();
  world.signals?.on('SIGINT', interrupt);
  try {
    talk.say('Holdfast, with questions and answers: this terminal cannot show screens.');
    for (;;) {
      try {
        if (!(await oneRound(talk, world))) return { next: 'quit' };
      } catch (error) {
        const { message, next, exit } = failureOf(error);
        talk.say(`holdfast: ${message}`);
        if (exit === 'refused') talk.say('Nothing was written.');
        if (next !== undefined) talk.say(`It is unfinished. What to do next: ${next}`);
      }
    }
  } finally {
    world.signals?.off('SIGINT', interrupt);
    talk.close();
    world.stdin.pause();
  }
};
