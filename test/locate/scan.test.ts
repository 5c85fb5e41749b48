import test from 'ava';
import fc from 'fast-check';
import { normalise, totalLength } from '../../rescue/bytes/runs.ts';
import { FaultyDevice } from '../../rescue/device/faulty.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { SLOT_HEADER } from '../../rescue/image/layout.ts';
import {
  BackwardScan,
  QUICK_STRIDE,
  type ScanOptions,
  type ScanStep,
  WINDOW,
} from '../../rescue/locate/scan.ts';
import { type Extent, GIB, KIB, MIB, roundDown, roundUp } from '../../rescue/units.ts';
import { headerOf, identityOf, VirtualRun, writeRun } from './containers.ts';

const SECTOR = 512;

const steps = function* (scan: BackwardScan): Generator<ScanStep> {
  for (let step = scan.step(); step !== undefined; step = scan.step()) yield step;
};

const scanOf = (device: ScanOptions['device'], options: Partial<ScanOptions> = {}): BackwardScan =>
  new BackwardScan({ device, rotational: false, ...options });

const positionsOf = (scan: BackwardScan): number[] =>
  [...steps(scan)].flatMap((step) => step.hits.map((hit) => hit.position)).sort((a, b) => a - b);

/** The bound of DESIGN section 6. */
const boundFor = (disk: number, run: number): number => {
  const stride = 2 ** Math.floor(Math.log2(run));
  return WINDOW * Math.ceil(disk / stride);
};

const readUntilFirstHit = (scan: BackwardScan): number | undefined => {
  for (const step of steps(scan)) if (step.hits.length > 0) return scan.bytesRead;
  return undefined;
};

/** A disk of up to 1 TiB with a run that is long enough for the property to be checked in little time. */
const arbitraryRun = fc
  .record({
    disk: fc.oneof(
      fc.integer({ min: 128, max: 4096 }).map((sectors) => sectors * SECTOR),
      fc.integer({ min: 1, max: 2 ** 31 }).map((sectors) => sectors * SECTOR + 128 * KIB),
    ),
    slotLog: fc.integer({ min: 12, max: 16 }),
    length: fc.double({ min: 0, max: 1, noNaN: true }),
    place: fc.double({ min: 0, max: 1, noNaN: true }),
    tail: fc.integer({ min: 0, max: SECTOR - 1 }),
  })
  .map(({ disk, slotLog, length, place, tail }) => {
    const slot = 2 ** slotLog;
    const least = Math.max(WINDOW, disk / 4096);
    // Skewed towards short runs, where the bound is tight.
    const wanted = Math.min(least + (disk - least) * length ** 6, disk);
    const run = Math.max(roundDown(wanted, slot), Math.ceil(WINDOW / slot) * slot);
    const start = roundDown(Math.floor((disk - run) * place), SECTOR);
    return { disk: disk + tail, slot, run: { start, length: run } };
  })
  .filter(({ disk, run }) => run.start >= 0 && run.start + run.length <= disk);

test('a packed run is met within the bound of the design, whatever its place, length, alignment and slot size', (t) => {
  let tight = 0;
  fc.assert(
    fc.property(arbitraryRun, fc.boolean(), ({ disk, slot, run }, rotational) => {
      const device = new VirtualRun(disk, run, slot);
      const scan = scanOf(device, { rotational });
      const read = readUntilFirstHit(scan);
      // Rotating disks are excepted below their break-even stride, where seeks cost more than reading.
      const bound = rotational && run.length < MIB ? disk : boundFor(disk, run.length);
      tight = Math.max(tight, (read ?? 0) / bound);
      return read !== undefined && read === device.bytesRead && read <= bound;
    }),
    { numRuns: 400 },
  );
  // The bound is not idle: without the last window of some pass it would be broken.
  t.true(tight > 0.9, `closest: ${tight}`);
});

test('the bound is reached exactly by a run at the low end, and not kept for a shorter run', (t) => {
  // The lowest window of that stride, the last to be read, holds the header of the run's topmost slot and no other.
  const disk = 64 * MIB;
  const stride = 4 * MIB;
  const long = new VirtualRun(disk, { start: 0, length: stride }, 64 * KIB);
  t.is(readUntilFirstHit(scanOf(long)), boundFor(disk, stride));
  // One slot less, and the run lies between the windows of that stride.
  const short = new VirtualRun(disk, { start: 0, length: stride - 64 * KIB }, 64 * KIB);
  t.true(readUntilFirstHit(scanOf(short))! > boundFor(disk, stride));
});

