import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openDisk } from '../../rescue/device/disk.ts';
import { createSparseFile, openFile } from '../../rescue/device/file.ts';
import { openTarget } from '../../rescue/device/target.ts';
import { MIB } from '../../rescue/units.ts';
import { attachLoop } from '../support/loop.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile } from '../support/volume.ts';

const TARGET = new URL('../../rescue/device/target.ts', import.meta.url).href;

/** Another process of this program that has `path` open for writing, until it is told to end. */
const writer = async (t: ExecutionContext, path: string) => {
  const script = `
    const { openTarget } = await import(${JSON.stringify(TARGET)});
    openTarget(process.argv[1], { write: true });
    console.log('open');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', () => reject(new Error('the other process ended')));
  });
  return {
    kill: () =>
      new Promise<void>((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGKILL');
      }),
  };
};

const lockOf = (path: string): string => {
  const { dev, ino } = statSync(path, { bigint: true });
  return `/run/holdfast-${dev}-${ino}.lock`;
};

const refusedInUse = (t: ExecutionContext, open: () => unknown): void => {
  const error = t.throws(open, { name: 'HoldfastError' });
  t.like(error, { kind: 'refused', detail: { code: 'in-use' } }, error?.message);
};

test('a file that another process writes is refused, by whatever name, until that process has ended', async (t) => {
  const folder = temporaryFolder(t);
  const path = makeFile(join(folder, 'disk'), MIB);
  symlinkSync(path, join(folder, 'link'));
  const other = await writer(t, path);
  for (const name of [path, join(folder, 'link')]) {
    refusedInUse(t, () => openTarget(name, { write: true }));
    refusedInUse(t, () => createSparseFile(name, MIB, { overwrite: true }));
    openTarget(name).close();
  }
  await other.kill();
  t.true(existsSync(lockOf(path)), 'it had no time to clean up');
  openTarget(path, { write: true }).close();
  t.false(existsSync(lockOf(path)));
});

test('the file below a loop device is kept from others as the device is', async (t) => {
  const path = makeFile(join(temporaryFolder(t), 'disk'), MIB);
  const loop = attachLoop(t, path);
  const other = await writer(t, loop.device);
  refusedInUse(t, () => openTarget(path, { write: true }));
  await other.kill();
  const file = await writer(t, path);
  refusedInUse(t, () => openDisk(loop.device, { write: true, exclusive: true }));
  await file.kill();
  openDisk(loop.device, { write: true, exclusive: true }).device.close();
});

test('the same process may open a file again; the lock goes with the last', (t) => {
  const path = makeFile(join(temporaryFolder(t), 'disk'), MIB);
  const [first, second] = [openFile(path, { write: true }), openFile(path, { write: true })];
  first.close();
  first.close();
  t.true(existsSync(lockOf(path)));
  second.close();
  t.false(existsSync(lockOf(path)));
  t.deepEqual(
    readdirSync('/run').filter((name) => name.startsWith(lockOf(path).slice('/run/'.length))),
    [],
  );
});

test('a lock of a process that has ended, or of another with its number, or that is none, is taken over', (t) => {
  const path = makeFile(join(temporaryFolder(t), 'disk'), MIB);
  for (const mark of ['4194305 17\n', '1 1\n', '', 'noise']) {
    writeFileSync(lockOf(path), mark);
    openFile(path, { write: true }).close();
    t.false(existsSync(lockOf(path)), mark);
  }
});
