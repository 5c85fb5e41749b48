import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../../build/bundle.ts';

/** The words that start our program, for a job: Node's options may differ. */
export interface Program {
  readonly name: string;
  words(job: string): readonly string[];
}

const MAIN = join(PROJECT, 'rescue', 'main.ts');
export const EXECUTABLE = join(PROJECT, 'dist', 'holdfast');

export const SOURCE: Program = { name: 'rescue/main.ts, as source', words: () => [process.execPath, MAIN] };

/** An executable. Throws if there is none at this path. */
export const programAt = (path: string): Program => {
  if (!existsSync(path)) throw new Error(`there is no ${path}: npm run build makes dist/holdfast`);
  return { name: path.startsWith(PROJECT) ? path.slice(PROJECT.length + 1) : path, words: () => [path] };
};

/** From the source, with a profile of every thread in a folder for each job. */
export const profiled = (folderOf: (job: string) => string): Program => ({
  name: SOURCE.name,
  words: (job) => [process.execPath, '--cpu-prof', `--cpu-prof-dir=${folderOf(job)}`, MAIN],
});

/** What the executable is made of. */
const SOURCES = ['rescue', 'tui', 'build', 'package-lock.json'];

const newest = (path: string): number => {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
};

/** Whether the executable is there and no source is younger. */
export const isFresh = (executable: string, project = PROJECT): boolean =>
  existsSync(executable) &&
  SOURCES.every((name) => newest(join(project, name)) <= statSync(executable).mtimeMs);
