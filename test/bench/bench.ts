import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readSize } from '../../rescue/cli/values.ts';
import { formatBytes, GIB } from '../../rescue/units.ts';
import { requireMachine } from '../demo/machine.ts';
import { type Cleanup, withCleanup } from '../support/cleanup.ts';
import { describeMachine, diskSpeed } from './limits.ts';
import { profileLines } from './profile.ts';
import {
  holdfastRound,
  type Program,
  partcloneRound,
  profiledProgram,
  programAt,
  type Round,
  SIDES,
  type Side,
} from './sides.ts';
import { makeSubject, type Subject } from './subject.ts';
import { type Results, summaryLines, toDocument } from './summary.ts';

/**
 * `npm run bench`: create and restore beside partclone and zstd on the same volume.
 *
 *   node test/bench/bench.ts [--size 1G] [--runs 3] [--program FILE] [--json] [--profile]
 *
 * --size: bytes of files. --program: an executable to measure, instead of the source. --json: one document on standard output. --profile: another round of ours in which Node
 * notes where the time goes. Progress is on standard error.
 */
const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const describe = (side: Side, { create, restore }: Round): string =>
  `  ${side}: create ${create.seconds.toFixed(1)} s, restore ${restore.seconds.toFixed(1)} s, both checked`;

const playAll = async (subject: Subject, program: Program, runs: number): Promise<Results['rounds']> => {
  const rounds: Record<Side, Round[]> = { holdfast: [], partclone: [] };
  for (let index = 0; index < runs; index += 1) {
    say(`run ${index + 1} of ${runs}`);
    // Each goes first in turn: who comes second finds the machine as the first one left it.
    const order = index % 2 === 0 ? SIDES : [...SIDES].reverse();
    for (const side of order) {
      const round =
        side === 'holdfast' ? await holdfastRound(subject, program) : await partcloneRound(subject);
      rounds[side].push(round);
      say(describe(side, round));
    }
  }
  return rounds;
};

const profile = async (subject: Subject): Promise<string[]> => {
  const folders = { create: join(subject.folder, 'create'), restore: join(subject.folder, 'restore') };
  for (const folder of Object.values(folders)) mkdirSync(folder);
  await holdfastRound(subject, profiledProgram(folders));
  return Object.entries(folders).flatMap(([job, folder]) => [
    '',
    `Where ${job} spent its time:`,
    ...profileLines(folder),
  ]);
};

const bench = async (
  cleanup: Cleanup,
  size: number,
  runs: number,
  path: string | undefined,
): Promise<[Results, Subject]> => {
  const machine = describeMachine();
  say(`making an ext4 volume with ${formatBytes(size)} of files`);
  const subject = makeSubject(cleanup, size);
  const sample = Math.min(size, GIB / 2);
  const before = diskSpeed(subject.folder, sample);
  const rounds = await playAll(subject, programAt(path), runs);
  const results: Results = {
    machine,
    disk: [before, diskSpeed(subject.folder, sample)],
    program: path ?? 'rescue/main.ts, as source',
    volumeBytes: subject.size,
    usedBytes: subject.usedBytes,
    files: subject.files.size,
    rounds,
  };
  return [results, subject];
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1G' },
      runs: { type: 'string', default: '3' },
      program: { type: 'string' },
      json: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: give 1, 2, 3, ...`);
  requireMachine();
  await withCleanup(async (cleanup) => {
    const [results, subject] = await bench(cleanup, readSize(values.size), runs, values.program);
    const lines = values.json ? [JSON.stringify(toDocument(results))] : summaryLines(results);
    process.stdout.write(`${lines.join('\n')}\n`);
    if (values.profile) for (const line of await profile(subject)) say(line);
  });
};

await main().catch((error: unknown) => {
  say(`\nThe bench failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
