import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { normalise, type Span, totalLength } from '../../../rescue/bytes/runs.ts';
import { type Extent, KIB } from '../../../rescue/units.ts';
import { noiseSource } from '../../support/noise.ts';

/** Ways in which bytes of a container go bad. All but single bits count as destroyed throughout. */
export const SHAPES = ['clusters', 'ranges', 'bits'] as const;
export type Shape = (typeof SHAPES)[number];

/** What is hit at a time: a cluster, and the stretch of which a single bit is flipped. */
const BLOCK = 4 * KIB;
const MOST_RANGES = 8;

export interface Destruction {
  /** Bytes of the file that are not what they were. */
  readonly spans: readonly Span[];
  /** Bytes that count as destroyed: for single bits, the blocks that they are in. */
  readonly bytes: number;
}

/** Numbers from 0 to below `below` that depend on the seed alone. */
const numbers = (seed: string): ((below: number) => number) => {
  const next = noiseSource(seed);
  return (below) => Number(next(8).readBigUInt64LE(0) % BigInt(below));
};

const writeSpans = (path: string, spans: readonly Span[], seed: string, zeros: boolean): void => {
  const next = noiseSource(`${seed} bytes`);
  const handle = openSync(path, 'r+');
  try {
    for (const { start, length } of spans)
      writeSync(handle, zeros ? new Uint8Array(length) : next(length), 0, length, start);
  } finally {
    closeSync(handle);
  }
};

const flipBit = (path: string, at: number, bit: number): void => {
  const handle = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(handle, byte, 0, 1, at);
    byte[0]! ^= 1 << bit;
    writeSync(handle, byte, 0, 1, at);
  } finally {
    closeSync(handle);
  }
};

/** Overwrites these bytes with noise, or with zeros. */
export const overwrite = (path: string, spans: readonly Span[], seed: string, zeros = false): void =>
  writeSpans(path, normalise(spans), seed, zeros);

/** The byte of the file at `at` bytes of the extents one behind the other. */
const placeIn = (extents: readonly Extent[], at: number): number => {
  let left = at;
  for (const { start, length } of extents) {
    if (left < length) return start + left;
    left -= length;
  }
  throw new RangeError(`${at} is behind the extents`);
};

/** Destroys a share (0 to 1) of the bytes in `extents`, at least one block; what and where follow from the seed. */
export const destroy = (
  path: string,
  extents: readonly Extent[],
  { shape, share, seed }: { readonly shape: Shape; readonly share: number; readonly seed: string },
): Destruction => {
  const total = totalLength(extents);
  const upTo = numbers(seed);
  if (shape === 'ranges') {
    const count = 1 + upTo(MOST_RANGES);
    const spans: Span[] = [];
    for (let index = 0; index < count; index += 1) {
      const start = placeIn(extents, upTo(total));
      const extent = extents.find((each) => start >= each.start && start < each.start + each.length)!;
      const length = Math.max(1, Math.round((total * share) / count));
      spans.push({ start, length: Math.min(length, extent.start + extent.length - start) });
    }
    const joined = normalise(spans);
    writeSpans(path, joined, seed, upTo(2) === 0);
    return { spans: joined, bytes: totalLength(joined) };
  }
  const blocks = new Set<number>();
  const wanted = Math.max(1, Math.round((total / BLOCK) * share));
  while (blocks.size < wanted) blocks.add(upTo(total / BLOCK));
  const places = [...blocks].map((block) => placeIn(extents, block * BLOCK));
  if (shape === 'clusters') {
    const spans = normalise(places.map((start) => ({ start, length: BLOCK })));
    writeSpans(path, spans, seed, upTo(4) === 0);
    return { spans, bytes: totalLength(spans) };
  }
  const bits = places.map((start) => ({ start: start + upTo(BLOCK), bit: upTo(8) }));
  for (const { start, bit } of bits) flipBit(path, start, bit);
  return { spans: normalise(bits.map(({ start }) => ({ start, length: 1 }))), bytes: wanted * BLOCK };
};
