import test from 'ava';
import { normalise } from '../../rescue/bytes/runs.ts';
import type { AddressSpace } from '../../rescue/image/control.ts';
import type { Image } from '../../rescue/image/image.ts';
import { SPACE } from '../../rescue/image/layout.ts';
import type { LogGap } from '../../rescue/image/scanned-map.ts';
import type { LostExtent } from '../../rescue/job/losses.ts';
import { lostGaps } from '../../rescue/job/verify-image.ts';

/** 100 clusters of 4 KiB from byte 8192 on, 512 bytes behind them; of the clusters, 10 to 19 were in use. */
const CLUSTERS: AddressSpace = {
  id: SPACE.partition,
  of: 'partition',
  start: 8192,
  length: 409_600,
  unit: 4096,
};
const OUTSIDE: AddressSpace = { id: SPACE.outside, of: 'partition', start: 0, length: 418_304, unit: 512 };
const IN_USE = { start: 10, length: 10 };

const lostWith = (gap: LogGap, bitmapLost: boolean): LostExtent[] => {
  const image = {
    gaps: () => [gap],
    control: { geometry: { clusterBase: 8192, clusterSize: 4096, clusterCount: 100 } },
    inUse: () => [IN_USE],
    ...(bitmapLost ? { bitmapLost } : {}),
  } as unknown as Image;
  const lost: LostExtent[] = [];
  lostGaps(image, [CLUSTERS, OUTSIDE], ({ extents }) => lost.push(...extents));
  return lost;
};

const place = (space: number, unit: number) => ({ space, unit });

test('a gap behind what lies outside the clusters names no clusters', (t) => {
  const lost = lostWith({ from: 0, to: 1, after: place(SPACE.outside, 16), before: undefined }, false);
  t.deepEqual(lost, [{ start: 417_792, length: 512, of: 'partition' }]);
});

test('a gap in the clusters names those of it that were in use', (t) => {
  const gap = { from: 0, to: 1, after: place(SPACE.partition, 15), before: place(SPACE.outside, 0) };
  t.deepEqual(lostWith(gap, false), [{ start: 8192 + 15 * 4096, length: 5 * 4096, of: 'partition' }]);
});

test('without the bitmap, all that a gap may have held is named', (t) => {
  const gap = { from: 0, to: 1, after: place(SPACE.partition, 15), before: undefined };
  t.deepEqual(normalise(lostWith(gap, true)), [
    { start: 0, length: 8192 },
    { start: 8192 + 15 * 4096, length: 85 * 4096 + 512 },
  ]);
});
