import { endOf, normalise, subtract } from '../../bytes/runs.ts';
import { refused } from '../../errors.ts';
import type { Cluster, Run } from '../../units.ts';
import type { FatVolume } from './volume.ts';

/**
 * Finds clusters for a claim's own needs: free, outside of what the claim takes and of what it must avoid; the lowest first, as containers
 * lie high.
 */
export class FreeClusters {
  readonly #clusters: Iterator<Cluster>;

  constructor(volume: FatVolume, claimed: readonly Run[], avoid: { has(cluster: Cluster): boolean }) {
    this.#clusters = freeClusters(volume, claimed, avoid);
  }

  /** Throws `refused` (`claim.no-space`) when there are no more. */
  take(): Cluster {
    const next = this.#clusters.next();
    if (next.done !== true) return next.value;
    throw refused('no cluster is left for the folder that lists the container', {
      code: 'claim.no-space',
      wayOut: 'Free some space',
    });
  }
}

function* freeClusters(
  volume: FatVolume,
  claimed: readonly Run[],
  avoid: { has(cluster: Cluster): boolean },
): Generator<Cluster> {
  for (const run of subtract(volume.table.freeRuns(), normalise(claimed))) {
    for (let cluster = run.start; cluster < endOf(run); cluster += 1) if (!avoid.has(cluster)) yield cluster;
  }
}
