import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { withCleanup } from './cleanup.ts';
import { attachLoop, mountFile } from './loop.ts';
import { mustRun, run, runInBackground } from './run.ts';
import { sweepAbandoned, temporaryFolder } from './temporary.ts';
import { makeVolume } from './volume.ts';

const MIB = 1024 * 1024;
const loopsOf = (file: string): string => run('losetup', ['--associated', file]).stdout;
const isMounted = (path: string): boolean => run('findmnt', ['--mountpoint', path]).exit === 0;

test('a failure leaves no folder, loop device or mount behind', async (t) => {
  let folder = '';
  let file = '';
  let mounted = '';
  await t.throwsAsync(
    withCleanup((cleanup) => {
      folder = temporaryFolder(cleanup);
      file = makeVolume(join(folder, 'volume'), { size: 4 * MIB });
      attachLoop(cleanup, file, { readOnly: true });
      mounted = mountFile(cleanup, file).path;
      t.true(isMounted(mounted));
      t.is(loopsOf(file).trim().split('\n').length, 2);
      throw new Error('in the middle');
    }),
    { message: 'in the middle' },
  );
  t.false(isMounted(mounted));
  t.is(loopsOf(file), '');
  t.false(existsSync(folder));
});

test('cleaning up goes on after a failure of its own, and reports it', async (t) => {
  const done: number[] = [];
  await t.throwsAsync(
    withCleanup((cleanup) => {
      cleanup.teardown(() => done.push(1));
      cleanup.teardown(() => {
        throw new Error('stuck');
      });
      cleanup.teardown(() => done.push(2));
    }),
    { instanceOf: AggregateError },
  );
  t.deepEqual(done, [2, 1]);
});

test('what a killed process left is swept, what a living one uses is not', (t) => {
  const namespace = mustRun('readlink', ['/proc/self/ns/pid']).stdout.replace(/\D/g, '');
  // Process ids end at 4194304 (Linux, PID_MAX_LIMIT), so this one is surely gone.
  const abandoned = join(tmpdir(), `holdfast-test-${namespace}-9999999-${process.pid}`);
  mkdirSync(abandoned);
  const file = makeVolume(join(abandoned, 'volume'), { size: 4 * MIB });
  const device = mustRun('losetup', ['--find', '--show', file]).stdout.trim();
  mkdirSync(join(abandoned, 'mounted'));
  mustRun('mount', [device, join(abandoned, 'mounted')]);
  const alive = temporaryFolder(t);
  t.true(sweepAbandoned().includes(abandoned));
  t.false(existsSync(abandoned));
  t.is(loopsOf(file), '');
  t.true(existsSync(alive));
});

test('run: exit code, signal, both outputs, input', async (t) => {
  const script = 'cat; echo bad >&2; exit 3';
  const result = run('sh', ['-c', script], { input: 'in' });
  t.like(result, { exit: 3, signal: null, stdout: 'in', stderr: 'bad\n' });
  t.like(await runInBackground('sh', ['-c', script], { input: 'in' }), {
    exit: 3,
    stdout: 'in',
    stderr: 'bad\n',
  });
  t.like(run('sh', ['-c', 'kill -TERM $$']), { exit: null, signal: 'SIGTERM' });
  t.like(run('sleep', ['10'], { timeout: 50 }), { exit: null, signal: 'SIGKILL' });
  t.throws(() => run('no-such-program-here'), { message: /could not be run/ });
  t.throws(() => mustRun('sh', ['-c', script]), { message: /exit code 3[\s\S]*bad/ });
});

test('a folder that still holds a mount is not deleted through it', (t) => {
  const undos: (() => void)[] = [];
  const folder = temporaryFolder({ teardown: (undo) => undos.push(undo) });
  const file = makeVolume(join(folder, 'volume'), { size: 4 * MIB });
  const mount = mountFile(t, file);
  mkdirSync(join(folder, 'elsewhere'));
  mustRun('mount', ['--bind', mount.path, join(folder, 'elsewhere')]);
  writeFileSync(join(mount.path, 'precious'), '');
  t.throws(() => undos[0]!(), { message: /still mounted/ });
  t.true(existsSync(join(mount.path, 'precious')));
  mustRun('umount', [join(folder, 'elsewhere')]);
  undos[0]!();
  t.false(existsSync(folder));
});
