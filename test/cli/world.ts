import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { run, type Surroundings } from '../../rescue/cli/run.ts';
import type { JobOptions } from '../../rescue/job/context.ts';
import type { Jobs } from '../../rescue/job/jobs.ts';
import type { ImageSummary, Intent, Stats } from '../../rescue/job/results.ts';
import { GIB, MIB } from '../../rescue/units.ts';

/** Jobs that do nothing, and a world that remembers what was said. */

export const ID = '3f2a91c4d5e6f708192a3b4c5d6e7f80';

export const IMAGE: ImageSummary = {
  id: ID,
  name: 'before update',
  kind: 'user',
  sequence: 3,
  created: '2026-11-20T14:03:00.000Z',
  generation: 1,
  state: 'committed',
  foundBy: 'scan',
  filesystem: 'ext4',
  label: 'root',
  uuid: '0b6c1f6e-5b0f-4a38-8f0a-2f6f3c1d9e11',
  partition: { offset: MIB, size: 40 * GIB, number: 2, partuuid: '7d1c5a90-02' },
  clusterSize: 4096,
  usedBytes: 12 * GIB,
  storedBytes: 4 * GIB,
  extents: [[30 * GIB, 4 * GIB]],
  sealedExtents: [[30 * GIB, 3 * GIB]],
};

export const STATS: Stats = {
  rawBytes: 12 * GIB,
  storedBytes: 4 * GIB,
  bytesRead: 13 * GIB,
  bytesWritten: 4 * GIB,
  seconds: 75,
  peakRss: 120 * MIB,
};

export const INTENT: Intent = {
  action: 'restore',
  deviceName: 'sda2',
  target: { path: '/dev/sda2', size: 40 * GIB, model: 'Kelp SSD', serial: 'K-77', label: 'root' },
  image: IMAGE,
  writes: ['12.0 GiB of data'],
  keeps: ['image 3f2a91c4'],
  loses: ['everything on /dev/sda2 that is newer than the image'],
  table: undefined,
};

/** Requests that the fake jobs were given, by job. */
export type Requests = { readonly job: keyof Jobs; readonly request: Parameters<Jobs[keyof Jobs]>[0] }[];

export const fakeJobs = (requests: Requests = [], replaced: Partial<Jobs> = {}): Jobs => {
  const jobs: Jobs = {
    create: async (request) => ({
      target: request.target,
      image: IMAGE,
      stats: STATS,
      replaced: [],
      written: !request.dryRun,
    }),
    list: async (request) => ({
      target: request.target,
      depth: request.depth,
      bytesRead: 5 * MIB,
      bytesCovered: 40 * GIB,
      steps: [
        { step: 'filesystem', found: 0, bytesRead: MIB, bytesCovered: MIB, note: 'no file system' },
        { step: 'scan', found: 1, bytesRead: 4 * MIB, bytesCovered: 40 * GIB },
      ],
      images: [IMAGE],
    }),
    info: async (request) => ({
      target: request.target,
      image: IMAGE,
      stats: STATS,
      facts: [['slots', '65536']],
    }),
    verify: async (request) => ({ target: request.target, image: IMAGE, stats: STATS, problems: [] }),
    restore: async (request) => {
      await request.confirm(INTENT);
      return {
        target: request.target,
        image: IMAGE,
        stats: STATS,
        partitionTable: 'rebuilt',
        imagesKept: [ID],
        written: !request.dryRun,
        lost: [],
        lostFrames: 0,
        lostBytes: 0,
      };
    },
    remove: async (request) => {
      await request.confirm({ ...INTENT, action: 'remove' });
      return { target: request.target, image: IMAGE, stats: STATS, written: !request.dryRun };
    },
    ...replaced,
  };
  const noted = <J extends keyof Jobs>(job: J): Jobs[J] =>
    ((request: never, options: JobOptions) => {
      requests.push({ job, request });
      return (jobs[job] as (request: never, options: JobOptions) => unknown)(request, options);
    }) as Jobs[J];
  return {
    create: noted('create'),
    list: noted('list'),
    info: noted('info'),
    verify: noted('verify'),
    restore: noted('restore'),
    remove: noted('remove'),
  };
};

class Sink extends Writable {
  text = '';
  isTTY: boolean;
  columns = 100;
  constructor(isTTY: boolean) {
    super({ decodeStrings: false });
    this.isTTY = isTTY;
  }
  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    this.emit('said', this.text);
    done();
  }
}

export interface WorldOptions extends Partial<Omit<Surroundings, 'jobs'>> {
  readonly jobs?: Partial<Jobs>;
  readonly terminal?: boolean;
  /** Typed as soon as it is asked for; null: the input ends instead. */
  readonly answer?: string | null;
}

export interface Said {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly requests: Requests;
}

/** A world whose signals can be sent, and whose streams can be looked at while a job runs. */
export const makeWorld = ({ jobs, terminal = false, answer, ...more }: WorldOptions = {}) => {
  const requests: Requests = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: terminal });
  const stdout = new Sink(terminal);
  const stderr = new Sink(terminal);
  const signals = new EventEmitter();
  if (answer !== undefined) {
    stderr.on('said', (text: string) => {
      if (!text.endsWith('stops here: ')) return;
      if (answer === null) stdin.end();
      else stdin.write(`${answer}\n`);
    });
  }
  const surroundings: Surroundings = {
    jobs: fakeJobs(requests, jobs),
    stdin,
    stdout,
    stderr,
    env: { LANG: 'C.UTF-8', TERM: 'xterm' },
    signals,
    ...more,
  };
  return { surroundings, requests, stdin, stdout, stderr, signals };
};

/** Runs one command line in a world of its own. */
export const say = async (argv: readonly string[], options: WorldOptions = {}): Promise<Said> => {
  const { surroundings, requests, stdout, stderr } = makeWorld(options);
  const exit = await run(argv, surroundings);
  return { exit, stdout: stdout.text, stderr: stderr.text, requests };
};
