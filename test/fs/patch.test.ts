import test from 'ava';
import fc from 'fast-check';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { type Patch, PatchBuilder, stepExtents, withPatch } from '../../rescue/fs/patch.ts';
import {
  applyOperation,
  type ChainRun,
  operationExtents,
  type PatchChain,
} from '../../rescue/fs/patch-operation.ts';
import { decodePatch, encodePatch } from '../../rescue/image/patch-coding.ts';
import { applyPatch, patchMayBeFinished } from '../../rescue/job/apply.ts';
import { GIB, MIB } from '../../rescue/units.ts';

const SECTOR = 512;
/** The table has 8 sectors of 128 entries, two copies, from sector 4 on. */
const TABLE = { offset: 4 * SECTOR, length: 8 * SECTOR, copies: 2 };
const SIZE = 64 * SECTOR;
const END = 0x0fff_ffff;

const chain = (runs: readonly ChainRun[], direction: 'link' | 'free' = 'link'): PatchChain => ({
  kind: 'chain',
  direction,
  ...TABLE,
  end: END,
  runs,
});

const word = (device: MemoryDevice, entry: number, copy = 0): number =>
  Buffer.from(device.read(TABLE.offset + copy * TABLE.length + entry * 4, 4)).readUInt32LE();
const setWord = (device: MemoryDevice, entry: number, value: number): void => {
  for (let copy = 0; copy < TABLE.copies; copy += 1) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    device.write(TABLE.offset + copy * TABLE.length + entry * 4, bytes);
  }
};

/** A volume whose entries are all free, with other things in their upper four bits. */
const freshTable = (): MemoryDevice => {
  const device = MemoryDevice.of(Uint8Array.from({ length: SIZE }, (_, at) => at * 13));
  for (let entry = 0; entry < TABLE.length / 4; entry += 1)
    setWord(device, entry, ((entry % 16) << 28) >>> 0);
  return device;
};

test('a chain is linked through its runs in order, and freed again; upper bits and neighbours stay', (t) => {
  const device = freshTable();
  const before = device.snapshot();
  const runs = [
    { start: 200, length: 3, ends: false },
    { start: 100, length: 2, ends: true },
    { start: 300, length: 1, ends: true },
  ];
  const builder = new PatchBuilder(device);
  builder.operate(chain(runs));
  applyPatch(device, builder.build());
  const lower = [200, 201, 202, 100, 101, 300].map((entry) => word(device, entry) & 0x0fff_ffff);
  t.deepEqual(lower, [201, 202, 100, 101, END, END]);
  t.is(word(device, 202) >>> 28, 202 % 16);
  t.deepEqual(
    device.read(TABLE.offset, TABLE.length),
    device.read(TABLE.offset + TABLE.length, TABLE.length),
  );
  const changed = [...device.differences(before)].map(({ start, length }) => [
    start / SECTOR,
    length / SECTOR,
  ]);
  t.deepEqual(changed, [
    [4, 3],
    [12, 3],
  ]);
  const back = new PatchBuilder(device);
  back.operate(chain(runs, 'free'));
  applyPatch(device, back.build());
  t.deepEqual([...device.differences(before)], []);
});

/** Edits and operations in any order. Chains take entries that are free, frees take back a chain that was made. */
const scenario = fc
  .array(
    fc.oneof(
      fc.record({ what: fc.constant('write' as const), at: fc.nat(SIZE - 40), byte: fc.nat(255) }),
      fc.record({ what: fc.constant('entry' as const), entry: fc.integer({ min: 2, max: 1023 }) }),
      fc.record({
        what: fc.constant('link' as const),
        first: fc.nat(30),
        parts: fc.integer({ min: 1, max: 4 }),
      }),
      fc.record({ what: fc.constant('free' as const) }),
      fc.record({ what: fc.constant('barrier' as const) }),
    ),
    { minLength: 1, maxLength: 14 },
  )
  .map((list) => list);

