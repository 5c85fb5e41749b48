import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Depth, Figure, Outcome, Part, Piece, PieceResult, Report } from './part.ts';

export interface RunOptions {
  readonly depth: Depth;
  readonly seed: number;
  /** Processes at once. Default: one for each core. */
  readonly jobs?: number | undefined;
  /** Only pieces whose name has this in it. */
  readonly only?: string | undefined;
  /** Sees each outcome as it comes. */
  readonly onOutcome?: ((outcome: Outcome, done: number, of: number) => void) | undefined;
  /** The program that tries pieces; tests have their own. */
  readonly program?: string | undefined;
}

export interface Proof {
  readonly part: string;
  readonly report: Report;
  readonly seconds: number;
  /** Why the part does not hold: faults of pieces, figures that miss. None: it holds. */
  readonly failures: readonly string[];
}

const HALF_AN_HOUR = 1800;
const PIECE_PROCESS = join(import.meta.dirname, 'piece-process.ts');

/** One process; another takes its place when it has died. */
class Worker {
  readonly #program: string;
  #child: ChildProcess | undefined;

  constructor(program: string) {
    this.#program = program;
  }

  try(part: Part, piece: Piece): Promise<PieceResult> {
    const child = this.#child ?? fork(this.#program, { serialization: 'json' });
    this.#child = child;
    return new Promise((resolve) => {
      const end = (result: PieceResult): void => {
        clearTimeout(timer);
        child.removeAllListeners();
        resolve(result);
      };
      const lose = (why: string): void => {
        this.#child = undefined;
        end({ counts: {}, faults: [why] });
      };
      const limit = part.pieceSeconds ?? HALF_AN_HOUR;
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        lose(`did not end within ${limit} s`);
      }, limit * 1000);
      child.once('message', (result) => end(result as PieceResult));
      child.once('error', (error) => lose(`its process could not be used: ${error.message}`));
      child.once('exit', (code, signal) => lose(`its process ended: ${signal ?? `exit code ${code}`}`));
      child.send({ part: part.name, piece });
    });
  }

  end(): void {
    this.#child?.disconnect();
    this.#child = undefined;
  }
}

const missed = ({ what, value, unit = '', least, most }: Figure): string[] => {
  const says = (limit: string): string => `${what}: ${value}${unit === '' ? '' : ` ${unit}`}, ${limit}`;
  if (!Number.isFinite(value)) return [says('not a number')];
  if (least !== undefined && value < least) return [says(`at least ${least} wanted`)];
  if (most !== undefined && value > most) return [says(`at most ${most} allowed`)];
  return [];
};

/** Tries all pieces of a part, on several processes. Never throws for what the part finds: see `failures`. */
export const prove = async (part: Part, options: RunOptions): Promise<Proof> => {
  const startedAt = performance.now();
  const secondsSince = (from: number): number => (performance.now() - from) / 1000;
  const all = part.pieces(options.depth, options.seed);
  const pieces = all.filter(({ name }) => options.only === undefined || name.includes(options.only));
  const waiting = [...pieces];
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    const worker = new Worker(options.program ?? PIECE_PROCESS);
    for (let piece = waiting.shift(); piece !== undefined; piece = waiting.shift()) {
      const from = performance.now();
      const result = await worker.try(part, piece);
      const outcome = { piece, result, seconds: secondsSince(from) };
      outcomes.push(outcome);
      options.onOutcome?.(outcome, outcomes.length, pieces.length);
    }
    worker.end();
  };
  const jobs = Math.min(options.jobs ?? availableParallelism(), part.jobs ?? Number.POSITIVE_INFINITY);
  await Promise.all(Array.from({ length: Math.min(jobs, pieces.length) }, work));
  // In the order of the pieces, whichever ended first: the report is the same each time.
  outcomes.sort((a, b) => pieces.indexOf(a.piece) - pieces.indexOf(b.piece));
  const sum = (count: string): number =>
    outcomes.reduce((total, { result }) => total + (result.counts[count] ?? 0), 0);
  const report = part.report(outcomes, sum, options.depth);
  const failures = [
    ...(pieces.length === 0 ? ['there was nothing to try'] : []),
    ...outcomes.flatMap(({ piece, result }) => result.faults.map((fault) => `${piece.name}: ${fault}`)),
    // A few pieces cannot reach what all together have to.
    ...(pieces.length === all.length ? report.figures.flatMap(missed) : []),
  ];
  return { part: part.name, report, seconds: secondsSince(startedAt), failures };
};
