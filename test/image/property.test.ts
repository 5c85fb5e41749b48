import test from 'ava';
import fc from 'fast-check';
import { normalise, type Span, totalLength } from '../../rescue/bytes/runs.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import type { Patch, PatchStep, PatchWrite } from '../../rescue/fs/patch.ts';
import { bitmapPages, bitmapRuns, CLUSTERS_PER_PAGE } from '../../rescue/image/bitmap.ts';
import { decodeExtents, encodeExtents, SlotHomes } from '../../rescue/image/extents.ts';
import { CODEC, MAX_FRAME_SIZE, MIN_SLOT_SIZE, STREAM } from '../../rescue/image/layout.ts';
import { decodePatch, encodePatch } from '../../rescue/image/patch-coding.ts';
import { PREFERRED_EXTENT, planPlacement } from '../../rescue/image/placement.ts';
import { encodeRecordHead, parseRecordHead, type RecordHead } from '../../rescue/image/record.ts';
import { journalSlotIndices, mutableBIndex, sealedExtents } from '../../rescue/image/sealed.ts';
import {
  dataSlotIndex,
  dataSlotsBefore,
  FIRST_DATA_SLOT,
  isAnchorIndex,
  planTail,
} from '../../rescue/image/slot-order.ts';

/** Ascending runs that do not touch, from pairs of gap and length. */
const runsFrom = (pairs: readonly (readonly [number, number])[], first = 0): Span[] => {
  let at = first;
  return pairs.map(([gap, length]) => {
    const start = at + gap;
    at = start + length;
    return { start, length };
  });
};

const gapsAndLengths = (most: number, lengths = 40) =>
  fc.array(fc.tuple(fc.integer({ min: 1, max: most }), fc.integer({ min: 1, max: most })), {
    maxLength: lengths,
  });

const shuffled = <T>(items: readonly T[]): fc.Arbitrary<T[]> =>
  fc.shuffledSubarray([...items], { minLength: items.length, maxLength: items.length });

test('extents: any order on disk comes back', (t) => {
  const slotSize = fc.constantFrom(4096, 8192, 65536);
  const property = fc.property(
    fc.tuple(slotSize, gapsAndLengths(100_000)).chain(([size, pairs]) =>
      fc.tuple(
        fc.constant(size),
        // Gaps in sectors, lengths in slots.
        shuffled(runsFrom(pairs.map(([gap, length]) => [gap * 512, length * size]))),
      ),
    ),
    ([size, extents]) => {
      const within = extents.reduce((end, each) => Math.max(end, each.start + each.length), 0);
      const bytes = encodeExtents(extents);
      t.deepEqual(decodeExtents(bytes, extents.length, within, size), extents);
      t.true(bytes.length <= extents.length * 16);
      if (extents.length === 0) return;
      t.throws(() => decodeExtents(bytes, extents.length, within - 1, size));
      t.throws(() => decodeExtents(bytes, extents.length - 1, within, size));
      t.throws(() => decodeExtents(bytes, extents.length + 1, within, size));
      t.throws(() => decodeExtents(bytes.subarray(0, -1), extents.length, within, size));
      const twice = encodeExtents([...extents, extents[0]!]);
      const error = t.throws(() => decodeExtents(twice, extents.length + 1, within, size));
      t.true(isHoldfastError(error) && error.detail.code === 'extents.overlap');
    },
  );
  fc.assert(property, { numRuns: 150 });
});

test('slot homes: every index where walking the extents says', (t) => {
  const property = fc.property(gapsAndLengths(20, 12), (pairs) => {
    const extents = runsFrom(pairs.map(([gap, length]) => [gap * 4096, length * 4096])).reverse();
    const homes = new SlotHomes(extents, 4096);
    const walked = extents.flatMap(({ start, length }) =>
      Array.from({ length: length / 4096 }, (_, slot) => start + slot * 4096),
    );
    t.is(homes.slotCount, walked.length);
    t.deepEqual(
      walked.map((_, index) => homes.homeOf(index)),
      walked,
    );
    walked.forEach((home, index) => {
      const more = homes.contiguousFrom(index);
      for (let next = 1; next < more; next += 1) t.is(walked[index + next], home + next * 4096);
    });
  });
  fc.assert(property, { numRuns: 60 });
});

