import { nextBit, setBits } from '../../bytes/bitmap.ts';
import { complement, endOf, intersect, normalise, subtract, totalLength } from '../../bytes/runs.ts';
import { corrupt, refused, usage } from '../../errors.ts';
import { type Cluster, type Run, roundDown, roundUp } from '../../units.ts';
import { clusterBitmap } from './allocation.ts';
import type { PagedBitmap } from './bitmap.ts';
import { attributeRuns } from './file.ts';
import { AT_DATA, FILE_BITMAP } from './layout.ts';
import { RunMap } from './run-map.ts';
import { joined } from './runlist-encoder.ts';
import type { StagedEdits } from './staged-edits.ts';
import type { NtfsVolume } from './volume.ts';

/** Sectors of bits from which on they are an operation: below, before- and after-image cost little. */
const FEWEST_SECTORS = 8;

/** Takes and gives clusters. What was decided reaches $Bitmap with `finish`. */
export class ClusterEditor {
  readonly #volume: NtfsVolume;
  readonly #edits: StagedEdits;
  readonly #bits: PagedBitmap;
  readonly #place: RunMap;
  readonly #avoid: { has(cluster: Cluster): boolean };
  readonly #requested: readonly Run[];
  readonly #taken: Run[] = [];
  readonly #own = new Set<Cluster>();
  readonly #given: Run[] = [];
  #free: Iterator<Cluster> | undefined;
  /** Free clusters that were looked at and not taken. */
  readonly #ahead: Cluster[] = [];

