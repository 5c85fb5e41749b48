import type { FileReference } from './reference.ts';

/** One name: as a file keeps it, or as a folder lists it. Both must say the same. */
export interface LedgerName {
  readonly folder: FileReference;
  readonly file: FileReference;
  readonly namespace: number;
  readonly name: string;
}

const BUCKETS = 2 ** 16;

/** A round of a multiplicative hash (the multipliers are primes near 2^32 over the golden ratio, and murmur3's). */
const mix = (hash: number, value: number, multiplier: number): number => {
  const mixed = Math.imul(hash ^ value, multiplier);
  return mixed ^ (mixed >>> 15);
};

const hashOf = ({ folder, file, namespace, name }: LedgerName, multiplier: number): number => {
  let hash = 1;
  for (const { number, sequence } of [folder, file]) {
    hash = mix(hash, number | 0, multiplier);
    hash = mix(hash, Math.floor(number / 2 ** 32) * 2 ** 16 + sequence, multiplier);
  }
  hash = mix(hash, namespace, multiplier);
  for (let index = 0; index < name.length; index += 1) hash = mix(hash, name.charCodeAt(index), multiplier);
  return hash >>> 0;
};

/**
 * Balances the names that files keep against those that folders list, whatever their number, in 768 KiB: names are counted and
 * their hashes added up in buckets, which all come out at zero if both sides say the same. Where one does not, its names have
 * to be looked at again.
 */
export class NameLedger {
  readonly #counts = new Int32Array(BUCKETS);
  readonly #sums = new Int32Array(BUCKETS);

  #book(name: LedgerName, sign: 1 | -1): void {
    const bucket = this.bucketOf(name);
    this.#counts[bucket]! += sign;
    this.#sums[bucket]! += sign * hashOf(name, 0x85ebca6b);
  }

  bucketOf(name: LedgerName): number {
    return hashOf(name, 0x9e3779b1) % BUCKETS;
  }

  /** A name as its file keeps it. */
  kept(name: LedgerName): void {
    this.#book(name, 1);
  }

  /** A name as its folder lists it. */
  listed(name: LedgerName): void {
    this.#book(name, -1);
  }

  isBalanced(name: LedgerName): boolean {
    const bucket = this.bucketOf(name);
    return this.#counts[bucket] === 0 && this.#sums[bucket] === 0;
  }

  get balanced(): boolean {
    return this.#counts.every((count, bucket) => count === 0 && this.#sums[bucket] === 0);
  }
}
