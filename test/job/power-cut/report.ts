import { appendFileSync } from 'node:fs';

/** An error is a fault like any other: the sweep goes on. */
export const attempt = async (judge: () => Promise<string[]> | string[]): Promise<string[]> => {
  try {
    return await judge();
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  }
};

/** Counts the media and gathers what went wrong; HOLDFAST_SWEEP_LOG names a file in which a long sweep can be watched. */
export class Log {
  readonly faults: string[] = [];
  tried = 0;
  #what = '';

  next(what: string): void {
    this.#what = what;
    this.tried += 1;
    this.#say(`${this.tried}: ${what}`);
  }

  add(judged: string, found: readonly string[]): void {
    for (const each of found) {
      this.faults.push(`${this.#what}, ${judged}: ${each}`);
      this.#say(`FAULT ${judged}: ${each}`);
    }
  }

  #say(line: string): void {
    const path = process.env['HOLDFAST_SWEEP_LOG'];
    if (path !== undefined) appendFileSync(path, `${line}\n`);
  }
}
