import type { Plain } from '../part.ts';
import { AllocationMeter } from './allocation.ts';
import { attempt, type FindingKind, isFault, signatureOf, simplest } from './attempt.ts';
import { Coverage, type Ran } from './coverage.ts';
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

/**
 * Inputs between two looks at the coverage, which takes longer than most parsers: fewer while there is news. News makes their number fall faster than its
 * absence makes it rise, because to find out whose news it is takes as long as all of them took.
 */
const LEAST = 4;
const MOST = 256;
const FALL = 4;
const RISE = 2;
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
  /**
   * Keeps those of the inputs that made something run that had never run before: `ran` is what ran in all of them together, and there is news in it. Only
   * first halves are tried again: what is still news when what ran in the first half is known ran in the second.
   */
  const keepNews = async (inputs: readonly Input[], ran: Ran): Promise<void> => {
    const [only, ...more] = inputs;
    if (only !== undefined && more.length === 0) return keep(only);
    const first = inputs.slice(0, inputs.length >> 1);
    for (const input of first) await tried(input, true);
    const ranInFirst = coverage.take();
    if (coverage.isNews(ranInFirst)) await keepNews(first, ranInFirst);
    coverage.learn(ranInFirst);
    if (coverage.isNews(ran)) await keepNews(inputs.slice(first.length), ran);
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
      if (news) await keepNews(batch, ran);
      coverage.learn(ran);
      size = news ? Math.max(LEAST, Math.floor(size / FALL)) : Math.min(MOST, size * RISE);
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
