import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test from 'ava';
import { intersect, totalLength } from '../../rescue/bytes/runs.ts';
import { MIB } from '../../rescue/units.ts';
import { attachLoop, mountFile } from '../support/loop.ts';
import { everythingSaid, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { damage } from './damage.ts';
import { type Results, resultLines, toDocument } from './document.ts';
import { fitsFat } from './fat32.ts';
import { kindNamed } from './kinds.ts';
import { parseZstdBenchmark } from './limits.ts';
import { bytesMoved, measure } from './measure.ts';
import { play } from './play.ts';
import { isFresh } from './program.ts';
import type { Contestant, Outcome, Row } from './rows/row.ts';
import { makeSubject, mustBeTheSame } from './subject.ts';
import { figuresOf, median } from './summary.ts';
import { WIDTH } from './table.ts';
import { type Goal, MEMORY_LIMIT } from './targets.ts';
import { judgeTarget, summariseRow } from './verdict.ts';

const NODE = process.execPath;

// One at a time: looking at a process takes a thread that nothing else blocks.
test.serial('peak memory and CPU time are those of the program measured', async (t) => {
  const waste = 'const b = Buffer.alloc(150e6, 1); while (process.cpuUsage().user < 4e5);';
  const large = await measure(t, '"$@"', [NODE, '-e', `${waste} console.log(b.length)`]);
  t.is(large.stdout, '150000000\n');
  t.is(large.processes.length, 1);
  t.true(large.peak > 150e6 && large.peak < 400e6, String(large.peak));
  t.true(large.cpu > 0.35 && large.cpu < 5, String(large.cpu));
  const { anonymous, file } = large.processes[0]!.resident;
  t.true(anonymous > 150e6 && file > MIB);
  const small = await measure(t, '"$@"', [NODE, '-e', 'setTimeout(() => {}, 300)']);
  t.true(large.peak - small.peak > 100e6);
});

test.serial('bytes moved are those that the kernel counted', async (t) => {
  const file = join(temporaryFolder(t), 'moved');
  const script = `require('fs').writeFileSync(process.argv[1], Buffer.alloc(4 << 20))`;
  // Two programs that end at once: nobody need have looked at them while they lived.
  const twice = '"$1" -e "$2" "$3"; "$1" -e "$2" "$3.more"';
  const { transferred } = await measure(t, twice, [NODE, script, file]);
  for (const bytes of [transferred.toDisk, transferred.written])
    t.true(bytes >= 8 * MIB && bytes < 9 * MIB, String(bytes));
});

test.serial('a pipeline is the sum of its programs, and fails if any of them does', async (t) => {
  const hold = 'setTimeout(() => {}, 400)';
  const both = await measure(t, '"$1" -e "$2" | "$1" -e "$2"', [NODE, hold]);
  t.is(both.processes.length, 2);
  t.is(both.peak, both.processes[0]!.peak + both.processes[1]!.peak);
  const error = await t.throwsAsync(measure(t, '"$1" -e "process.exit(3)" | cat; echo not reached', [NODE]));
  t.regex(error!.message, /exit code 3/);
});

test.serial('a restored volume with one wrong byte in one file does not pass', (t) => {
  const subject = makeSubject(t, kindNamed('ext4'), 2 * MIB);
  const loop = attachLoop(t, subject.pristine);
  t.notThrows(() => mustBeTheSame(t, subject, loop.device));
  loop.detach();
  const mount = mountFile(t, subject.pristine);
  const [name] = [...subject.files].find(([, each]) => each.get('type') === 'file')!;
  writeFileSync(join(mount.path, name), 'x', { flag: 'r+' });
  mount.unmount();
  const changed = attachLoop(t, subject.pristine);
  t.throws(() => mustBeTheSame(t, subject, changed.device), { message: /content was/ });
});

const took = (seconds: number, more: Partial<Outcome> = {}): Outcome => ({
  seconds,
  cpu: seconds / 2,
  peak: 200 * MIB,
  processes: [],
  transferred: { fromDisk: 0, toDisk: 0, read: 0, written: 0 },
  stdout: 'not for the document',
  ...more,
});

const contestant = (label: string, runs: readonly Outcome[]): Contestant => {
  const left = [...runs];
  return { label, run: () => Promise.resolve(left.shift()!) };
};

const USED = 50 * MIB;
const rowOf = (ours: readonly Outcome[], peer: readonly Outcome[], dd: readonly Outcome[]): Row => ({
  id: 'restore',
  bytes: USED,
  contestants: { ours: contestant('ours', ours), peer: contestant('theirs', peer), dd: contestant('dd', dd) },
});
const SILENT = { runs: 3, cache: 'cold', say: () => {} } as const;

const MACHINE = {
  cpus: 2,
  cpu: 'a processor',
  memory: 1024 * MIB,
  kernel: '6.1',
  node: 'v26',
  fileSystem: 'ext2/ext3',
  load: 0,
  partclone: '0.3.23',
  zstd: '1.5.4',
};
const SPEED = { write: 500e6, read: 1e9 };

const resultsOf = async (row: Row, machine = MACHINE): Promise<Results> => ({
  kind: 'ext4',
  about: 'made up',
  machine,
  limits: { disk: [SPEED, SPEED] },
  program: 'dist/holdfast',
  rows: [row],
  played: await play([row], SILENT),
});

test('a figure is that of the median, memory is the highest of all runs', async (t) => {
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 3]), 2.5);
  t.throws(() => median([]));
  const ours = [took(9), took(5, { peak: 250 * MIB }), took(6)];
  const row = rowOf(ours, [took(4), took(3), took(100)], [took(2), took(2), took(2)]);
  const results = await resultsOf(row);
  const [summary] = summariseRow(row, results.played);
  t.is(summary!.sides[0]!.figures.seconds, 6);
  t.is(summary!.sides[0]!.figures.peak, 250 * MIB);
  // 4 / 6 of 1.5 is nearer than 2 / 6 of 0.8.
  t.like(summary!.verdicts[0], { got: 4 / 6, reached: false, goal: { against: 'peer' } });
  t.true(Math.abs(summary!.verdicts[0]!.missedBy - (1 - 4 / 6 / 1.5)) < 1e-9);
  const text = resultLines(results).join('\n');
  t.regex(text, /^ {2}theirs +4\.00 s .* 0\.67$/m);
  t.regex(text, /MISSED by 56 %: 0\.67 times, to reach: 1\.5 times as fast as theirs/);
  t.regex(text, /reached: 250 MiB, to reach: at most 256 MiB resident/);
  t.notRegex(text, /CAREFUL/);
  for (const line of text.split('\n')) t.true(line.length <= WIDTH, line);
});

