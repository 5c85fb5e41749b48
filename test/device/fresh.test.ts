import test from 'ava';
import fc from 'fast-check';
import { CountingDevice } from '../../rescue/device/counting.ts';
import { FreshDevice, isUnwritten } from '../../rescue/device/fresh.ts';
import { Guard } from '../../rescue/device/guard.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { writeSoon } from '../../rescue/device/soon.ts';
import { HoldfastError } from '../../rescue/errors.ts';
import { KIB, MIB } from '../../rescue/units.ts';

const TIB = 1024 * 1024 * MIB;

test('what counts as unwritten is zeros, and what is far from every write counts as unwritten', async (t) => {
  const size = 3 * MIB + 512;
  const range = fc.tuple(fc.nat(size), fc.nat(300 * KIB));
  await fc.assert(
    fc.asyncProperty(
      fc.array(range, { maxLength: 6 }),
      fc.array(range, { minLength: 20 }),
      async (writes, asked) => {
        const memory = new MemoryDevice(size);
        const device = new Guard(new CountingDevice(new FreshDevice(memory)));
        const clipped = ([start, length]: [number, number]) => ({
          start,
          length: Math.min(length, size - start),
        });
        for (const [index, { start, length }] of writes.map(clipped).entries()) {
          const data = new Uint8Array(length).fill(0xa5);
          if (index % 2 === 0) device.write(start, data);
          else await writeSoon(device, start, data);
        }
        for (const { start, length } of asked.map(clipped)) {
          const said = isUnwritten(device, start, length);
          if (said) t.true(Buffer.compare(memory.read(start, length), new Uint8Array(length)) === 0);
          const isFar = writes
            .map(clipped)
            .every(
              (each) => each.start + each.length + 64 * KIB < start || start + length + 64 * KIB < each.start,
            );
          if (isFar) t.true(said);
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('a write that fails may have written something', (t) => {
  class Broken extends MemoryDevice {
    override write(): void {
      throw new Error('broken');
    }
  }
  const device = new FreshDevice(new Broken(MIB));
  t.true(device.isUnwritten(0, MIB));
  t.throws(() => device.write(100 * KIB, new Uint8Array(1)), { message: 'broken' });
  t.false(device.isUnwritten(100 * KIB, 1));
});

test('of other devices nothing is known, and what is outside is an error', (t) => {
  t.false(isUnwritten(new MemoryDevice(MIB), 0, 512));
  t.false(isUnwritten(new Guard(new CountingDevice(new MemoryDevice(MIB))), 0, 512));
  const device = new FreshDevice(new MemoryDevice(MIB));
  t.throws(() => device.isUnwritten(MIB - 1, 2), { instanceOf: HoldfastError });
  t.true(device.isUnwritten(MIB, 0));
});

test('however large it is, it remembers no more than a MiB', (t) => {
  const before = process.memoryUsage().arrayBuffers;
  const device = new FreshDevice(new MemoryDevice(64 * TIB));
  t.true(process.memoryUsage().arrayBuffers - before <= MIB);
  device.write(64 * TIB - 512, new Uint8Array(512));
  t.false(device.isUnwritten(64 * TIB - 1, 1));
  t.true(device.isUnwritten(0, 63 * TIB));
});
