import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { readSize } from '../../rescue/cli/values.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { say } from './world.ts';

const WRONG: readonly (readonly [argv: readonly string[], says: RegExp])[] = [
  [['list'], /missing required argument 'TARGET'. See: holdfast list --help/],
  [['list', ''], /TARGET is empty. See: holdfast list --help/],
  [['list', 'x', 'y'], /too many arguments/],
  [['create', 'list', 'x'], /two commands, create and list/],
  [['bogus', 'x'], /unknown command 'bogus'. See: holdfast --help/],
  [['--depth', 'full', 'list', 'x'], /--depth must stand after the command/],
  [['--bogus'], /unknown option '--bogus'. See: holdfast --help/],
  [['create', 'x', '--bogus'], /unknown option '--bogus'. See: holdfast create --help/],
  [['list', 'x', '--yes'], /unknown option '--yes'/],
  [['verify', 'x', '--dry-run'], /unknown option '--dry-run'/],
  [['create', 'x', '--name'], /argument missing/],
  [['create', 'x', '--name', ''], /A name cannot be empty/],
  [['create', 'x', '--name', 'latest'], /choose another name/],
  [['create', 'x', '--name', 'factory'], /choose another name/],
  [['create', 'x', '--name', 'a\u0007'], /control characters/],
  [['create', 'x', '--name', 'a'.repeat(257)], /at most 256/],
  [['create', 'x', '--kind', 'spare'], /Allowed choices are user, factory/],
  [['create', 'x', '--codec', 'lz4'], /Allowed choices are zstd, xz, store/],
  [['create', 'x', '--level', '0'], /--level 0 does not fit --codec zstd/],
  [['create', 'x', '--level', '20'], /--level 20 does not fit --codec zstd/],
  [['create', 'x', '--codec', 'xz', '--level', '10'], /--level 10 does not fit --codec xz/],
  [['create', 'x', '--codec', 'store', '--level', '0'], /does not fit --codec store/],
  [['create', 'x', '--level', '1.5'], /Give a whole number/],
  [['create', 'x', '--level', '-1'], /Give a whole number/],
  [['create', 'x', '--min-free', 'plenty'], /Give a size such as/],
  [['create', 'x', '--keep-old', '--replace-first'], /contradict each other/],
  [['create', 'x', '--partition', '0'], /number of a partition/],
  [['create', 'x', '--partition', 'two'], /number of a partition/],
  [['list', 'x', '--depth', 'deep'], /Allowed choices are quick, full/],
  [['list', 'x', '--aid', ''], /A path cannot be empty/],
  [['info', 'x', '--aid-out'], /--aid-out/],
  [['info', 'x', '--image', ''], /Give latest, factory, an id or a name/],
  [['remove', 'x'], /required option '--image <SEL>' not specified/],
  [['restore', 'x', '--drop'], /argument missing/],
  [['restore', 'x', '--to', ''], /A path cannot be empty/],
  [['list', 'x', '--progress', 'loud'], /Allowed choices are auto, plain, json, none/],
  [['list', 'x', '--log', ''], /A path cannot be empty/],
  [['tui'], /needs a terminal on standard input and standard output/],
];

for (const [argv, says] of WRONG) {
  test(`wrong usage: holdfast ${JSON.stringify(argv.map((word) => word.slice(0, 20)))}`, async (t) => {
    const { exit, stdout, stderr, requests } = await say(argv);
    t.is(exit, 2);
    t.is(stdout, '');
    t.regex(stderr, /^holdfast: [^\n]+ See: holdfast ([a-z]+ )?--help\n$/, 'one line, with the way to help');
    t.regex(stderr, says);
    t.deepEqual(requests, [], 'no job was started');
  });
}

test('a screen is no document', async (t) => {
  const { exit, stdout, stderr } = await say(['tui', '--json'], { terminal: true });
  t.is(exit, 2);
  t.regex(stderr, /--json does not go with a screen/);
  t.like(JSON.parse(stdout), { error: { code: 2, reason: 'option.contradiction' } });
});

test('on a terminal, the screen runs to its end, and its log goes where it was asked for', async (t) => {
  const log = join(temporaryFolder(t), 'log');
  const screen = async (write: (text: string) => void): Promise<void> => write('seen');
  const { exit, stdout, stderr } = await say(['tui', '--log', log], { terminal: true, screen });
  t.like({ exit, stdout, stderr }, { exit: 0, stdout: '', stderr: '' });
  t.regex(readFileSync(log, 'utf8'), /Z seen\n.*Z exit code 0\n$/);
});

