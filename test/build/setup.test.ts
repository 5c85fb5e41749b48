import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { PROJECT } from '../../build/bundle.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/**
 * A clone with stand-ins for the programs that change a machine. Each notes its call in `calls`; apt-get "installs"
 * by adding to the list that dpkg-query looks into, unless the file `broken` exists; npm ends with the number in `npm`.
 */
const makeClone = (cleanup: Cleanup) => {
  const folder = temporaryFolder(cleanup);
  const path = (...parts: string[]): string => join(folder, ...parts);
  mkdirSync(path('build'));
  mkdirSync(path('bin'));
  copyFileSync(join(PROJECT, 'build/setup.sh'), path('build/setup.sh'));
  writeFileSync(path('package-lock.json'), '{"lock": 1}\n');
  writeFileSync(path('packages'), 'e2fsprogs\n');
  writeFileSync(path('calls'), '');
  const program = (name: string, ...lines: string[]): void => {
    writeFileSync(path('bin', name), ['#!/bin/sh', ...lines, ''].join('\n'));
    chmodSync(path('bin', name), 0o755);
  };
  program(
    'npm',
    `echo "npm $*" >>"${path('calls')}"`,
    `rm -rf "${path('node_modules')}"; mkdir "${path('node_modules')}"`,
    `exit "$(cat "${path('npm')}" 2>/dev/null || echo 0)"`,
  );
  program('dpkg-query', `for last; do :; done; grep -qx "$last" "${path('packages')}" && printf installed`);
  program(
    'apt-get',
    `echo "apt-get $*" >>"${path('calls')}"`,
    `[ ! -e "${path('broken')}" ] || { echo 'E: no such luck'; exit 100; }`,
    `for word; do echo "$word" >>"${path('packages')}"; done`,
  );
  const setup = (...uses: string[]) => {
    writeFileSync(path('calls'), '');
    const result = run('/bin/sh', [path('build/setup.sh'), ...uses], {
      cwd: '/',
      env: { PATH: `${path('bin')}:/usr/bin:/bin`, npm_execpath: '', npm_node_execpath: '' },
    });
    const calls = readFileSync(path('calls'), 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    return { ...result, calls };
  };
  return { path, setup };
};

test('first everything, then nothing, then only what changed', (t) => {
  const { path, setup } = makeClone(t);
  const first = setup();
  t.is(first.exit, 0, first.stderr);
  t.is(first.stdout, '');
  t.is(first.calls.length, 3);
  t.regex(first.calls[0]!, /^apt-get .* update$/);
  t.regex(first.calls[1]!, /^apt-get .* install --no-install-recommends libatomic1 .*\bfdisk attr acl$/);
  t.notRegex(first.calls[1]!, /e2fsprogs/, 'installed already');
  t.regex(first.calls[2]!, /^npm ci --include=dev/, 'npm starts the Node that needs what apt brings');
  t.like(setup(), { exit: 0, calls: [], stderr: '' });
  writeFileSync(path('package-lock.json'), '{"lock": 2}\n');
  t.is(setup().calls.length, 1);
  t.regex(setup('bench').calls.at(-1)!, /install --no-install-recommends .*\bpartclone\b/);
});

test('npm packages are installed again after an installation that failed or was cut off', (t) => {
  const { path, setup } = makeClone(t);
  setup();
  writeFileSync(path('package-lock.json'), '{"lock": 2}\n');
  writeFileSync(path('npm'), '1');
  const failed = setup();
  t.is(failed.exit, 1);
  t.regex(failed.stderr, /npm ci failed/);
  rmSync(path('npm'));
  t.is(setup().calls.length, 1);
  // Cut off: npm has removed node_modules and put some of it back.
  rmSync(path('node_modules'), { recursive: true });
  mkdirSync(path('node_modules', 'some'), { recursive: true });
  t.is(setup().calls.length, 1);
  t.false(existsSync(path('node_modules', 'some')));
});

test('a package that cannot be installed is an error, with all that apt said', (t) => {
  const { path, setup } = makeClone(t);
  writeFileSync(path('broken'), '');
  const result = setup();
  t.is(result.exit, 1);
  t.regex(result.stderr, /E: no such luck[\s\S]*could not install: .*fdisk/);
});

test('an unknown use is an error', (t) => {
  t.like(makeClone(t).setup('tset'), { exit: 2, calls: [] });
});
