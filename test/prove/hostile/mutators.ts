import type { Draft } from './draft.ts';
import { encoded, type Field, type Place, valueAt } from './places.ts';
import type { Random } from './random.ts';

/** What mutators know of a seed. */
export interface Terrain {
  readonly places: readonly Place[];
  /** Numbers that mean something there: sizes, and their neighbours. */
  readonly numbers: readonly number[];
}

const numericFields = (place: Place): readonly Field[] => place.fields.filter(({ width }) => width <= 8);

/** A value that somebody would try who wants to break something. */
const interesting = (draft: Draft, place: Place, field: Field, terrain: Terrain, random: Random): number => {
  const most = 2 ** (8 * field.width) - 1;
  const now = valueAt(draft, place.at + field.offset, field);
  switch (random.below(12)) {
    case 0:
      return 0;
    case 1:
      return random.pick([1, 2, 3, 4, 7, 8, 16, 255, 256]);
    case 2:
      return random.pick([most, most - 1, Math.floor(most / 2), Math.floor(most / 2) + 1]);
    case 3:
      return 2 ** random.below(8 * field.width);
    case 4:
      return 2 ** random.below(8 * field.width) - 1;
    case 5:
      return now + random.pick([-1, 1, -2, 2, 8, -8, 512, -512]);
    case 6:
      return now * random.pick([2, 3, 0.5, 256, 1 / 256]);
    case 7:
    case 8:
      return random.pick(terrain.numbers);
    case 9: {
      const other = random.pick(numericFields(place));
      return valueAt(draft, place.at + other.offset, other);
    }
    case 10: {
      // The same field of a structure of the same kind: what leads somewhere else leads here too.
      const kin = random.pick(terrain.places);
      const other =
        kin.kind === place.kind ? field : numericFields(kin)[random.below(numericFields(kin).length)];
      return other === undefined ? random.bits() : valueAt(draft, kin.at + other.offset, other);
    }
    default:
      return random.bits();
  }
};

const setField = (draft: Draft, place: Place, terrain: Terrain, random: Random): void => {
  const field = random.pick(place.fields);
  const at = place.at + field.offset;
  if (field.width > 8) {
    const bytes = Uint8Array.from(draft.view(at, field.width));
    if (bytes.length === 0) return;
    if (random.oneIn(4)) bytes.fill(random.pick([0, 0xff, 0x41]));
    else bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    draft.put(at, bytes);
    return;
  }
  const value = Math.floor(interesting(draft, place, field, terrain, random));
  draft.put(at, encoded(value, field));
};

const flip = (draft: Draft, place: Place, _: Terrain, random: Random): void => {
  for (let count = 1 + random.below(4); count > 0; count -= 1) {
    const at = place.at + random.below(place.size);
    const [byte] = draft.view(at, 1);
    if (byte !== undefined) draft.put(at, Uint8Array.of(byte ^ (1 << random.below(8))));
  }
};

const copyKin = (draft: Draft, place: Place, terrain: Terrain, random: Random): void => {
  const kin = terrain.places.filter(({ kind, at }) => kind === place.kind && at !== place.at);
  const from = kin.length === 0 ? place : random.pick(kin);
  const bytes = Uint8Array.from(draft.view(from.at, Math.min(from.size, place.size)));
  // Both ways round: two that have changed places.
  if (random.oneIn(3)) draft.put(from.at, Uint8Array.from(draft.view(place.at, bytes.length)));
  draft.put(place.at, bytes);
};

const overwrite = (draft: Draft, place: Place, _: Terrain, random: Random): void => {
  const from = random.below(place.size);
  const length = 1 + random.below(Math.min(64, place.size - from));
  if (random.oneIn(2)) draft.put(place.at + from, random.bytes(length));
  else draft.put(place.at + from, new Uint8Array(length).fill(random.pick([0, 0xff, 1, 0x80])));
};

const shift = (draft: Draft, place: Place, _: Terrain, random: Random): void => {
  const from = random.below(place.size);
  const by = random.pick([-16, -8, -4, -2, -1, 1, 2, 4, 8, 16]);
  const bytes = Uint8Array.from(draft.view(place.at + from, Math.min(128, place.size - from)));
  draft.put(place.at + from + by, bytes);
};

type Mutator = (draft: Draft, place: Place, terrain: Terrain, random: Random) => void;

/** Fields matter most: bytes that no table names teach little. */
const MUTATORS: readonly Mutator[] = [
  setField,
  setField,
  setField,
  setField,
  setField,
  setField,
  flip,
  overwrite,
  shift,
  copyKin,
];

/** One change of one structure. */
export const mutatePlace: Mutator = (draft, place, terrain, random) =>
  random.pick(MUTATORS)(draft, place, terrain, random);
