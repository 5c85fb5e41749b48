import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { cancelled, type HoldfastError, refused } from '../errors.ts';
import type { Intent } from '../job/results.ts';
import { intentLines } from './intent.ts';
import type { Output } from './output.ts';

/** Standard input, which may be a terminal. */
export type Input = Readable & { readonly isTTY?: boolean };

export const noTerminal = (): HoldfastError =>
  refused('not confirmed: there is no terminal to ask on', {
    code: 'unconfirmed',
    wayOut: 'Run it on a terminal, or give --yes if you are sure.',
  });

/** One line from `input`; undefined at its end. Throws `cancelled`. */
const readLine = (input: Input, signal: AbortSignal): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const lines = createInterface({ input, terminal: false });
    const onAbort = (): void => {
      reject(cancelled('stopped on request', { code: 'cancelled' }));
      lines.close();
    };
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    // Does nothing after a line or a cancellation.
    lines.once('close', () => {
      signal.removeEventListener('abort', onAbort);
      resolve(undefined);
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });

export interface QuestionOptions {
  readonly output: Output;
  readonly stdin: Input;
  readonly signal: AbortSignal;
  readonly width: number;
  /** Whether a person can see and answer a question. */
  readonly canAsk: boolean;
  readonly yes: boolean;
}

/**
 * Shows the plan and has the device's name typed, unless `--yes` was given. Throws `refused` (`unconfirmed`) on any
 * other answer, `cancelled` on Ctrl-C.
 */
export const askForName = async (intent: Intent, options: QuestionOptions): Promise<true> => {
  const { output, stdin, signal, width, canAsk, yes } = options;
  output.say(intentLines(intent, width).join('\n'));
  if (yes) return true;
  if (!canAsk) throw noTerminal();
  output.ask(`Type ${intent.deviceName} to go on; anything else stops here: `);
  const answer = await readLine(stdin, signal);
  output.log.write(answer === undefined ? '(end of input)' : `answer: ${answer}`);
  if (answer === intent.deviceName || answer?.trim() === intent.deviceName) return true;
  if (answer === undefined) output.say('');
  throw refused('not confirmed', {
    code: 'unconfirmed',
    expected: intent.deviceName,
    found: answer === undefined || answer.trim() === '' ? 'nothing' : answer,
  });
};
