import { openFile } from '../../rescue/device/file.ts';
import { Window } from '../../rescue/device/window.ts';
import { encodeAnchor, encodeStreamTable, parseAnchor, rootDigestOf } from '../../rescue/image/anchor.ts';
import { encodeCommit, parseCommit, writeInSector } from '../../rescue/image/commit.ts';
import { encodeExtents, SlotHomes } from '../../rescue/image/extents.ts';
import { COMMIT, COMMIT_POSITION, SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { openImage } from '../../rescue/image/reader.ts';
import { sha256 } from '../../rescue/image/record.ts';
import { mutableBIndex } from '../../rescue/image/sealed.ts';
import { headerTemplate, parseSlotHeader, payloadCapacity, sealSlot } from '../../rescue/image/slot.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import type { Extent } from '../../rescue/units.ts';

/** A container, in bytes of its partition. */
export interface Place {
  readonly extents: readonly Extent[];
  readonly slotSize: number;
  /** Of the partition. */
  readonly size: number;
}

export interface Forgery {
  readonly elsewhere: (place: Place) => readonly Extent[];
  readonly data: 'kept' | 'lost';
}

const isIn = (start: number, length: number, extent: Extent): boolean =>
  start >= extent.start && start + length <= extent.start + extent.length;

/**
 * Makes all anchors of an image say that its slots lie elsewhere, and both commit records vouch for that: every checksum and digest on the way to the
 * slots is right, and the places that an anchor names are those that follow from the extents. `data`: whether data slots are left where no extent is any more; they
 * say themselves where they are, so that all of the image could be put together. `partition` is where the partition lies in the file.
 */
export const forgeExtents = (
  file: string,
  partition: Extent,
  image: ImageSummary,
  { elsewhere, data }: Forgery,
): void => {
  const disk = openFile(file, { write: true });
  try {
    const device = new Window(disk, partition);
    const anchorHome = image.extents
      .map(([start]) => start - partition.start)
      .find((home) => parseSlotHeader(device.read(home, SLOT_HEADER_SIZE), home).index === 0);
    if (anchorHome === undefined) throw new Error(`image ${image.id} has no first slot`);
    const opened = openImage({ device, anchorHome });
    const { homes, extents, mutableHomes, streams } = opened;
    const log = opened.log(1);
    const { slotSize, slotCount } = homes;
    const forged = elsewhere({ extents, slotSize, size: partition.length });
    const forgedHomes = new SlotHomes(forged, slotSize);
    const extentsDigest = sha256(encodeExtents(forged));
    const control = log.content(log.record(streams.find(({ stream }) => stream === 'control')!.logOffset), 0);
    const rootDigest = rootDigestOf(encodeStreamTable(streams), extentsDigest, control);
    for (let index = 0; index < slotCount; index += 1) {
      const home = homes.homeOf(index);
      const header = parseSlotHeader(device.read(home, SLOT_HEADER_SIZE), home);
      if (data === 'lost' && header.kind === 'data' && !forged.some((extent) => isIn(home, slotSize, extent)))
        device.write(home, new Uint8Array(slotSize));
      if (header.kind !== 'anchor') continue;
      const payload = device.read(home + SLOT_HEADER_SIZE, header.payloadLength);
      const body = {
        ...parseAnchor(payload, home, partition.length, slotSize),
        extentCount: forged.length,
        extentsDigest,
        rootDigest,
        mutableHomes: [forgedHomes.homeOf(1), forgedHomes.homeOf(mutableBIndex(slotCount))] as const,
        lastAnchorHome: forgedHomes.homeOf(slotCount - 1),
      };
      const encoded = encodeAnchor(body, control, forgedHomes, index, payloadCapacity(slotSize));
      const slot = new Uint8Array(slotSize);
      slot.set(encoded, SLOT_HEADER_SIZE);
      sealSlot(slot, headerTemplate(header), header, encoded.length);
      device.write(home, slot);
    }
    for (const home of mutableHomes!) {
      const commit = parseCommit(
        device.read(home + COMMIT_POSITION, COMMIT.size),
        Buffer.from(image.id, 'hex'),
      );
      if (commit !== undefined)
        writeInSector(device, home + COMMIT_POSITION, encodeCommit({ ...commit, rootDigest }));
    }
    device.flush();
  } finally {
    disk.close();
  }
};
