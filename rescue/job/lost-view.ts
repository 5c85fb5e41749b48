import type { SpanSet } from '../bytes/runs.ts';
import { readNew } from '../device/bounds.ts';
import type { ReadableDevice } from '../device/device.ts';
import { corrupt } from '../errors.ts';
import type { ByteLength, ByteOffset } from '../units.ts';

/**
 * The partition as a damaged image holds it. What is lost cannot be read: of a gap in the log, the view below knows nothing and
 * would show zeros, which a file system takes for free clusters or for an empty folder.
 */
export class LostView implements ReadableDevice {
  readonly name: string;
  readonly size: ByteLength;
  readonly sectorSize: ByteLength;
  readonly uncachedReads = false;
  readonly #view: ReadableDevice;
  readonly #lost: SpanSet;

  /** `lost`: bytes of the partition. */
  constructor(view: ReadableDevice, lost: SpanSet) {
    this.#view = view;
    this.#lost = lost;
    this.name = view.name;
    this.size = view.size;
    this.sectorSize = view.sectorSize;
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    return readNew(this, offset, length);
  }

  /** Throws `corrupt` (`image.lost`) if any of it is lost. */
  readInto(offset: ByteOffset, target: Uint8Array): void {
    for (const { start } of this.#lost.within({ start: offset, length: target.length })) {
      throw corrupt('this part of the partition is lost', {
        code: 'image.lost',
        structure: this.name,
        offset: start,
      });
    }
    this.#view.readInto(offset, target);
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.readInto(offset, target);
  }
}
