import test from 'ava';
import fc from 'fast-check';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { ReadableWindow, Window } from '../../rescue/device/window.ts';
import { GIB } from '../../rescue/units.ts';
import { codeOf } from '../support/code-of.ts';

test('behaves like an array of bytes, and snapshots stay as they were', (t) => {
  const size = 200_000;
  const write = fc.tuple(fc.nat(size - 1), fc.uint8Array({ minLength: 1, maxLength: 70_000, size: 'max' }));
  fc.assert(
    fc.property(fc.array(write, { maxLength: 6 }), fc.array(write, { maxLength: 6 }), (first, second) => {
      const device = new MemoryDevice(size);
      const model = new Uint8Array(size);
      const put = ([offset, data]: [number, Uint8Array]): void => {
        const fitting = data.subarray(0, size - offset);
        device.write(offset, fitting);
        model.set(fitting, offset);
      };
      first.forEach(put);
      const snapshot = device.snapshot();
      const then = Uint8Array.from(model);
      second.forEach(put);
      t.true(Buffer.from(device.read(0, size)).equals(model));
      t.true(Buffer.from(snapshot.read(0, size)).equals(then));
      for (const { start, length } of snapshot.differences(device)) {
        t.false(
          Buffer.from(then.subarray(start, start + length)).equals(model.subarray(start, start + length)),
        );
      }
      const differing = new Uint8Array(size);
      for (const { start, length } of snapshot.differences(device)) differing.fill(1, start, start + length);
      t.true(then.every((byte, index) => byte === model[index] || differing[index] === 1));
      snapshot.write(0, Uint8Array.of(model[0]! ^ 1));
      t.is(device.read(0, 1)[0], model[0]);
    }),
    { numRuns: 15 },
  );
});

test('several GiB take only what was written', (t) => {
  const device = new MemoryDevice(64 * GIB, 4096);
  device.write(63 * GIB, Uint8Array.of(1, 2, 3));
  const copy = device.snapshot();
  copy.write(5, Uint8Array.of(9));
  t.is(device.storedBytes, 65536);
  t.deepEqual([...copy.differences(device)], [{ start: 0, length: 4096 }]);
  t.deepEqual([...device.stored()], [{ start: 63 * GIB, length: 65536 }]);
});

test('a read is a copy that later writes do not change', (t) => {
  const device = MemoryDevice.of(Uint8Array.of(1, 2, 3));
  const bytes = device.read(0, 3);
  device.write(0, Uint8Array.of(7, 7, 7));
  t.deepEqual(bytes, Uint8Array.of(1, 2, 3));
});

test('ranges that are not wholly inside are io errors, taken before any memory is', (t) => {
  const device = new MemoryDevice(1000);
  const window = new Window(device, { start: 100, length: 50 });
  for (const [offset, length] of [
    [-1, 1],
    [1000, 1],
    [0, 1001],
    [0, 2 ** 52],
    [Number.MAX_SAFE_INTEGER, 1],
    [0.5, 1],
    [Number.NaN, 1],
    [1, -1],
    [Number.POSITIVE_INFINITY, 1],
  ] as const) {
    t.is(
      codeOf(() => device.read(offset, length)),
      'io:beyond-end',
      `${offset} ${length}`,
    );
    t.is(
      codeOf(() => window.read(offset, length)),
      'io:beyond-end',
      `${offset} ${length}`,
    );
  }
  t.is(
    codeOf(() => device.write(999, new Uint8Array(2))),
    'io:beyond-end',
  );
  t.is(
    codeOf(() => window.write(49, new Uint8Array(2))),
    'io:beyond-end',
  );
  t.is(
    codeOf(() => window.readInto(50, new Uint8Array(1))),
    'io:beyond-end',
  );
  t.is(
    codeOf(() => window.readUncachedInto(50, new Uint8Array(1))),
    'io:beyond-end',
  );
  t.is(device.read(1000, 0).length, 0);
});

test('a window shifts and touches nothing outside itself', (t) => {
  const device = MemoryDevice.of(Uint8Array.from({ length: 256 }, (_, index) => index));
  const window = new Window(
    new Window(device, { start: 64, length: 128 }),
    { start: 16, length: 8 },
    'inner',
  );
  t.is(window.name, 'inner');
  t.deepEqual(window.read(2, 3), Uint8Array.of(82, 83, 84));
  window.write(0, new Uint8Array(8).fill(255));
  t.deepEqual(device.read(79, 10), Uint8Array.of(79, 255, 255, 255, 255, 255, 255, 255, 255, 88));
  const into = new Uint8Array(8);
  window.readUncachedInto(0, into);
  t.deepEqual(into, new Uint8Array(8).fill(255));
});

test('a window that reaches outside its device is corrupt: tables on disks say so', (t) => {
  const device = new MemoryDevice(1000);
  for (const [start, length] of [
    [0, 1001],
    [1001, 0],
    [-1, 5],
    [999, 2],
    [2 ** 53, 1],
    [0, Number.NaN],
  ] as const) {
    t.is(
      codeOf(() => new ReadableWindow(device, { start, length })),
      'corrupt:window.outside',
      `${start} ${length}`,
    );
  }
  t.is(new ReadableWindow(device, { start: 1000, length: 0 }).size, 0);
});
