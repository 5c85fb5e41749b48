import { corrupt, unsupported } from '../../errors.ts';
import type { ByteLength, ByteOffset } from '../../units.ts';
import { isPlain } from './attribute.ts';
import { attributeRuns, type NtfsFile } from './file.ts';
import { RunMap } from './run-map.ts';

/** The content of one attribute, to be read anywhere. */
export interface Content {
  readonly size: ByteLength;
  /** Fills `target`; all of it must lie below `size`. Holes, and what was never initialised, are zeros. */
  readInto(offset: ByteOffset, target: Uint8Array): void;
  /** Byte position on the device of the byte at `offset`, for messages: the record's for what stands in it or in a hole. */
  position(offset: ByteOffset): ByteOffset;
}

const requireInside = (size: ByteLength, offset: ByteOffset, length: ByteLength): void => {
  if (offset < 0 || offset + length > size) throw new RangeError(`${offset} + ${length} of ${size} bytes`);
};

/**
 * Opens an attribute; undefined if the file has none of that type and name. Throws `unsupported` (`ntfs.encoded`) if it is
 * compressed or encrypted, `corrupt`.
 */
export const openContent = (file: NtfsFile, type: number, name: string): Content | undefined => {
  const first = file.find(type, name);
  if (first === undefined) return undefined;
  const { place } = first;
  if (first.resident) {
    const { value } = first;
    return {
      size: value.length,
      readInto: (offset, target) => {
        requireInside(value.length, offset, target.length);
        target.set(value.subarray(offset, offset + target.length));
      },
      position: () => place.offset,
    };
  }
  if (!isPlain(first)) throw unsupported('is compressed or encrypted', { code: 'ntfs.encoded', ...place });
  const { clusterSize, device } = file.volume;
  const map = RunMap.of(attributeRuns(file, type, name), place);
  const { dataSize, initializedSize } = first;
  if (dataSize > map.end * clusterSize) {
    throw corrupt('is longer than its clusters', {
      code: 'ntfs.size',
      ...place,
      expected: `at most ${map.end * clusterSize} bytes`,
      found: dataSize,
    });
  }
  const where = (offset: number): number | undefined => {
    const { start } = map.at(Math.floor(offset / clusterSize));
    return start === undefined ? undefined : start * clusterSize + (offset % clusterSize);
  };
  const readInto = (offset: number, target: Uint8Array): void => {
    requireInside(dataSize, offset, target.length);
    const initialised = Math.max(0, Math.min(target.length, initializedSize - offset));
    target.fill(0, initialised);
    for (let done = 0; done < initialised; ) {
      const at = offset + done;
      const { start, length } = map.at(Math.floor(at / clusterSize));
      const size = Math.min(length * clusterSize - (at % clusterSize), initialised - done);
      const part = target.subarray(done, done + size);
      if (start === undefined) part.fill(0);
      else device.readInto(start * clusterSize + (at % clusterSize), part);
      done += size;
    }
  };
  return { size: dataSize, readInto, position: (offset) => where(offset) ?? place.offset };
};

/** `length` bytes at `offset`, or as many as there are. */
export const readHead = (content: Content, length: ByteLength, offset = 0): Uint8Array => {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, content.size - offset)));
  content.readInto(offset, bytes);
  return bytes;
};

/** Like `openContent`, for attributes that a file must have. Throws `corrupt` (`ntfs.missing`) also. */
export const requireContent = (file: NtfsFile, type: number, name: string, what: string): Content => {
  const content = openContent(file, type, name);
  if (content !== undefined) return content;
  throw corrupt(`has no ${what}`, { code: 'ntfs.missing', ...file.record.place });
};
