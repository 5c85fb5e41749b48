import type { Device, ReadableDevice } from '../../rescue/device/device.ts';
import { ANCHOR_INTERVAL } from '../../rescue/image/layout.ts';
import { headerTemplate, type SlotIdentity, type SlotPlace, sealSlot } from '../../rescue/image/slot.ts';
import { type ByteLength, type ByteOffset, type Extent, GIB } from '../../rescue/units.ts';

/** Identity of a made-up container; tests overwrite what they are about. */
export const identityOf = (overrides: Partial<SlotIdentity> = {}): SlotIdentity => ({
  imageId: new Uint8Array(16).fill(0xa1),
  generation: 1,
  slotSize: 65536,
  fileSystem: 3,
  deviceKind: 1,
  fileSystemUuid: new Uint8Array(16).fill(0xb2),
  clusterSize: 4096,
  clusterBase: 0,
  sectorSize: 512,
  partitionOffset: 0,
  partitionSize: 4096 * GIB,
  diskSize: 0,
  partitionScheme: 0,
  partitionNumber: 0,
  partitionUuid: new Uint8Array(16),
  partitionType: new Uint8Array(16),
  ...overrides,
});

/** The 256 bytes of a slot header without payload. */
export const headerOf = (identity: SlotIdentity, place: Partial<SlotPlace> = {}): Uint8Array => {
  const slot = new Uint8Array(256);
  const { index = 2, home = 0 } = place;
  sealSlot(
    slot,
    headerTemplate(identity),
    { kind: 'data', index, home, nextHome: home, anchorHome: home, logOffset: 0, ...place },
    0,
  );
  return slot;
};

/** Writes headers of slots that fill `extent` of the device one behind the other. */
export const writeRun = (
  device: Pick<Device, 'write'>,
  extent: Extent,
  identity: SlotIdentity = identityOf(),
  firstIndex = 2,
): void => {
  const { slotSize, partitionOffset } = identity;
  for (let at = 0, index = firstIndex; at < extent.length; at += slotSize, index += 1) {
    const position = extent.start + at;
    const home = position - partitionOffset;
    const kind = index % ANCHOR_INTERVAL === 0 ? 'anchor' : 'data';
    device.write(position, headerOf(identity, { kind, index, home }));
  }
};

/**
 * A device of any size that holds one run of slots and otherwise zeros, and whose reads cost next to nothing: slots
 * are made when they are read. Notes what was read.
 */
export class VirtualRun implements ReadableDevice {
  readonly name = 'virtual';
  readonly size: ByteLength;
  readonly sectorSize = 512;
  readonly uncachedReads = true;
  readonly run: Extent;
  readonly #identity: SlotIdentity;
  bytesRead = 0;
  /** Calls and lengths, if a test wants them. */
  onRead: (offset: ByteOffset, length: ByteLength) => void = () => {};

  constructor(size: ByteLength, run: Extent, slotSize: ByteLength) {
    this.size = size;
    this.run = run;
    this.#identity = identityOf({ slotSize, partitionSize: size });
  }

  readInto(offset: ByteOffset, target: Uint8Array): void {
    if (offset < 0 || offset + target.length > this.size) throw new RangeError('read outside the device');
    this.bytesRead += target.length;
    this.onRead(offset, target.length);
    target.fill(0);
    const { slotSize } = this.#identity;
    const from = Math.max(0, Math.floor((offset - this.run.start) / slotSize));
    for (let index = from; index * slotSize < this.run.length; index += 1) {
      const position = this.run.start + index * slotSize;
      if (position >= offset + target.length) break;
      const header = headerOf(this.#identity, { index, home: position });
      // The part of the header that lies in this read.
      for (let byte = Math.max(0, offset - position); byte < header.length; byte += 1) {
        if (position + byte >= offset + target.length) break;
        target[position + byte - offset] = header[byte]!;
      }
    }
  }

  read(offset: ByteOffset, length: ByteLength): Uint8Array {
    const bytes = new Uint8Array(length);
    this.readInto(offset, bytes);
    return bytes;
  }

  readUncachedInto(offset: ByteOffset, target: Uint8Array): void {
    this.readInto(offset, target);
  }
}
