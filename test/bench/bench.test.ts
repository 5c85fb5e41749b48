import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import { attachLoop, mountFile } from '../support/loop.ts';
import { everythingSaid, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { kindNamed } from './kinds.ts';
import { type Measurement, measure } from './measure.ts';
import { makeSubject, mustBeTheSame } from './subject.ts';
import { MEMORY_LIMIT, median, type Results, summarise, summaryLines, toDocument } from './summary.ts';

const NODE = process.execPath;

// One at a time: looking at a process takes a thread that nothing else blocks.
test.serial('peak memory and CPU time are those of the program measured', async (t) => {
  const waste = 'const b = Buffer.alloc(150e6, 1); const end = Date.now() + 400; while (Date.now() < end);';
  const large = await measure(t, '"$@"', [NODE, '-e', `${waste} console.log(b.length)`]);
  t.is(large.stdout, '150000000\n');
  t.is(large.processes.length, 1);
  t.true(large.peak > 150e6 && large.peak < 400e6, String(large.peak));
  t.true(large.cpu > 0.2 && large.cpu < 5, String(large.cpu));
  const { anonymous, file } = large.processes[0]!.resident;
  t.true(anonymous > 150e6 && file > MIB);
  const small = await measure(t, '"$@"', [NODE, '-e', 'setTimeout(() => {}, 300)']);
  t.true(large.peak - small.peak > 100e6);
});

test.serial('bytes moved are those that the kernel counted', async (t) => {
  const file = join(temporaryFolder(t), 'moved');
  const script = `require('fs').writeFileSync(process.argv[1], Buffer.alloc(8 << 20)); setTimeout(() => {}, 500)`;
  const { processes } = await measure(t, '"$@"', [NODE, '-e', script, file]);
  const { toDisk, written } = processes[0]!.transferred;
  for (const bytes of [toDisk, written]) t.true(bytes >= 8 * MIB && bytes < 9 * MIB, String(bytes));
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

const took = (seconds: number, peak: number): Measurement => ({
  seconds,
  cpu: seconds / 2,
  peak,
  processes: [
    {
      name: 'node',
      peak,
      cpu: 1,
      resident: { anonymous: peak, file: 0, shared: 0 },
      transferred: { fromDisk: 0, toDisk: 0, read: 0, written: 0 },
    },
  ],
  stdout: 'not for the document',
});
const round = (create: number, restore: number, peak: number) => ({
  create: took(create, peak),
  restore: took(restore, peak),
  stored: 10 * MIB,
});
const RESULTS: Results = {
  kind: 'ext4',
  judges: 'e2fsck, all files',
  peer: kindNamed('ext4').peer,
  machine: {
    cpus: 2,
    cpu: 'a processor',
    memory: 1024 * MIB,
    kernel: '6.1',
    node: 'v26',
    fileSystem: 'ext2/ext3',
    load: 0,
    partclone: '0.3.23',
    zstd: '1.5.4',
  },
  disk: [
    { write: 500e6, read: 1e9 },
    { write: 400e6, read: 1e9 },
  ],
  program: 'rescue/main.ts, as source',
  volumeBytes: 100 * MIB,
  usedBytes: 50 * MIB,
  files: 1000,
  rounds: {
    holdfast: [round(9, 4, 200 * MIB), round(5, 6, 250 * MIB), round(6, 5, 240 * MIB)],
    peer: [round(4, 2, 20 * MIB), round(3, 2, 20 * MIB), round(100, 2, 20 * MIB)],
  },
};

test('ratios are those of medians, memory is the highest of all runs', (t) => {
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 3]), 2.5);
  t.throws(() => median([]));
  const { create, restore } = summarise(RESULTS);
  t.is(create.ratio, 6 / 4);
  t.is(restore.ratio, 5 / 2);
  t.is(create.holdfast.peak, 250 * MIB);
  const text = summaryLines(RESULTS).join('\n');
  t.regex(text, /holdfast create .* 6\.0 s .* 1\.50$/m);
  t.regex(text, /holdfast restore .* 5\.0 s .* 2\.50$/m);
  t.regex(text, /^Within the limit of 256 MiB\.$/m);
  t.notRegex(text, /CAREFUL/);
  for (const line of text.split('\n')) t.true(line.length <= 80, line);
});

test('too much memory and a busy machine are said', (t) => {
  const over = { ...RESULTS.rounds, holdfast: [round(1, 1, MEMORY_LIMIT + 1)] };
  const text = summaryLines({
    ...RESULTS,
    machine: { ...RESULTS.machine, load: 3 },
    rounds: over,
  }).join('\n');
  t.regex(text, /^OVER the limit of 256 MiB: create, restore\.$/m);
  t.regex(text, /CAREFUL/);
});

test('the document for machines has every run and both ratios', (t) => {
  const text = JSON.stringify(toDocument(RESULTS));
  t.notRegex(text, /not for the document/);
  const document = JSON.parse(text);
  t.is(document.summary.create.ratio, 1.5);
  t.is(document.rounds.holdfast[1].restore.seconds, 6);
  t.is(document.memoryLimit, MEMORY_LIMIT);
});

test.serial('npm run bench in small', (t) => {
  const result = run(NODE, [join(import.meta.dirname, 'bench.ts'), '--size', '8M', '--runs', '1', '--json']);
  t.is(result.exit, 0, everythingSaid(result));
  const documents = JSON.parse(result.stdout);
  t.deepEqual(
    documents.map(({ kind }: { kind: string }) => kind),
    ['ext4', 'ntfs'],
  );
  for (const { summary, rounds } of documents) {
    t.true(summary.create.ratio > 0 && summary.restore.ratio > 0);
    const [ours] = rounds.holdfast;
    // What the kernel kept and what the program says of itself are the same measure, taken a little earlier.
    for (const job of ['create', 'restore']) {
      t.true(
        Math.abs(ours[job].peak - ours.ownPeak[job]) < 16 * MIB,
        `${ours[job].peak} ${ours.ownPeak[job]}`,
      );
    }
  }
});
