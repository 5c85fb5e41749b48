import { type FieldSpec, fieldWidth } from '../../../rescue/bytes/fields.ts';
import type { Draft } from './draft.ts';

/** A field as mutators see it. */
export interface Field {
  readonly name: string;
  /** From the start of the structure. */
  readonly offset: number;
  readonly width: number;
  readonly big: boolean;
}

/** A structure somewhere on a seed. */
export interface Place {
  /** Its kind: structures of one kind can stand in for one another. */
  readonly kind: string;
  readonly at: number;
  readonly size: number;
  readonly fields: readonly Field[];
  /** Makes all checksums right again that cover the structure. May find that there is no way. */
  readonly seal?: ((draft: Draft) => void) | undefined;
}

interface Table {
  readonly name: string;
  readonly size: number;
  readonly fields: Readonly<Record<string, FieldSpec>>;
}

const FIELDS = new WeakMap<Table, readonly Field[]>();

const fieldsOf = (table: Table): readonly Field[] => {
  const known = FIELDS.get(table);
  if (known !== undefined) return known;
  const fields = Object.entries(table.fields).map(([name, [offset, type]]) => ({
    name,
    offset,
    width: fieldWidth(type),
    big: type.endsWith('be'),
  }));
  FIELDS.set(table, fields);
  return fields;
};

/** A structure by the engine's own field table. */
export const placeOf = (table: Table, at: number, seal?: Place['seal']): Place => ({
  kind: table.name,
  at,
  size: table.size,
  fields: fieldsOf(table),
  seal,
});

/** Bytes of which no table says anything: bitmaps, runlists, texts. `width`: of what they are made of. */
export const bytesAt = (
  kind: string,
  at: number,
  size: number,
  seal?: Place['seal'],
  width: 1 | 2 | 4 = 1,
): Place => ({
  kind,
  at,
  size,
  fields: Array.from({ length: Math.min(256, Math.floor(size / width)) }, (_, index) => ({
    name: String(index),
    offset: index * width,
    width,
    big: false,
  })),
  seal,
});

/** The value of a field of up to 8 bytes as far as a number can hold it. */
export const valueAt = (draft: Draft, at: number, { width, big }: Pick<Field, 'width' | 'big'>): number => {
  const bytes = draft.view(at, width);
  if (bytes.length < width || width > 8) return 0;
  let value = 0;
  for (let index = 0; index < width; index += 1)
    value = value * 256 + bytes[big ? index : width - 1 - index]!;
  return value;
};

/** A number as the field has it; what is too much is cut off. */
export const encoded = (value: number, { width, big }: Pick<Field, 'width' | 'big'>): Uint8Array => {
  const bytes = new Uint8Array(width);
  let left = Math.max(0, value);
  for (let index = 0; index < Math.min(width, 8); index += 1) {
    bytes[big ? width - 1 - index : index] = left % 256;
    left = Math.floor(left / 256);
  }
  return bytes;
};
