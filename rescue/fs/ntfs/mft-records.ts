import { MIB } from '../../units.ts';
import type { Attribute } from './attribute.ts';
import type { PagedBitmap } from './bitmap.ts';
import { MAGIC_FILE, MFT_RECORD, RECORD_IN_USE } from './layout.ts';
import { magicOf } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

/** $MFT is gone through in pieces of this size. */
const PIECE = MIB;

/** A record that is in use, or damaged: not parsed yet. */
export interface RawRecord {
  readonly number: number;
  /** A copy, update sequence included. */
  readonly bytes: Uint8Array;
  /** What the bitmap of $MFT says. */
  readonly marked: boolean;
}

export type NonResident = Extract<Attribute, { readonly resident: false }>;

/**
 * All records that the bitmap of $MFT or they themselves call in use, in order. A record that is marked but was never written
 * (zeros) or was freed since is only a leak, and left out. Throws `corrupt`, `io`.
 */
export function* usedRecords(volume: NtfsVolume, marks: PagedBitmap): Generator<RawRecord> {
  const { recordSize, recordCount } = volume;
  const perPiece = PIECE / recordSize;
  const piece = new Uint8Array(PIECE);
  for (let first = 0; first < recordCount; first += perPiece) {
    const count = Math.min(perPiece, recordCount - first);
    volume.readMftInto(first * recordSize, piece.subarray(0, count * recordSize));
    for (let index = 0; index < count; index += 1) {
      const bytes = piece.subarray(index * recordSize, (index + 1) * recordSize);
      const number = first + index;
      const marked = marks.isSet(number);
      const magic = magicOf(bytes);
      if (magic === '\0\0\0\0' || (!marked && magic !== MAGIC_FILE)) continue;
      // The flags stand before the first word that an update sequence replaces.
      if (magic === MAGIC_FILE && (MFT_RECORD.get(bytes, 'flags') & RECORD_IN_USE) === 0) continue;
      yield { number, bytes: bytes.slice(), marked };
    }
  }
}
