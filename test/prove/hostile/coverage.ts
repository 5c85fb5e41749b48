import { type Profiler, Session } from 'node:inspector';

/** Where in a function nothing ran: offsets in its source, ascending, without overlaps. */
type Untouched = readonly (readonly [from: number, to: number])[];

/** For each function that ran, what did not run in it. */
export type Ran = ReadonlyMap<string, Untouched>;

/** Only the engine counts: not the harness, not Node. */
const ENGINE = '/rescue/';

const intersection = (a: Untouched, b: Untouched): Untouched => {
  const common: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const from = Math.max(a[i]![0], b[j]![0]);
    const to = Math.min(a[i]![1], b[j]![1]);
    if (from < to) common.push([from, to]);
    if (a[i]![1] < b[j]![1]) i += 1;
    else j += 1;
  }
  return common;
};

const lengthOf = (ranges: Untouched): number => ranges.reduce((sum, [from, to]) => sum + to - from, 0);

/**
 * V8's own block coverage of this thread. V8 leaves out a block that ran as often as what is around it, but always names one that did not
 * run: so what is kept for each function is what never ran in it.
 */
export class Coverage {
  readonly #session = new Session();
  readonly #untouched = new Map<string, Untouched>();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  #post(method: string, parameters?: object): unknown {
    let answer: unknown;
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer;
  }

  /** What ran since the last call. Takes some ms. */
  take(): Ran {
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    const ran = new Map<string, Untouched>();
    for (const { scriptId, url, functions } of result) {
      if (!url.includes(ENGINE)) continue;
      for (const { ranges } of functions) {
        const [whole, ...blocks] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        ran.set(
          `${scriptId}:${whole.startOffset}:${whole.endOffset}`,
          blocks
            .filter(({ count }) => count === 0)
            .map(({ startOffset, endOffset }) => [startOffset, endOffset] as const)
            .sort((a, b) => a[0] - b[0]),
        );
      }
    }
    return ran;
  }

  /** Whether there is something in it that had never run before. */
  isNews(ran: Ran): boolean {
    for (const [key, now] of ran) {
      const before = this.#untouched.get(key);
      if (before === undefined || lengthOf(intersection(before, now)) < lengthOf(before)) return true;
    }
    return false;
  }

  learn(ran: Ran): void {
    for (const [key, now] of ran) {
      const before = this.#untouched.get(key);
      this.#untouched.set(key, before === undefined ? now : intersection(before, now));
    }
  }

  /** Functions of the engine that ran. */
  get functions(): number {
    return this.#untouched.size;
  }

  /** Blocks in them that never ran. */
  get untouchedBlocks(): number {
    return [...this.#untouched.values()].reduce((sum, ranges) => sum + ranges.length, 0);
  }

  end(): void {
    this.#session.disconnect();
  }
}
