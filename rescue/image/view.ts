import type { ReadableDevice } from '../device/device.ts';
import { corrupt, unsupported } from '../errors.ts';
import type { ByteLength, ByteOffset } from '../units.ts';
import { discard } from './codec.ts';
import type { AddressSpace } from './control.ts';
import type { Image } from './image.ts';
import { type LogReader, type Record, wrongDigest } from './log-reader.ts';
import type { MapEntry } from './map.ts';
import { sha256 } from './record.ts';

/** Decodes one xz frame and waits for it; the decoder itself has a stream interface only. */
export type XzDecoder = (stored: Uint8Array, rawLength: ByteLength) => Uint8Array;

/** Decoded frames kept at hand: 8 MiB. */
const CACHED_FRAMES = 32;

interface CachedFrame {
  readonly raw: Uint8Array;
  /** Whether nobody else has a part of this memory. What was stored as it is lies in the log reader's own. */
  readonly own: boolean;
}

/**
 * The partition as the image holds it, readable like a disk: captured clusters have their content, everything else is
 * zero. This is what claims and releases are worked out on before a restore writes anything.
 */
export class ImageView implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly uncachedReads = false;
  readonly #image: Image;
  readonly #log: LogReader;
  readonly #frames = new Map<number, CachedFrame>();
  readonly #decodeXz: XzDecoder | undefined;

  constructor(image: Image, decodeXz?: XzDecoder) {
    this.#decodeXz = decodeXz;
    this.#image = image;
    this.#log = image.log(1);
    this.name = `image ${image.id.slice(0, 8)}`;
    this.size = image.control.partition.size;
    this.sectorSize = image.identity.sectorSize;
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    const bytes = new Uint8Array(length);
    this.readInto(offset, bytes);
    return bytes;
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.readInto(offset, target);
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    if (offset < 0 || offset + target.length > this.size) {
      throw corrupt('read outside the partition', {
        code: 'image.view',
        structure: this.name,
        offset,
        expected: `at most ${this.size}`,
        found: offset + target.length,
      });
    }
    target.fill(0);
    for (const space of this.#image.control.spaces) {
      if (space.of === 'partition') this.#readSpace(space, offset, target);
    }
  }

  #readSpace(space: AddressSpace, offset: ByteOffset, target: Uint8Array): void {
    const end = Math.min(offset + target.length, space.start + space.length);
    const begin = Math.max(offset, space.start);
    if (begin >= end) return;
    const firstUnit = Math.floor((begin - space.start) / space.unit);
    for (const entry of this.#image.map.entriesFrom(space.id, firstUnit)) {
      const start = space.start + entry.start * space.unit;
      if (entry.space !== space.id || start >= end) break;
      if (entry.codec === 'zero') continue;
      const from = Math.max(begin, start);
      const to = Math.min(end, start + entry.length * space.unit);
      const at = entry.rawOffset + (from - start);
      const frame = this.#frame(entry);
      if (at + to - from > frame.length) {
        throw corrupt('map entry reaches past its frame', {
          code: 'map.entry',
          structure: 'map page',
          expected: `at most ${frame.length}`,
          found: at + to - from,
        });
      }
      target.set(frame.subarray(at, at + to - from), from - offset);
    }
  }

  #frame(entry: MapEntry): Uint8Array {
    const cached = this.#frames.get(entry.logOffset);
    if (cached !== undefined) return cached.raw;
    const record = this.#log.record(entry.logOffset, entry.recordLength);
    const raw = this.#decode(record, entry.logOffset);
    if (this.#frames.size >= CACHED_FRAMES) this.#dropOldest();
    this.#frames.set(entry.logOffset, { raw, own: record.head.codec === 'zstd' });
    return raw;
  }

  /** Frames are copied from as soon as they are had: nobody uses one that another has pushed out. */
  #dropOldest(): void {
    const [logOffset, { raw, own }] = this.#frames.entries().next().value!;
    this.#frames.delete(logOffset);
    if (own) discard(raw);
  }

  #decode(record: Record, logOffset: number): Uint8Array {
    if (record.head.codec !== 'xz') return this.#log.content(record, logOffset);
    if (this.#decodeXz === undefined) {
      throw unsupported('an xz frame cannot be decoded here', { code: 'codec.xz', structure: 'frame' });
    }
    const raw = this.#decodeXz(record.stored, record.head.rawLength);
    if (Buffer.compare(sha256(raw), record.head.digest) !== 0) throw wrongDigest(logOffset);
    return raw;
  }
}