test('either goal of a target will do; too much memory and a busy machine are said', async (t) => {
  const ours = Array.from({ length: 3 }, () => took(2, { peak: MEMORY_LIMIT + MIB }));
  const row = rowOf(ours, [took(1), took(1), took(1)], [took(1.8), took(1.8), took(1.8)]);
  const text = resultLines(await resultsOf(row, { ...MACHINE, load: 3 })).join('\n');
  t.regex(text, /reached: 0\.90 times, to reach: 0\.8 times as fast as dd/);
  t.regex(text, /MISSED by 0\.39 %: 257 MiB/);
  t.regex(text, /CAREFUL/);
});

test('every kind of goal is judged by its own figure', (t) => {
  const moved = { fromDisk: 3 * MIB, toDisk: MIB, read: 0, written: 0 };
  const device = { read: 5 * MIB, written: 0 };
  const ours = figuresOf([took(2, { transferred: moved, device, stored: 10 })]);
  const sides = { ours, peer: figuresOf([took(5, { stored: 8 })]) };
  const judged = (goal: Goal) => judgeTarget([goal], USED, sides);
  t.like(judged({ what: 'speed', against: 'peer', atLeast: 2 }), { got: 2.5, reached: true, missedBy: 0 });
  t.like(judged({ what: 'stored', against: 'peer', atMost: 1.05 }), { got: 1.25, reached: false });
  t.like(judged({ what: 'read', atMost: 4 * MIB, unit: 'bytes' }), { got: 5 * MIB, reached: false });
  t.like(judged({ what: 'written', atMost: 0.02, unit: 'share' }), { got: 0.02, reached: true });
  t.like(judged({ what: 'seconds', atMost: 1 }), { got: 2, reached: false, missedBy: 1 });
  t.like(judged({ what: 'rate', atLeast: 2e9 }), { got: USED / 2, reached: false });
  t.like(judged({ what: 'rate', of: 'peer', atLeast: 1e6 }), { got: USED / 5, reached: true });
  t.is(judged({ what: 'rate', of: 'dd', atLeast: 1 }), undefined);
  t.is(judged({ what: 'speed', against: 'dd', atLeast: 1 }), undefined);
  t.deepEqual(bytesMoved(took(1, { transferred: moved, device, onlyDevice: true })), device);
});

test('contestants play in turns, one that is in two rows once, and warm as well where the disk is the limit', async (t) => {
  const order: string[] = [];
  const player = (label: string, cpu: number): Contestant => ({
    label,
    run: (cache) => {
      order.push(`${label} ${cache}`);
      return Promise.resolve(took(1, { cpu }));
    },
  });
  const [shared, waits, computes] = [player('shared', 0), player('waits', 0.1), player('computes', 64)];
  const rows: Row[] = [
    { id: 'restore', bytes: 1, contestants: { ours: waits, peer: shared } },
    { id: 'verify', bytes: 1, contestants: { ours: computes, peer: shared } },
  ];
  await play(rows, { ...SILENT, runs: 2, cache: 'auto' });
  const cold = ['waits cold', 'shared cold', 'computes cold'];
  const warm = ['waits warm', 'shared warm'];
  t.deepEqual(order, [...cold, ...cold.toReversed(), ...warm, ...warm.toReversed()]);
});

