import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { allocatePageAligned } from '../../rescue/device/direct.ts';
import { createSparseFile, openFile } from '../../rescue/device/file.ts';
import { Guard } from '../../rescue/device/guard.ts';
import { readSoon, readUncachedSoon, writeSoon } from '../../rescue/device/soon.ts';
import { Window } from '../../rescue/device/window.ts';
import { KIB } from '../../rescue/units.ts';
import { temporaryFolder } from '../support/temporary.ts';

const kindOf = async (transfer: Promise<void>): Promise<unknown> => {
  try {
    await transfer;
    return undefined;
  } catch (error) {
    return (error as { detail?: { code?: string } }).detail?.code ?? error;
  }
};

test('transfers that nobody waits for say the same as those that are waited for', async (t) => {
  const path = join(temporaryFolder(t), 'disk');
  const device = createSparseFile(path, 64 * KIB + 1000);
  t.teardown(() => device.close());
  const content = Uint8Array.from({ length: device.size }, (_, index) => (index * 31) ^ (index >> 8));
  const half = 30 * KIB;
  await Promise.all([
    writeSoon(device, half, content.subarray(half)),
    writeSoon(device, 0, content.subarray(0, half)),
  ]);
  device.flush();
  t.deepEqual(device.read(0, device.size), content);
  const aligned = allocatePageAligned(128 * KIB);
  for (const memory of [aligned, aligned.subarray(1), new Uint8Array(new SharedArrayBuffer(128 * KIB))]) {
    for (const [at, length] of [
      [0, 64 * KIB],
      [4 * KIB, 8 * KIB],
      [512, 4 * KIB],
      [60 * KIB, 4 * KIB + 1000],
    ] as const) {
      for (const read of [readSoon, readUncachedSoon]) {
        const target = memory.subarray(0, length).fill(0);
        await read(device, at, target);
        t.deepEqual(Uint8Array.from(target), content.subarray(at, at + length));
      }
    }
  }
});

test('their errors come through the promise', async (t) => {
  const path = join(temporaryFolder(t), 'disk');
  createSparseFile(path, 64 * KIB).close();
  const device = openFile(path);
  t.is(await kindOf(writeSoon(device, 0, new Uint8Array(512))), 'read-only');
  truncateSync(path, 32 * KIB);
  for (const target of [allocatePageAligned(64 * KIB), new Uint8Array(64 * KIB)]) {
    t.is(await kindOf(readSoon(device, 0, target)), 'short-read');
    t.is(await kindOf(readUncachedSoon(device, 0, target)), 'short-read');
    t.is(await kindOf(readSoon(device, 1, target)), 'beyond-end');
    t.is(await kindOf(readUncachedSoon(device, 1, target)), 'beyond-end');
  }
  device.close();
  t.is(await kindOf(readSoon(device, 0, new Uint8Array(512))), 'closed');
});

test('the guard refuses them through a window, too, and nothing of them is written', async (t) => {
  const device = createSparseFile(join(temporaryFolder(t), 'disk'), 64 * KIB);
  t.teardown(() => device.close());
  const guard = new Guard(device);
  guard.protect('one', {
    sealed: [{ start: 8192, length: 512 }],
    mutable: [{ start: 16_384, length: 512 }],
  });
  const window = new Window(guard, { start: 4096, length: 32 * KIB });
  const data = new Uint8Array(1024).fill(1);
  t.is(await kindOf(writeSoon(window, 4096 - 512, data)), 'guard.sealed');
  t.is(await kindOf(writeSoon(window, 12_288 - 512, data)), 'guard.mutable');
  t.is(await kindOf(writeSoon(window, 32 * KIB - 512, data)), 'beyond-end');
  t.deepEqual(device.read(0, 64 * KIB), new Uint8Array(64 * KIB));
  await writeSoon(window, 0, data);
  t.deepEqual(device.read(4096, 1024), data);
});
