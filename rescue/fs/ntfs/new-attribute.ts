import { type ByteLength, roundUp } from '../../units.ts';
import { ATTRIBUTE, NON_RESIDENT_ATTRIBUTE, RESIDENT_ATTRIBUTE } from './layout.ts';

interface NewAttribute {
  readonly type: number;
  readonly name?: string;
  readonly instance: number;
  /** ATTRIBUTE_* bits. A folder whose new files are to be compressed or encrypted says so in its `$INDEX_ROOT`. */
  readonly flags?: number;
}

/** Attributes and what is in them begin at multiples of this. */
export const ALIGNMENT = 8;

const utf16Bytes = (name: string): Uint8Array => Buffer.from(name, 'utf16le');

/** An attribute whose content stands in the record. `indexed`: it is the key of an index. */
export const residentAttribute = ({
  type,
  name = '',
  instance,
  flags = 0,
  value,
  indexed = false,
}: NewAttribute & { readonly value: Uint8Array; readonly indexed?: boolean }): Uint8Array => {
  const nameOffset = RESIDENT_ATTRIBUTE.size;
  const valueOffset = roundUp(nameOffset + 2 * name.length, ALIGNMENT);
  const bytes = new Uint8Array(roundUp(valueOffset + value.length, ALIGNMENT));
  bytes.set(
    ATTRIBUTE.encode({
      type,
      length: bytes.length,
      name_length: name.length,
      name_offset: nameOffset,
      flags,
      instance,
    }),
  );
  RESIDENT_ATTRIBUTE.set(bytes, 'value_length', value.length);
  RESIDENT_ATTRIBUTE.set(bytes, 'value_offset', valueOffset);
  RESIDENT_ATTRIBUTE.set(bytes, 'resident_flags', indexed ? 1 : 0);
  bytes.set(utf16Bytes(name), nameOffset);
  bytes.set(value, valueOffset);
  return bytes;
};

/** Bytes that an extent needs beside its mapping pairs. */
export const extentOverhead = (name = ''): ByteLength =>
  roundUp(NON_RESIDENT_ATTRIBUTE.size + 2 * name.length, ALIGNMENT);

export interface NewExtent extends NewAttribute {
  readonly lowestVcn: number;
  readonly clusters: number;
  readonly pairs: Uint8Array;
  /** Bytes; they stand in the extent that begins at VCN 0, elsewhere zeros. */
  readonly sizes?: {
    readonly allocated: ByteLength;
    readonly data: ByteLength;
    /** All of the data unless it is said. */
    readonly initialized?: ByteLength;
  };
}

/** One extent of an attribute whose content lies in clusters. */
export const nonResidentAttribute = (extent: NewExtent): Uint8Array => {
  const { type, name = '', instance, flags = 0, lowestVcn, clusters, pairs, sizes } = extent;
  const pairsOffset = extentOverhead(name);
  const bytes = new Uint8Array(roundUp(pairsOffset + pairs.length, ALIGNMENT));
  const highest = lowestVcn + clusters - 1;
  bytes.set(
    ATTRIBUTE.encode({
      type,
      length: bytes.length,
      non_resident: 1,
      name_length: name.length,
      name_offset: NON_RESIDENT_ATTRIBUTE.size,
      flags,
      instance,
    }),
  );
  const set = (field: keyof typeof NON_RESIDENT_ATTRIBUTE.fields, value: number): void =>
    NON_RESIDENT_ATTRIBUTE.set(bytes, field, value);
  set('lowest_vcn', lowestVcn);
  set('highest_vcn_low', highest % 2 ** 32);
  set('highest_vcn_high', Math.floor(highest / 2 ** 32));
  set('mapping_pairs_offset', pairsOffset);
  set('allocated_size', sizes?.allocated ?? 0);
  set('data_size', sizes?.data ?? 0);
  set('initialized_size', sizes?.initialized ?? sizes?.data ?? 0);
  bytes.set(utf16Bytes(name), NON_RESIDENT_ATTRIBUTE.size);
  bytes.set(pairs, pairsOffset);
  return bytes;
};