/** The same edits through a builder and, one by one, on a copy. */
const play = (list: readonly { what: string; [key: string]: unknown }[]) => {
  const base = freshTable();
  const direct = base.snapshot();
  const builder = new PatchBuilder(base);
  const linked: PatchChain[] = [];
  const taken = new Set<number>();
  for (const step of list) {
    if (step.what === 'write') {
      // Outside the table, where anything may stand.
      const at = (step.at as number) % (3 * SECTOR);
      const data = new Uint8Array(40).fill(step.byte as number);
      builder.write(at, data);
      direct.write(at, data);
    } else if (step.what === 'entry') {
      const entry = step.entry as number;
      if (taken.has(entry)) continue;
      taken.add(entry);
      for (let copy = 0; copy < 2; copy += 1) {
        const at = TABLE.offset + copy * TABLE.length + entry * 4;
        builder.write(at, Uint8Array.of(0xf8, 0xff, 0xff));
        direct.write(at, Uint8Array.of(0xf8, 0xff, 0xff));
      }
    } else if (step.what === 'link') {
      const runs: ChainRun[] = [];
      for (let part = 0; part < (step.parts as number); part += 1) {
        const start = 2 + (((step.first as number) + part * 7) % 31) * 32;
        const length = 5 + part * 9;
        const entries = Array.from({ length }, (_, index) => start + index);
        if (entries.some((entry) => taken.has(entry))) continue;
        for (const entry of entries) taken.add(entry);
        runs.push({ start, length, ends: part % 2 === 1 });
      }
      if (runs.length === 0) continue;
      runs[runs.length - 1] = { ...runs.at(-1)!, ends: true };
      const made = chain(runs);
      linked.push(made);
      builder.operate(made);
      applyNaively(direct, made);
    } else if (step.what === 'free') {
      const made = linked.pop();
      if (made === undefined) continue;
      for (const run of made.runs)
        for (let index = 0; index < run.length; index += 1) taken.delete(run.start + index);
      const freed = { ...made, direction: 'free' as const };
      builder.operate(freed);
      applyNaively(direct, freed);
    } else builder.barrier();
  }
  return { base, direct, builder };
};

/** Entry by entry, as the words of FORMAT.md have it. */
const applyNaively = (device: MemoryDevice, { runs, direction }: PatchChain): void => {
  runs.forEach(({ start, length, ends }, index) => {
    for (let step = 0; step < length; step += 1) {
      const entry = start + step;
      const next = step + 1 < length ? entry + 1 : ends ? END : runs[index + 1]!.start;
      setWord(device, entry, ((word(device, entry) & 0xf000_0000) | (direction === 'link' ? next : 0)) >>> 0);
    }
  });
};

test('reads through an editor see writes and operations in the order in which they were made', (t) => {
  fc.assert(
    fc.property(scenario, fc.nat(SIZE), fc.nat(3000), (list, from, length) => {
      const { direct, builder } = play(list);
      t.deepEqual(builder.read(0, SIZE), direct.read(0, SIZE));
      const wanted = Math.min(length, SIZE - from);
      t.deepEqual(builder.read(from, wanted), direct.read(from, wanted), 'any place, any length');
    }),
    { numRuns: 150 },
  );
});

test('the patch gives what the editor showed, also once coded and read back, and changes nothing elsewhere', (t) => {
  fc.assert(
    fc.property(scenario, (list) => {
      const { base, direct, builder } = play(list);
      const before = base.snapshot();
      const shown = [...builder.changedExtents()];
      const patch = decodePatch(encodePatch(builder.build()), SIZE);
      t.deepEqual(withPatch(base, patch).read(0, SIZE), direct.read(0, SIZE));
      applyPatch(base, patch);
      t.deepEqual([...base.differences(direct)], []);
      for (const { start, length } of base.differences(before)) {
        for (let at = start; at < start + length; at += SECTOR)
          t.true(shown.some((each) => each.start <= at && at < each.start + each.length));
      }
    }),
    { numRuns: 150 },
  );
});

/** All sector writes of a patch in order, a chain sector by sector. */
function* sectorWrites(device: MemoryDevice, patch: Patch): Generator<void> {
  for (const step of patch.phases.flat()) {
    for (const { start, length } of stepExtents(step, SECTOR)) {
      for (let at = start; at < start + length; at += SECTOR) {
        if (step.kind === undefined)
          device.write(at, step.after.subarray(at - step.offset, at - step.offset + SECTOR));
        else {
          const bytes = device.read(at, SECTOR);
          applyOperation(step, at, bytes);
          device.write(at, bytes);
        }
        yield;
      }
    }
  }
}

test('cut off behind any sector, a patch may be finished, and finishing it gives the same', (t) => {
  fc.assert(
    fc.property(scenario, (list) => {
      const { base, direct, builder } = play(list);
      const patch = builder.build();
      const cut = base.snapshot();
      t.true(patchMayBeFinished(cut, patch));
      for (const _ of sectorWrites(cut, patch)) {
        t.true(patchMayBeFinished(cut, patch));
        const finished = cut.snapshot();
        applyPatch(finished, patch);
        t.deepEqual([...finished.differences(direct)], []);
      }
    }),
    { numRuns: 60 },
  );
});

test('what somebody else changed is noticed, in a chain and in a sector that it shares with a write', (t) => {
  const base = freshTable();
  const builder = new PatchBuilder(base);
  builder.operate(chain([{ start: 100, length: 60, ends: true }]));
  builder.write(TABLE.offset + 4 * 4, Uint8Array.of(9));
  const patch = builder.build();
  const outcome = (entry: number, value: number): boolean => {
    const device = base.snapshot();
    setWord(device, entry, ((entry % 16) * 0x1000_0000 + value) >>> 0);
    return patchMayBeFinished(device, patch);
  };
  t.true(outcome(100, 101), 'as linked');
  t.false(outcome(100, 102), 'linked elsewhere');
  t.false(outcome(159, 0x0fff_fff8), 'another end');
  t.false(outcome(3, 5), 'in the written sector');
  t.true(outcome(300, 5), 'an entry in neither');
  t.true(outcome(250, 5), 'an entry that only shares a sector with the chain');
  t.false(outcome(99, 5), 'the sector that is written is written whole');
});

