import test from 'ava';
import fc from 'fast-check';
import { normalise } from '../../rescue/bytes/runs.ts';
import type { Device } from '../../rescue/device/device.ts';
import { Guard } from '../../rescue/device/guard.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { Overlay } from '../../rescue/device/overlay.ts';
import { Window } from '../../rescue/device/window.ts';
import { HoldfastError } from '../../rescue/errors.ts';

const SIZE = 4096;
const extent = fc
  .tuple(fc.nat(SIZE - 1), fc.integer({ min: 1, max: 300 }))
  .map(([start, length]) => ({ start, length: Math.min(length, SIZE - start) }));
const extents = fc.array(extent, { maxLength: 8 });

/** One entry per byte: slow and plain, to judge the guard by. */
const bytesOf = (list: readonly { start: number; length: number }[]): Uint8Array => {
  const marks = new Uint8Array(SIZE);
  for (const { start, length } of list) marks.fill(1, start, start + length);
  return marks;
};
const touches = (marks: Uint8Array, at: { start: number; length: number }): boolean =>
  marks.subarray(at.start, at.start + at.length).includes(1);

const codeOf = (body: () => unknown): string | undefined => {
  try {
    body();
    return undefined;
  } catch (error) {
    if (error instanceof HoldfastError && error.kind === 'refused') return error.detail.code;
    throw error;
  }
};

test('no sealed or mutable byte ever changes by a plain write; every other write goes through whole', (t) => {
  fc.assert(
    fc.property(
      extents,
      extents,
      extents,
      fc.array(extent, { maxLength: 40 }),
      (one, two, mutable, writes) => {
        const base = new MemoryDevice(SIZE);
        const guard = new Guard(base);
        guard.protect('one', { sealed: one, mutable });
        guard.protect('two', { sealed: two });
        const sealed = bytesOf([...one, ...two]);
        const kept = bytesOf([...one, ...two, ...mutable]);
        const model = new Uint8Array(SIZE);
        for (const [index, at] of writes.entries()) {
          const data = new Uint8Array(at.length).fill(1 + (index % 255));
          const code = codeOf(() => guard.write(at.start, data));
          const wanted = touches(sealed, at)
            ? 'guard.sealed'
            : touches(kept, at)
              ? 'guard.mutable'
              : undefined;
          t.is(code, wanted);
          if (wanted === undefined) model.set(data, at.start);
        }
        t.true(Buffer.from(base.read(0, SIZE)).equals(model));
      },
    ),
  );
});

test('an opening lets through what lies wholly in it, and nothing sealed', (t) => {
  fc.assert(
    fc.property(extents, extents, extents, extent, (sealed, mutable, opened, at) => {
      const base = new MemoryDevice(SIZE);
      const guard = new Guard(base);
      guard.protect('image', { sealed, mutable });
      const marks = bytesOf(sealed);
      const data = new Uint8Array(at.length).fill(1);
      const write = (): string | undefined =>
        codeOf(() => guard.withOpened(opened, (device) => device.write(at.start, data)));
      const isOpen = normalise(opened).some(
        (each) => each.start <= at.start && each.start + each.length >= at.start + at.length,
      );
      if (opened.some((each) => touches(marks, each))) t.is(write(), 'guard.sealed');
      else if (touches(marks, at)) t.is(write(), 'guard.sealed');
      else t.is(write(), isOpen ? undefined : 'guard.not-opened');
      t.is(
        touches(base.read(0, SIZE), { start: 0, length: SIZE }),
        isOpen && !opened.some((e) => touches(marks, e)),
      );
    }),
  );
});

test('an opening is dead when its function is over, also by an exception, and opens nothing else meanwhile', (t) => {
  const guard = new Guard(new MemoryDevice(SIZE));
  guard.protect('image', { sealed: [{ start: 0, length: 512 }], mutable: [{ start: 512, length: 512 }] });
  const one = Uint8Array.of(1);
  let leaked: Device | undefined;
  t.throws(
    () =>
      guard.withOpened([{ start: 512, length: 512 }], (opened) => {
        leaked = opened;
        opened.write(600, one);
        t.is(
          codeOf(() => guard.write(600, one)),
          'guard.mutable',
        );
        throw new Error('stop');
      }),
    { message: 'stop' },
  );
  t.is(
    codeOf(() => leaked!.write(600, one)),
    'guard.closed',
  );
  t.deepEqual(guard.read(600, 1), one);
});

test('protection that grows during an opening counts', (t) => {
  const guard = new Guard(new MemoryDevice(SIZE));
  guard.withOpened([{ start: 0, length: 1024 }], (opened) => {
    opened.write(0, Uint8Array.of(1));
    guard.protect('late', { sealed: [{ start: 0, length: 1 }] });
    t.is(
      codeOf(() => opened.write(0, Uint8Array.of(2))),
      'guard.sealed',
    );
  });
  t.is(guard.read(0, 1)[0], 1);
});

test('giving up one image leaves the others protected', (t) => {
  const guard = new Guard(new MemoryDevice(SIZE));
  guard.protect('a', { sealed: [{ start: 0, length: 100 }] });
  guard.protect('b', { sealed: [{ start: 50, length: 100 }] });
  guard.giveUp('a');
  guard.write(0, new Uint8Array(50));
  t.is(
    codeOf(() => guard.write(49, new Uint8Array(2))),
    'guard.sealed',
  );
  t.is(
    codeOf(() => guard.giveUp('a')),
    'guard.unknown',
  );
  t.deepEqual(guard.images, ['b']);
});

test('windows and overlays above it are guarded too', (t) => {
  const guard = new Guard(new MemoryDevice(SIZE));
  guard.protect('a', { sealed: [{ start: 1024, length: 512 }] });
  t.is(
    codeOf(() => new Window(guard, { start: 1000, length: 100 }).write(0, new Uint8Array(25))),
    'guard.sealed',
  );
  const overlay = new Overlay(guard);
  overlay.write(1100, Uint8Array.of(1));
  t.is(
    codeOf(() => overlay.commit(guard)),
    'guard.sealed',
  );
});
