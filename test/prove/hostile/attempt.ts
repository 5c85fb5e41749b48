import { isHoldfastError } from '../../../rescue/errors.ts';
import { AllocationLimit, type AllocationMeter } from './allocation.ts';
import type { Parser } from './target.ts';

/** `crash`: an error without a type of ours. `limit`: more memory than is allowed. `hang`: too long. */
export type FindingKind = 'crash' | 'limit' | 'hang';

export interface Fault {
  readonly kind: FindingKind;
  /** What was thrown, with where it came from. */
  readonly message: string;
}

/** The error and the places nearest to it that are of the engine: two faults with one signature are one. */
export const signatureOf = ({ kind, message }: Fault): string => {
  const places = message
    .split('\n')
    .filter((line) => /\/rescue\//.test(line))
    .slice(0, 3)
    .map((line) => line.replace(/^.*\/rescue\//, '').replace(/\)$/, ''));
  const [first = ''] = message.split('\n');
  return [kind, first.replace(/\d+/g, 'N'), ...places].join(' | ');
};

const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : String(error);

/** One execution. The word that `parse` gave, or what is wrong. */
export const attempt = async <Input>(
  parser: Parser<Input>,
  input: Input,
  meter: AllocationMeter,
): Promise<string | Fault> => {
  meter.begin();
  try {
    const word = parser.parse(input);
    const result = typeof word === 'string' ? word : await word;
    meter.check();
    return result;
  } catch (error) {
    if (error instanceof AllocationLimit) return { kind: 'limit', message: describe(error) };
    // Nobody swallows an error of ours that the parser did not: it may say that memory ran out.
    if (isHoldfastError(error)) return { kind: 'crash', message: `not expected here: ${describe(error)}` };
    return { kind: 'crash', message: describe(error) };
  } finally {
    // What was asked for in vain must not count for whoever makes the next input.
    meter.begin();
  }
};

export const isFault = (result: string | Fault): result is Fault => typeof result !== 'string';

/** Executions that making a finding simpler may take. */
const MOST_TRIES = 2000;

/** The simplest input found that fails in the same way. */
export const simplest = async <Input>(
  parser: Parser<Input>,
  input: Input,
  fault: Fault,
  tried: (input: Input) => Promise<string | Fault>,
): Promise<Input> => {
  const signature = signatureOf(fault);
  let best = input;
  let tries = 0;
  for (let better = true; better; ) {
    better = false;
    for (const candidate of parser.simpler(best)) {
      tries += 1;
      if (tries > MOST_TRIES) return best;
      const result = await tried(candidate);
      if (!isFault(result) || signatureOf(result) !== signature) continue;
      best = candidate;
      better = true;
      break;
    }
  }
  return best;
};
