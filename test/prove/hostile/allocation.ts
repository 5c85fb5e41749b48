import { MIB } from '../../../rescue/units.ts';

/** Bytes that one array may have: the longest that the engine states is that of an extent table, 64 MiB. */
export const MOST_AT_ONCE = 64 * MIB;
/** Bytes of all arrays that one input may make it ask for, freed ones included. */
export const MOST_TOGETHER = 512 * MIB;

export class AllocationLimit extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'AllocationLimit';
  }
}

/**
 * Counts the bytes of the byte arrays that are asked for, exactly and at once, which the collector's own figures cannot. It stands in
 * for the constructors: lengths too large are told whether or not the machine would have had the memory.
 */
export class AllocationMeter {
  #together = 0;
  #largest = 0;
  #exceeded: AllocationLimit | undefined;
  readonly #undo: (() => void)[] = [];

  constructor() {
    const count = (length: unknown): void => {
      if (typeof length === 'number') this.#count(length);
    };
    const original = globalThis.Uint8Array;
    globalThis.Uint8Array = new Proxy(original, {
      // Nothing in the engine is derived from it, so the target itself is made: that is much faster than Reflect.construct.
      construct: (target, [first, ...more]: [ArrayBuffer, number?, number?]) => {
        count(first);
        return more.length === 0 ? new target(first) : new target(first, ...more);
      },
    });
    this.#undo.push(() => {
      globalThis.Uint8Array = original;
    });
    for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
      const before = Buffer[name];
      Buffer[name] = ((length: number, ...more: []) => {
        count(length);
        return before.call(Buffer, length, ...more);
      }) as typeof before;
      this.#undo.push(() => {
        Buffer[name] = before as never;
      });
    }
  }

  #count(length: number): void {
    this.#together += length;
    if (length > this.#largest) this.#largest = length;
    if (length > MOST_AT_ONCE) this.#refuse(`an array of ${length} bytes was asked for`);
    if (this.#together > MOST_TOGETHER)
      this.#refuse(`arrays of ${this.#together} bytes together were asked for`);
  }

  #refuse(what: string): never {
    this.#exceeded = new AllocationLimit(what);
    throw this.#exceeded;
  }

  /** Starts anew for the next input. */
  begin(): void {
    this.#together = 0;
    this.#exceeded = undefined;
  }

  /** Throws what was refused, though somebody may have caught it. */
  check(): void {
    if (this.#exceeded !== undefined) throw this.#exceeded;
  }

  /** Bytes of the longest array since the beginning. */
  get largest(): number {
    return this.#largest;
  }

  end(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }
}