test('bitmap: runs come back from pages', (t) => {
  const property = fc.property(
    // Around the border between two pages, and anywhere.
    fc.constantFrom(0, CLUSTERS_PER_PAGE - 300),
    gapsAndLengths(200),
    fc.nat(40),
    (first, pairs, behind) => {
      const runs = runsFrom(pairs, first);
      const end = runs.reduce((sum, run) => Math.max(sum, run.start + run.length), 0);
      const clusterCount = end + behind + 1;
      const pages = [...bitmapPages(runs, clusterCount)];
      t.is(pages.length, Math.ceil(clusterCount / CLUSTERS_PER_PAGE));
      t.true(pages.every((page) => page.length <= MAX_FRAME_SIZE));
      const back = pages.flatMap((page, index) => [...bitmapRuns(page, index * CLUSTERS_PER_PAGE)]);
      t.deepEqual(normalise(back), runs);
    },
  );
  fc.assert(property, { numRuns: 60 });
});

test('bitmap: each single bit has its place', (t) => {
  for (let cluster = 0; cluster < 40; cluster += 1) {
    const [page] = bitmapPages([{ start: cluster, length: 1 }], 40);
    t.is(page!.length, 5);
    t.is(page![cluster >>> 3], 1 << (cluster & 7));
  }
});

/** What FORMAT.md says in words, walked index by index. */
const walkedOrder = (dataSlots: number, journalSlots: number): string[] => {
  const kinds: string[] = ['anchor', 'mutable'];
  const add = (kind: string): void => {
    if (kinds.length % 1024 === 0) kinds.push('anchor');
    kinds.push(kind);
  };
  for (let slot = 0; slot < dataSlots; slot += 1) add('data');
  for (let slot = 0; slot < journalSlots; slot += 1) add('journal');
  add('mutable');
  kinds.push('anchor');
  return kinds;
};

test('slot order: index and number of data slots are each other’s inverse', (t) => {
  const property = fc.property(fc.oneof(fc.nat(5000), fc.nat(2 ** 40)), (ordinal) => {
    const index = dataSlotIndex(ordinal);
    t.false(isAnchorIndex(index));
    t.true(index >= FIRST_DATA_SLOT);
    t.is(dataSlotsBefore(index), ordinal);
    t.true(dataSlotIndex(ordinal + 1) - index <= 2);
  });
  fc.assert(property, { numRuns: 300 });
});

test('slot order: the plan of the tail is the walk', (t) => {
  const near = fc.oneof(
    fc.nat(20),
    fc.integer({ min: 1010, max: 1030 }),
    fc.integer({ min: 2035, max: 2055 }),
  );
  const property = fc.property(
    near,
    fc.oneof(fc.integer({ min: 2, max: 20 }), near),
    (dataSlots, journalSlots) => {
      const kinds = walkedOrder(dataSlots, journalSlots);
      const tail = planTail(dataSlots, journalSlots);
      const indices = (kind: string): number[] =>
        kinds.flatMap((each, index) => (each === kind ? [index] : []));
      t.is(tail.slotCount, kinds.length);
      t.is(tail.lastAnchor, kinds.length - 1);
      t.deepEqual([...tail.journal], indices('journal'));
      t.deepEqual(journalSlotIndices(tail.dataEnd, journalSlots), indices('journal'));
      t.deepEqual([1, tail.mutableB], indices('mutable'));
      t.is(mutableBIndex(tail.slotCount), tail.mutableB);
      t.deepEqual(
        Array.from({ length: dataSlots }, (_, ordinal) => dataSlotIndex(ordinal)),
        indices('data'),
      );
      const homes = new SlotHomes([{ start: 0, length: kinds.length * 4096 }], 4096);
      const sealed = sealedExtents(homes, tail.dataEnd, journalSlots);
      t.is(totalLength(sealed) / 4096, indices('data').length + indices('anchor').length);
    },
  );
  fc.assert(property, { numRuns: 60 });
});

