import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readSize } from '../../rescue/cli/values.ts';
import { formatBytes, GIB } from '../../rescue/units.ts';
import { requireMachine } from '../demo/machine.ts';
import { type Cleanup, withCleanup } from '../support/cleanup.ts';
import { KINDS, type Kind, kindNamed } from './kinds.ts';
import { describeMachine, diskSpeed } from './limits.ts';
import { profileLines } from './profile.ts';
import {
  holdfastRound,
  type Program,
  peerRound,
  profiledProgram,
  programAt,
  type Round,
  SIDES,
  type Side,
} from './sides.ts';
import { makeSubject, type Subject } from './subject.ts';
import { type Results, summaryLines, toDocument } from './summary.ts';

/**
 * `npm run bench`: create and restore beside the usual program for a file system and zstd, on the same volume.
 *
 *   node test/bench/bench.ts [--kind ext4|ntfs]... [--size 1G] [--runs 3] [--program FILE] [--json] [--profile]
 *
 * --kind: all, unless given. --size: bytes of files. --program: an executable to measure, instead of the source. --json: one document on standard output. --profile: another round of ours in which Node
 * notes where the time goes. Progress is on standard error.
 */
const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const describe = (side: Side, { create, restore }: Round): string =>
  `  ${side}: create ${create.seconds.toFixed(1)} s, restore ${restore.seconds.toFixed(1)} s, both checked`;

const playAll = async (subject: Subject, program: Program, runs: number): Promise<Results['rounds']> => {
  const rounds: Record<Side, Round[]> = { holdfast: [], peer: [] };
  for (let index = 0; index < runs; index += 1) {
    say(`run ${index + 1} of ${runs}`);
    // Each goes first in turn: who comes second finds the machine as the first one left it.
    const order = index % 2 === 0 ? SIDES : [...SIDES].reverse();
    for (const side of order) {
      const round = side === 'holdfast' ? await holdfastRound(subject, program) : await peerRound(subject);
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
  kind: Kind,
  size: number,
  runs: number,
  path: string | undefined,
): Promise<[Results, Subject]> => {
  const machine = describeMachine();
  say(`making an ${kind.name} volume with ${formatBytes(size)} of files`);
  const subject = makeSubject(cleanup, kind, size);
  const sample = Math.min(size, GIB / 2);
  const before = diskSpeed(subject.folder, sample);
  const rounds = await playAll(subject, programAt(path), runs);
  const results: Results = {
    kind: kind.name,
    judges: kind.judges,
    peer: kind.peer,
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
      kind: { type: 'string', multiple: true },
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
  const kinds = values.kind?.map(kindNamed) ?? KINDS;
  const documents: unknown[] = [];
  for (const kind of kinds) {
    await withCleanup(async (cleanup) => {
      const [results, subject] = await bench(cleanup, kind, readSize(values.size), runs, values.program);
      if (values.json) documents.push(toDocument(results));
      else process.stdout.write(`${summaryLines(results).join('\n')}\n\n`);
      if (values.profile) for (const line of await profile(subject)) say(line);
    });
  }
  if (values.json) process.stdout.write(`${JSON.stringify(documents)}\n`);
};

await main().catch((error: unknown) => {
  say(`\nThe bench failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
