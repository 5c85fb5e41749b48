import { corrupt } from '../../errors.ts';
import type { ByteOffset } from '../../units.ts';
import { type Attribute, parseAttributes } from './attribute.ts';
import { MAGIC_FILE, MFT_RECORD, RECORD_IN_USE } from './layout.ts';
import { type FileReference, formatReference, readReference } from './reference.ts';
import { magicOf, type Place, removeUpdateSequence } from './update-sequence.ts';

/** One record of $MFT, its update sequence removed. */
export interface MftRecord {
  readonly number: number;
  readonly sequence: number;
  /** RECORD_* bits. */
  readonly flags: number;
  /** The record that it extends; undefined for the first (and mostly only) record of a file. */
  readonly base: FileReference | undefined;
  readonly bytes: Uint8Array;
  /** Offset of the first attribute. */
  readonly firstAttribute: number;
  readonly bytesInUse: number;
  readonly place: Place;
}

/** What records are called in messages. */
export const recordPlace = (number: number, offset: ByteOffset): Place => ({
  structure: `MFT record ${number}`,
  offset,
});

export const isInUse = (record: MftRecord): boolean => (record.flags & RECORD_IN_USE) !== 0;

/** The reference by which others name the file that this record belongs to. */
export const referenceOf = (record: MftRecord): FileReference => ({
  number: record.number,
  sequence: record.sequence,
});

/** True if `reference` means this record as it is now. */
export const isMeant = (record: MftRecord, reference: FileReference): boolean =>
  record.number === reference.number && (reference.sequence === 0 || reference.sequence === record.sequence);

/**
 * Checks a record of the right size and removes its update sequence, in place.
 * Throws `corrupt` (`ntfs.record`, `ntfs.update-sequence`).
 */
export const parseRecord = (bytes: Uint8Array, number: number, offset: ByteOffset): MftRecord => {
  const place = recordPlace(number, offset);
  const fail = (message: string, expected: string | number, found: string | number) =>
    corrupt(message, { code: 'ntfs.record', ...place, expected, found });
  const magic = magicOf(bytes);
  if (magic !== MAGIC_FILE) throw fail('wrong magic', MAGIC_FILE, JSON.stringify(magic));
  removeUpdateSequence(bytes, place);
  const allocated = MFT_RECORD.get(bytes, 'bytes_allocated');
  if (allocated !== bytes.length) throw fail('record of wrong size', bytes.length, allocated);
  const bytesInUse = MFT_RECORD.get(bytes, 'bytes_in_use');
  if (bytesInUse > bytes.length) throw fail('uses more bytes than it has', bytes.length, bytesInUse);
  const firstAttribute = MFT_RECORD.get(bytes, 'attrs_offset');
  if (
    firstAttribute < MFT_RECORD.offsetOf('reserved') ||
    firstAttribute % 8 !== 0 ||
    firstAttribute > bytesInUse
  )
    throw fail('attributes begin outside the record', `up to ${bytesInUse}`, firstAttribute);
  // NTFS 3.1 records know their number, and the update sequence follows it. mkntfs leaves 0 in records that it does not use.
  const knowsNumber = MFT_RECORD.get(bytes, 'usa_ofs') >= MFT_RECORD.size;
  const ownNumber = MFT_RECORD.get(bytes, 'mft_record_number');
  if (knowsNumber && ownNumber !== number && ownNumber !== 0)
    throw fail('calls itself by another number', number, ownNumber);
  const base = readReference(MFT_RECORD, bytes, 'base_mft_record');
  return {
    number,
    sequence: MFT_RECORD.get(bytes, 'sequence_number'),
    flags: MFT_RECORD.get(bytes, 'flags'),
    base: base.number === 0 && base.sequence === 0 ? undefined : base,
    bytes,
    firstAttribute,
    bytesInUse,
    place,
  };
};

/** The attributes that stand in this very record. Throws `corrupt` (`ntfs.attribute`). */
export const ownAttributes = (record: MftRecord): Generator<Attribute> =>
  parseAttributes(record.bytes, record.firstAttribute, record.bytesInUse, record.place);

/** Throws `corrupt` (`ntfs.reference`) unless the record is in use, and the one that `reference` means. */
export const requireMeant = (record: MftRecord, reference: FileReference, by: Place): void => {
  if (isInUse(record) && isMeant(record, reference)) return;
  throw corrupt(`names a file that is not there`, {
    code: 'ntfs.reference',
    ...by,
    expected: formatReference(reference),
    found: isInUse(record) ? formatReference(referenceOf(record)) : `record ${record.number}, not in use`,
  });
};
