import { corrupt } from '../../errors.ts';
import type { Run } from '../../units.ts';
import type { Place } from './update-sequence.ts';

/** A piece of an attribute: `length` clusters from VCN `vcn` on. A hole has no clusters: `start` is undefined. */
export interface MappedRun {
  readonly vcn: number;
  readonly start: number | undefined;
  readonly length: number;
}

/** Mapping pairs (concepts/data_runs) as they stand in an attribute. */
export interface MappingPairs {
  readonly bytes: Uint8Array;
  readonly from: number;
  /** They end before this at the latest. */
  readonly to: number;
  readonly lowestVcn: number;
  /** `lowestVcn - 1` for none. */
  readonly highestVcn: number;
}

const fail = (place: Place, message: string, expected: string | number, found: string | number) =>
  corrupt(message, { code: 'ntfs.runlist', ...place, expected, found });

/** Little-endian, `width` bytes. Not exact above 2^53: the caller compares with a limit below. */
const readNumber = (bytes: Uint8Array, at: number, width: number, signed: boolean): number => {
  let value = 0;
  for (let index = width - 1; index >= 0; index -= 1) value = value * 256 + bytes[at + index]!;
  return signed && bytes[at + width - 1]! >= 0x80 ? value - 256 ** width : value;
};

/**
 * Decodes mapping pairs one by one. Each is a byte with two widths, a length and the distance from the last run's start,
 * signed; a hole has no distance. Every run is checked to lie in the volume, their sum to be what the attribute says.
 * Throws `corrupt` (`ntfs.runlist`, `ntfs.runlist-range`).
 */
export function* decodeMappingPairs(
  pairs: MappingPairs,
  clusterCount: number,
  place: Place,
): Generator<MappedRun> {
  const { bytes, from, to, lowestVcn, highestVcn } = pairs;
  const end = highestVcn + 1;
  let vcn = lowestVcn;
  let start = 0;
  let at = from;
  while (at < to && bytes[at] !== 0) {
    const lengthWidth = bytes[at]! & 0xf;
    const startWidth = bytes[at]! >>> 4;
    if (lengthWidth < 1 || lengthWidth > 8 || startWidth > 8)
      throw fail(place, 'a mapping pair of impossible widths', '1 to 8', `0x${bytes[at]!.toString(16)}`);
    if (at + 1 + lengthWidth + startWidth > to)
      throw fail(place, 'a mapping pair is cut short', to, at + 1 + lengthWidth + startWidth);
    const length = readNumber(bytes, at + 1, lengthWidth, true);
    if (length < 1 || length > end - vcn)
      throw fail(place, 'a run of impossible length', `1 to ${end - vcn} clusters`, length);
    if (startWidth === 0) yield { vcn, start: undefined, length };
    else {
      start += readNumber(bytes, at + 1 + lengthWidth, startWidth, true);
      if (!(start >= 0 && start + length <= clusterCount)) {
        throw corrupt('a run lies outside the volume', {
          code: 'ntfs.runlist-range',
          ...place,
          expected: `clusters 0 to ${clusterCount - 1}`,
          found: `${start} (${length} clusters)`,
        });
      }
      yield { vcn, start, length };
    }
    vcn += length;
    at += 1 + lengthWidth + startWidth;
  }
  if (vcn !== end) throw fail(place, 'the runs do not add up to the last VCN', highestVcn, vcn - 1);
}

/** Without the holes. */
export function* clustersOf(runs: Iterable<MappedRun>): Generator<Run> {
  for (const { start, length } of runs) if (start !== undefined) yield { start, length };
}