const big = fc.nat(Number.MAX_SAFE_INTEGER);

const recordHead: fc.Arbitrary<RecordHead> = fc
  .record({
    stream: fc.constantFrom(...(Object.keys(STREAM) as (keyof typeof STREAM)[])),
    codec: fc.constantFrom(...(Object.keys(CODEC) as (keyof typeof CODEC)[])),
    space: fc.nat(2 ** 31),
    sequence: big,
    runs: fc.array(
      fc.record({ start: big, length: fc.integer({ min: 1, max: 2 ** 31 - 1 }), zero: fc.boolean() }),
      { maxLength: 50 },
    ),
    lengths: fc.tuple(fc.nat(MAX_FRAME_SIZE), fc.nat(MAX_FRAME_SIZE)),
    storedCrc: fc.nat(2 ** 31),
    digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    firstUnit: big,
  })
  .map(({ lengths, runs, ...head }) => ({
    ...head,
    rawLength: Math.max(...lengths),
    storedLength: Math.min(...lengths),
    runs: runs.map(({ zero, ...run }) => (zero ? { ...run, zero } : run)),
  }));

test('record heads come back, whatever stands behind them', (t) => {
  const property = fc.property(recordHead, fc.uint8Array({ maxLength: 40 }), (head, behind) => {
    const bytes = Buffer.concat([encodeRecordHead(head), behind]);
    t.deepEqual(parseRecordHead(bytes, 0), head);
  });
  fc.assert(property, { numRuns: 150 });
});

/** Chains over the entries of a table at the end of the partition, in an order of their own. */
const chain = (sectorSize: number): fc.Arbitrary<PatchStep> =>
  fc
    .record({
      direction: fc.constantFrom('link' as const, 'free' as const),
      copies: fc.integer({ min: 1, max: 3 }),
      end: fc.integer({ min: 0x0fff_fff8, max: 0x0fff_ffff }),
      places: fc.uniqueArray(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 6 }),
      cuts: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
    })
    .map(({ places, cuts, ...rest }) => ({
      kind: 'chain',
      offset: 50 * sectorSize,
      length: sectorSize,
      ...rest,
      runs: places.map((place, index) => ({
        start: place * 8,
        length: 1 + (place % 8),
        ends: cuts[index]! || index === places.length - 1,
      })),
    }));

const fill = (sectorSize: number): fc.Arbitrary<PatchStep> =>
  fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 3 }), fc.nat(255)).map(([sector, sectors, byte]) => ({
    kind: 'fill',
    offset: sector * sectorSize,
    length: sectors * sectorSize,
    byte,
  }));

const bits = (sectorSize: number): fc.Arbitrary<PatchStep> =>
  fc
    .tuple(fc.nat(50), fc.integer({ min: 1, max: 3 }), fc.constantFrom('set' as const, 'clear' as const))
    .map(([sector, sectors, direction]) => ({
      kind: 'bits',
      direction,
      offset: sector * sectorSize,
      length: sectors * sectorSize,
    }));

const write = (sectorSize: number): fc.Arbitrary<PatchStep> =>
  fc
    .tuple(fc.nat(50), fc.integer({ min: 1, max: 3 }), fc.nat(255), fc.boolean())
    .map(([sector, sectors, byte, scratch]): PatchWrite => {
      const after = Buffer.alloc(sectors * sectorSize, byte);
      const common = { offset: sector * sectorSize, after };
      return scratch
        ? { ...common, before: after, scratch }
        : { ...common, before: Buffer.alloc(after.length, byte ^ 0xff) };
    });

