import type { AddressSpace } from '../image/control.ts';
import type { Image } from '../image/image.ts';
import type { MapEntry } from '../image/map.ts';
import type { ByteLength, Extent } from '../units.ts';

/** A frame of the image with the map entries that its content serves; or one run of zeros. */
export interface MappedFrame {
  readonly space: AddressSpace;
  readonly entries: readonly MapEntry[];
  /** Decoded bytes: the sum of the entries. */
  readonly length: ByteLength;
  readonly zero: boolean;
}

/** All frames of the given address spaces in map order, which is disk order. */
export function* framesOf(image: Image, spaces: readonly AddressSpace[]): Generator<MappedFrame> {
  const byId = new Map(spaces.map((space) => [space.id, space]));
  let open: MapEntry[] = [];
  const close = (): MappedFrame => {
    const entries = open;
    open = [];
    const space = byId.get(entries[0]!.space)!;
    const length = entries.reduce((sum, entry) => sum + entry.length, 0) * space.unit;
    return { space, entries, length, zero: false };
  };
  for (const entry of image.map.entriesFrom(0, 0)) {
    const space = byId.get(entry.space);
    if (space === undefined) continue;
    if (entry.codec === 'zero') {
      yield { space, entries: [entry], length: entry.length * space.unit, zero: true };
      continue;
    }
    const [first] = open;
    const same = first === undefined || (first.logOffset === entry.logOffset && first.space === entry.space);
    if (!same) yield close();
    open.push(entry);
  }
  if (open.length > 0) yield close();
}

/** Bytes of the partition, or of the disk for a companion range, that a frame holds. */
export const extentsOf = (frame: MappedFrame): Extent[] =>
  frame.entries.map((entry) => ({
    start: frame.space.start + entry.start * frame.space.unit,
    length: entry.length * frame.space.unit,
  }));
