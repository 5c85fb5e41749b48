import { unsupported } from '../../errors.ts';

/**
 * Hashes of directory entry names, by which an indexed directory (htree) is sorted: kernel documentation, ext4,
 * "Hash Tree Directories". All arithmetic is modulo 2^32. Lowest bit of the result is always clear: in an index it
 * says "continued from the block before".
 */
export const HASH_LEGACY = 0;
export const HASH_HALF_MD4 = 1;
export const HASH_TEA = 2;
/** Added to the version when names count as unsigned bytes (superblock flag 2, `EXT2_FLAGS_UNSIGNED_HASH`). */
export const HASH_UNSIGNED = 3;

export interface NameHash {
  /** One of the constants above, `HASH_UNSIGNED` already added where the superblock says so. */
  readonly version: number;
  /** `s_hash_seed`: four little-endian words; all zero means the default seed. */
  readonly seed: Uint8Array;
}

/** The initial state of MD4 (RFC 1320, section 3.3), the default seed. */
const DEFAULT_SEED = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const;
/** The key schedule constant of TEA: (sqrt(5) - 1) * 2^31. */
const TEA_DELTA = 0x9e3779b9;
/** Constants of the second and third round of MD4 (RFC 1320): sqrt(2) and sqrt(3) times 2^30. */
const MD4_ROUND_2 = 0x5a827999;
const MD4_ROUND_3 = 0x6ed9eba1;

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

/** The order in which each half-MD4 round takes the eight words, and its four rotations. */
const MD4_ORDER = [
  [0, 1, 2, 3, 4, 5, 6, 7],
  [1, 3, 5, 7, 0, 2, 4, 6],
  [3, 7, 2, 6, 1, 5, 0, 4],
] as const;
const MD4_SHIFTS = [
  [3, 7, 11, 19],
  [3, 5, 9, 13],
  [3, 9, 11, 15],
] as const;
const MD4_CONSTANTS = [0, MD4_ROUND_2, MD4_ROUND_3] as const;

const md4Function = (round: number, x: number, y: number, z: number): number => {
  if (round === 0) return z ^ (x & (y ^ z));
  if (round === 1) return (x & y) | (x & z) | (y & z);
  return x ^ y ^ z;
};

/** MD4 cut down to eight words and 24 steps. */
const halfMd4 = (state: Int32Array, words: Int32Array): void => {
  let [a, b, c, d] = state as unknown as [number, number, number, number];
  for (let round = 0; round < 3; round += 1) {
    for (let step = 0; step < 8; step += 1) {
      const word = words[MD4_ORDER[round]![step]!]!;
      const sum = (a + md4Function(round, b, c, d) + word + MD4_CONSTANTS[round]!) | 0;
      // The four variables change places with each step.
      [a, b, c, d] = [d, rotate(sum, MD4_SHIFTS[round]![step % 4]!), b, c];
    }
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
};

/** Sixteen rounds of the Tiny Encryption Algorithm, keyed with the name, as a compression function. */
const tea = (state: Int32Array, words: Int32Array): void => {
  let x = state[0]!;
  let y = state[1]!;
  let sum = 0;
  for (let round = 0; round < 16; round += 1) {
    sum = (sum + TEA_DELTA) | 0;
    x = (x + (((y << 4) + words[0]!) ^ (y + sum) ^ ((y >>> 5) + words[1]!))) | 0;
    y = (y + (((x << 4) + words[2]!) ^ (x + sum) ^ ((x >>> 5) + words[3]!))) | 0;
  }
  state[0]! += x;
  state[1]! += y;
};

type ByteOf = (bytes: Uint8Array, index: number) => number;
const unsignedByte: ByteOf = (bytes, index) => bytes[index]!;
const signedByte: ByteOf = (bytes, index) => (bytes[index]! << 24) >> 24;

/**
 * `count` words made of the name from `at` on: four bytes to a word, the first one highest, signed bytes borrowing
 * from the one before; what is missing is filled with the number of bytes that were left.
 */
const wordsOf = (name: Uint8Array, at: number, count: number, byteOf: ByteOf): Int32Array => {
  const left = name.length - at;
  const fill = Math.imul(left & 0xff, 0x01010101) | 0;
  const words = new Int32Array(count).fill(fill);
  for (let index = 0; index < Math.min(left, count * 4); index += 1) {
    const word = index >> 2;
    if (index % 4 === 0) words[word] = fill;
    words[word] = byteOf(name, at + index) + (words[word]! << 8);
  }
  return words;
};

const legacy = (name: Uint8Array, byteOf: ByteOf): number => {
  let last = 0x12a3fe2d;
  let beforeLast = 0x37abe8f9;
  for (let index = 0; index < name.length; index += 1) {
    let hash = (beforeLast + (last ^ Math.imul(byteOf(name, index), 7152373))) >>> 0;
    if (hash >= 0x8000_0000) hash -= 0x7fff_ffff;
    beforeLast = last;
    last = hash;
  }
  return last << 1;
};

const seedOf = (seed: Uint8Array): Int32Array => {
  const view = new DataView(seed.buffer, seed.byteOffset, 16);
  const state = Int32Array.from([0, 4, 8, 12], (at) => view.getInt32(at, true));
  return state.every((word) => word === 0) ? Int32Array.from(DEFAULT_SEED) : state;
};

/**
 * The major hash of a name, which is all that the index is sorted by. For a case-insensitive directory give the
 * folded name. Throws `unsupported` for a hash version that is not in the list above.
 */
export const hashName = (name: Uint8Array, { version, seed }: NameHash): number => {
  const byteOf = version >= HASH_UNSIGNED ? unsignedByte : signedByte;
  const state = seedOf(seed);
  switch (version >= HASH_UNSIGNED ? version - HASH_UNSIGNED : version) {
    case HASH_LEGACY:
      return (legacy(name, byteOf) & ~1) >>> 0;
    case HASH_HALF_MD4:
      for (let at = 0; at < name.length; at += 32) halfMd4(state, wordsOf(name, at, 8, byteOf));
      return (state[1]! & ~1) >>> 0;
    case HASH_TEA:
      for (let at = 0; at < name.length; at += 16) tea(state, wordsOf(name, at, 4, byteOf));
      return (state[0]! & ~1) >>> 0;
    default:
      throw unsupported('unknown directory hash', { code: 'ext.hash-version', found: version });
  }
};
