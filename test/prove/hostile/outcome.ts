import { isHoldfastError } from '../../../rescue/errors.ts';

/** What came of the steps of reading one input: the codes of complaints, each once. */
export class Outcome {
  readonly #codes = new Set<string>();

  /** Runs one step. Swallows errors of ours only. */
  try<Result>(step: () => Result): Result | undefined {
    try {
      return step();
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.note(`${error.kind}:${error.detail.code}`);
      return undefined;
    }
  }

  /** The same for a step that waits for something. */
  async soon<Result>(step: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await step();
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.note(`${error.kind}:${error.detail.code}`);
      return undefined;
    }
  }

  note(code: string): void {
    this.#codes.add(code);
  }

  toString(): string {
    return [...this.#codes].sort().join(' ');
  }
}

/** Reads to its end what is read as it is asked for; `limit` items at most. Gives how many there were. */
export const drain = (items: Iterable<unknown>, limit = Number.POSITIVE_INFINITY): number => {
  let count = 0;
  for (const _ of items) {
    count += 1;
    if (count >= limit) break;
  }
  return count;
};
