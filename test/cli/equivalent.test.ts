import test from 'ava';
import fc from 'fast-check';
import { type Invocation, parseArguments } from '../../rescue/cli/args.ts';
import { equivalentCommand, equivalentWords, quote } from '../../rescue/cli/equivalent.ts';
import { mustRun } from '../support/run.ts';
import { say } from './world.ts';

const parse = (argv: readonly string[]): Invocation => {
  const parsed = parseArguments(argv);
  if (!('invocation' in parsed)) throw new Error(JSON.stringify(parsed));
  return parsed.invocation;
};

/** What a shell makes of the line: the words behind the program's name. */
const shellWords = (line: string): string[] => {
  const script = line.replace(/^holdfast/, 'words');
  const { stdout } = mustRun('sh', ['-c', `words() { printf '%s\\0' "$@"; }; ${script}`]);
  return stdout.split('\0').slice(0, -1);
};

// No argument of a program can hold a zero byte.
const word = fc.oneof(
  fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => !text.includes('\0')),
  fc.constantFrom(
    "it's",
    '$(reboot)',
    '`id`',
    'a b',
    '-x',
    '--yes',
    '*',
    '~',
    '#',
    '!',
    '"',
    '\\',
    'a\nb',
    ';',
    '&&',
  ),
);
const name = word.filter((text) => text.trim() !== '' && !/\p{Cc}|\p{Cs}/u.test(text));
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
const flags = (...all: string[]) => fc.subarray(all);
const pair = (flag: string, value: string | undefined): string[] =>
  value === undefined ? [] : [flag, value];

const commandLine = fc.oneof(
  fc
    .tuple(
      word,
      optional(name),
      flags('--force-factory', '--dry-run', '--yes', '--json', '--keep-old'),
      optional(fc.nat()),
    )
    .map(([target, text, some, free]) => [
      'create',
      ...pair('--name', text),
      ...pair('--min-free', free === undefined ? undefined : `${free}`),
      ...some,
      '--',
      target,
    ]),
  fc
    .tuple(
      word,
      optional(word),
      optional(word),
      fc.array(word, { maxLength: 3 }),
      flags('--no-verify-after', '--companions', '--salvage'),
    )
    .map(([target, image, to, drops, some]) => [
      'restore',
      ...pair('--image', image),
      ...pair('--to', to),
      ...drops.flatMap((drop) => ['--drop', drop]),
      ...some,
      '--',
      target,
    ]),
);

test('a shell reads the equivalent command back as the same request', (t) => {
  fc.assert(
    fc.property(commandLine, (argv) => {
      const invocation = parse(argv);
      const words = shellWords(equivalentCommand(invocation));
      t.deepEqual(words, equivalentWords(invocation).slice(1));
      t.deepEqual(parse(words), invocation);
    }),
    { numRuns: 150 },
  );
});

test('one word stays one word', (t) => {
  fc.assert(
    fc.property(word, (text) => {
      t.deepEqual(shellWords(`holdfast ${quote(text)}`), [text]);
    }),
    { numRuns: 100 },
  );
  t.is(quote('/dev/sda2'), '/dev/sda2');
  t.is(quote(''), "''");
});

test('it is printed at the end, with the defaults of today, and --yes only if that was given', async (t) => {
  const expected: [string[], string][] = [
    [['create', 'd'], 'holdfast create d --kind user --codec zstd --level 1'],
    [['create', 'd', '--name', 'a b'], "holdfast create d --name 'a b' --kind user --codec zstd --level 1"],
    [['create', 'd', '--codec', 'store'], 'holdfast create d --kind user --codec store'],
    [
      ['create', 'd', '--min-free', '1M'],
      'holdfast create d --kind user --codec zstd --level 1 --min-free 1048576',
    ],
    [['list', 'd', '--progress', 'none'], 'holdfast list d --depth quick --progress none'],
    [['info', 'd', '--partition', '2'], 'holdfast info d --partition 2 --image latest'],
    [['verify', 'd', '--progress', 'auto'], 'holdfast verify d --image latest'],
    [
      ['restore', 'd', '--yes', '--no-verify-after', '--drop', 'x'],
      'holdfast restore d --image latest --drop x --no-verify-after --yes',
    ],
    [['remove', '--image', 'x', '--dry-run', '--', '-d'], 'holdfast remove --image x --dry-run -- -d'],
  ];
  for (const [argv, line] of expected) {
    const { stdout } = await say(argv);
    t.true(stdout.endsWith(`in one line:\n  ${line}\n`), stdout);
  }
  const asked = await say(['restore', 'd'], { terminal: true, answer: 'sda2' });
  t.notRegex(asked.stdout, /--yes/);
  const { stdout } = await say(['restore', 'd', '--yes', '--json']);
  t.is(JSON.parse(stdout).command, 'holdfast restore d --image latest --yes --json');
});
