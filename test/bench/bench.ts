import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readSize } from '../../rescue/cli/values.ts';
import { formatBytes, GIB, MIB } from '../../rescue/units.ts';
import { requireMachine } from '../demo/machine.ts';
import { type Cleanup, withCleanup } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { curveLines, measureCurve } from './curve.ts';
import { aboutVolume, type Results, resultLines, toDocument } from './document.ts';
import { type Kind, kindNamed } from './kinds.ts';
import { cacheSpeed, computeSpeed, describeMachine, diskSpeed } from './limits.ts';
import { CACHE_CHOICES, type CacheChoice, type PlayOptions, play } from './play.ts';
import { profileLines } from './profile.ts';
import { EXECUTABLE, type Program, profiled, programAt, SOURCE } from './program.ts';
import { createRow, storeRow } from './rows/create.ts';
import { locateRows } from './rows/locate.ts';
import { restoreRows } from './rows/restore.ts';
import type { Row } from './rows/row.ts';
import { verifyRow } from './rows/verify.ts';
import { Stage } from './stage.ts';
import { makeSubject } from './subject.ts';
import { ROW_IDS, type RowId, rowsNamed } from './targets.ts';

/** `npm run bench`: see README.md. Progress is on standard error, the tables or one JSON document on standard output. */
const USAGE = `node test/bench/bench.ts [--kind ext4|ntfs|fat32|disk]... [--rows NAME,...] [--size SIZE] [--runs 3]
    [--cache auto|cold|warm|both] [--source | --program FILE] [--json] [--profile] [--curve]`;

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

interface Settings extends PlayOptions {
  readonly wanted: readonly RowId[];
  readonly size: number | undefined;
  readonly program: Program;
}

/** Seconds of dd for the disk's own speed: not more than it takes to see it. */
const DISK_SAMPLE = GIB / 2;
/** Below this, rows that search whole disks do so on small ones: a try of the bench itself. */
const SERIOUS = 64 * MIB;
/** Bytes of the disk that is read at full depth. */
const WARM_DISK = 4 * GIB;

const benchVolume = async (cleanup: Cleanup, kind: Kind, settings: Settings): Promise<Results> => {
  const machine = describeMachine();
  const size = settings.size ?? readSize(kind.usualSize);
  say(`making an ${kind.name} volume with ${formatBytes(size)} of files`);
  const subject = makeSubject(cleanup, kind, size);
  const before = diskSpeed(subject.folder, Math.min(size, DISK_SAMPLE));
  const stage = new Stage(subject, settings.program);
  const restores = settings.wanted.includes('restore');
  const all = [createRow(stage, restores), storeRow(stage), ...restoreRows(stage), verifyRow(stage)];
  const rows = all.filter(({ id }) => settings.wanted.includes(id));
  const played = await play(rows, settings);
  return {
    kind: kind.name,
    about: aboutVolume({
      ...subject,
      kind: kind.name,
      files: subject.files.size,
      judges: kind.judges,
      runs: settings.runs,
    }),
    machine,
    limits: {
      disk: [before, diskSpeed(subject.folder, Math.min(size, DISK_SAMPLE))],
      compute: computeSpeed(subject.folder, stage.packed(), subject.usedBytes),
    },
    program: settings.program.name,
    rows,
    played,
  };
};

const benchDisk = async (cleanup: Cleanup, settings: Settings): Promise<Results> => {
  const machine = describeMachine();
  const folder = temporaryFolder(cleanup);
  const small = settings.size !== undefined && settings.size < SERIOUS;
  const warm = small ? SERIOUS : WARM_DISK;
  const sample = Math.min(warm, DISK_SAMPLE);
  const before = diskSpeed(folder, sample);
  const all: Row[] = locateRows(settings.program, folder, warm, small);
  const rows = all.filter(({ id }) => settings.wanted.includes(id));
  const played = await play(rows, settings);
  return {
    kind: 'disk',
    about: `Searching for images on disks of which only the partition table and the image are left, and all of a disk of ${formatBytes(warm)} in the page cache. Runs of each: ${settings.runs}.`,
    machine,
    limits: { disk: [before, diskSpeed(folder, sample)], cache: cacheSpeed(folder, sample) },
    program: settings.program.name,
    rows,
    played,
  };
};

const profile = (kind: Kind, settings: Settings): Promise<string[]> =>
  withCleanup(async (cleanup) => {
    const subject = makeSubject(cleanup, kind, settings.size ?? readSize(kind.usualSize));
    const folderOf = (job: string): string => join(subject.folder, `profile-${job}`);
    for (const job of ['create', 'verify', 'restore']) mkdirSync(folderOf(job));
    const stage = new Stage(subject, profiled(folderOf));
    const rows = [createRow(stage, true), restoreRows(stage)[0]!];
    for (const { contestants } of rows) await contestants.ours.run('cold');
    return ['create', 'restore'].flatMap((job) => [
      '',
      `Where ${job} spent its time:`,
      ...profileLines(folderOf(job)),
    ]);
  });

const DISK = 'disk';
/** What fits into ten minutes; the other kinds have a run of their own. */
const USUAL = ['ext4', DISK];

const options = {
  kind: { type: 'string', multiple: true },
  rows: { type: 'string' },
  size: { type: 'string' },
  runs: { type: 'string', default: '3' },
  cache: { type: 'string', default: 'cold' },
  source: { type: 'boolean', default: false },
  program: { type: 'string' },
  json: { type: 'boolean', default: false },
  profile: { type: 'boolean', default: false },
  curve: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const cacheNamed = (name: string): CacheChoice => {
  const choice = CACHE_CHOICES.find((each) => each === name);
  if (choice === undefined) throw new Error(`--cache ${name}: give one of ${CACHE_CHOICES.join(', ')}`);
  return choice;
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options });
  if (values.help) return void process.stdout.write(`${USAGE}\n`);
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: give 1, 2, 3, ...`);
  requireMachine();
  const settings: Settings = {
    runs,
    cache: cacheNamed(values.cache),
    wanted: values.rows === undefined ? ROW_IDS : rowsNamed(values.rows),
    size: values.size === undefined ? undefined : readSize(values.size),
    program: values.source ? SOURCE : programAt(values.program ?? EXECUTABLE),
    say,
  };
  if (values.curve) {
    process.stdout.write(`${curveLines(await measureCurve(settings.program, say)).join('\n')}\n`);
    return;
  }
  const isSearch = (id: RowId): boolean => id.startsWith('locate');
  const names = values.kind ?? USUAL;
  const documents: unknown[] = [];
  const startedAt = performance.now();
  for (const name of names) {
    const search = name === DISK;
    const kind = search ? undefined : kindNamed(name);
    if (!settings.wanted.some((id) => isSearch(id) === search)) continue;
    const results = await withCleanup((cleanup) =>
      kind === undefined ? benchDisk(cleanup, settings) : benchVolume(cleanup, kind, settings),
    );
    if (values.json) documents.push(toDocument(results));
    else process.stdout.write(`${resultLines(results).join('\n')}\n\n`);
    if (values.profile && kind !== undefined) for (const line of await profile(kind, settings)) say(line);
  }
  if (values.json) process.stdout.write(`${JSON.stringify(documents)}\n`);
  say(`the bench took ${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes`);
};

await main().catch((error: unknown) => {
  say(`\nThe bench failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
