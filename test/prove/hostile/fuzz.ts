import type { Plain } from '../part.ts';
import { AllocationMeter } from './allocation.ts';
import { attempt, type FindingKind, isFault, signatureOf, simplest } from './attempt.ts';
import { Coverage } from './coverage.ts';
import { Random } from './random.ts';
import type { Parser } from './target.ts';

export interface Finding {
  readonly kind: FindingKind;
  readonly message: string;
  /** The input as its parser encodes it, made as simple as it gets. */
  readonly input: Plain;
  /** How many inputs failed in this way. */
  readonly times: number;
}

export interface FuzzOptions {
  readonly executions: number;
  readonly seed: number;
  /** Called before each attempt with the input. `again`: it is no new one, and no execution that counts. */
  readonly onInput?: (encode: () => Plain, again: boolean) => void;
}

export interface Fuzzed {
  readonly executions: number;
  readonly findings: readonly Finding[];
  /** Inputs kept because they made something run that had never run, or ended in a new way. */
  readonly kept: number;
  /** Different complaints that inputs led to. */
  readonly outcomes: number;
  /** Functions of the engine that ran. */
  readonly functions: number;
  /** Blocks in these functions that never ran. */
  readonly untouchedBlocks: number;
  /** Bytes of the longest array asked for. */
  readonly largest: number;
}

/** Inputs between two looks at the coverage, which takes longer than most parsers: fewer while there is news. */
const LEAST = 8;
const MOST = 256;
/** Inputs that are kept at most. */
const CORPUS = 4000;
/** So many times the usual time is slow. */
const SLOW = 6;
/** Different faults that are kept. */
const MOST_FINDINGS = 12;

/** Tries inputs one after another, new ones made from those that led somewhere. Ends early when it has found plenty. */
export const fuzz = async <Input>(parser: Parser<Input>, options: FuzzOptions): Promise<Fuzzed> => {
  const random = new Random(options.seed);
  const meter = new AllocationMeter();
  const coverage = new Coverage();
  const corpus: Input[] = [...parser.seeds];
  const outcomes = new Set<string>();
  const findings = new Map<string, Finding>();
  let executions = 0;
  let largest = 0;
  let usual = 1;
  /** Of the inputs of the batch: they are tried, but their children would be as slow, and there are others to try. */
  const slow = new Set<Input>();
  const keep = (input: Input): void => {
    if (slow.has(input)) return;
    if (corpus.length < CORPUS) corpus.push(input);
    else corpus[parser.seeds.length + random.below(CORPUS - parser.seeds.length)] = input;
  };
  /** Whoever watches the time of one input has to hear of each attempt: hundreds together may take as long as one must not. */
  const tried = (input: Input, again: boolean) => {
    options.onInput?.(() => parser.encode(input), again);
    return attempt(parser, input, meter);
  };
  const execute = async (input: Input): Promise<boolean> => {
    const from = performance.now();
    const result = await tried(input, false);
    const took = performance.now() - from;
    if (took > SLOW * usual) slow.add(input);
    usual += (Math.min(took, SLOW * usual) - usual) / 64;
    executions += 1;
    if (isFault(result)) {
      const signature = signatureOf(result);
      const known = findings.get(signature);
      if (known !== undefined) findings.set(signature, { ...known, times: known.times + 1 });
      else {
        const simple = await simplest(parser, input, result, (each) => tried(each, true));
        findings.set(signature, { ...result, input: parser.encode(simple), times: 1 });
      }
      return false;
    }
    const before = outcomes.size;
    for (const code of result.split(' ')) outcomes.add(code);
    return outcomes.size > before;
  };
  /** Keeps those of the inputs that made something run that had never run before: some of them did. */
  const keepNews = async (inputs: readonly Input[]): Promise<void> => {
    const [only, ...more] = inputs;
    if (only !== undefined && more.length === 0) return keep(only);
    const half = inputs.length >> 1;
    for (const part of [inputs.slice(0, half), inputs.slice(half)]) {
      for (const input of part) await tried(input, true);
      const ran = coverage.take();
      if (!coverage.isNews(ran)) continue;
      await keepNews(part);
      coverage.learn(ran);
    }
  };
  const choose = (): Input =>
    corpus[
      random.oneIn(2)
        ? random.below(corpus.length)
        : // What was found last leads on.
          corpus.length - 1 - random.below(Math.max(1, corpus.length >> 3))
    ]!;
  try {
    for (const seed of parser.seeds) await execute(seed);
    coverage.learn(coverage.take());
    for (let size = LEAST; executions < options.executions && findings.size < MOST_FINDINGS; ) {
      const batch: Input[] = [];
      slow.clear();
      while (batch.length < size && executions < options.executions) {
        const input = parser.mutate(choose(), choose(), random);
        batch.push(input);
        if (await execute(input)) keep(input);
      }
      const ran = coverage.take();
      const news = coverage.isNews(ran);
      if (news) await keepNews(batch);
      coverage.learn(ran);
      size = news ? Math.max(LEAST, size >> 1) : Math.min(MOST, size * 2);
    }
  } finally {
    largest = meter.largest;
    meter.end();
    coverage.end();
  }
  return {
    executions,
    findings: [...findings.values()],
    kept: corpus.length - parser.seeds.length,
    outcomes: outcomes.size,
    functions: coverage.functions,
    untouchedBlocks: coverage.untouchedBlocks,
    largest,
  };
};
