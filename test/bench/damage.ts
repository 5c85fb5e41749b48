import { subtract } from '../../rescue/bytes/runs.ts';
import { type Extent, KIB, roundDown } from '../../rescue/units.ts';
import { noiseSource } from '../support/noise.ts';
import type { Subject } from './subject.ts';

/** Bytes that lie together: files are changed, not single clusters. The files of /usr have 37 KiB on average. */
const RUN = 64 * KIB;

/**
 * A share of the clusters in use, but none of `keep`: in runs of 64 KiB, one by chance out of each stretch of 64 KiB / share, so that they lie all
 * over the volume and the same `seed` names the same ones. Where what is in use ends in a run, it goes on behind the gap. Ascending.
 */
export const damage = (
  { used, clusterSize }: Pick<Subject, 'used' | 'clusterSize'>,
  keep: readonly Extent[],
  share: number,
  seed = 'which clusters',
): Extent[] => {
  const next = noiseSource(seed);
  const run = Math.max(1, RUN / clusterSize);
  const stretch = Math.round(run / share);
  const chance = (): number => next(4).readUInt32LE() % (stretch - run + 1);
  const chosen: Extent[] = [];
  /** Clusters seen, and where the run begins that is next. */
  let passed = 0;
  let wanted = chance();
  for (const { start, length } of subtract(used, keep)) {
    const clusters = Math.floor(length / clusterSize);
    for (;;) {
      const from = Math.max(wanted, passed);
      const end = Math.min(wanted + run, passed + clusters);
      if (from < end)
        chosen.push({ start: start + (from - passed) * clusterSize, length: (end - from) * clusterSize });
      if (wanted + run > passed + clusters) break;
      wanted = roundDown(wanted, stretch) + stretch + chance();
    }
    passed += clusters;
  }
  return chosen;
};
