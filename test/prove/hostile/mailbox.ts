import { KIB } from '../../../rescue/units.ts';
import type { Plain } from '../part.ts';

/**
 * Memory that two threads share: one says what it is about to try, the other can read it when the first does not answer any more.
 */
const ROOM = 256 * KIB;
const COUNT = 0;
const LENGTH = 1;
const ATTEMPTS = 2;
const HEAD = 12;

export class Mailbox {
  readonly memory: SharedArrayBuffer;
  readonly #numbers: Int32Array;
  readonly #text: Uint8Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(HEAD + ROOM)) {
    this.memory = memory;
    this.#numbers = new Int32Array(memory, 0, 3);
    this.#text = new Uint8Array(memory, HEAD);
  }

  /** The next input, or one that is tried once more. One that is too long is left out. */
  put(input: Plain, again = false): void {
    const text = JSON.stringify(input);
    // Counted first: a length that is not zero belongs to this input or the next.
    Atomics.store(this.#numbers, LENGTH, 0);
    if (!again) Atomics.add(this.#numbers, COUNT, 1);
    Atomics.add(this.#numbers, ATTEMPTS, 1);
    if (text.length * 3 > ROOM) return;
    const { written } = new TextEncoder().encodeInto(text, this.#text);
    Atomics.store(this.#numbers, LENGTH, written);
  }

  /** Inputs so far. */
  get count(): number {
    return Atomics.load(this.#numbers, COUNT);
  }

  /** Attempts so far: each input once, and again to see which of many made the news, or what a fault needs. */
  get attempts(): number {
    return Atomics.load(this.#numbers, ATTEMPTS);
  }

  /** The latest input, if it was short enough. */
  latest(): Plain {
    const length = Atomics.load(this.#numbers, LENGTH);
    if (length === 0) return null;
    return JSON.parse(Buffer.from(Uint8Array.from(this.#text.subarray(0, length))).toString('utf8')) as Plain;
  }
}
