import test from 'ava';
import { totalLength } from '../../rescue/bytes/runs.ts';
import { planPlacement } from '../../rescue/image/placement.ts';
import { KIB, MIB } from '../../rescue/units.ts';

const CLUSTER = 4 * KIB;
const clusters = (bytes: number): number => bytes / CLUSTER;
const plan = (free: readonly (readonly [start: number, end: number])[], wanted: number) =>
  planPlacement({
    free: () => free.map(([start, end]) => ({ start: clusters(start), length: clusters(end - start) })),
    clusterSize: CLUSTER,
    clusterBase: 0,
    wanted,
    enough: wanted,
  });

test('of one long free run the top is taken, and no more than is wanted', (t) => {
  const { extents } = plan([[20 * MIB, 200 * MIB]], 30 * MIB);
  t.deepEqual(extents, [
    { start: 200 * MIB - 64 * KIB, length: 64 * KIB },
    { start: 170 * MIB, length: 30 * MIB - 64 * KIB },
  ]);
});

test('of the lowest of several the top, but not less than a quick search finds', (t) => {
  const { extents } = plan(
    [
      [10 * MIB, 90 * MIB],
      [100 * MIB, 129 * MIB + 512 * KIB],
    ],
    30 * MIB,
  );
  t.deepEqual(extents.at(-1), { start: 89 * MIB, length: MIB });
  t.is(totalLength(extents), 30 * MIB + 512 * KIB);
});

test('what the file system would rather keep comes last, behind small pieces, and only if it is needed', (t) => {
  const free = [
    { start: clusters(10 * MIB), length: clusters(30 * MIB) },
    { start: clusters(50 * MIB), length: clusters(512 * KIB) },
  ];
  const reserved = [{ start: clusters(30 * MIB), length: clusters(100 * MIB) }];
  const shape = { free: () => free, reserved: () => reserved, clusterSize: CLUSTER, clusterBase: 0 };
  const highest = (wanted: number): number[] =>
    planPlacement({ ...shape, wanted, enough: wanted })
      .extents.slice(1)
      .map(({ start, length }) => (start + length) / MIB);
  t.deepEqual(highest(15 * MIB), [30 - 1 / 16]);
  t.deepEqual(highest(25 * MIB), [30 - 1 / 16, 50.5, 40, 39, 38, 37, 36]);
});
