import type { ReadableDevice } from '../device/device.ts';
import { corrupt, isHoldfastError } from '../errors.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { type ParsedAnchor, parseAnchor, rootDigestOf, type StreamHead } from './anchor.ts';
import { readBitmap } from './bitmap.ts';
import { type Commit, isBlankCommit, readCommit } from './commit.ts';
import { type Control, parseControl } from './control.ts';
import { decodeExtents, encodeExtents, SlotHomes } from './extents.ts';
import type { Image, ImageState } from './image.ts';
import { MAX_SLOT_SIZE, MIN_SLOT_SIZE, PAGE_REFERENCE, SLOT_HEADER_SIZE, type StreamName } from './layout.ts';
import { LogReader, type SlotSource } from './log-reader.ts';
import { PagedMap } from './map.ts';
import { sha256 } from './record.ts';
import { RecoveringMap } from './recovering-map.ts';
import { ScannedLog } from './scanned-log.ts';
import { ScannedMap } from './scanned-map.ts';
import { journalSlotIndices, mutableBIndex, sealedExtents } from './sealed.ts';
import {
  formatImageId,
  parseSlotHeader,
  payloadCapacity,
  payloadIntact,
  type SlotHeader,
  type SlotIdentity,
  unknownRoCompat,
} from './slot.ts';
import { dataSlotIndex, dataSlotsBefore, FIRST_DATA_SLOT, skipAnchors } from './slot-order.ts';

/** Bytes of the page index at most: 4 Mi pages of 4096 runs, more than any volume within the stated limits has. */
const MAX_INDEX = 128 * 1024 * 1024;
/** Bytes of an extent table at most: some ten million extents. */
const MAX_EXTENT_TABLE = 64 * 1024 * 1024;

const damaged = (code: string, message: string, cause?: unknown) =>
  corrupt(message, {
    code: `image.${code}`,
    structure: 'container',
    ...(cause === undefined ? {} : { cause }),
  });

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Reads the slot at `home` and checks that it is an intact slot of this image. Throws `corrupt`, `io`. */
export const readSlot = (
  device: ReadableDevice,
  home: number,
  of: Pick<SlotHeader, 'imageId' | 'generation' | 'slotSize'>,
): { readonly header: SlotHeader; readonly payload: Uint8Array } => {
  if (home + of.slotSize > device.size)
    throw damaged('slot-outside', `slot at ${home} lies outside the device`);
  const slot = device.read(home, of.slotSize);
  const header = parseSlotHeader(slot, home);
  if (
    !same(header.imageId, of.imageId) ||
    header.generation !== of.generation ||
    header.slotSize !== of.slotSize
  ) {
    throw damaged('slot-foreign', `slot at ${home} belongs to another image`);
  }
  if (!payloadIntact(slot, header))
    throw damaged('slot-payload', `payload of slot ${header.index} is damaged`);
  return { header, payload: slot.subarray(SLOT_HEADER_SIZE, SLOT_HEADER_SIZE + header.payloadLength) };
};

