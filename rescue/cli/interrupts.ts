/** What tells of signals: the process, or a stand-in. */
export interface SignalSource {
  on(event: NodeJS.Signals, listener: () => void): unknown;
  off(event: NodeJS.Signals, listener: () => void): unknown;
}

export interface Interrupts {
  /** Asks the job to stop at the next safe point. */
  readonly signal: AbortSignal;
  /** Settles when the person insists and nothing was written yet: the program may end at once. */
  readonly forced: Promise<void>;
  stop(): void;
}

/** A terminal that is closed is no reason to leave a partition half written either. */
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * The first signal asks the job to stop. A second Ctrl-C ends the program, unless the job may have begun to write:
 * then it says why it goes on.
 */
export const watchInterrupts = (
  source: SignalSource,
  options: { readonly say: (text: string) => void; readonly mayHaveWritten: () => boolean },
): Interrupts => {
  const controller = new AbortController();
  const forced = Promise.withResolvers<void>();
  const asked = (): void => {
    if (controller.signal.aborted) return;
    controller.abort();
    options.say('stopping at the next safe point...');
  };
  const onInterrupt = (): void => {
    if (!controller.signal.aborted) asked();
    else if (options.mayHaveWritten())
      options.say('it is not safe to kill the program now: it is writing, and stops as soon as it can');
    else forced.resolve();
  };
  const listeners = SIGNALS.map((name) => [name, name === 'SIGINT' ? onInterrupt : asked] as const);
  for (const [name, listener] of listeners) source.on(name, listener);
  return {
    signal: controller.signal,
    forced: forced.promise,
    stop: () => {
      for (const [name, listener] of listeners) source.off(name, listener);
    },
  };
};
