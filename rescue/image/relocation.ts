import type { Device } from '../device/device.ts';
import { corrupt, refused } from '../errors.ts';
import { type ByteLength, type Extent, MIB, roundUp } from '../units.ts';
import { encodeStreamTable, rootDigestOf, type StreamHead } from './anchor.ts';
import { appendExtents, type EndPlan, planEnd, type WrittenContainer, writeEnd } from './ending.ts';
import { encodeExtents, SlotHomes } from './extents.ts';
import type { Image } from './image.ts';
import { SLOT_HEADER, SLOT_HEADER_SIZE } from './layout.ts';
import { LogWriter } from './log-writer.ts';
import type { Placement } from './placement.ts';
import { sha256 } from './record.ts';
import {
  headerTemplate,
  parseSlotHeader,
  payloadCapacity,
  payloadIntact,
  type SlotHeader,
  type SlotIdentity,
} from './slot.ts';
import { dataSlotIndex } from './slot-order.ts';
import { StreamWriter } from './streams.ts';

/**
 * Writes a container anew at other extents, as the next generation of the same image: the log up to the extent table is copied
 * slot by slot, everything that says where slots lie is made new. See FORMAT.md, "Generations".
 */
export interface RelocationRequest {
  /** Opened through an anchor: in its partition, or as a file if it is not where its slots say. */
  readonly image: Image;
  /** Of the copy: see `nextGeneration`. */
  readonly generation: number;
  /** Free extents of the partition in the order in which they are to be filled; slot size as it is. */
  readonly placement: Placement;
  /** Bytes of which each extent is a multiple; default: the image's clusters. */
  readonly unit?: ByteLength;
  /** Bytes that the largest patch may take that the copy's journal must hold, for given container extents. */
  readonly patchLength: (extents: readonly Extent[]) => ByteLength;
}

export interface RelocationPlan {
  readonly image: Image;
  readonly identity: SlotIdentity;
  /** Of the copy, in slot order. */
  readonly extents: readonly Extent[];
  readonly tail: EndPlan['tail'];
}

const BATCH = MIB;

/** Bytes that a copy takes at most: its extent table and its journal may be longer than they were. */
export const roomForCopy = (image: Image, patchLength: ByteLength): ByteLength => {
  const unit = Math.max(image.homes.slotSize, image.identity.clusterSize);
  return roundUp(image.storedBytes + patchLength + image.storedBytes / 1024 + 8 * image.homes.slotSize, unit);
};

export const extentsHead = (image: Image): StreamHead => {
  const head = image.streams.find(({ stream }) => stream === 'extents');
  const behind = image.streams.find(
    (each) => head !== undefined && each !== head && each.logOffset + each.length > head.logOffset,
  );
  if (head !== undefined && behind === undefined) return head;
  throw corrupt('the extent table is not the end of the log', {
    code: 'image.order',
    structure: 'container',
    ...(behind === undefined ? {} : { found: behind.stream }),
  });
};

/**
 * Where the copy will lie. Reads nothing but what is open already. Throws `refused` (`relocation.reassembled`,
 * `container.read-only`, `no-space`), `corrupt` (`image.order`).
 */
export const planRelocation = (request: RelocationRequest): RelocationPlan => {
  const { image, generation, placement, patchLength, unit = image.identity.clusterSize } = request;
  const { slotSize } = image.homes;
  if (placement.slotSize !== slotSize) throw new RangeError(`slots of ${placement.slotSize} bytes`);
  const short = image.id.slice(0, 8);
  if (image.streams.length === 0) {
    throw refused(`image ${short} was put together from single slots and cannot be copied`, {
      code: 'relocation.reassembled',
    });
  }
  if (image.unknownRoCompat !== 0) {
    throw refused(`image ${short} was made by a newer version and can only be read`, {
      code: 'container.read-only',
      wayOut: 'Use a newer Holdfast.',
    });
  }
  const { tail, extents } = planEnd({
    position: extentsHead(image).logOffset,
    planned: new SlotHomes(placement.extents, slotSize),
    clusterSize: unit,
    patchLength,
  });
  return { image, identity: { ...image.identity, generation }, extents, tail };
};

interface DataSlot {
  readonly header: SlotHeader;
  /** The part of it that comes before the extent table; a view that the next slot overwrites. */
  readonly payload: Uint8Array;
  readonly bytes: Uint8Array;
}