const patch: fc.Arbitrary<Patch> = fc.constantFrom(512, 4096).chain((sectorSize) =>
  fc
    .array(
      fc.array(fc.oneof(write(sectorSize), chain(sectorSize), fill(sectorSize), bits(sectorSize)), {
        maxLength: 5,
      }),
      {
        maxLength: 5,
      },
    )
    .map((phases) => ({ sectorSize, phases })),
);

test('patches come back, with empty phases, scratch writes and operations', (t) => {
  const property = fc.property(patch, (value) => {
    const bytes = encodePatch(value);
    t.deepEqual(decodePatch(bytes, 53 * 4096), value);
    if (value.phases.flat().length > 0) t.throws(() => decodePatch(bytes.subarray(0, -1), 53 * 4096));
  });
  fc.assert(property, { numRuns: 80 });
});

test('placement: inside free runs, in whole units, large before small, each from the highest down', (t) => {
  let placed = 0;
  let refusedOnes = 0;
  const property = fc.property(
    fc.record({
      clusterSize: fc.constantFrom(1024, 4096, 65536, 262144),
      clusterBase: fc.constantFrom(0, 1024, 33 * 512),
      // Many small runs and a few that are longer than 1 MiB.
      pairs: fc.array(
        fc.tuple(
          fc.integer({ min: 1, max: 50 }),
          fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 200, max: 3000 })),
        ),
        { maxLength: 30 },
      ),
      wanted: fc.integer({ min: 4096, max: 2 ** 25 }),
      share: fc.double({ min: 0.05, max: 1, noNaN: true }),
    }),
    ({ clusterSize, clusterBase, pairs, wanted, share }) => {
      const free = runsFrom(pairs);
      const enough = Math.ceil(wanted * share);
      let placement: ReturnType<typeof planPlacement>;
      try {
        placement = planPlacement({ free: () => free, clusterSize, clusterBase, wanted, enough });
      } catch (error) {
        t.true(isHoldfastError(error, 'refused') && error.detail.code === 'no-space');
        const unit = Math.max(MIN_SLOT_SIZE, clusterSize);
        const room = free.reduce((sum, run) => sum + Math.floor((run.length * clusterSize) / unit) * unit, 0);
        t.true(room < enough, 'refused though there is room');
        refusedOnes += 1;
        return;
      }
      placed += 1;
      const { slotSize, extents } = placement;
      const unit = Math.max(slotSize, clusterSize);
      t.true(totalLength(extents) >= enough);
      for (const { start, length } of extents) {
        t.true(length > 0 && length % unit === 0);
        t.is((start - clusterBase) % clusterSize, 0, 'on a cluster');
        const first = (start - clusterBase) / clusterSize;
        const last = first + length / clusterSize;
        t.true(
          free.some((run) => run.start <= first && last <= run.start + run.length),
          'inside a free run',
        );
      }
      t.is(totalLength(normalise(extents)), totalLength(extents), 'no overlap');
      // The first is the top unit of the second; together they are one of the runs chosen.
      const [top, below, ...rest] = extents;
      const joined =
        top !== undefined && below !== undefined && below.start + below.length === top.start
          ? [{ start: below.start, length: below.length + top.length }, ...rest]
          : extents;
      if (joined !== extents) t.is(top!.length, unit);
      const large = joined.filter((each) => each.length >= PREFERRED_EXTENT);
      const small = joined.filter((each) => each.length < PREFERRED_EXTENT);
      t.deepEqual(joined, [...large, ...small]);
      for (const list of [large, small]) {
        t.deepEqual(
          list,
          [...list].sort((a, b) => b.start - a.start),
        );
      }
      // Nothing longer than 1 MiB was passed over while it was needed.
      if (totalLength(large) < wanted) {
        const all = free.filter(
          (run) => Math.floor((run.length * clusterSize) / unit) * unit >= PREFERRED_EXTENT,
        );
        t.is(large.length, all.length);
      }
    },
  );
  fc.assert(property, { numRuns: 200 });
  t.true(placed > 20 && refusedOnes > 5, `${placed} ${refusedOnes}`);
});