test('the nightly damage is the share that was asked for, in whole clusters and not in the image', (t) => {
  // A cluster in use and one that is not, by turns; then clusters that all are, in the middle of which the image lies.
  const used = [
    ...Array.from({ length: 32_000 }, (_, index) => ({ start: 4096 * 2 * index, length: 4096 })),
    { start: 4096 * 64_000, length: 4096 * 40_000 },
  ];
  const image = { start: 4096 * 70_000, length: 4096 * 8000 };
  const chosen = damage({ used, clusterSize: 4096 }, [image], 0.01);
  t.is(totalLength(chosen), 4096 * 640);
  t.is(totalLength(intersect(chosen, used)), totalLength(chosen));
  t.is(totalLength(intersect(chosen, [image])), 0);
  for (const { start, length } of chosen) t.is((start % 4096) + (length % 4096), 0);
  const runs = chosen.filter(({ start }) => start >= 4096 * 64_000);
  t.true(runs.length >= 20 && runs.length <= 21, `${runs.length} runs`);
  t.deepEqual(chosen, damage({ used, clusterSize: 4096 }, [image], 0.01));
});

test('files that FAT cannot hold are left out', (t) => {
  const folder = temporaryFolder(t);
  const paths = ['a', 'A', 'b:c', 'dot.', 'fine name.txt'].map((name) => join(folder, name));
  for (const path of paths) writeFileSync(path, '');
  symlinkSync('a', join(folder, 'link'));
  t.deepEqual(
    fitsFat([...paths, join(folder, 'link')]).map((path) => basename(path)),
    ['a', 'fine name.txt'],
  );
});

test('an executable that is older than a source, or missing, is not fresh', (t) => {
  const project = temporaryFolder(t);
  for (const name of ['rescue', 'tui', 'build']) mkdirSync(join(project, name));
  const source = join(project, 'rescue', 'main.ts');
  const executable = join(project, 'holdfast');
  for (const path of [source, join(project, 'package-lock.json')]) writeFileSync(path, '');
  t.false(isFresh(executable, project));
  writeFileSync(executable, '');
  const later = (path: string, seconds: number): void => utimesSync(path, seconds, seconds);
  later(source, 4e9);
  t.false(isFresh(executable, project));
  later(executable, 4e9 + 1);
  t.true(isFresh(executable, project));
});

test("zstd's own figures are read", (t) => {
  const text = '1#sample :  1000 ->\r 1#sample : 1000 -> 300 (x3.3),  402.5 MB/s, 1500.0 MB/s \n';
  t.deepEqual(parseZstdBenchmark(text), { compress: 402.5e6, decompress: 1500e6 });
  t.throws(() => parseZstdBenchmark('nothing'));
});

test('the document for machines has every run and every verdict', async (t) => {
  const runs = [took(9), took(5), took(6)];
  const text = JSON.stringify(toDocument(await resultsOf(rowOf(runs, runs, runs))));
  t.notRegex(text, /not for the document/);
  const document = JSON.parse(text);
  t.is(document.rows[0].runs[0].played[0].outcomes[1].seconds, 5);
  t.is(document.rows[0].summaries[0].verdicts[0].got, 1);
  t.is(document.memoryLimit, MEMORY_LIMIT);
});

test.serial('the scan with one thread and with two, in small', (t) => {
  const words = ['--source', '--size', '8M', '--runs', '1', '--json', '--kind', 'disk'];
  const result = run(NODE, [join(import.meta.dirname, 'bench.ts'), ...words, '--rows', 'locate-threads']);
  t.is(result.exit, 0, everythingSaid(result));
  const [{ rows, limits }] = JSON.parse(result.stdout);
  const { sides, verdicts } = rows[0].summaries[0];
  t.deepEqual(
    sides.map(({ role }: { role: string }) => role),
    ['ours', 'one'],
  );
  t.is(verdicts.length, 3);
  t.true(limits.cache.one > 0 && limits.cache.two > 0);
});

test.serial('npm run bench in small', (t) => {
  const words = ['--source', '--size', '8M', '--runs', '1', '--cache', 'cold', '--json'];
  const rows = ['--rows', 'create,restore,verify', '--kind', 'ext4', '--kind', 'ntfs', '--kind', 'fat32'];
  const result = run(NODE, [join(import.meta.dirname, 'bench.ts'), ...words, ...rows]);
  t.is(result.exit, 0, everythingSaid(result));
  const documents = JSON.parse(result.stdout);
  t.deepEqual(
    documents.map(({ kind }: { kind: string }) => kind),
    ['ext4', 'ntfs', 'fat32'],
  );
  for (const document of documents)
    for (const { summaries } of document.rows) {
      const [ours] = summaries[0].sides;
      t.true(ours.figures.seconds > 0 && ours.figures.peak > 40 * MIB, JSON.stringify(ours));
      t.true(ours.figures.read > MIB, JSON.stringify(ours));
      t.true(summaries[0].verdicts.length >= 2);
    }
});
