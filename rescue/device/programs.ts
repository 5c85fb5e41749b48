import { spawnSync } from 'node:child_process';

/** Longer than the kernel waits for a disk that does not answer (30 s, several tries). */
const TIMEOUT = 120_000;

/** These programs live in folders that are not on every PATH. */
const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  LC_ALL: 'C',
  PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`,
});

/**
 * Runs one of the usual programs for what Node has no call for (ioctl). Returns undefined if it succeeded, else what it
 * said; never throws.
 */
export const tryProgram = (program: string, args: readonly string[]): string | undefined => {
  const result = spawnSync(program, args, { encoding: 'utf8', timeout: TIMEOUT, env: environment() });
  if (result.error === undefined && result.status === 0) return undefined;
  const reason = result.error?.message ?? `${result.stderr ?? ''}`.trim();
  return reason === '' ? `${program} failed (exit ${result.status})` : reason;
};

/**
 * Makes the kernel forget what it has cached of a disk, so that the next read comes from the medium: a disk and its
 * partitions have separate page caches, and what was written through one is not seen through the other. Best effort.
 */
export const dropCachedPages = (path: string): void => {
  tryProgram('blockdev', ['--flushbufs', path]);
};
