import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import { CountingReader } from '../../rescue/device/counting.ts';
import type { ReadableDevice } from '../../rescue/device/device.ts';
import { FaultyDevice } from '../../rescue/device/faulty.ts';
import { createSparseFile, openFile } from '../../rescue/device/file.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { readAheadBy, readAheadOn } from '../../rescue/job/scan-ahead.ts';
import { ReadAhead, STRETCH, TILE } from '../../rescue/locate/read-ahead.ts';
import { BackwardScan, type ScanStep } from '../../rescue/locate/scan.ts';
import { type Extent, GIB, KIB, MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { beside } from './beside.ts';
import { headerOf, identityOf, VirtualRun, writeRun } from './containers.ts';

const SECTOR = 512;

/** What a scan says of every tile, in its order; `known[i]` is marked as known after the step of that number. */
const account = (
  device: ReadableDevice,
  readAhead: ReadAhead | undefined,
  options: { readonly known?: ReadonlyMap<number, Extent>; readonly start?: number } = {},
) => {
  const scan = new BackwardScan({ device, rotational: false, readAhead, start: options.start ?? 0 });
  const all: ScanStep[] = [];
  for (let step = scan.step(); step !== undefined; step = scan.step()) {
    all.push(step);
    const known = options.known?.get(all.length);
    if (known !== undefined) scan.markKnown([known]);
  }
  const { bytesCovered, bytesUnreadable, damagedCount, damaged, bytesRead } = scan;
  const places = damaged.map(({ position }) => position);
  return { all, bytesRead, said: { all, bytesCovered, bytesUnreadable, damagedCount, places } };
};

const arbitraryDisk = fc.record({
  size: fc.oneof(fc.integer({ min: SECTOR, max: 12 * MIB }), fc.integer({ min: 6 * MIB, max: 12 * MIB })),
  start: fc.integer({ min: 0, max: 3 * TILE }),
  slots: fc.uniqueArray(fc.nat((12 * MIB) / SECTOR - 1), { maxLength: 40 }),
  broken: fc.uniqueArray(fc.nat((12 * MIB) / SECTOR - 1), { maxLength: 5 }),
  bad: fc.array(
    fc.record({ sector: fc.nat((12 * MIB) / SECTOR - 1), count: fc.integer({ min: 1, max: 300 }) }),
    {
      maxLength: 3,
    },
  ),
  known: fc.array(
    fc.record({ step: fc.integer({ min: 1, max: 190 }), start: fc.nat(12 * MIB), length: fc.nat(2 * MIB) }),
    { maxLength: 3 },
  ),
  lateBy: fc.constantFrom(0, 0, 1, 2, 3),
  lostAfter: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
});

test('two find what one finds, in the same order, whatever lies on the disk and whatever becomes known meanwhile', (t) => {
  let stretches = 0;
  let hits = 0;
  let lost = 0;
  fc.assert(
    fc.property(arbitraryDisk, ({ size, slots, broken, bad, known, lateBy, lostAfter, ...rest }) => {
      const base = new MemoryDevice(size);
      const fits = (sector: number): boolean => sector * SECTOR + 256 <= size;
      for (const sector of slots.filter(fits))
        base.write(sector * SECTOR, headerOf(identityOf(), { home: sector * SECTOR }));
      for (const sector of broken.filter(fits)) {
        const header = headerOf(identityOf(), { home: sector * SECTOR });
        header[100]! ^= 1;
        base.write(sector * SECTOR, header);
      }
      const badReads = bad
        .map(({ sector, count }) => ({ start: sector * SECTOR, length: count * SECTOR }))
        .filter((each) => each.start + each.length <= size);
      const device = new FaultyDevice(base, { badReads });
      const marks = new Map(known.map(({ step, start, length }) => [step, { start, length }]));
      const start = Math.min(rest.start, size);
      const alone = account(device, undefined, { known: marks, start });
      const other = beside(device, { lateBy, lostAfter });
      const both = account(device, other.readAhead, { known: marks, start });
      t.deepEqual(both.said, alone.said);
      // What became known after it was handed over had been read: never more than the stretches that were under way.
      const more = both.bytesRead - alone.bytesRead;
      t.true(more >= 0 && more <= marks.size * 2 * STRETCH * TILE, `${more} bytes more`);
      if (marks.size === 0) t.is(more, 0);
      t.true(other.bytes() <= both.bytesRead);
      stretches += other.stretches();
      hits += alone.all.reduce((sum, step) => sum + step.hits.length, 0);
      lost += alone.said.bytesUnreadable;
    }),
    { numRuns: 150 },
  );
  t.true(stretches > 100 && hits > 100 && lost > 0, `${stretches} stretches, ${hits} hits, ${lost} lost`);
});

test('half of what lies below the quick stride is read by the other, and nothing twice', (t) => {
  const device = new VirtualRun(256 * MIB, { start: 0, length: 0 }, 4096);
  const reads: number[] = [];
  device.onRead = (offset) => reads.push(offset);
  const other = beside(device);
  const { bytesRead } = account(device, other.readAhead);
  t.is(bytesRead, device.size);
  t.is(reads.length, device.size / TILE);
  t.is(new Set(reads).size, reads.length);
  const sampled = device.size / 16;
  t.true(Math.abs(other.bytes() - (device.size - sampled) / 2) <= 4 * STRETCH * TILE, `${other.bytes()}`);
});

test('quick depth, rotating disks and reading in order leave it alone', (t) => {
  const device = new VirtualRun(64 * MIB, { start: 0, length: 0 }, 4096);
  const start = () => t.fail('a thread was started') as never;
  const readAhead = new ReadAhead({ start, counted: () => {} });
  for (const options of [
    { rotational: false, depth: 'quick' },
    { rotational: true, depth: 'full' },
    { rotational: false, depth: 'full', sequentialBelow: Number.POSITIVE_INFINITY },
  ] as const) {
    const scan = new BackwardScan({ device, readAhead, ...options });
    while (scan.step() !== undefined);
    t.true(scan.bytesRead >= 4 * MIB);
  }
});

test('a device that is gone ends the scan, whichever thread meets it', (t) => {
  const base = new MemoryDevice(16 * MIB);
  for (const after of [40, 100, 200]) {
    const device = new FaultyDevice(base, { vanishAfterReads: after });
    const other = beside(device);
    const scan = new BackwardScan({ device, rotational: false, readAhead: other.readAhead });
    const error = t.throws(() => {
      while (scan.step() !== undefined);
    });
    t.true(isHoldfastError(error, 'io'));
    t.true(scan.bytesCovered < base.size);
  }
});

/** A file with slots in several places, and a thread that reads it, already listening. */
const withThread = async (cleanup: Cleanup, size: number) => {
  const path = join(temporaryFolder(cleanup), 'disk');
  const made = createSparseFile(path, size);
  for (const at of [0, 3 * MIB + SECTOR, 9 * MIB + 5 * SECTOR, size - 4 * KIB])
    made.write(at, headerOf(identityOf(), { home: at }));
  writeRun(made, { start: 12 * MIB, length: 300 * KIB }, identityOf({ slotSize: 4096 }));
  made.close();
  const device = openFile(path);
  const counting = new CountingReader(device);
  const readAhead = readAheadBy(counting.sharedReads!);
  cleanup.teardown(async () => {
    await readAhead.close();
    device.close();
  });
  while (!readAhead.isFree) await pause(10);
  return { path, device, counting, readAhead };
};

test.serial('a thread of its own reads a file: same steps, every byte counted once', async (t) => {
  const { device, counting, readAhead } = await withThread(t, 48 * MIB);
  const alone = account(device, undefined);
  const both = account(counting, readAhead);
  t.deepEqual(both.said, alone.said);
  t.is(both.bytesRead, device.size);
  t.is(counting.traffic.bytesRead, device.size);
});

test.serial('what the thread cannot read is read around as if it had not tried', async (t) => {
  const { path, device, counting, readAhead } = await withThread(t, 48 * MIB);
  truncateSync(path, 20 * MIB + 3 * SECTOR);
  const alone = account(device, undefined);
  const both = account(counting, readAhead);
  t.is(alone.said.bytesUnreadable, 28 * MIB - 3 * SECTOR);
  t.deepEqual(both.said, alone.said);
  t.is(both.bytesRead, alone.bytesRead);
});

test.serial('a thread that ends in between is done without', async (t) => {
  const { device, counting, readAhead } = await withThread(t, 96 * MIB);
  const alone = account(device, undefined);
  const scan = new BackwardScan({ device: counting, rotational: false, readAhead });
  const all: ScanStep[] = [];
  for (let step = scan.step(); step !== undefined; step = scan.step()) {
    all.push(step);
    if (all.length === 700) await readAhead.close();
  }
  t.deepEqual(all, alone.all);
  t.is(counting.traffic.bytesRead, device.size);
});

test('one is started where it helps only', (t) => {
  const shared = openFile(import.meta.filename);
  t.teardown(() => shared.close());
  t.is(readAheadOn(shared, GIB, true), undefined, 'rotating');
  t.is(readAheadOn(shared, MIB, false), undefined, 'small');
  t.is(readAheadOn(new MemoryDevice(MIB), GIB, false), undefined, 'in memory');
});