test('holdfast alone prints the help as an error, --help and --version as results', async (t) => {
  const alone = await say([]);
  t.is(alone.exit, 2);
  t.is(alone.stdout, '');
  t.regex(alone.stderr, /^Usage: holdfast /);
  const help = await say(['--help']);
  t.like(help, { exit: 0, stderr: '', stdout: alone.stderr });
  for (const argv of [['--version'], ['restore', '--version']]) {
    const version = await say(argv);
    t.is(version.exit, 0);
    t.regex(version.stdout, /^holdfast \d+\.\d+\.\d+\n$/);
  }
  for (const command of ['create', 'list', 'info', 'verify', 'restore', 'remove', 'tui']) {
    const { exit, stdout, requests } = await say([command, '--help']);
    t.is(exit, 0);
    t.regex(stdout, new RegExp(`^Usage: holdfast ${command} `));
    t.deepEqual(requests, []);
  }
});

const ask = async (argv: readonly string[]) => {
  const { requests, stderr } = await say([...argv]);
  if (requests[0] === undefined) throw new Error(stderr);
  const { confirm, ...request } = requests[0].request as { confirm?: unknown };
  return { job: requests[0].job, request };
};

test('every option reaches its job', async (t) => {
  t.deepEqual(await ask(['create', 'disk']), {
    job: 'create',
    request: {
      target: 'disk',
      kind: 'user',
      codec: { codec: 'zstd', level: 1 },
      keepOld: false,
      replaceFirst: false,
      forceFactory: false,
      dryRun: false,
    },
  });
  const words =
    'create disk --partition 3 --name master --kind factory --codec xz --level 9 --keep-old --force-factory --min-free 300M --dry-run --yes';
  t.deepEqual(await ask(words.split(' ')), {
    job: 'create',
    request: {
      target: 'disk',
      partition: 3,
      name: 'master',
      kind: 'factory',
      codec: { codec: 'xz', level: 9 },
      keepOld: true,
      replaceFirst: false,
      forceFactory: true,
      minFree: 300 * MIB,
      dryRun: true,
    },
  });
  t.like((await ask(['create', 'disk', '--replace-first'])).request, { replaceFirst: true });
  t.like((await ask(['create', 'disk', '--codec', 'store'])).request, {
    codec: { codec: 'store', level: 0 },
  });
  t.like((await ask(['create', 'disk', '--codec', 'xz'])).request, { codec: { codec: 'xz', level: 6 } });
  t.deepEqual(await ask(['list', 'disk']), { job: 'list', request: { target: 'disk', depth: 'quick' } });
  t.deepEqual(await ask(['list', 'disk', '--depth', 'full', '--partition', '1']), {
    job: 'list',
    request: { target: 'disk', depth: 'full', partition: 1 },
  });
  t.deepEqual(await ask(['info', 'a.hfi']), { job: 'info', request: { target: 'a.hfi', image: 'latest' } });
  t.deepEqual(await ask(['verify', 'disk', '--image', 'factory']), {
    job: 'verify',
    request: { target: 'disk', image: 'factory', repair: false },
  });
  t.deepEqual(await ask(['restore', 'disk', '--dry-run']), {
    job: 'restore',
    request: { target: 'disk', image: 'latest', drop: [], salvage: false, verifyAfter: true, dryRun: true },
  });
  const restore =
    'restore disk --image 3f2a --from a.hfi --to other --drop aa --drop bb --companions --salvage --no-verify-after --yes';
  t.deepEqual(await ask(restore.split(' ')), {
    job: 'restore',
    request: {
      target: 'disk',
      image: '3f2a',
      from: 'a.hfi',
      to: 'other',
      drop: ['aa', 'bb'],
      companions: true,
      salvage: true,
      verifyAfter: false,
      dryRun: false,
    },
  });
  t.deepEqual(await ask(['remove', '--image', 'old one', '--yes', '--', '-disk']), {
    job: 'remove',
    request: { target: '-disk', image: 'old one', dryRun: false },
  });
});

test('sizes', (t) => {
  const sizes: Record<string, number> = {
    '0': 0,
    '4096': 4096,
    '10B': 10,
    '1k': KIB,
    '1K': KIB,
    '1KiB': KIB,
    '1KB': 1000,
    '256M': 256 * MIB,
    '256 MiB': 256 * MIB,
    '256MB': 256_000_000,
    '1.5G': 1536 * MIB,
    '2T': 2 * 1024 ** 4,
    '7P': 7 * 1024 ** 5,
  };
  for (const [text, bytes] of Object.entries(sizes)) t.is(readSize(text), bytes, text);
  for (const text of ['', '-1', '1X', '1iB', 'M', '1e9', '0x10', '1,5G', '1 ', '9P', '99999999999999999'])
    t.throws(() => readSize(text), undefined, text);
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 }), (value) => {
      t.is(readSize(`${value}`), value);
      t.is(readSize(`${value}M`), value * MIB);
    }),
  );
});

test('help works as a word too', async (t) => {
  t.is((await say(['help'])).stdout, (await say(['--help'])).stdout);
  const create = await say(['help', 'create']);
  t.is(create.exit, 0);
  t.is(create.stdout, (await say(['create', '--help'])).stdout);
  t.is((await say(['help', 'krill'])).exit, 2);
});
