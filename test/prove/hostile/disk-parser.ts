import { isHoldfastError } from '../../../rescue/errors.ts';
import type { Plain } from '../part.ts';
import { Draft, type Edit } from './draft.ts';
import { mutatePlace, type Terrain } from './mutators.ts';
import type { Place } from './places.ts';
import type { Random } from './random.ts';
import type { Parser } from './target.ts';

/** A sound disk or volume, and where the structures on it are. */
export interface DiskSeed {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly sectorSize?: number;
  readonly places: readonly Place[];
  /** Numbers that mean something there, besides the sizes that each has. */
  readonly numbers?: readonly number[];
}

export interface DiskInput {
  readonly seed: string;
  readonly edits: readonly Edit[];
  /** Numbers of the places that were changed: their checksums are to be made right again. */
  readonly places: readonly number[];
}

/** Of so many inputs one keeps its wrong checksums. */
const UNSEALED = 8;
/** Edits of an input at most: more teaches nothing. */
const MOST_EDITS = 400;

const sizesOf = (size: number): number[] =>
  [1, 512, 1024, 4096].flatMap((unit) => [-1, 0, 1].map((near) => Math.floor(size / unit) + near));

/** Everything about a parser that reads disks, but for how it reads. */
export const diskParser = (
  seeds: readonly DiskSeed[],
  read: (draft: Draft, seed: DiskSeed) => string | Promise<string>,
): Parser<DiskInput> => {
  const grounds = new Map(
    seeds.map((seed) => {
      const draft = new Draft(seed.bytes, seed.sectorSize);
      const terrain: Terrain = {
        places: seed.places,
        numbers: [...sizesOf(draft.size), ...(seed.numbers ?? [])],
      };
      return [seed.name, { seed, draft, terrain }];
    }),
  );
  const groundOf = (name: string) => {
    const ground = grounds.get(name);
    if (ground === undefined) throw new Error(`there is no seed "${name}"`);
    return ground;
  };
  const applied = ({ seed, edits }: DiskInput) => {
    const ground = groundOf(seed);
    ground.draft.reset();
    for (const { at, bytes } of edits) ground.draft.put(at, bytes);
    return ground;
  };
  const seal = (draft: Draft, place: Place): void => {
    try {
      place.seal?.(draft);
    } catch (error) {
      // What is left of the structure has no place for a checksum.
      if (!(error instanceof RangeError) && !isHoldfastError(error)) throw error;
    }
  };

  const mutate = (parent: DiskInput, other: DiskInput, random: Random): DiskInput => {
    const { draft, terrain } = applied(parent);
    const changed = new Set(parent.places);
    if (other.seed === parent.seed && random.oneIn(6)) {
      for (const { at, bytes } of other.edits) draft.put(at, bytes);
      for (const place of other.places) changed.add(place);
    }
    for (let count = 1; count === 1 || (count < 6 && random.oneIn(2)); count += 1) {
      // What was changed once leads somewhere: change it further.
      const again = changed.size > 0 && random.oneIn(3);
      const index = again ? random.pick([...changed]) : random.below(terrain.places.length);
      mutatePlace(draft, terrain.places[index]!, terrain, random);
      changed.add(index);
    }
    if (!random.oneIn(UNSEALED)) for (const index of changed) seal(draft, terrain.places[index]!);
    const edits = draft.edits();
    if (edits.length > MOST_EDITS) return parent;
    return { seed: parent.seed, edits, places: [...changed] };
  };

  function* simpler(input: DiskInput): Generator<DiskInput> {
    const { edits } = input;
    for (let size = edits.length >> 1; size >= 1; size >>= 1)
      for (let from = 0; from < edits.length; from += size)
        yield { ...input, edits: edits.filter((_, index) => index < from || index >= from + size) };
    for (const [index, { at, bytes }] of edits.entries()) {
      if (bytes.length < 2) continue;
      const half = bytes.length >> 1;
      for (const part of [
        { at, bytes: bytes.subarray(0, half) },
        { at: at + half, bytes: bytes.subarray(half) },
      ])
        yield { ...input, edits: edits.map((each, other) => (other === index ? part : each)) };
    }
  }

  return {
    seeds: seeds.map(({ name }) => ({ seed: name, edits: [], places: [] })),
    mutate,
    parse: (input) => {
      const { draft, seed } = applied(input);
      return read(draft, seed);
    },
    encode: ({ seed, edits }) => ({
      seed,
      edits: edits.map(({ at, bytes }) => [at, Buffer.from(bytes).toString('hex')]),
    }),
    decode: (written: Plain) => {
      const { seed, edits } = written as { seed: string; edits: [number, string][] };
      return { seed, edits: edits.map(([at, hex]) => ({ at, bytes: Buffer.from(hex, 'hex') })), places: [] };
    },
    simpler,
  };
};
