import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { cancelled, type HoldfastError, refused } from '../errors.ts';
import type { Intent } from '../job/results.ts';
import { intentLines } from './intent.ts';
import type { Output } from './output.ts';

/** Standard input, which may be a terminal. */
export type Input = Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };

export const noTerminal = (): HoldfastError =>
  refused('not confirmed: there is no terminal to ask on', {
    code: 'unconfirmed',
    wayOut: 'Run it on a terminal, or give --yes if you are sure.',
  });

/** Milliseconds for which input is thrown away before the question: more than a terminal takes to hand over what it has. */
const SETTLING = 150;
const CTRL_C = 3;

/**
 * Throws away what was typed before the question: nobody agrees to what was not shown. Raw for a moment, because a terminal
 * keeps back a line that is not ended yet. Throws `cancelled` on Ctrl-C, which is no signal meanwhile.
 */
const discardPending = async (input: Input, signal: AbortSignal): Promise<void> => {
  let stopped = false;
  const discard = (chunk: Uint8Array | string): void => {
    stopped ||= Buffer.from(chunk as string).includes(CTRL_C);
  };
  input.setRawMode?.(true);
  input.on('data', discard);
  try {
    await new Promise<void>((resolve) => setTimeout(resolve, SETTLING));
  } finally {
    input.off('data', discard);
    input.pause();
    input.setRawMode?.(false);
  }
  if (stopped || signal.aborted) throw cancelled('stopped on request', { code: 'cancelled' });
};

/** One line from `input`; undefined at its end. Throws `cancelled`. */
const readLine = (input: Input, signal: AbortSignal): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    if (input.readableEnded || input.destroyed) {
      resolve(undefined);
      return;
    }
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
 * Shows the plan and has the device's name typed afterwards, unless `--yes` was given. Throws `refused` (`unconfirmed`) on any
 * other answer, `cancelled` on Ctrl-C.
 */
export const askForName = async (intent: Intent, options: QuestionOptions): Promise<true> => {
  const { output, stdin, signal, width, canAsk, yes } = options;
  output.say(intentLines(intent, width).join('\n'));
  if (yes) return true;
  if (!canAsk) throw noTerminal();
  await discardPending(stdin, signal);
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
