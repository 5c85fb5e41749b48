/** An error is a fault like any other: the sweep goes on. */
export const attempt = async (judge: () => Promise<string[]> | string[]): Promise<string[]> => {
  try {
    return await judge();
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  }
};

/** Counts the media and what was done with them, and gathers what went wrong. */
export class Log {
  readonly faults: string[] = [];
  tried = 0;
  torn = 0;
  /** Media of which anything was lost. */
  losses = 0;
  /** Times that the command was run again. */
  again = 0;
  /** Times that the owner's system had worked on the volume before. */
  owned = 0;
  #what = '';
  #lost = false;

  next({ what, torn }: { readonly what: string; readonly torn: boolean }): void {
    this.#what = what;
    this.#lost = false;
    this.tried += 1;
    if (torn) this.torn += 1;
  }

  add(judged: string, found: readonly string[]): void {
    if (found.length === 0) return;
    if (!this.#lost) this.losses += 1;
    this.#lost = true;
    for (const each of found) this.faults.push(`${this.#what}, ${judged}: ${each}`);
  }
}
