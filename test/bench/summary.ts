import { columns, count, wrap } from '../../rescue/cli/text.ts';
import { formatBytes } from '../../rescue/units.ts';
import type { Peer } from './kinds.ts';
import type { DiskSpeed, Machine } from './limits.ts';
import type { Round, Side } from './sides.ts';

export interface Results {
  /** Name of the file system, and who judged what came back. */
  readonly kind: string;
  readonly judges: string;
  readonly peer: Peer;
  readonly machine: Machine;
  /** Before the first round and after the last one. */
  readonly disk: readonly [DiskSpeed, DiskSpeed];
  /** Which program was measured: the source or an executable. */
  readonly program: string;
  readonly volumeBytes: number;
  readonly usedBytes: number;
  readonly files: number;
  readonly rounds: Readonly<Record<Side, readonly Round[]>>;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle];
  if (high === undefined) throw new Error('no median of nothing');
  return sorted.length % 2 === 1 ? high : (sorted[middle - 1]! + high) / 2;
};

const JOBS = ['create', 'restore'] as const;
type Job = (typeof JOBS)[number];

export interface SideSummary {
  /** Medians; bytes and seconds. */
  readonly seconds: number;
  readonly fastest: number;
  readonly slowest: number;
  readonly cpu: number;
  /** The highest of all runs. */
  readonly peak: number;
}

export interface JobSummary {
  readonly holdfast: SideSummary;
  readonly peer: SideSummary;
  /** Our median time over the peer's: below 1, we are faster. */
  readonly ratio: number;
}

const sideSummary = (rounds: readonly Round[], job: Job): SideSummary => {
  const all = rounds.map((round) => round[job]);
  const times = all.map((each) => each.seconds);
  return {
    seconds: median(times),
    fastest: Math.min(...times),
    slowest: Math.max(...times),
    cpu: median(all.map((each) => each.cpu)),
    peak: Math.max(...all.map((each) => each.peak)),
  };
};

export const summarise = ({ rounds }: Results): Record<Job, JobSummary> => {
  const of = (job: Job): JobSummary => {
    const holdfast = sideSummary(rounds.holdfast, job);
    const peer = sideSummary(rounds.peer, job);
    return { holdfast, peer, ratio: holdfast.seconds / peer.seconds };
  };
  return { create: of('create'), restore: of('restore') };
};

/** What DESIGN allows our process: bytes resident. */
export const MEMORY_LIMIT = 256 * 1024 * 1024;

const seconds = (value: number): string => `${value.toFixed(1)} s`;
const perSecond = (bytes: number): string => `${formatBytes(bytes)}/s`;
const paragraph = (text: string): string => wrap(text, { width: 80 });

const stored = (rounds: readonly Round[]): string => formatBytes(median(rounds.map((each) => each.stored)));

/** Where the memory of our process was when it had most. */
const memoryLine = (rounds: readonly Round[], job: Job): string => {
  const most = rounds.map((round) => round[job]).reduce((a, b) => (b.peak > a.peak ? b : a));
  const parts = most.processes.map((each) => each.resident);
  const total = (pick: (resident: (typeof parts)[number]) => number): string =>
    formatBytes(parts.reduce((sum, each) => sum + pick(each), 0));
  const own = Math.max(...rounds.map((round) => round.ownPeak?.[job] ?? 0));
  return paragraph(
    `${job}: ${formatBytes(most.peak)} at most; about then ${total((each) => each.anonymous)} anonymous, ${total((each) => each.file)} of files (the program), ${total((each) => each.shared)} shared. The program itself reports ${formatBytes(own)}.`,
  );
};

export const summaryLines = (results: Results): string[] => {
  const { machine, disk, rounds } = results;
  const summary = summarise(results);
  const row = (job: Job, side: Side): string[] => {
    const { [side]: of, ratio } = summary[job];
    return [
      side === 'holdfast' ? `holdfast ${job}` : results.peer.labels[job],
      seconds(of.seconds),
      `${of.fastest.toFixed(1)}-${of.slowest.toFixed(1)}`,
      seconds(of.cpu),
      formatBytes(of.peak),
      side === 'holdfast' ? ratio.toFixed(2) : '1',
    ];
  };
  const over = JOBS.filter((job) => summary[job].holdfast.peak > MEMORY_LIMIT);
  return [
    paragraph(
      `${results.kind} of ${formatBytes(results.volumeBytes)} with ${results.files} files from /usr, ${formatBytes(results.usedBytes)} in use, on a loop device. ${count(rounds.holdfast.length, 'run')} each, in turns, cold cache, everything synced, every restored volume checked (${results.judges}).`,
    ),
    '',
    ...columns([
      ['', 'median', 'range', 'cpu', 'memory', 'ratio'],
      ...JOBS.flatMap((job) => [row(job, 'holdfast'), row(job, 'peer')]),
    ]),
    '',
    paragraph(
      `Image: holdfast ${stored(rounds.holdfast)} (inside the volume), ${results.peer.name} with zstd ${stored(rounds.peer)}.`,
    ),
    paragraph(
      'Ratio: our time over theirs, of medians; below 1 we are faster. Ours includes more: create reads back what it wrote; restore checks the whole image first and reads back afterwards. Memory: highest resident size (VmHWM), summed over a pipeline.',
    ),
    '',
    'Memory of holdfast:',
    ...JOBS.map((job) => memoryLine(rounds.holdfast, job)),
    over.length === 0
      ? `Within the limit of ${formatBytes(MEMORY_LIMIT)}.`
      : `OVER the limit of ${formatBytes(MEMORY_LIMIT)}: ${over.join(', ')}.`,
    '',
    paragraph(
      `Machine: ${machine.cpus} x ${machine.cpu}, ${formatBytes(machine.memory)}, Linux ${machine.kernel}, ${machine.fileSystem}; node ${machine.node}, partclone ${machine.partclone}, zstd ${machine.zstd}. Load before: ${machine.load}. Measured: ${results.program}.`,
    ),
    paragraph(
      `Its disk, by dd, before and after: writes with fsync ${perSecond(disk[0].write)} and ${perSecond(disk[1].write)}, reads ${perSecond(disk[0].read)} and ${perSecond(disk[1].read)}.`,
    ),
    ...(machine.load > 0.5 * machine.cpus
      ? ['', 'CAREFUL: this machine was busy with other things; times mean little.']
      : []),
  ];
};

/** Everything, for machines; what programs said is left out. */
export const toDocument = (results: Results) => {
  const bare = (rounds: readonly Round[]) =>
    rounds.map(({ create, restore, ...rest }) => ({
      create: { ...create, stdout: undefined },
      restore: { ...restore, stdout: undefined },
      ...rest,
    }));
  return {
    ...results,
    rounds: { holdfast: bare(results.rounds.holdfast), peer: bare(results.rounds.peer) },
    summary: summarise(results),
    memoryLimit: MEMORY_LIMIT,
  };
};