/** Follows `next_home` from the slot that holds the extents stream until its `length` bytes are read. */
const readExtentStream = (
  device: ReadableDevice,
  header: SlotHeader,
  head: StreamHead,
  homeOfFirst: number,
): Uint8Array => {
  if (head.length > MAX_EXTENT_TABLE) throw damaged('extents-length', 'extent table too long');
  const capacity = payloadCapacity(header.slotSize);
  const bytes = new Uint8Array(head.length);
  let home = homeOfFirst;
  for (let at = 0, index = head.slotIndex; at < bytes.length; index += 1) {
    const slot = readSlot(device, home, header);
    if (slot.header.index !== index)
      throw damaged('chain', `slot chain leads to ${slot.header.index}, not ${index}`);
    home = slot.header.nextHome;
    if (slot.header.kind !== 'data') continue;
    const skip = index === head.slotIndex ? head.logOffset % capacity : 0;
    const piece = slot.payload.subarray(skip, skip + bytes.length - at);
    if (piece.length === 0) throw damaged('chain', 'extent table ends early');
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
};

/** A log over consecutive bytes in memory, for reading the extents stream before the slots' places are known. */
const recordsOf = (bytes: Uint8Array, records: number, identity: SlotHeader): Uint8Array => {
  const contents: Uint8Array[] = [];
  const log = new InMemoryLog(bytes, identity);
  for (let index = 0, at = 0; index < records; index += 1) {
    const record = log.record(at);
    if (record.head.stream !== 'extents' || record.head.sequence !== index) {
      throw damaged('extents-record', `record ${index} of the extent table is missing`);
    }
    contents.push(log.content(record, at));
    at += record.length;
  }
  return Buffer.concat(contents);
};

class InMemoryLog extends LogReader {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, identity: SlotHeader) {
    const homes = new SlotHomes([], identity.slotSize);
    const { imageId, generation } = identity;
    super({ device: undefined as never, homes, imageId, generation, logLength: bytes.length });
    this.#bytes = bytes;
  }

  override read(logOffset: number, length: ByteLength): Uint8Array {
    if (logOffset + length > this.#bytes.length) throw damaged('extents-record', 'extent table cut short');
    return Uint8Array.from(this.#bytes.subarray(logOffset, logOffset + length));
  }
}

const headOf = (anchor: ParsedAnchor, stream: StreamName): StreamHead => {
  const head = anchor.streams.find((each) => each.stream === stream);
  if (head === undefined) throw damaged('stream', `stream "${stream}" is not listed`);
  return head;
};

const readExtents = (device: ReadableDevice, header: SlotHeader, anchor: ParsedAnchor): Extent[] => {
  const digestOf = (table: Uint8Array) => same(sha256(table), anchor.extentsDigest);
  const within = header.partitionSize;
  const whole = anchor.windowFirstExtent === 0 && anchor.window.length === anchor.extentCount;
  if (whole && digestOf(encodeExtents(anchor.window))) return [...anchor.window];
  const head = headOf(anchor, 'extents');
  const table = recordsOf(readExtentStream(device, header, head, head.slotHome), head.records, header);
  if (!digestOf(table)) throw damaged('extents-digest', 'the extent table does not match its SHA-256');
  return decodeExtents(table, anchor.extentCount, within, header.slotSize);
};

export interface OpenOptions {
  /** The partition at the start that the slots imply; or, with `asFile`, the container's files. */
  readonly device: ReadableDevice;
  /** Home of an anchor slot (in the file: its position). */
  readonly anchorHome: number;
  /** The slots lie one behind the other from the start of `device`, whatever their homes say. */
  readonly asFile?: boolean;
}

/**
 * Opens a container through one of its anchors: checks the root digest over stream table, extents and control, and reads
 * the commit record. Reads a few slots only. Throws `corrupt`, `unsupported`, `io`.
 */
export const openImage = ({ device, anchorHome, asFile = false }: OpenOptions): Image => {
  const first = parseSlotHeader(device.read(anchorHome, SLOT_HEADER_SIZE), anchorHome);
  const { header, payload } = readSlot(device, anchorHome, first);
  if (header.kind !== 'anchor') throw damaged('anchor', `slot ${header.index} is no anchor`);
  const anchor = parseAnchor(payload, anchorHome, header.partitionSize, header.slotSize);
  const extents: Extent[] = asFile
    ? [{ start: 0, length: anchor.slotCount * header.slotSize }]
    : readExtents(device, header, anchor);
  const homes = new SlotHomes(extents, header.slotSize);
  checkShape(homes, anchor);
  if (!asFile) checkPlaces(homes, anchor);
  const { imageId, generation } = header;
  const source: SlotSource = {
    device,
    homes,
    imageId,
    generation,
    byIndex: asFile,
    logLength: anchor.logLength,
  };
  const control = anchor.control ?? readControl(source, anchor);
  if (!same(rootDigestOf(anchor.streamTable, anchor.extentsDigest, control), anchor.rootDigest)) {
    throw damaged('root-digest', 'the anchor does not match its root digest');
  }
  const mutableHomes = [homes.homeOf(1), homes.homeOf(mutableBIndex(homes.slotCount))] as const;
  const commit = readCommit(device, mutableHomes, header.imageId)?.commit;
  const { state, reason } =
    cutShort(device, extents) ??
    stateOf(anchor, header, commit, () =>
      mutableHomes.every((home) => isSlotOf(device, home, header, asFile) && isBlankCommit(device, home)),
    );
  const parsed = parseControl(control);
  checkAgreement(parsed, header);
  const index = lazily(() => readIndex(source, anchor));
  const records = anchor.streams.find(({ stream }) => stream === 'data')?.records ?? 0;
  const map = new RecoveringMap(
    lazily(() => new PagedMap(new LogReader(source, 1), index())),
    new ScannedMap(new ScannedLog(source), records),
  );
  return {
    id: parsed.id,
    identity: header,
    control: parsed,
    unknownRoCompat: unknownRoCompat(header),
    state,
    reason,
    commit,
    device,
    homes,
    extents,
    sealed: sealedExtents(homes, anchor.dataEnd, anchor.journalSlots),
    extentsDigest: anchor.extentsDigest,
    rootDigest: anchor.rootDigest,
    usedBytes: anchor.usedBytes,
    rawBytes: anchor.rawBytes,
    storedBytes: anchor.storedBytes,
    streams: anchor.streams,
    map,
    indexDamage: () => map.damage,
    gaps: () => map.gaps,
    log: (readAhead) => new LogReader(source, readAhead),
    inUse: () => {
      const head = headOf(anchor, 'bitmap');
      return readBitmap(new LogReader(source), head.logOffset, head.records, parsed.geometry.clusterCount);
    },
    journal: { homes, slots: journalSlotIndices(anchor.dataEnd, anchor.journalSlots) },
    mutableHomes,
  };
};

/** A disk or a container file that is shorter than it was. */
const cutShort = (device: ReadableDevice, extents: readonly Extent[]) => {
  const missing = extents.reduce(
    (sum, { start, length }) => sum + Math.min(length, Math.max(0, start + length - device.size)),
    0,
  );
  if (missing === 0) return undefined;
  const reason = `${missing} bytes of it would lie behind the end of ${device.name}`;
  return { state: 'damaged', reason } as const;
};

const isSlotOf = (device: ReadableDevice, home: number, of: SlotHeader, anyGeneration: boolean): boolean => {
  try {
    const { generation } = anyGeneration ? parseSlotHeader(device.read(home, SLOT_HEADER_SIZE), home) : of;
    readSlot(device, home, { ...of, generation });
    return true;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return false;
  }
};

/** The numbers of the anchor must describe the slots that the extents hold. */
const checkShape = (homes: SlotHomes, anchor: ParsedAnchor): void => {
  const { slotCount } = homes;
  const capacity = payloadCapacity(homes.slotSize);
  const tail = journalSlotIndices(anchor.dataEnd, anchor.journalSlots).at(-1) ?? anchor.dataEnd - 1;
  const tailFits = skipAnchors(tail + 1) === mutableBIndex(slotCount);
  if (slotCount !== anchor.slotCount || !tailFits || anchor.dataEnd < FIRST_DATA_SLOT) {
    throw damaged('shape', `${slotCount} slots in the extents, ${anchor.slotCount} in the anchor`);
  }
  const dataSlots = dataSlotsBefore(anchor.dataEnd);
  if (
    anchor.logLength > dataSlots * capacity ||
    (dataSlots > 0 && dataSlotIndex(dataSlots - 1) >= slotCount)
  ) {
    throw damaged('shape', 'the log is longer than its slots');
  }
};

/** The places that the anchor names must be those that follow from the extents; in a file they are of the original. */
const checkPlaces = (homes: SlotHomes, { mutableHomes, lastAnchorHome }: ParsedAnchor): void => {
  const { slotCount } = homes;
  const named = [
    [1, mutableHomes[0]],
    [mutableBIndex(slotCount), mutableHomes[1]],
    [slotCount - 1, lastAnchorHome],
  ] as const;
  for (const [index, home] of named) {
    if (homes.homeOf(index) !== home) throw damaged('shape', `slot ${index} is not where the anchor says`);
  }
};

/** What slot headers and control document both say must be the same. Throws `corrupt` (`image.id`, `image.control`). */
export const checkAgreement = (control: Control, header: SlotIdentity): void => {
  if (control.id !== formatImageId(header.imageId)) {
    throw damaged('id', 'the control stream names another image');
  }
  const { partition, geometry } = control;
  const pairs = [
    ['partition size', partition.size, header.partitionSize],
    ['partition offset', partition.offset, header.partitionOffset],
    ['cluster size', geometry.clusterSize, header.clusterSize],
    ['cluster base', geometry.clusterBase, header.clusterBase],
  ] as const;
  for (const [what, found, expected] of pairs) {
    if (found === expected) continue;
    throw corrupt(`slots and control stream disagree on the ${what}`, {
      code: 'image.control',
      structure: 'container',
      expected,
      found,
    });
  }
};

const readControl = (source: SlotSource, anchor: ParsedAnchor): Uint8Array => {
  const log = new LogReader(source, 1);
  const { logOffset } = headOf(anchor, 'control');
  const record = log.record(logOffset);
  if (record.head.stream !== 'control') throw damaged('control', 'no control record where the anchor says');
  return log.content(record, logOffset);
};

const readIndex = (source: SlotSource, anchor: ParsedAnchor): Uint8Array => {
  const log = new LogReader(source, 1);
  const head = headOf(anchor, 'map index');
  const parts: Uint8Array[] = [];
  let total = 0;
  for (let index = 0, at = head.logOffset; index < head.records; index += 1) {
    const record = log.record(at);
    if (record.head.stream !== 'map index' || record.head.sequence !== index) {
      throw damaged('index', `record ${index} of the map index is missing`);
    }
    const raw = log.content(record, at);
    total += raw.length;
    if (total > MAX_INDEX || raw.length % PAGE_REFERENCE.size !== 0)
      throw damaged('index', 'map index of impossible length');
    parts.push(raw);
    at += record.length;
  }
  return Buffer.concat(parts);
};

/** Why an older generation is no image of its own any more. */
export const SUPERSEDED = 'a newer copy of it took its place';

const stateOf = (
  anchor: ParsedAnchor,
  header: SlotHeader,
  commit: Commit | undefined,
  neverWritten: () => boolean,
): { readonly state: ImageState; readonly reason: string | undefined } => {
  if (commit === undefined) {
    return neverWritten()
      ? { state: 'prepared', reason: 'it was never committed' }
      : { state: 'damaged', reason: 'both commit records are lost: commit unknown' };
  }
  if (commit.state === 'removed') return { state: 'removed', reason: 'the image was removed' };
  if (commit.state === 'superseded' && commit.generation === header.generation) {
    return { state: 'superseded', reason: SUPERSEDED };
  }
  if (!same(commit.rootDigest, anchor.rootDigest) || commit.generation !== header.generation) {
    return { state: 'damaged', reason: 'the commit record vouches for another generation' };
  }
  return { state: 'committed', reason: undefined };
};

const lazily = <T>(make: () => T): (() => T) => {
  let value: { readonly made: T } | undefined;
  return () => {
    value ??= { made: make() };
    return value.made;
  };
};

/**
 * Opens the image that a slot belongs to through the nearest anchor before it; a scan that goes on meets slots that name
 * the others. Undefined when that anchor cannot be used; `failures` then says why.
 */
export const openFromSlot = (
  device: ReadableDevice,
  header: SlotHeader,
  failures: string[] = [],
): Image | undefined => {
  const anchorHome = header.kind === 'anchor' ? header.home : header.anchorHome;
  try {
    const image = openImage({ device, anchorHome });
    if (image.id === formatImageId(header.imageId)) return image;
    failures.push(`anchor at ${anchorHome} belongs to another image`);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    failures.push(error.message);
  }
  return undefined;
};

/**
 * Opens the image whose slots fill `extents` in this order, as a file system lists them: through the anchor in the first slot,
 * or the one in the last. Undefined when neither can be used; `failures` then says why.
 */
export const openFromExtents = (
  device: ReadableDevice,
  extents: readonly Extent[],
  failures: string[] = [],
): Image | undefined => {
  const first = extents[0];
  const last = extents.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const image = openAt(device, first.start, failures);
  if (image !== undefined) return image;
  // The first slot does not say how long slots are.
  for (let slotSize = MAX_SLOT_SIZE; slotSize >= MIN_SLOT_SIZE; slotSize /= 2) {
    const found =
      last.length < slotSize ? undefined : openAt(device, last.start + last.length - slotSize, []);
    if (found !== undefined) return found;
  }
  return undefined;
};

const openAt = (device: ReadableDevice, home: ByteOffset, failures: string[]): Image | undefined => {
  try {
    return openFromSlot(device, parseSlotHeader(device.read(home, SLOT_HEADER_SIZE), home), failures);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    failures.push(error.message);
    return undefined;
  }
};
