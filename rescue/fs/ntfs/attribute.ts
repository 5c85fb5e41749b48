import { corrupt } from '../../errors.ts';
import type { ByteLength } from '../../units.ts';
import {
  AT_END,
  ATTRIBUTE,
  ATTRIBUTE_COMPRESSION_MASK,
  ATTRIBUTE_ENCRYPTED,
  NON_RESIDENT_ATTRIBUTE,
  RESIDENT_ATTRIBUTE,
} from './layout.ts';
import type { MappingPairs } from './runlist.ts';
import type { Place } from './update-sequence.ts';

interface AttributeHeader {
  /** AT_*. */
  readonly type: number;
  /** Empty for the unnamed one of its type. */
  readonly name: string;
  /** ATTRIBUTE_* bits. */
  readonly flags: number;
  readonly instance: number;
  /** Offset in its record. */
  readonly at: number;
  /** Bytes, header included. */
  readonly length: number;
  readonly place: Place;
}

export interface ResidentAttribute extends AttributeHeader {
  readonly resident: true;
  /** A view into the record. */
  readonly value: Uint8Array;
}

/** One extent of an attribute whose content lies in clusters. */
export interface NonResidentAttribute extends AttributeHeader {
  readonly resident: false;
  readonly pairs: MappingPairs;
  readonly compressionUnit: number;
  /** Bytes. They count in the extent that begins at VCN 0; elsewhere 0. */
  readonly allocatedSize: ByteLength;
  readonly dataSize: ByteLength;
  readonly initializedSize: ByteLength;
}

export type Attribute = ResidentAttribute | NonResidentAttribute;

const fail = (place: Place, message: string, expected: string | number, found: string | number) =>
  corrupt(message, { code: 'ntfs.attribute', ...place, expected, found });

/** UTF-16 as stored. */
export const utf16 = (bytes: Uint8Array, at: number, units: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + at, units * 2).toString('utf16le');

export const isCompressed = (attribute: Attribute): attribute is NonResidentAttribute =>
  !attribute.resident && (attribute.flags & ATTRIBUTE_COMPRESSION_MASK) !== 0;

/** Whether the clusters hold the content as it is, neither compressed nor encrypted. */
export const isPlain = (attribute: Attribute): boolean =>
  (attribute.flags & (ATTRIBUTE_COMPRESSION_MASK | ATTRIBUTE_ENCRYPTED)) === 0;

/**
 * All attributes of a record whose update sequence is removed, each checked to lie inside: `from` is the offset of the first, `to`
 * the bytes in use. Values and mapping pairs are views. Throws `corrupt` (`ntfs.attribute`).
 */
export function* parseAttributes(
  record: Uint8Array,
  from: number,
  to: number,
  place: Place,
): Generator<Attribute> {
  for (let at = from; ; ) {
    if (at + 4 > to) throw fail(place, 'attributes without an end', `within ${to} bytes`, at);
    const type = record[at]! | (record[at + 1]! << 8) | (record[at + 2]! << 16) | (record[at + 3]! << 24);
    if (type === (AT_END | 0)) return;
    if (at + RESIDENT_ATTRIBUTE.size > to) throw fail(place, 'an attribute is cut short', to, at);
    const length = ATTRIBUTE.get(record, 'length', at);
    if (length < RESIDENT_ATTRIBUTE.size || length % 8 !== 0 || length > to - at)
      throw fail(place, `attribute of impossible length at ${at}`, `8 to ${to - at}`, length);
    yield parseAttribute(record, at, length, place);
    at += length;
  }
}

const parseAttribute = (record: Uint8Array, at: number, length: number, place: Place): Attribute => {
  const nameLength = ATTRIBUTE.get(record, 'name_length', at);
  const nameOffset = ATTRIBUTE.get(record, 'name_offset', at);
  if (nameLength > 0 && nameOffset + 2 * nameLength > length)
    throw fail(place, `attribute name outside the attribute at ${at}`, length, nameOffset);
  const header: AttributeHeader = {
    type: ATTRIBUTE.get(record, 'type', at),
    name: nameLength === 0 ? '' : utf16(record, at + nameOffset, nameLength),
    flags: ATTRIBUTE.get(record, 'flags', at),
    instance: ATTRIBUTE.get(record, 'instance', at),
    at,
    length,
    place,
  };
  const nonResident = ATTRIBUTE.get(record, 'non_resident', at);
  if (nonResident === 0) {
    const size = RESIDENT_ATTRIBUTE.get(record, 'value_length', at);
    const offset = RESIDENT_ATTRIBUTE.get(record, 'value_offset', at);
    if (offset < RESIDENT_ATTRIBUTE.size || offset + size > length)
      throw fail(place, `attribute value outside the attribute at ${at}`, length, offset + size);
    return { ...header, resident: true, value: record.subarray(at + offset, at + offset + size) };
  }
  if (nonResident !== 1 || length < NON_RESIDENT_ATTRIBUTE.size)
    throw fail(place, `attribute of unknown form at ${at}`, '0 or 1', nonResident);
  return parseNonResident(record, header);
};

const parseNonResident = (record: Uint8Array, header: AttributeHeader): NonResidentAttribute => {
  const { at, length, place } = header;
  const get = <K extends keyof typeof NON_RESIDENT_ATTRIBUTE.fields>(field: K) =>
    NON_RESIDENT_ATTRIBUTE.get(record, field, at);
  const lowestVcn = get('lowest_vcn');
  const low = get('highest_vcn_low');
  const high = get('highest_vcn_high');
  const none = low === 0xffffffff && high === 0xffffffff;
  const highestVcn = none ? -1 : high * 2 ** 32 + low;
  if (!Number.isSafeInteger(highestVcn) || highestVcn < lowestVcn - 1)
    throw fail(place, `VCNs of an attribute at ${at} go backwards`, `at least ${lowestVcn}`, highestVcn);
  const offset = get('mapping_pairs_offset');
  if (offset < NON_RESIDENT_ATTRIBUTE.size || offset > length)
    throw fail(place, `mapping pairs outside the attribute at ${at}`, length, offset);
  const first = lowestVcn === 0;
  return {
    ...header,
    resident: false,
    pairs: { bytes: record, from: at + offset, to: at + length, lowestVcn, highestVcn },
    compressionUnit: get('compression_unit'),
    allocatedSize: first ? get('allocated_size') : 0,
    dataSize: first ? get('data_size') : 0,
    initializedSize: first ? get('initialized_size') : 0,
  };
};