test('bits are set and cleared by whole sectors; cut anywhere they can be finished, and what others changed is noticed', (t) => {
  const base = new MemoryDevice(16 * SECTOR);
  const builder = new PatchBuilder(base);
  builder.operate({ kind: 'bits', direction: 'set', offset: 2 * SECTOR, length: 5 * SECTOR });
  builder.operate({ kind: 'bits', direction: 'clear', offset: 3 * SECTOR, length: SECTOR });
  builder.write(4 * SECTOR, Uint8Array.of(0x7f));
  builder.write(SECTOR, Uint8Array.of(0x80));
  t.deepEqual([...builder.read(4 * SECTOR - 1, 3)], [0, 0x7f, 0xff]);
  const made = builder.build();
  const patch = decodePatch(encodePatch(made), 16 * SECTOR);
  t.deepEqual(patch, made);
  t.true(encodePatch({ ...made, phases: made.phases.slice(0, 2) }).length < SECTOR);
  const after = base.snapshot();
  applyPatch(after, patch);
  t.deepEqual(after.read(0, 16 * SECTOR), builder.read(0, 16 * SECTOR));
  const cut = base.snapshot();
  let states = 0;
  for (const _ of sectorWrites(cut, patch)) {
    states += 1;
    t.true(patchMayBeFinished(cut, patch));
    const finished = cut.snapshot();
    applyPatch(finished, patch);
    t.deepEqual([...finished.differences(after)], []);
  }
  t.is(states, 8);
  for (const [at, byte, allowed] of [
    [2 * SECTOR + 5, 1, false],
    [6 * SECTOR + 511, 0xff, false],
    [4 * SECTOR, 0x7f, false],
    [7 * SECTOR, 1, true],
    [SECTOR, 0x80, true],
    [SECTOR, 0x81, false],
  ] as const) {
    const other = base.snapshot();
    other.write(at, Uint8Array.of(byte));
    t.is(patchMayBeFinished(other, patch), allowed, `${at}`);
  }
});

test('a fill needs no before-image', (t) => {
  const base = freshTable();
  const builder = new PatchBuilder(base);
  builder.operate({ kind: 'fill', offset: SECTOR, length: 3 * SECTOR, byte: 0xff });
  builder.write(2 * SECTOR, Uint8Array.of(1));
  t.deepEqual([...builder.read(2 * SECTOR - 1, 3)], [0xff, 1, 0xff]);
  const patch = builder.build();
  t.true(encodePatch(patch).length < 3 * SECTOR);
  base.write(3 * SECTOR, Uint8Array.of(7));
  t.true(patchMayBeFinished(base, patch));
  applyPatch(base, patch);
  t.deepEqual([...base.read(3 * SECTOR - 1, 3)], [0xff, 0xff, 0xff]);
});

test('an operation outside the volume, and writes asked of a patch that has operations, are errors of the program', (t) => {
  const builder = new PatchBuilder(freshTable());
  t.throws(() => builder.operate({ kind: 'fill', offset: SIZE, length: SECTOR, byte: 0 }), {
    instanceOf: RangeError,
  });
  builder.operate({ kind: 'fill', offset: 0, length: SECTOR, byte: 0 });
  t.throws(() => builder.changes(), { instanceOf: RangeError });
});

test('100 GiB in clusters of 4 KiB: planned, coded and looked through in little memory', (t) => {
  const clusters = (100 * GIB) / 4096;
  const length = 101 * MIB;
  const device = new MemoryDevice(102 * GIB);
  const big: PatchChain = {
    kind: 'chain',
    direction: 'link',
    offset: 32 * SECTOR,
    length,
    copies: 2,
    end: END,
    runs: [
      { start: 1_000_000, length: clusters - 1_000_000, ends: false },
      { start: 100, length: 999_900, ends: true },
    ],
  };
  const before = process.memoryUsage();
  const builder = new PatchBuilder(device);
  builder.operate(big);
  const patch = builder.build();
  const entry = (number: number): number =>
    Buffer.from(builder.read(32 * SECTOR + length + number * 4, 4)).readUInt32LE();
  t.deepEqual([clusters - 2, clusters - 1, 999_999].map(entry), [clusters - 1, 100, END]);
  t.true(encodePatch(patch).length < 100);
  t.true(patchMayBeFinished(device, patch));
  t.deepEqual([...operationExtents(big, SECTOR)].length, 2);
  const after = process.memoryUsage();
  t.true(after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed < 64 * MIB);
});
