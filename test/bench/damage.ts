import { subtract } from '../../rescue/bytes/runs.ts';
import { type Extent, roundDown } from '../../rescue/units.ts';
import { noiseSource } from '../support/noise.ts';
import type { Subject } from './subject.ts';

/**
 * A share of the clusters in use, but none of `keep`: one by chance out of each stretch of 1 / share, so that they lie all over the volume
 * and the same `seed` names the same ones. Ascending.
 */
export const damage = (
  { used, clusterSize }: Pick<Subject, 'used' | 'clusterSize'>,
  keep: readonly Extent[],
  share: number,
  seed = 'which clusters',
): Extent[] => {
  const next = noiseSource(seed);
  const stretch = Math.round(1 / share);
  const chance = (): number => next(4).readUInt32LE() % stretch;
  const chosen: Extent[] = [];
  let passed = 0;
  let wanted = chance();
  for (const { start, length } of subtract(used, keep)) {
    const clusters = Math.floor(length / clusterSize);
    for (; wanted < passed + clusters; wanted = roundDown(wanted, stretch) + stretch + chance())
      chosen.push({ start: start + (wanted - passed) * clusterSize, length: clusterSize });
    passed += clusters;
  }
  return chosen;
};