test('full depth covers every byte exactly once, in any order of reading', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 200 * MIB }),
      fc.integer({ min: 0, max: 4 * MIB }),
      fc.boolean(),
      fc.constantFrom(undefined, Number.POSITIVE_INFINITY, 256 * KIB, 4 * MIB),
      fc.constantFrom('quick' as const, 'full' as const),
      (length, start, rotational, sequentialBelow, depth) => {
        const end = start + length;
        const device = new VirtualRun(end + 12345, { start: 0, length: 0 }, 4096);
        const reads: Extent[] = [];
        device.onRead = (offset, bytes) => reads.push({ start: offset, length: bytes });
        const scan = scanOf(device, {
          start,
          end,
          rotational,
          depth,
          ...(sequentialBelow === undefined ? {} : { sequentialBelow }),
        });
        for (const _ of steps(scan));
        scan.deepen();
        for (const _ of steps(scan));
        const from = roundDown(start, SECTOR);
        const joined = normalise(reads);
        const whole = end === from ? [] : [{ start: from, length: end - from }];
        t.deepEqual(joined, whole);
        t.is(totalLength(reads), end - from, 'nothing is read twice');
        t.is(scan.bytesRead, end - from);
        t.is(scan.bytesCovered, end - from);
      },
    ),
    { numRuns: 60 },
  );
});

test('what is read in order is read in long requests, forwards in each zone', (t) => {
  const device = new VirtualRun(GIB, { start: 0, length: 0 }, 4096);
  const reads: Extent[] = [];
  device.onRead = (start, length) => reads.push({ start, length });
  for (const _ of steps(scanOf(device, { rotational: true, depth: 'full' })));
  const windows = reads.filter((read) => read.length === WINDOW);
  t.is(windows.length, GIB / MIB);
  const long = reads.slice(windows.length);
  t.true(long.every((read) => read.length === MIB - WINDOW));
  const backwards = long.filter((read, index) => index > 0 && read.start < long[index - 1]!.start);
  t.is(backwards.length, GIB / (64 * MIB) - 1);
});

test('quick depth reads one window per MiB and goes on from there', (t) => {
  const disk = 256 * MIB;
  const device = new VirtualRun(disk, { start: 0, length: 64 * KIB }, 64 * KIB);
  const scan = scanOf(device, { depth: 'quick' });
  t.is(readUntilFirstHit(scan), undefined);
  t.is(scan.bytesRead, (disk / QUICK_STRIDE) * WINDOW);
  scan.deepen();
  t.not(readUntilFirstHit(scan), undefined);
});

test('a header at every sector of a window and across every border of windows is seen at full depth', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 * MIB }),
      fc.uniqueArray(fc.integer({ min: 0, max: 2 * 4096 }), { maxLength: 40 }),
      fc.boolean(),
      (size, sectors, rotational) => {
        const device = new MemoryDevice(size);
        const wanted = sectors
          .map((sector) => sector * SECTOR)
          .filter((position) => position + 256 <= size)
          .sort((a, b) => a - b);
        for (const position of wanted) device.write(position, headerOf(identityOf(), { home: position }));
        t.deepEqual(positionsOf(scanOf(device, { rotational })), wanted);
      },
    ),
    { numRuns: 200 },
  );
});

test('every sector position of the first two windows, one at a time', (t) => {
  const size = 3 * WINDOW + 512;
  for (let position = 0; position + SECTOR <= size; position += SECTOR) {
    const device = new MemoryDevice(size);
    device.write(position, headerOf(identityOf(), { home: position }));
    t.deepEqual(positionsOf(scanOf(device)), [position]);
  }
});

test('a header that ends where the device ends is seen, and one that is cut off is not', (t) => {
  const header = headerOf(identityOf());
  for (const [tail, expected] of [
    [256, [WINDOW]],
    [255, []],
  ] as const) {
    const device = new MemoryDevice(WINDOW + tail);
    device.write(WINDOW, header.subarray(0, tail));
    t.deepEqual(positionsOf(scanOf(device)), [...expected]);
  }
});

test('slots of 4 KiB are all found', (t) => {
  const device = new MemoryDevice(16 * MIB);
  const identity = identityOf({ slotSize: 4096 });
  writeRun(device, { start: 5 * MIB + SECTOR, length: MIB }, identity);
  t.is(positionsOf(scanOf(device)).length, 256);
  t.is(positionsOf(scanOf(device, { sequentialBelow: Number.POSITIVE_INFINITY })).length, 256);
});

test('a header of each kind, at its position, with its place', (t) => {
  const device = new MemoryDevice(4 * MIB);
  const kinds = ['data', 'anchor', 'journal', 'mutable'] as const;
  kinds.forEach((kind, index) => {
    const position = MIB + index * 65536;
    device.write(position, headerOf(identityOf(), { kind, index, home: position - SECTOR }));
  });
  const hits = [...steps(scanOf(device))].flatMap((step) => step.hits);
  hits.sort((a, b) => a.position - b.position);
  t.deepEqual(
    hits.map(({ header }) => header.kind),
    [...kinds],
  );
  t.deepEqual(
    hits.map(({ position, header }) => position - header.home),
    [SECTOR, SECTOR, SECTOR, SECTOR],
  );
});

