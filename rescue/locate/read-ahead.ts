import { type ByteLength, type ByteOffset, type Extent, KIB } from '../units.ts';
import { mayHoldSlots } from './probe.ts';

/**
 * A second thread for the scan: it reads tiles ahead, and keeps those that may hold slots. Nearly all time of a scan from memory goes to the
 * read calls, and what was read is seldom of interest; so only that much is done by two, and everything else, in the order in
 * which one alone would do it, by the scan itself. A tile belongs to whichever thread takes it first: the scan takes what the other has not come
 * to, and never waits for longer than one tile takes. What fails over there is read once more over here.
 */

/** Bytes of a tile at most. */
export const TILE = 64 * KIB;
/** Tiles that are handed over together: fewer cost more messages, more are more that may have been read in vain. */
export const STRETCH = 16;
/** Handed over at once: while one is collected, the other is being read. */
export const STRETCHES = 2;
/** Looks at an answer that is about to come: some microseconds, less than it takes to fall asleep and be woken. */
const LOOKS = 2000;
/** An answer that takes longer than this is not waited for any more: milliseconds. */
const PATIENCE = 60_000;

/** `left`: it is for the scan to read, as is all in new memory; `open`: nobody has taken it; `taken`: by the other thread. */
const STATE = { left: 0, open: 1, taken: 2, empty: 3, kept: 4 } as const;

const COUNT = STRETCH * STRETCHES;
const BYTES_AT = 4 * KIB;

/** The memory that both threads have: whether the other one listens; for each tile its place, its state, and its bytes if they were kept. */
class SharedTiles {
  readonly starts: Float64Array;
  readonly lengths: Float64Array;
  readonly states: Int32Array;
  readonly ready: Int32Array;
  readonly #memory: SharedArrayBuffer;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = memory;
    this.starts = new Float64Array(memory, 0, COUNT);
    this.lengths = new Float64Array(memory, 8 * COUNT, COUNT);
    this.states = new Int32Array(memory, 16 * COUNT, COUNT);
    this.ready = new Int32Array(memory, 20 * COUNT, 1);
  }

  bytes(tile: number, length: ByteLength): Uint8Array {
    return new Uint8Array(this.#memory, BYTES_AT + tile * TILE, length);
  }
}

/**
 * What the other thread does. `listen` says that stretches may come; the function that it returns reads what is open of the
 * stretch of that number. `read` fills the target or throws.
 */
export const listen = (
  memory: SharedArrayBuffer,
  read: (position: ByteOffset, target: Uint8Array) => void,
): ((stretch: number) => void) => {
  const tiles = new SharedTiles(memory);
  // Every tile is read over the one before, which the processor still has at hand.
  const words = new Uint32Array(TILE / Uint32Array.BYTES_PER_ELEMENT);
  const buffer = new Uint8Array(words.buffer);
  const stateAfter = (tile: number): number => {
    const bytes = buffer.subarray(0, tiles.lengths[tile]);
    try {
      read(tiles.starts[tile]!, bytes);
    } catch {
      return STATE.left;
    }
    if (!mayHoldSlots(words, bytes.length)) return STATE.empty;
    tiles.bytes(tile, bytes.length).set(bytes);
    return STATE.kept;
  };
  Atomics.store(tiles.ready, 0, 1);
  return (stretch) => {
    for (let tile = stretch * STRETCH; tile < (stretch + 1) * STRETCH; tile += 1) {
      if (Atomics.compareExchange(tiles.states, tile, STATE.open, STATE.taken) !== STATE.open) continue;
      Atomics.store(tiles.states, tile, stateAfter(tile));
      Atomics.notify(tiles.states, tile);
    }
  };
};

export interface ReadAheadThread {
  /** Has the thread call what `listen` returned. */
  postMessage(stretch: number): void;
  terminate(): Promise<unknown>;
}

export interface ReadAheadOptions {
  /** Starts the thread; called when it is first needed. */
  readonly start: (memory: SharedArrayBuffer) => ReadAheadThread;
  /** Told of bytes that the other thread read, when they are collected. */
  readonly counted: (bytes: ByteLength) => void;
}

/** The scan's side of it. Tiles are collected in the order in which they were handed over. */
export class ReadAhead {
  readonly #options: ReadAheadOptions;
  readonly #memory = new SharedArrayBuffer(BYTES_AT + COUNT * TILE);
  readonly #tiles = new SharedTiles(this.#memory);
  readonly #free = Array.from({ length: STRETCHES }, (_, stretch) => stretch);
  /** Tiles that were handed over, and at the last of each stretch the stretch, which is free then. */
  readonly #handed: { readonly tile: number; readonly ends?: number }[] = [];
  #thread: ReadAheadThread | undefined;
  #lost = false;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  /** Whether a stretch can be handed over. The first call starts the thread, which is not waited for. */
  get isFree(): boolean {
    if (this.#lost) return false;
    this.#thread ??= this.#options.start(this.#memory);
    return this.#free.length > 0 && Atomics.load(this.#tiles.ready, 0) === 1;
  }

  /** Has these tiles read: one to `STRETCH` of them, none longer than `TILE`. Ask `isFree` first. */
  hand(extents: readonly Extent[]): void {
    const stretch = this.#free.shift()!;
    for (const [index, { start, length }] of extents.entries()) {
      const tile = stretch * STRETCH + index;
      this.#tiles.starts[tile] = start;
      this.#tiles.lengths[tile] = length;
      // From here on it may be taken, even by a thread that is late with the stretch before.
      Atomics.store(this.#tiles.states, tile, STATE.open);
      this.#handed.push({ tile, ...(index === extents.length - 1 ? { ends: stretch } : {}) });
    }
    this.#thread!.postMessage(stretch);
  }

  /**
   * What came of the next tile that was handed over. `kept`: it may hold slots, and is copied into `target`, which is as long as the tile;
   * `empty`: it was read and holds none; `left`: it has still to be read.
   */
  collect(target: Uint8Array): 'kept' | 'empty' | 'left' {
    const { tile, ends } = this.#handed.shift()!;
    const state = this.#stateOf(tile);
    if (state === STATE.kept) target.set(this.#tiles.bytes(tile, target.length));
    if (ends !== undefined) this.#free.push(ends);
    if (state === STATE.left) return 'left';
    this.#options.counted(target.length);
    return state === STATE.kept ? 'kept' : 'empty';
  }

  #stateOf(tile: number): number {
    const { states } = this.#tiles;
    let state = Atomics.compareExchange(states, tile, STATE.open, STATE.left);
    if (state === STATE.open || this.#lost) return STATE.left;
    for (let look = 0; state === STATE.taken && look < LOOKS; look += 1) state = Atomics.load(states, tile);
    if (state !== STATE.taken) return state;
    if (Atomics.wait(states, tile, STATE.taken, PATIENCE) !== 'timed-out') return Atomics.load(states, tile);
    this.giveUp();
    return STATE.left;
  }

  /** The thread is gone, or as good as gone: what was not collected has still to be read, and nothing more is handed over. */
  giveUp(): void {
    this.#lost = true;
  }

  /** To be awaited before the device is closed. */
  async close(): Promise<void> {
    this.giveUp();
    await this.#thread?.terminate();
  }
}
