import { chmodSync, mkdirSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { ioFailure } from '../../rescue/device/failure.ts';
import { createSparseFile, openFile } from '../../rescue/device/file.ts';
import { openTarget } from '../../rescue/device/target.ts';
import { HoldfastError } from '../../rescue/errors.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { codeOf } from '../support/code-of.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

test('reads and writes exactly, at any offset, also past the cache and into shared memory', (t) => {
  const path = join(temporaryFolder(t), 'disk');
  // No multiple of a sector, and larger than the bounce buffer.
  const size = 2 * MIB + 12_345;
  const device = createSparseFile(path, size);
  t.teardown(() => device.close());
  const model = new Uint8Array(size);
  for (let at = 0; at < size; at += 1) model[at] = (at * 31 + (at >> 8)) & 255;
  device.write(0, model);
  const range = fc.tuple(fc.nat(size - 1), fc.nat(size));
  fc.assert(
    fc.property(range, fc.nat(size - 1), fc.uint8Array({ maxLength: 5000 }), ([start, want], at, data) => {
      const fitting = data.subarray(0, size - at);
      device.write(at, fitting);
      model.set(fitting, at);
      device.flush();
      const length = Math.min(want, size - start);
      const shared = new Uint8Array(new SharedArrayBuffer(length));
      device.readInto(start, shared);
      const uncached = new Uint8Array(length);
      device.readUncachedInto(start, uncached);
      const expected = model.subarray(start, start + length);
      t.true(Buffer.from(shared).equals(expected));
      t.true(Buffer.from(uncached).equals(expected));
    }),
    { numRuns: 60 },
  );
});

test('the tail of a file past the cache', (t) => {
  const folder = temporaryFolder(t);
  for (const size of [1, 511, 512, 513, 4095, 4096, 4097, MIB - 1, MIB + 1, MIB + 4097]) {
    const path = join(folder, `${size}`);
    writeFileSync(
      path,
      new Uint8Array(size).map((_, index) => index % 251),
    );
    const device = openFile(path);
    t.teardown(() => device.close());
    t.true(device.uncachedReads, 'the temporary folder is on a file system with O_DIRECT');
    for (const from of [0, size - 1, Math.floor(size / 2)]) {
      const found = new Uint8Array(size - from);
      device.readUncachedInto(from, found);
      t.true(
        found.every((byte, index) => byte === (from + index) % 251),
        `${size} from ${from}`,
      );
    }
    t.is(
      codeOf(() => device.readUncachedInto(0, new Uint8Array(size + 1))),
      'io:beyond-end',
    );
  }
});

test('without O_DIRECT reads are plain, and say so', (t) => {
  // procfs has no O_DIRECT.
  const device = openFile('/proc/version');
  t.teardown(() => device.close());
  t.false(device.uncachedReads);
});

test('a file that shrinks gives an io error with the position, not a short read', (t) => {
  const path = join(temporaryFolder(t), 'disk');
  writeFileSync(path, new Uint8Array(8 * KIB).fill(1));
  const device = openFile(path);
  t.teardown(() => device.close());
  truncateSync(path, 5000);
  for (const read of [
    () => device.read(4096, 4096),
    () => device.readUncachedInto(4096, new Uint8Array(4096)),
  ]) {
    const error = t.throws(read, { instanceOf: HoldfastError });
    t.is(error.kind, 'io');
    t.is(error.detail.code, 'short-read');
    t.is(error.detail.offset, 5000);
  }
});

test('read-only files are not written, closed ones neither read', (t) => {
  const path = join(temporaryFolder(t), 'disk');
  writeFileSync(path, 'abc');
  const device = openFile(path);
  t.is(
    codeOf(() => device.write(0, Uint8Array.of(1))),
    'refused:read-only',
  );
  device.flush();
  device.close();
  device.close();
  t.is(
    codeOf(() => device.read(0, 1)),
    'io:closed',
  );
  t.is(
    codeOf(() => device.readUncachedInto(0, new Uint8Array(1))),
    'io:closed',
  );
  t.is(
    codeOf(() => device.flush()),
    'io:closed',
  );
});

test('opening never creates, and takes regular files only', (t) => {
  const folder = temporaryFolder(t);
  mustRun('mkfifo', [join(folder, 'fifo')]);
  t.is(
    codeOf(() => openFile(join(folder, 'none'), { write: true })),
    'usage:target.missing',
  );
  t.is(
    codeOf(() => openFile(folder)),
    'usage:target.directory',
  );
  t.is(
    codeOf(() => openFile(join(folder, 'fifo'))),
    'usage:target.not-a-file',
  );
  t.is(
    codeOf(() => openFile('/dev/zero')),
    'usage:target.not-a-file',
  );
  writeFileSync(join(folder, 'file'), 'x');
  t.is(
    codeOf(() => openFile(join(folder, 'file'), { sectorSize: 513 })),
    'usage:sector-size',
  );
  t.is(openFile(join(folder, 'file'), { sectorSize: 4096 }).sectorSize, 4096);
});

test('a new sparse file takes no space, and an old one is overwritten only on request', (t) => {
  const path = join(temporaryFolder(t), 'disk');
  const device = createSparseFile(path, 3 * 1024 * MIB);
  device.write(MIB, Uint8Array.of(1));
  device.flush();
  device.close();
  t.is(statSync(path).size, 3 * 1024 * MIB);
  t.true(statSync(path).blocks * 512 < MIB);
  t.is(
    codeOf(() => createSparseFile(path, 10)),
    'refused:exists',
  );
  t.is(statSync(path).size, 3 * 1024 * MIB);
  const again = createSparseFile(path, 2 * MIB, { overwrite: true });
  t.teardown(() => again.close());
  t.is(again.read(MIB, 1)[0], 0);
  t.is(
    codeOf(() => createSparseFile(join(path, 'x'), 10)),
    'usage:target.missing',
  );
});

test('a size that the file system cannot hold leaves no file', (t) => {
  const path = join(temporaryFolder(t), 'disk');
  t.is(
    codeOf(() => createSparseFile(path, 2 ** 53 - 1)),
    'io:EFBIG',
  );
  t.false(statSync(path, { throwIfNoEntry: false }) !== undefined);
});

test('a full file system is an io error that names the errno and the position', (t) => {
  const small = join(temporaryFolder(t), 'small');
  mkdirSync(small);
  mustRun('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', small]);
  t.teardown(() => mustRun('umount', [small]));
  const device = createSparseFile(join(small, 'disk'), MIB);
  t.teardown(() => device.close());
  const error = t.throws(() => device.write(1000, new Uint8Array(512 * KIB)), { instanceOf: HoldfastError });
  t.deepEqual([error.kind, error.detail.code], ['io', 'ENOSPC']);
  // A part was accepted first, and the loop went on from there.
  t.true((error.detail.offset ?? 0) > 1000 && (error.detail.offset ?? 0) <= 256 * KIB);
  t.is((error.cause as NodeJS.ErrnoException).code, 'ENOSPC');
});