test('damaged headers are counted and told, and do not pass for slots', (t) => {
  const device = new MemoryDevice(64 * MIB);
  const sound = headerOf(identityOf());
  for (let sector = 0; sector < 300; sector += 1) {
    const broken = Uint8Array.from(sound);
    broken[16 + (sector % 240)]! ^= 1;
    device.write(sector * SECTOR, broken);
  }
  const newer = Uint8Array.from(sound);
  SLOT_HEADER.set(newer, 'features_incompat', 1);
  device.write(MIB, newer);
  const scan = scanOf(device);
  t.deepEqual(positionsOf(scan), []);
  t.is(scan.damagedCount, 301);
  t.is(scan.damaged.length, 256);
  t.true(scan.damaged.every(({ error }) => isHoldfastError(error, 'corrupt')));
});

test('what is known is not read; what lies beside it is', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          start: fc.integer({ min: 0, max: 8 * MIB }),
          length: fc.integer({ min: 1, max: MIB }),
        }),
        { maxLength: 8 },
      ),
      fc.boolean(),
      fc.nat(100),
      (known, rotational, after) => {
        const device = new VirtualRun(8 * MIB + 777, { start: 0, length: 0 }, 4096);
        const reads: Extent[] = [];
        const scan = scanOf(device, { rotational });
        let done = 0;
        for (const _ of steps(scan)) {
          done += 1;
          if (done !== after) continue;
          scan.markKnown(known);
          device.onRead = (start, length) => reads.push({ start, length });
        }
        for (const { start, length } of known) {
          // Known bytes count by whole sectors.
          const inner = { start: roundUp(start, SECTOR), end: roundDown(start + length, SECTOR) };
          if (inner.start >= inner.end) continue;
          const touched = reads.some(
            (read) => read.start < inner.end && read.start + read.length > inner.start,
          );
          t.false(touched, 'known bytes are left alone');
        }
        t.is(scan.bytesCovered, device.size);
        t.is(scan.bytesRead, device.bytesRead);
      },
    ),
    { numRuns: 100 },
  );
});

test('bad sectors cost themselves and nothing else', (t) => {
  const base = new MemoryDevice(8 * MIB);
  const bad = [
    { start: 3 * MIB + 3 * SECTOR, length: SECTOR },
    { start: 5 * MIB, length: 10 * SECTOR },
  ];
  for (const position of [
    3 * MIB + 2 * SECTOR,
    3 * MIB + 3 * SECTOR,
    3 * MIB + 4 * SECTOR,
    5 * MIB + 10 * SECTOR,
  ]) {
    base.write(position, headerOf(identityOf(), { home: position }));
  }
  for (const rotational of [false, true]) {
    const scan = scanOf(new FaultyDevice(base, { badReads: bad }), { rotational });
    const all = [...steps(scan)];
    t.deepEqual(normalise(all.flatMap((step) => step.unreadable)), bad);
    t.deepEqual(
      all.flatMap((step) => step.hits.map((hit) => hit.position)).sort((a, b) => a - b),
      [3 * MIB + 2 * SECTOR, 3 * MIB + 4 * SECTOR, 5 * MIB + 10 * SECTOR],
    );
    t.is(scan.bytesUnreadable, 11 * SECTOR);
    t.is(scan.bytesCovered, 8 * MIB);
  }
});

test('a device that is shorter than it says is scanned up to its end', (t) => {
  const base = new MemoryDevice(64 * MIB);
  writeRun(base, { start: 2 * MIB, length: 128 * KIB });
  const device = new FaultyDevice(base, { shortAt: 3 * MIB + SECTOR });
  const scan = scanOf(device);
  t.is(positionsOf(scan).length, 2);
  t.is(scan.bytesUnreadable, 61 * MIB - SECTOR);
  t.true(device.reads < 4000);
});

test('a device that vanishes ends the scan with an error', (t) => {
  const device = new FaultyDevice(new MemoryDevice(64 * MIB), { vanishAfterReads: 5 });
  const error = t.throws(() => [...steps(scanOf(device))]);
  t.true(isHoldfastError(error, 'io'));
});

test('ranges outside the device are refused', (t) => {
  const device = new MemoryDevice(MIB);
  for (const range of [{ start: -1 }, { end: MIB + 1 }, { start: 10, end: 9 }, { start: Number.NaN }]) {
    t.true(
      isHoldfastError(
        t.throws(() => scanOf(device, range)),
        'usage',
      ),
    );
  }
});

test('memory does not grow with the disk', (t) => {
  // 4 TiB at quick depth: four million windows.
  const device = new VirtualRun(4096 * GIB, { start: 0, length: 0 }, 65536);
  const scan = scanOf(device, { depth: 'quick', start: 4032 * GIB });
  for (const _ of steps(scan));
  t.is(scan.bytesRead, 64 * 1024 * WINDOW);
  t.is(scan.stride, QUICK_STRIDE);
});
