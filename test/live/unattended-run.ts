import { parseKernelCommandLine } from '../../rescue/cli/kernel-cmdline.ts';
import { BACKGROUND_JOBS } from '../../rescue/job/background.ts';
import { disks } from '../../rescue/job/disks.ts';
import type { AllJobs } from '../../rescue/job/jobs.ts';
import { runUnattended, type UnattendedOutcome } from '../../rescue/unattended.ts';
import type { Loop } from '../support/loop.ts';

export interface Heard {
  readonly outcome: UnattendedOutcome;
  readonly said: string;
  /** What was shown as progress. */
  readonly shown: string;
}

export interface Script {
  readonly jobs: AllJobs;
  readonly options: string;
  /** Called with everything that is said or shown; gives a key that is pressed now. */
  readonly press?: (text: string) => string | undefined;
}

/** The run without a person, with a clock and keys of the caller's. */
export const runWith = async ({ jobs, options, press }: Script): Promise<Heard> => {
  const said: string[] = [];
  const shown: string[] = [];
  const listeners = new Set<(key: string) => void>();
  let clock = 0;
  const hear = (text: string, where: string[]): void => {
    where.push(text);
    const key = press?.(text);
    if (key !== undefined) for (const listener of listeners) listener(key);
  };
  const parsed = parseKernelCommandLine(`holdfast.mode=unattended ${options}`);
  if (parsed.errors.length > 0) throw parsed.errors[0];
  const outcome = await runUnattended(parsed.options, {
    jobs,
    say: (text) => hear(text, said),
    show: (text) => hear(text, shown),
    note: () => {},
    onKey: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    sleep: async (time) => {
      clock += time;
    },
    now: () => clock,
    resolve: (path) => path,
  });
  return { outcome, said: said.join('\n'), shown: shown.join('') };
};

/** The real jobs, on a machine that has these disks only. */
export const jobsOn = (loops: readonly Loop[]): AllJobs => ({
  ...BACKGROUND_JOBS,
  disks: async () => {
    const all = await disks();
    return { disks: all.disks.filter(({ path }) => loops.some(({ device }) => device === path)) };
  },
});