/**
 * The data slots that a copy takes over, in order, each checked against its header. Holds a MiB. Throws `corrupt` (`slot.lost`),
 * `io`.
 */
function* dataSlots(image: Image): Generator<DataSlot> {
  const { homes, device, identity } = image;
  const { slotSize } = homes;
  const capacity = payloadCapacity(slotSize);
  const end = extentsHead(image).logOffset;
  const count = Math.ceil(end / capacity);
  const buffer = new Uint8Array(Math.max(BATCH, slotSize));
  for (let ordinal = 0; ordinal < count; ) {
    const first = dataSlotIndex(ordinal);
    const most = Math.min(homes.contiguousFrom(first), buffer.length / slotSize, count - ordinal);
    let slots = 1;
    while (slots < most && dataSlotIndex(ordinal + slots) === first + slots) slots += 1;
    const home = homes.homeOf(first);
    device.readInto(home, buffer.subarray(0, slots * slotSize));
    for (let at = 0; at < slots; at += 1, ordinal += 1) {
      const bytes = buffer.subarray(at * slotSize, (at + 1) * slotSize);
      const length = Math.min(capacity, end - ordinal * capacity);
      const position = home + at * slotSize;
      const header = parseSlotHeader(bytes, position);
      const whole =
        header.kind === 'data' &&
        header.index === first + at &&
        header.slotSize === slotSize &&
        header.generation === identity.generation &&
        header.logOffset === ordinal * capacity &&
        header.payloadLength >= length &&
        Buffer.compare(header.imageId, identity.imageId) === 0 &&
        payloadIntact(bytes, header);
      if (!whole) {
        throw corrupt(`slot ${first + at} of the image is lost`, {
          code: 'slot.lost',
          structure: 'slot',
          offset: position,
        });
      }
      yield { header, payload: bytes.subarray(SLOT_HEADER_SIZE, SLOT_HEADER_SIZE + length), bytes };
    }
  }
}

/** The control document as it stands in the log: unknown members are kept. */
export const controlBytes = (image: Image): Uint8Array => {
  const log = image.log(1);
  const head = image.streams.find(({ stream }) => stream === 'control');
  const record = head === undefined ? undefined : log.record(head.logOffset);
  if (head === undefined || record?.head.stream !== 'control') {
    throw corrupt('no control record where the anchor says', {
      code: 'image.control',
      structure: 'container',
    });
  }
  return log.content(record, head.logOffset);
};

/**
 * Reads all that a copy would take over and checks it: before anything depends on the copy. Yields bytes of the container that are
 * done. Throws `corrupt`, `io`.
 */
export function* checkRelocatable(image: Image): Generator<ByteLength> {
  controlBytes(image);
  for (const { header } of dataSlots(image)) yield header.index * image.homes.slotSize;
}

/**
 * Writes the copy: a prepared container, to be claimed and committed. Yields bytes of it that are done. Memory does not grow with
 * the image. Does not flush. Throws `corrupt` (`slot.lost`, ...), `io`.
 */
export function* writeRelocated(
  device: Device,
  { image, identity, extents, tail }: RelocationPlan,
): Generator<ByteLength, WrittenContainer> {
  const homes = new SlotHomes(extents, image.homes.slotSize);
  const control = controlBytes(image);
  const template = headerTemplate(identity);
  const log = new LogWriter({ device, homes, template });
  for (const { header, payload, bytes } of dataSlots(image)) {
    // Compatible features that nobody here knows are kept.
    SLOT_HEADER.set(template, 'features_compat', SLOT_HEADER.get(bytes, 'features_compat'));
    log.copySlot(payload, header.firstRecord);
    yield header.index * homes.slotSize;
  }
  const old = extentsHead(image);
  const table = encodeExtents(extents);
  const ending = new StreamWriter(log);
  appendExtents(ending, table);
  const logLength = log.position;
  log.finish(tail.dataSlots);
  const [head] = ending.heads(homes);
  const streams = image.streams.map((each) =>
    each === old ? head! : { ...each, slotHome: homes.homeOf(each.slotIndex) },
  );
  const extentsDigest = sha256(table);
  const rootDigest = rootDigestOf(encodeStreamTable(streams), extentsDigest, control);
  const written = writeEnd(
    { device, template, control, homes, tail },
    { logLength, usedBytes: image.usedBytes, rawBytes: image.rawBytes, extentsDigest, rootDigest, streams },
  );
  yield written.storedBytes;
  return written;
}
