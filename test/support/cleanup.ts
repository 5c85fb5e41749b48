/**
 * Whoever makes something that outlives the process (a loop device, a mount, a folder) registers its undoing here at
 * once. Ava's `t` is a `Cleanup`: it runs the last registered function first, all of them, also after a failure.
 */
export interface Cleanup {
  teardown(undo: () => void): void;
}

/** For programs that are not tests (demo, bench): the same promise around one call of `body`. */
export const withCleanup = async <Result>(
  body: (cleanup: Cleanup) => Promise<Result> | Result,
): Promise<Result> => {
  const undos: (() => void)[] = [];
  const runAll = (): unknown[] => {
    const failures: unknown[] = [];
    for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
      try {
        undo();
      } catch (failure) {
        failures.push(failure);
      }
    }
    return failures;
  };
  // A person who presses Ctrl-C must not keep our mounts.
  const stop = (signal: NodeJS.Signals): void => {
    runAll();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  let result: Result;
  try {
    result = await body({ teardown: (undo) => undos.push(undo) });
  } catch (failure) {
    const others = runAll();
    if (others.length === 0) throw failure;
    throw new AggregateError([failure, ...others], 'failed, and so did the cleaning up');
  } finally {
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
  }
  const failures = runAll();
  if (failures.length > 0) throw new AggregateError(failures, 'cleaning up failed');
  return result;
};
