import test from 'ava';
import fc from 'fast-check';
import { FaultyDevice } from '../../rescue/device/faulty.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { Overlay } from '../../rescue/device/overlay.ts';
import { Recorder } from '../../rescue/device/recorder.ts';
import { onlyWrites, PatchBuilder } from '../../rescue/fs/patch.ts';

const SIZE = 16 * 512 + 100;
const edit = fc.record({
  offset: fc.nat(SIZE - 1),
  data: fc.uint8Array({ minLength: 1, maxLength: 2000 }),
  flush: fc.boolean(),
});
const edits = fc.array(edit, { maxLength: 30 });
const fitting = (offset: number, data: Uint8Array): Uint8Array => data.subarray(0, SIZE - offset);
const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index * 7);

test('reads see queued writes as if they had been done, and the base sees none', (t) => {
  fc.assert(
    fc.property(edits, fc.nat(SIZE), fc.nat(SIZE), (list, from, length) => {
      const base = MemoryDevice.of(pattern(SIZE));
      const direct = base.snapshot();
      const before = base.snapshot();
      const overlay = new Overlay(base);
      for (const { offset, data, flush } of list) {
        overlay.write(offset, fitting(offset, data));
        direct.write(offset, fitting(offset, data));
        if (flush) overlay.flush();
      }
      const wanted = Math.min(length, SIZE - from);
      t.deepEqual(overlay.read(from, wanted), direct.read(from, wanted));
      t.deepEqual([...base.differences(before)], []);
      overlay.commit(base);
      t.deepEqual([...base.differences(direct)], []);
      t.is(overlay.latest.size, 0);
    }),
  );
});

test('commit flushes after each group and never moves a write before an earlier flush', (t) => {
  const base = new Recorder(new MemoryDevice(64 * 512));
  const overlay = new Overlay(base);
  overlay.write(512 * 9, new Uint8Array(512).fill(1));
  overlay.write(512 * 2, new Uint8Array(512).fill(2));
  overlay.flush();
  overlay.flush();
  overlay.write(512 * 2, new Uint8Array(512).fill(3));
  overlay.commit(base);
  const seen = base.events.map((event) =>
    event.type === 'write' ? [event.offset / 512, event.data[0]] : event.type,
  );
  t.deepEqual(seen, [[2, 2], [9, 1], 'flush', [2, 3], 'flush']);
});

test('a failed commit keeps everything and can be repeated', (t) => {
  const base = new MemoryDevice(8 * 512);
  const overlay = new Overlay(base);
  overlay.write(0, Uint8Array.of(1));
  overlay.flush();
  overlay.write(1024, Uint8Array.of(2));
  t.throws(() => overlay.commit(new FaultyDevice(base, { cutAtWrite: 1 })), { message: /power failed/ });
  t.is(overlay.latest.size, 2);
  overlay.commit(base);
  t.deepEqual([base.read(0, 1)[0], base.read(1024, 1)[0]], [1, 2]);
});

test('drop forgets, and a base of another size is refused', (t) => {
  const base = MemoryDevice.of(pattern(SIZE));
  const overlay = new Overlay(base);
  overlay.write(5, Uint8Array.of(99));
  t.throws(() => overlay.commit(new MemoryDevice(SIZE + 1)), { message: /not the device/ });
  overlay.drop();
  t.deepEqual(overlay.read(0, SIZE), pattern(SIZE));
  t.deepEqual([...overlay.changes()], []);
});

test('changes are joined and cut at 1 MiB', (t) => {
  const overlay = new Overlay(new MemoryDevice(4 * 1024 * 1024));
  overlay.write(512, new Uint8Array(1024 * 1024 + 512).fill(1));
  overlay.write(3 * 1024 * 1024, Uint8Array.of(1));
  t.deepEqual(
    [...overlay.changes()].map(({ offset, data }) => [offset, data.length]),
    [
      [512, 1024 * 1024],
      [1024 * 1024 + 512, 512],
      [3 * 1024 * 1024, 512],
    ],
  );
});

test('a write into a sector that cannot be read changes nothing', (t) => {
  const base = new MemoryDevice(8 * 512);
  const broken = new FaultyDevice(base, { badReads: [{ start: 1030, length: 1 }] });
  const overlay = new Overlay(broken);
  t.throws(() => overlay.write(512, new Uint8Array(700)), { message: /cannot read.*byte position 1030/ });
  t.is(overlay.latest.size, 0);
});

test('a patch applied phase by phase gives the edited content; undone backwards, the old one', (t) => {
  fc.assert(
    fc.property(edits, (list) => {
      const base = MemoryDevice.of(pattern(SIZE));
      const before = base.snapshot();
      const direct = base.snapshot();
      const builder = new PatchBuilder(base);
      for (const { offset, data, flush } of list) {
        builder.write(offset, fitting(offset, data));
        direct.write(offset, fitting(offset, data));
        if (flush) builder.barrier();
      }
      const patch = onlyWrites(builder.build());
      const writes = patch.phases.flat();
      for (const write of writes) {
        t.deepEqual(base.read(write.offset, write.before.length), Uint8Array.from(write.before));
        base.write(write.offset, write.after);
      }
      t.deepEqual([...base.differences(direct)], []);
      for (const write of writes.reverse()) base.write(write.offset, write.before);
      t.deepEqual([...base.differences(before)], []);
    }),
  );
});

test('an edit that is taken back within its phase leaves no write', (t) => {
  const builder = new PatchBuilder(MemoryDevice.of(pattern(SIZE)));
  builder.write(10, Uint8Array.of(1, 2, 3));
  builder.write(10, pattern(SIZE).subarray(10, 13));
  t.deepEqual(builder.build().phases, []);
  t.throws(() => builder.write(SIZE, Uint8Array.of(1)), { instanceOf: RangeError });
});