  /** `requested`: clusters that the caller wants; all must be free. Throws `refused` (`claim.not-free`), `usage`, `corrupt`. */
  constructor(
    volume: NtfsVolume,
    edits: StagedEdits,
    requested: readonly Run[],
    avoid: { has(cluster: Cluster): boolean },
  ) {
    this.#volume = volume;
    this.#edits = edits;
    this.#bits = clusterBitmap(volume);
    const file = volume.file(FILE_BITMAP);
    this.#place = RunMap.of(attributeRuns(file, AT_DATA, ''), file.record.place);
    const first = file.find(AT_DATA, '');
    const bytes = Math.ceil(volume.clusterCount / 8);
    if (first === undefined || first.resident || first.initializedSize < bytes) {
      throw corrupt('$Bitmap has no clusters, or too few', {
        code: 'ntfs.bitmap-size',
        ...file.record.place,
        expected: `${bytes} bytes`,
      });
    }
    this.#avoid = avoid;
    this.#requested = normalise(requested);
    if (totalLength(this.#requested) !== totalLength(requested))
      throw usage('a container has no cluster twice', { code: 'claim.runs' });
    this.#requireFree(this.#requested);
    this.#taken.push(...this.#requested);
  }

  #requireFree(runs: readonly Run[]): void {
    const { clusterCount } = this.#volume;
    const outside = runs.find((run) => run.start < 0 || run.length < 1 || endOf(run) > clusterCount);
    const [used] = outside === undefined ? intersect(this.#bits.runs(), runs) : [outside];
    if (used === undefined) return;
    throw refused('a cluster that the container wants is not free', {
      code: 'claim.not-free',
      structure: '$Bitmap',
      expected: `free clusters below ${clusterCount}`,
      found: used.start,
    });
  }

  *#freeClusters(): Generator<Cluster> {
    const whole = { start: 0, length: this.#volume.clusterCount };
    for (const run of subtract(complement(this.#bits.runs(), whole), this.#requested))
      for (let at = run.start; at < endOf(run); at += 1)
        if (!this.#avoid.has(at) && !this.#own.has(at)) yield at;
  }

  #mayTake(cluster: Cluster): boolean {
    return (
      cluster < this.#volume.clusterCount &&
      !this.#bits.isSet(cluster) &&
      !this.#avoid.has(cluster) &&
      !this.#own.has(cluster) &&
      !this.#requested.some((run) => run.start <= cluster && cluster < endOf(run))
    );
  }

  #nextFree(): Cluster | undefined {
    this.#free ??= this.#freeClusters();
    const next = this.#free.next();
    return next.done === true ? undefined : next.value;
  }

  /** Whether `take` would find so many. */
  canTake(count: number): boolean {
    let found = this.#ahead.filter((cluster) => !this.#own.has(cluster)).length;
    while (found < count) {
      const next = this.#nextFree();
      if (next === undefined) return false;
      this.#ahead.push(next);
      found += 1;
    }
    return true;
  }

  /**
   * Clusters for the claim's own needs: those from `near` on as far as they are free, then the lowest ones. In file order.
   * Throws `refused` (`claim.no-space`).
   */
  take(count: number, near?: Cluster): Run[] {
    const taken: Run[] = [];
    const add = (cluster: Cluster): void => {
      this.#own.add(cluster);
      taken.push({ start: cluster, length: 1 });
    };
    if (near !== undefined) for (let at = near; taken.length < count && this.#mayTake(at); at += 1) add(at);
    while (taken.length < count) {
      const next = this.#ahead.shift() ?? this.#nextFree();
      if (next === undefined) {
        throw refused('no cluster is left for what lists the container', {
          code: 'claim.no-space',
          wayOut: 'Free some space',
        });
      }
      if (!this.#own.has(next)) add(next);
    }
    const runs = joined(taken);
    this.#taken.push(...runs);
    return runs;
  }

  /** Gives clusters back. Throws `corrupt` (`ntfs.content-free`) if one is free already. */
  give(runs: Iterable<Run>): void {
    for (const run of runs) {
      const clear = this.#bits.firstClear(run);
      if (clear !== undefined) {
        throw corrupt('a cluster of a file is marked as free', {
          code: 'ntfs.content-free',
          structure: '$Bitmap',
          found: clear,
        });
      }
      this.#given.push(run);
    }
  }

  /** Plans the changes of $Bitmap. */
  finish(): void {
    for (const run of normalise(this.#taken)) this.#change(run, 'set');
    for (const run of normalise(this.#given)) this.#change(run, 'clear');
  }

  /** Whole sectors of bits as an operation, if there are many; the rest as writes. */
  #change(run: Run, direction: 'set' | 'clear'): void {
    const perSector = 8 * this.#edits.sectorSize;
    const from = roundUp(run.start, perSector);
    const to = roundDown(endOf(run), perSector);
    if (to - from < FEWEST_SECTORS * perSector) {
      this.#write(run.start, endOf(run), direction);
      return;
    }
    this.#write(run.start, from, direction);
    this.#write(to, endOf(run), direction);
    const phase = direction === 'set' ? 'allocation' : 'release';
    const { clusterSize } = this.#volume;
    for (const { start, length } of this.#place.extents(clusterSize, from / 8, (to - from) / 8))
      this.#edits.operate(phase, { kind: 'bits', direction, offset: start, length });
  }

  #write(from: number, to: number, direction: 'set' | 'clear'): void {
    if (from >= to) return;
    const first = Math.floor(from / 8);
    const length = Math.ceil(to / 8) - first;
    let done = 0;
    for (const extent of this.#place.extents(this.#volume.clusterSize, first, length)) {
      const bytes = this.#edits.read(extent.start, extent.length);
      const base = 8 * (first + done);
      const [low, high] = [Math.max(from, base) - base, Math.min(to, base + 8 * extent.length) - base];
      if (direction === 'set') setBits(bytes, low, high);
      else clearBits(bytes, low, high);
      this.#edits.write(direction === 'set' ? 'allocation' : 'release', extent.start, bytes);
      done += extent.length;
    }
  }
}

/** Clears bits [from, to). */
export const clearBits = (bytes: Uint8Array, from: number, to: number): void => {
  for (let bit = nextBit(bytes, true, from, to); bit < to; bit = nextBit(bytes, true, bit + 1, to))
    bytes[bit >>> 3]! &= ~(1 << (bit & 7));
};
