import type { Struct } from '../../bytes/fields.ts';

/** A file reference: which MFT record, and which of the files that it held one after the other. */
export interface FileReference {
  readonly number: number;
  /** 0 where whoever wrote the reference did not care. */
  readonly sequence: number;
}

type ReferenceFields<Name extends string> = Record<`${Name}_low`, readonly [number, 'u32le', string?]> &
  Record<`${Name}_high` | `${Name}_sequence`, readonly [number, 'u16le', string?]>;

/** Puts a reference together of its three fields. */
export const readReference = <Name extends string, F extends ReferenceFields<Name>>(
  structure: Struct<F>,
  bytes: Uint8Array,
  name: Name,
  at = 0,
): FileReference => {
  const get = (part: string): number => structure.get(bytes, `${name}_${part}` as keyof F, at) as number;
  return { number: get('high') * 2 ** 32 + get('low'), sequence: get('sequence') };
};

export const formatReference = ({ number, sequence }: FileReference): string =>
  `record ${number}, sequence number ${sequence}`;

/** The three fields of a reference, to be encoded. */
export const referenceFields = <Name extends string>(
  name: Name,
  { number, sequence }: FileReference,
): Record<`${Name}_low` | `${Name}_high` | `${Name}_sequence`, number> =>
  ({
    [`${name}_low`]: number % 2 ** 32,
    [`${name}_high`]: Math.floor(number / 2 ** 32),
    [`${name}_sequence`]: sequence,
  }) as Record<`${Name}_low` | `${Name}_high` | `${Name}_sequence`, number>;
