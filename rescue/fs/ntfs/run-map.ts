import { corrupt, unsupported } from '../../errors.ts';
import type { ByteLength, Extent } from '../../units.ts';
import type { MappedRun } from './runlist.ts';
import type { Place } from './update-sequence.ts';

/** Runs that are kept for one attribute: 24 MiB. Windows gives up at about 1.5 million (256 KiB of attribute list). */
const MOST_RUNS = 2 ** 20;

/** The runs of one attribute, to be asked where a VCN is. Holds them all: for the few attributes that are read out of order. */
export class RunMap {
  readonly #place: Place;
  readonly #vcns: number[] = [];
  /** -1 for holes. */
  readonly #starts: number[] = [];
  #end = 0;

  constructor(place: Place) {
    this.#place = place;
  }

  /** Throws `unsupported` (`ntfs.too-many-runs`), and what the runs throw. */
  static of(runs: Iterable<MappedRun>, place: Place): RunMap {
    const map = new RunMap(place);
    for (const run of runs) map.add(run);
    return map;
  }

  /** VCNs from 0 up to this, exclusive. */
  get end(): number {
    return this.#end;
  }

  /** The next run: runs come in order. */
  add({ vcn, start = -1, length }: MappedRun): void {
    if (vcn !== this.#end) throw new RangeError(`run at VCN ${vcn} does not follow ${this.#end}`);
    if (this.#vcns.length >= MOST_RUNS) {
      throw unsupported('is in too many pieces', {
        code: 'ntfs.too-many-runs',
        ...this.#place,
        expected: `at most ${MOST_RUNS} runs`,
      });
    }
    this.#vcns.push(vcn);
    this.#starts.push(start);
    this.#end += length;
  }

  /** The cluster of `vcn` and how many follow it in one piece, `vcn` included. Throws `corrupt` (`ntfs.vcn-range`). */
  at(vcn: number): { readonly start: number | undefined; readonly length: number } {
    if (!(vcn >= 0 && vcn < this.#end)) {
      throw corrupt('ends before the place that is asked for', {
        code: 'ntfs.vcn-range',
        ...this.#place,
        expected: `VCN 0 to ${this.#end - 1}`,
        found: vcn,
      });
    }
    let low = 0;
    let high = this.#vcns.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#vcns[middle]! <= vcn) low = middle;
      else high = middle - 1;
    }
    const first = this.#vcns[low]!;
    const length = (this.#vcns[low + 1] ?? this.#end) - vcn;
    const start = this.#starts[low]!;
    return { start: start < 0 ? undefined : start + vcn - first, length };
  }

  /** All runs in order, holes as such. */
  *runs(): Generator<MappedRun> {
    for (let vcn = 0; vcn < this.#end; ) {
      const { start, length } = this.at(vcn);
      yield { vcn, start, length };
      vcn += length;
    }
  }

  /** Pieces of the device that hold `length` bytes from byte `offset` on, in order. Throws `corrupt` (`ntfs.hole`, `ntfs.vcn-range`). */
  *extents(clusterSize: ByteLength, offset: number, length: ByteLength): Generator<Extent> {
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const within = at % clusterSize;
      const run = this.at(Math.floor(at / clusterSize));
      if (run.start === undefined)
        throw corrupt('has a hole where content belongs', { code: 'ntfs.hole', ...this.#place, found: at });
      const size = Math.min(run.length * clusterSize - within, length - done);
      yield { start: run.start * clusterSize + within, length: size };
      done += size;
    }
  }
}
