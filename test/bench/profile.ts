import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** One thread's `--cpu-prof` file, the part that we read. Times in microseconds. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const selfTimes = ({ nodes, samples, timeDeltas }: CpuProfile): Map<string, number> => {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName || '(unnamed)'}${url === '' ? '' : ` ${basename(url)}:${lineNumber + 1}`}`,
    ]),
  );
  const times = new Map<string, number>();
  samples.forEach((id, index) => {
    const name = names.get(id) ?? '?';
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  });
  return times;
};

/** For each thread whose profile lies in `folder`: the functions in which most time was spent, with seconds. */
export const profileLines = (folder: string, most = 14): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .sort()
    .flatMap((name) => {
      const times = selfTimes(JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile);
      const sorted = [...times].sort((a, b) => b[1] - a[1]).slice(0, most);
      return [name, ...sorted.map(([what, time]) => `${(time / 1e6).toFixed(2).padStart(8)} s  ${what}`)];
    });