test('errno names become codes, other exceptions stay what they are', (t) => {
  for (const code of ['EIO', 'ENXIO', 'ENODEV', 'ENOSPC', 'EROFS']) {
    const cause = Object.assign(new Error('x'), { code });
    const error = ioFailure('read', 'disk', cause, 512);
    t.true(error instanceof HoldfastError);
    if (!(error instanceof HoldfastError)) return;
    t.deepEqual([error.kind, error.detail.code, error.detail.offset, error.cause], ['io', code, 512, cause]);
  }
  const bug = new TypeError('bug');
  t.is(ioFailure('read', 'disk', bug), bug);
  const argument = Object.assign(new TypeError('x'), { code: 'ERR_OUT_OF_RANGE' });
  t.is(ioFailure('read', 'disk', argument), argument);
});

test('what TARGET may be', (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'disk');
  writeFileSync(file, new Uint8Array(1024));
  writeFileSync(join(folder, 'empty'), '');
  symlinkSync('disk', join(folder, 'link'));
  symlinkSync('nowhere', join(folder, 'dangling'));
  mustRun('mkfifo', [join(folder, 'fifo')]);
  for (const write of [false, true]) {
    t.is(
      codeOf(() => openTarget(join(folder, 'none'), { write })),
      'usage:target.missing',
    );
    t.is(
      codeOf(() => openTarget(join(folder, 'dangling'), { write })),
      'usage:target.missing',
    );
    t.is(
      codeOf(() => openTarget(join(file, 'below'), { write })),
      'usage:target.missing',
    );
    t.is(
      codeOf(() => openTarget(folder, { write })),
      'usage:target.directory',
    );
    t.is(
      codeOf(() => openTarget(join(folder, 'empty'), { write })),
      'usage:target.empty',
    );
    t.is(
      codeOf(() => openTarget('/dev/zero', { write })),
      'usage:target.not-a-disk',
    );
    t.is(
      codeOf(() => openTarget(join(folder, 'fifo'), { write })),
      'usage:target.not-a-disk',
    );
  }
  const target = openTarget(join(folder, 'link'), { write: true, sectorSize: 4096 });
  t.teardown(() => target.close());
  t.deepEqual(
    [target.kind, target.writable, target.identity.size, target.device.sectorSize],
    ['file', true, 1024, 4096],
  );
  target.device.write(0, Uint8Array.of(1));
});

test('a file that nobody may write is refused for writing, also to root', (t) => {
  const file = join(temporaryFolder(t), 'disk');
  writeFileSync(file, new Uint8Array(1024));
  chmodSync(file, 0o444);
  t.is(
    codeOf(() => openTarget(file, { write: true })),
    'refused:read-only',
  );
  const target = openTarget(file);
  t.teardown(() => target.close());
  t.is(target.device.read(0, 1)[0], 0);
});
