/**
 * Flavoured numbers: a plain number may be given where one is asked for, but a cluster number never passes for
 * a byte offset. All of them are safe integers (at most 2^53 - 1, which as bytes is 8 PiB).
 */
declare const unit: unique symbol;
type Unit<Name extends string> = number & { readonly [unit]?: Name };

/** Bytes from the start of the device at hand. */
export type ByteOffset = Unit<'byte offset'>;
/** A count of bytes. */
export type ByteLength = Unit<'byte length'>;
/** Number of a file system's allocation unit, as `Geometry` counts it. */
export type Cluster = Unit<'cluster'>;
/** Logical block address: counts a disk's logical sectors. */
export type Lba = Unit<'lba'>;

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** A contiguous run of bytes. */
export interface Extent {
  readonly start: ByteOffset;
  readonly length: ByteLength;
}

/** A contiguous run of clusters. */
export interface Run {
  readonly start: Cluster;
  readonly length: number;
}

/** `value` rounded down to a multiple of `multiple`. */
export const roundDown = (value: number, multiple: number): number => value - (value % multiple);

/** `value` rounded up to a multiple of `multiple`. */
export const roundUp = (value: number, multiple: number): number => roundDown(value + multiple - 1, multiple);

/** True for 1, 2, 4, 8, ... */
export const isPowerOfTwo = (value: number): boolean =>
  Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));

/** A time in seconds since 1970 as `2026-11-22 14:03 UTC`: the one form in which people are shown times. */
export const formatSeconds = (seconds: number): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

const SUFFIXES = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `1536` -> `1.5 KiB`: for people, never for machines. */
export const formatBytes = (bytes: ByteLength): string => {
  let value: number = bytes;
  let index = 0;
  while (value >= 1024 && index < SUFFIXES.length - 1) {
    value /= 1024;
    index += 1;
  }
  const digits = index === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${SUFFIXES[index]}`;
};
