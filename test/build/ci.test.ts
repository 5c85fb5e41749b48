import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { PROJECT } from '../../build/bundle.ts';
import { type RunResult, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A stand-in for the boot tests: ava's closing line for one test that passes. */
const ONE_BOOTS = 'echo "  1 test passed"';

/** What `.ci/run` makes of a project with these test files; `check`, `build` and `boot` are the given commands. */
const ci = (
  t: Parameters<typeof temporaryFolder>[0],
  files: Record<string, string>,
  { check = 'true', build = 'true', boot = ONE_BOOTS } = {},
): RunResult & { lastLine: string | undefined } => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, '.ci'));
  copyFileSync(join(PROJECT, '.ci/run'), join(folder, '.ci/run'));
  chmodSync(join(folder, '.ci/run'), 0o755);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const ava = join(PROJECT, 'node_modules/.bin/ava');
  const scripts = { test: `"${process.execPath}" "${ava}"`, check, build, 'test:boot': boot };
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ type: 'module', scripts, ava: { files: ['*.test.js'] } }),
  );
  mkdirSync(join(folder, 'node_modules'));
  run('ln', ['-s', join(PROJECT, 'node_modules/ava'), join(folder, 'node_modules/ava')]);
  // The outer ava's settings are not for the inner one.
  const result = run('bash', [join(folder, '.ci/run')], {
    env: { AVA_PATH: '', NODE_ENV: '', FORCE_COLOR: '1', CI: '1' },
  });
  return { ...result, lastLine: result.stdout.trimEnd().split('\n').at(-1) };
};

const TWO_PASS = `import test from 'ava'; test('a', (t) => t.pass()); test('b', (t) => t.pass());`;
const ONE_OF_TWO_FAILS = `import test from 'ava'; test('c', (t) => t.pass()); test('d', (t) => t.fail());`;

test('all pass', (t) => {
  const result = ci(t, { 'one.test.js': TWO_PASS });
  t.like(result, { exit: 0, lastLine: '3 passed, 0 failed' });
  t.regex(result.stdout, /^\s*2 tests passed$/m, "ava's own closing line");
});

test('one fails: counted, and the exit code is passed on', (t) => {
  t.like(ci(t, { 'one.test.js': TWO_PASS, 'two.test.js': ONE_OF_TWO_FAILS }), {
    exit: 1,
    lastLine: '4 passed, 1 failed',
  });
});

test('no test ran: a failure', (t) => {
  const result = ci(t, {});
  t.not(result.exit, 0);
  t.is(result.lastLine, '1 passed, 1 failed');
  t.regex(result.stdout, /find any files to test/);
});

test('a crash outside of any test: a failure', (t) => {
  const crash = `import test from 'ava'; test('a', (t) => t.pass()); setTimeout(() => { throw new Error('late'); }, 0);`;
  const result = ci(t, { 'one.test.js': TWO_PASS, 'two.test.js': crash });
  t.not(result.exit, 0);
  t.regex(result.lastLine ?? '', /passed, 1 failed$/);
  t.not(ci(t, { 'one.test.js': TWO_PASS, 'two.test.js': 'process.exit(7)' }).exit, 0);
});

test('a failed check or build: the tests are still counted, the exit code is 1', (t) => {
  t.like(ci(t, { 'one.test.js': TWO_PASS }, { check: 'false' }), { exit: 1, lastLine: '3 passed, 0 failed' });
  t.like(ci(t, { 'one.test.js': TWO_PASS }, { build: 'false' }), { exit: 1, lastLine: '3 passed, 0 failed' });
});

test('the boot tests are counted too; when they fail, end badly or do not run, so does the whole', (t) => {
  const files = { 'one.test.js': TWO_PASS };
  const oneFails = 'echo "  1 test passed"; echo "  2 tests failed"; exit 5';
  t.like(ci(t, files, { boot: oneFails }), { exit: 5, lastLine: '3 passed, 2 failed' });
  t.like(ci(t, files, { boot: `${ONE_BOOTS}; exit 3` }), { exit: 3, lastLine: '3 passed, 1 failed' });
  t.like(ci(t, files, { boot: 'true' }), { exit: 1, lastLine: '2 passed, 1 failed' });
});

test('boot tests run after a failure of the others, whose exit code is kept', (t) => {
  t.like(ci(t, { 'two.test.js': ONE_OF_TWO_FAILS }, { boot: `${ONE_BOOTS}; exit 3` }), {
    exit: 1,
    lastLine: '2 passed, 2 failed',
  });
});

test('the boot tests are none of those that `npm test` runs, and have a script of their own', (t) => {
  const { scripts, ava } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
  t.true(ava.files.includes('!test/boot/**'));
  t.regex(scripts['test:boot'], /test\/boot\/ava\.config\.js/);
  t.is(scripts['pretest:boot'], 'sh build/setup.sh boot');
});
