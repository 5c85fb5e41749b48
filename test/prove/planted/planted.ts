import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from '../../support/cleanup.ts';
import { run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import type { Part } from '../part.ts';
import { FAULTS, type PlantedFault } from './faults.ts';

/**
 * A proof that cannot fail proves nothing. Each piece copies the project, plants one mistake into the copy, and runs a piece of
 * another part there, which must fail, with the words that belong to this mistake.
 */

const PROJECT = join(import.meta.dirname, '..', '..', '..');
const COPIED = ['rescue', 'test', 'tui', 'build', 'package.json', 'tsconfig.json'];
const TEN_MINUTES = 600_000;

/** The project with the mistake in it. Throws if what is to be replaced does not stand there exactly once. */
export const plant = (cleanup: Cleanup, { file, text, instead }: PlantedFault): string => {
  const folder = temporaryFolder(cleanup);
  for (const name of COPIED) cpSync(join(PROJECT, name), join(folder, name), { recursive: true });
  symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  const path = join(folder, file);
  const source = readFileSync(path, 'utf8');
  if (source.split(text).length !== 2) throw new Error(`${file} does not have exactly once: ${text}`);
  writeFileSync(
    path,
    source.replace(text, () => instead),
  );
  return folder;
};

/** What is wrong with how the proof took it; nothing if it saw the mistake, where it is. */
export const faultsOf = (cleanup: Cleanup, fault: PlantedFault): string[] => {
  const folder = plant(cleanup, fault);
  const words = ['test/prove/prove.ts', '--sample', '--only', fault.only, fault.part];
  const { exit, signal, stdout, stderr } = run(process.execPath, words, {
    cwd: folder,
    timeout: TEN_MINUTES,
  });
  if (exit !== 1)
    return [`the proof ended with ${signal ?? `exit code ${exit}`}, not 1: ${stderr.slice(-2000)}`];
  return fault.seen.test(stdout)
    ? []
    : [`the proof failed, but said nothing like ${fault.seen}: ${stdout.slice(-2000)}`];
};

export const planted: Part = {
  name: 'planted',
  pieces: (depth) =>
    (depth === 'full' ? FAULTS : FAULTS.slice(0, 1)).map(({ name }) => ({ name, work: name })),
  run: async ({ work }, cleanup) => {
    const fault = FAULTS.find(({ name }) => name === work);
    if (fault === undefined) throw new Error(`${work}: there is no such mistake`);
    const faults = faultsOf(cleanup, fault);
    return { counts: { planted: 1, seen: faults.length === 0 ? 1 : 0 }, faults };
  },
  report: (outcomes, sum) => ({
    figures: [
      { what: 'mistakes planted', value: sum('planted') },
      { what: 'seen, each in its place', value: sum('seen'), least: sum('planted') },
    ],
    tables: [
      {
        title: 'What was planted',
        head: ['mistake', 'where', 'seen by'],
        rows: outcomes.map(({ piece }) => {
          const { file, part, only } = FAULTS.find(({ name }) => name === piece.work)!;
          return [piece.name, `\`${file}\``, `${part}, "${only}"`];
        }),
      },
    ],
  }),
};
