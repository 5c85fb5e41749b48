import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { complement, endOf, normalise } from '../../rescue/bytes/runs.ts';
import { MIB } from '../../rescue/units.ts';

/** `Extent` or any other run of bytes. */
interface Bytes {
  readonly start: number;
  readonly length: number;
}

const BLOCK = 4 * MIB;
const ZEROS = new Uint8Array(BLOCK);

/** Endless pseudo-random bytes that depend on `seed` alone: AES-128 in counter mode, some GB/s. */
export const noiseSource = (seed: string): ((length: number) => Buffer) => {
  const cipher = createCipheriv(
    'aes-128-ctr',
    createHash('sha256').update(seed).digest().subarray(0, 16),
    Buffer.alloc(16),
  );
  return (length) => {
    if (length <= BLOCK) return cipher.update(ZEROS.subarray(0, length));
    return cipher.update(new Uint8Array(length));
  };
};

/** Size in bytes of an open file or block device. */
const sizeOf = (handle: number): number => {
  const { size } = fstatSync(handle);
  if (size > 0) return size;
  // A block device's stat says 0, and Node has no ioctl or lseek: find the last readable byte by halving.
  const probe = Buffer.alloc(1);
  let low = 0;
  let high = 2 ** 50;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (readSync(handle, probe, 0, 1, middle) === 1) low = middle + 1;
    else high = middle;
  }
  return low;
};

function* pieces(extents: Iterable<Bytes>): Generator<Bytes> {
  for (const extent of extents)
    for (let start = extent.start; start < endOf(extent); start += BLOCK)
      yield { start, length: Math.min(BLOCK, endOf(extent) - start) };
}

const writeFully = (handle: number, data: Uint8Array, offset: number): void => {
  for (let done = 0; done < data.length; )
    done += writeSync(handle, data, done, data.length - done, offset + done);
};

const overwrite = (path: string, seed: string, extentsFor: (whole: Bytes) => Iterable<Bytes>): number => {
  const next = noiseSource(seed);
  const handle = openSync(path, 'r+');
  try {
    let destroyed = 0;
    for (const piece of pieces(extentsFor({ start: 0, length: sizeOf(handle) }))) {
      writeFully(handle, next(piece.length), piece.start);
      destroyed += piece.length;
    }
    fsyncSync(handle);
    return destroyed;
  } finally {
    closeSync(handle);
  }
};

/**
 * Overwrites every byte of a file or block device with noise, except for the extents in `keep` (any order): partition
 * table, superblocks, everything. Returns the number of bytes destroyed.
 */
export const overwriteWithNoise = (path: string, keep: Iterable<Bytes>, seed = 'noise'): number =>
  overwrite(path, seed, (whole) => complement(normalise(keep), whole));

/** Overwrites these extents of a file or block device with noise and nothing else. Returns the number of bytes destroyed. */
export const overwriteOnly = (path: string, extents: Iterable<Bytes>, seed = 'noise'): number =>
  overwrite(path, seed, () => extents);

const readFully = (handle: number, target: Uint8Array, offset: number): number => {
  let done = 0;
  while (done < target.length) {
    const count = readSync(handle, target, done, target.length - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
};

/**
 * Offset of the first byte in `extents` in which the two files or devices differ (one that ends early differs where it
 * ends); undefined if there is none. Without `extents`: the whole of the longer one.
 */
export const firstDifference = (
  left: string,
  right: string,
  extents?: Iterable<Bytes>,
): number | undefined => {
  const a = openSync(left, 'r');
  const b = openSync(right, 'r');
  try {
    const whole = [{ start: 0, length: Math.max(sizeOf(a), sizeOf(b)) }];
    const x = new Uint8Array(BLOCK);
    const y = new Uint8Array(BLOCK);
    for (const piece of pieces(extents ?? whole)) {
      const m = readFully(a, x.subarray(0, piece.length), piece.start);
      const n = readFully(b, y.subarray(0, piece.length), piece.start);
      if (m === n && m === piece.length && Buffer.compare(x.subarray(0, m), y.subarray(0, n)) === 0) continue;
      const shared = Math.min(m, n);
      for (let index = 0; index < shared; index += 1) if (x[index] !== y[index]) return piece.start + index;
      return piece.start + shared;
    }
    return undefined;
  } finally {
    closeSync(a);
    closeSync(b);
  }
};

/** Whether both hold the same bytes at the same places in `extents`, or everywhere. */
export const sameBytes = (left: string, right: string, extents?: Iterable<Bytes>): boolean =>
  firstDifference(left, right, extents) === undefined;

/** SHA-256 (hex) over the extents' bytes in the order given: to compare a place with itself later on. */
export const digestOf = (path: string, extents: Iterable<Bytes>): string => {
  const hash = createHash('sha256');
  const handle = openSync(path, 'r');
  try {
    const block = new Uint8Array(BLOCK);
    for (const piece of pieces(extents)) {
      const view = block.subarray(0, piece.length);
      const count = readFully(handle, view, piece.start);
      if (count < piece.length) throw new Error(`${path} ends at ${piece.start + count}, inside an extent`);
      hash.update(view);
    }
  } finally {
    closeSync(handle);
  }
  return hash.digest('hex');
};
