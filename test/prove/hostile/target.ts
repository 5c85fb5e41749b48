import type { Cleanup } from '../../support/cleanup.ts';
import type { Plain } from '../part.ts';
import type { Random } from './random.ts';

/**
 * One parser under attack. What it may do with any input: succeed, or throw a `HoldfastError`. `parse` swallows those and gives a
 * word for what happened; everything that it throws is a fault.
 */
export interface Parser<Input> {
  /** Sound inputs from which all others come. */
  readonly seeds: readonly Input[];
  /** An input near `parent`, with something of `other`, another input that led somewhere. */
  mutate(parent: Input, other: Input, random: Random): Input;
  /** The whole reading path. Words for what happened, parted by blanks: an input with a new one is worth keeping. */
  parse(input: Input): string | Promise<string>;
  /** As it is written down. */
  encode(input: Input): Plain;
  /** Throws for what `encode` did not write. */
  decode(written: Plain): Input;
  /** Simpler inputs, the simplest first: one that fails the same way is better to look at. */
  simpler(input: Input): Iterable<Input>;
}

export interface Target {
  readonly name: string;
  /** What it stands for, in the report. */
  readonly covers: string;
  /** Makes the seeds: other people's programs may be needed. */
  open(cleanup: Cleanup): Promise<AnyParser> | AnyParser;
}

/** A parser whose inputs only it can tell. */
export type AnyParser = Parser<unknown>;

export const anyParser = <Input>(parser: Parser<Input>): AnyParser => parser as unknown as AnyParser;
