import type { ByteLength, ByteOffset } from '../units.ts';

/** What a job did with bytes of TARGET, or of the place that it restores to. */
export type Touch = 'read' | 'slot' | 'written' | 'verified';

/** For pictures of a disk: neighbours are joined and the order is lost. Offsets in bytes from the start of that place. */
export interface TouchEvent {
  readonly touched: Touch;
  readonly extents: readonly (readonly [ByteOffset, ByteLength])[];
}

/** Milliseconds between two events of one kind. */
const EVERY = 50;
/** Extents in one event: a picture has fewer cells. */
const MOST = 256;

/** Gathers what was touched, joins neighbours, and tells it now and then: a job touches far more often than anyone looks. */
export class Touched {
  readonly #tell: (event: TouchEvent) => void;
  readonly #pending = new Map<Touch, [ByteOffset, ByteLength][]>();
  #toldAt = performance.now();

  constructor(tell: (event: TouchEvent) => void) {
    this.#tell = tell;
  }

  add(touched: Touch, start: ByteOffset, length: ByteLength): void {
    let extents = this.#pending.get(touched);
    if (extents === undefined) {
      extents = [];
      this.#pending.set(touched, extents);
    }
    const last = extents.at(-1);
    if (last !== undefined && last[0] + last[1] === start) last[1] += length;
    else extents.push([start, length]);
    if (extents.length >= MOST || performance.now() - this.#toldAt >= EVERY) this.flush();
  }

  /** Tells what is left. */
  flush(): void {
    for (const [touched, extents] of this.#pending) this.#tell({ touched, extents });
    this.#pending.clear();
    this.#toldAt = performance.now();
  }
}
