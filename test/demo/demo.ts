import { parseArgs } from 'node:util';
import { readSize } from '../../rescue/cli/values.ts';
import { withCleanup } from '../support/cleanup.ts';
import { CannotStart, chooseSizes, freeForDisks, requireMachine, USUAL_DATA } from './machine.ts';
import { allHold, reportLines } from './report.ts';
import { play } from './story.ts';

/**
 * `npm start`: a disk loses everything but the image inside it, and comes back. Ends with 0 only if every check
 * passed; 1 if one did not, or something failed; 2 if it cannot be shown on this machine.
 *
 *   node test/demo/demo.ts [--data SIZE]      bytes of files to copy, e.g. 40M
 */
const main = async (): Promise<number> => {
  // Ctrl-C ends the program that is running for us too: its failure may be met before the signal is.
  let stopped = false;
  const noteStop = (): void => {
    stopped = true;
  };
  process.on('SIGINT', noteStop).on('SIGTERM', noteStop);
  const say = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  try {
    const { values } = parseArgs({ options: { data: { type: 'string' } } });
    requireMachine();
    const wanted = values.data === undefined ? USUAL_DATA : readSize(values.data);
    const sizes = chooseSizes(wanted, freeForDisks());
    const outcome = await withCleanup((cleanup) => play({ cleanup, say }, sizes));
    say('');
    for (const line of reportLines(outcome)) say(line);
    return allHold(outcome.judgements) ? 0 : 1;
  } catch (error) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (stopped) return 130;
    if (error instanceof CannotStart) {
      process.stderr.write(`The demo cannot run here. ${error.message}\n`);
      return 2;
    }
    process.stderr.write(`\nThe demo FAILED.\n${describe(error)}\n`);
    return 1;
  }
};

const describe = (error: unknown): string => {
  if (error instanceof AggregateError) return error.errors.map(describe).join('\n');
  return error instanceof Error ? error.message : String(error);
};

process.exitCode = await main();
