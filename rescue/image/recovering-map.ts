import type { HoldfastError } from '../errors.ts';
import { isLoss } from './lost-stretch.ts';
import type { ClusterMap, MapEntry } from './map.ts';
import type { LogGap, ScannedMap } from './scanned-map.ts';

/**
 * The map as the index gives it, and from where the index is damaged on, as the data records themselves give it: one bad
 * slot must not take an image away.
 */
export class RecoveringMap implements ClusterMap {
  readonly #paged: () => ClusterMap;
  readonly #scanned: ScannedMap;
  #damage: HoldfastError | undefined;

  constructor(paged: () => ClusterMap, scanned: ScannedMap) {
    this.#paged = paged;
    this.#scanned = scanned;
  }

  /** What is wrong with the index, as far as it was used. */
  get damage(): HoldfastError | undefined {
    return this.#damage;
  }

  get gaps(): readonly LogGap[] {
    return this.#scanned.gaps;
  }

  *entriesFrom(space: number, unit: number): Generator<MapEntry> {
    let at = { space, unit };
    if (this.#damage === undefined) {
      try {
        for (const entry of this.#paged().entriesFrom(space, unit)) {
          at = { space: entry.space, unit: entry.start + entry.length };
          yield entry;
        }
        return;
      } catch (error) {
        if (!isLoss(error)) throw error;
        this.#damage = error;
      }
    }
    yield* this.#scanned.entriesFrom(at.space, at.unit);
  }
}
