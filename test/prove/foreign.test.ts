import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { refused } from '../../rescue/errors.ts';
import { bytesAt, patchBytes } from '../fs/fat/patching.ts';
import { mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeSpecimens, SPECIMENS } from './foreign/collection.ts';
import { type Examined, examine, JOBS, type Jobs } from './foreign/examine.ts';
import { judge, verdictChanges } from './foreign/judge.ts';
import { foreign } from './foreign/part.ts';
import { openCopy, subjectsOf } from './foreign/subject.ts';
import { prove } from './runner.ts';

const COMMAND = join(import.meta.dirname, 'foreign.ts');

const fat = (t: ExecutionContext): string => {
  const copy = join(temporaryFolder(t), 'volume');
  for (const { path } of makeSpecimens(t, ['FAT: one FAT, FAT12'], 1)) copyFileSync(path, copy);
  return copy;
};

const examined = (t: ExecutionContext, volume: string, jobs: Jobs): Promise<Examined> => {
  const file = join(temporaryFolder(t), basename(volume));
  copyFileSync(volume, file);
  const [subject] = subjectsOf(file, 'volume');
  return examine(t, file, subject!, jobs);
};

test.serial('a sample of the damaged volumes', async (t) => {
  const { failures, report } = await prove(foreign, { depth: 'sample', seed: 1, jobs: 1 });
  t.deepEqual(failures, []);
  const value = (what: string): number | undefined =>
    report.figures.find((each) => each.what === what)?.value;
  t.is(value('imaged, destroyed and restored'), 3);
  t.is(value('refused with a reason, not a byte changed'), 3);
});

test('there are as many as there have to be, and every one has a name of its own', (t) => {
  t.true(SPECIMENS.length >= 100);
  t.true(new Set(SPECIMENS.map(({ kind }) => kind)).size >= 20);
});

test.serial('jobs that do wrong are found out', async (t) => {
  const volume = fat(t);
  const right = await examined(t, volume, JOBS);
  t.deepEqual(right.faults, []);
  t.is(right.outcome, 'restored');
  t.true(right.compared > 100_000);

  const fails = async (what: RegExp, jobs: Partial<Jobs>): Promise<void> => {
    const { faults } = await examined(t, volume, { ...JOBS, ...jobs });
    t.true(
      faults.some((fault) => what.test(fault)),
      `${what}: ${faults.join('\n')}`,
    );
  };
  const declined = (wayOut?: string) =>
    refused('is not wanted', { code: 'planted', ...(wayOut === undefined ? {} : { wayOut }) });
  const spoil = (path: string, offset: number): void => {
    const [byte] = bytesAt(path, offset, 1);
    patchBytes(path, offset, Uint8Array.of(byte! ^ 1));
  };
  await fails(/refused after it had written/, {
    create: async (target) => {
      spoil(target, 300_000);
      throw declined('Do something else.');
    },
  });
  await fails(/no way out/, {
    create: async () => {
      throw declined();
    },
  });
  await fails(/neither worked nor refused: unfinished \(internal/, {
    create: async () => {
      throw new TypeError('planted');
    },
  });
  // The last bytes of the volume are free; in the first clusters are its files.
  const used = 60_000;
  await fails(/after restore/, {
    restore: async (target, request) => {
      const result = await JOBS.restore(target, request);
      spoil(target, used);
      return result;
    },
  });
  await fails(/not what it must be after create/, {
    create: async (target, request) => {
      const made = await JOBS.create(target, request);
      spoil(target, used);
      return made;
    },
  });
  await fails(/verdict changed with the restore/, {
    restore: async (target, request) => {
      const result = await JOBS.restore(target, request);
      // The dirty bit.
      spoil(target, 37);
      return result;
    },
  });
  await fails(/after remove/, {
    remove: async (target, request) => {
      const result = await JOBS.remove(target, request);
      spoil(target, used);
      return result;
    },
  });
});

test('a verdict has changed if a line came, went, or was said more often', (t) => {
  const verdict = (...lines: string[]) => ({ clean: true, lines });
  t.deepEqual(verdictChanges(verdict('a', 'b'), verdict('a', 'b')), []);
  t.deepEqual(verdictChanges(verdict('a', 'b'), verdict('b', 'c')), ['- a', '+ c']);
  t.deepEqual(verdictChanges(verdict('a'), verdict('a', 'a')), ['1 lines, then 2']);
  t.deepEqual(judge(t, 'nothing', { ...subjectOfNobody }), { clean: false, lines: [] });
});

const subjectOfNobody = {
  name: 'nothing',
  family: 'none',
  fileSystem: 'none',
  start: 0,
  size: 0,
  partition: undefined,
} as const;

test.serial(
  'a folder of packed images, a disk among them: a line for each, and nothing written there',
  (t) => {
    const folder = join(temporaryFolder(t), 'collection');
    mkdirSync(join(folder, 'deeper'), { recursive: true });
    const put = (name: string, to: string): string => {
      const path = join(folder, to);
      for (const made of makeSpecimens(t, [name], 1)) copyFileSync(made.path, path);
      return path;
    };
    mustRun('gzip', [put('FAT12: state: dirty, says the boot sector', 'a.img')]);
    mustRun('xz', ['-0', put('NTFS: version: 1.2', 'b.raw')]);
    mustRun('zstd', ['-q', '--rm', put('zeros only', 'deeper/c')]);
    put('MBR disk: cut short in the last partition', 'disk');
    // The extended and sparse end of a packed file comes back.
    const copy = openCopy(t, join(folder, 'deeper', 'c.zst'));
    t.is(readFileSync(copy).length, 8 * 2 ** 20);
    rmSync(copy);
    const listing = (): string =>
      mustRun('sh', ['-c', 'find "$1" -type f | sort | xargs sha256sum', 'sh', folder]).stdout;
    const before = listing();
    const result = run(process.execPath, [COMMAND, '--jobs', '1', folder]);
    t.is(result.exit, 0, result.stdout + result.stderr);
    t.is(listing(), before);
    const lines = result.stdout.trimEnd().split('\n');
    t.regex(lines[1]!, /^a\.img\.gz +FAT12 +not clean +fat\.not-clean +refused +-$/);
    t.regex(lines[2]!, /^b\.raw\.xz +ntfs +clean +ntfs\.version +refused +-$/);
    t.regex(lines[3]!, /^deeper\/c\.zst .* no judge +unknown-filesystem +refused +-$/);
    t.regex(result.stdout, /^disk, partition 1 .*(restored|refused)/m);
    t.false(/FAILED/.test(result.stdout));

    const empty = join(temporaryFolder(t), 'empty');
    mkdirSync(empty);
    t.is(run(process.execPath, [COMMAND, empty]).exit, 1, 'nothing was tried');
    t.is(run(process.execPath, [COMMAND]).exit, 2);
    truncateSync(join(folder, 'a.img.gz'), 100);
    t.is(
      run(process.execPath, [COMMAND, '--only', 'a.img', folder]).exit,
      1,
      'a file that cannot be unpacked',
    );
  },
);
