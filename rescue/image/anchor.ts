import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { corrupt } from '../errors.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { WINDOW_LOG_MAX } from './codec.ts';
import { decodeExtents, encodeExtents, type SlotHomes } from './extents.ts';
import {
  ANCHOR,
  ANCHOR_INTERVAL,
  ANCHOR_MAGIC,
  MAX_FRAME_SIZE,
  MAX_JOURNAL_SLOTS,
  STREAM,
  STREAM_HEAD,
  type StreamName,
} from './layout.ts';
import { sha256 } from './record.ts';

export interface StreamHead {
  readonly stream: StreamName;
  readonly records: number;
  /** Log position of the first record. */
  readonly logOffset: number;
  /** Bytes of its records in the log. */
  readonly length: ByteLength;
  readonly slotHome: ByteOffset;
  readonly slotIndex: number;
  /** SHA-256 over the digests of all its records, in order. */
  readonly digest: Uint8Array;
}

/** What every anchor of a generation says; only the window of extents differs from anchor to anchor. */
export interface AnchorBody {
  readonly slotCount: number;
  readonly dataEnd: number;
  readonly journalSlots: number;
  readonly logLength: number;
  readonly usedBytes: ByteLength;
  readonly rawBytes: ByteLength;
  readonly storedBytes: ByteLength;
  readonly extentCount: number;
  readonly extentsDigest: Uint8Array;
  readonly rootDigest: Uint8Array;
  readonly mutableHomes: readonly [ByteOffset, ByteOffset];
  readonly lastAnchorHome: ByteOffset;
  readonly streams: readonly StreamHead[];
}

export interface ParsedAnchor extends AnchorBody {
  /** The control document, if it fitted. */
  readonly control: Uint8Array | undefined;
  /** As stored: streams of unknown id and reserved bytes count for the root digest too. */
  readonly streamTable: Uint8Array;
  /** Extents around the anchor, and the slot index at which the first of them starts. */
  readonly window: readonly Extent[];
  readonly windowFirstExtent: number;
  readonly windowFirstSlot: number;
}

export const encodeStreamTable = (streams: readonly StreamHead[]): Uint8Array =>
  Buffer.concat(
    streams.map((head) =>
      STREAM_HEAD.encode({
        stream: STREAM[head.stream],
        records: head.records,
        log_offset: head.logOffset,
        length: head.length,
        slot_home: head.slotHome,
        slot_index: head.slotIndex,
        digest: head.digest,
      }),
    ),
  );

/** The one digest that a commit record vouches for. `streamTable`: the stream heads as stored. */
export const rootDigestOf = (
  streamTable: Uint8Array,
  extentsDigest: Uint8Array,
  control: Uint8Array,
): Uint8Array => sha256(Buffer.concat([streamTable, extentsDigest, sha256(control)]));

/**
 * Encodes the body for the anchor in slot `index`, at most `capacity` bytes: fixed part, stream table, a copy of the
 * control document if it fits, and as many extents around the slot as fit.
 */
export const encodeAnchor = (
  body: AnchorBody,
  control: Uint8Array,
  homes: SlotHomes,
  index: number,
  capacity: ByteLength,
): Uint8Array => {
  const table = encodeStreamTable(body.streams);
  const packed = zstdCompressSync(control);
  const fixed = ANCHOR.size + table.length;
  // A slot of 4 KiB must keep room for extents, without which the control copy would not help.
  const copy = fixed + packed.length <= capacity * 0.75 ? packed : new Uint8Array(0);
  const window = extentWindow(homes, homes.extentOf(index), capacity - fixed - copy.length);
  const head = ANCHOR.encode({
    magic: Buffer.from(ANCHOR_MAGIC),
    body_length: fixed + copy.length + window.bytes.length,
    stream_count: body.streams.length,
    slot_count: body.slotCount,
    data_end: body.dataEnd,
    journal_slots: body.journalSlots,
    anchor_interval: ANCHOR_INTERVAL,
    log_length: body.logLength,
    used_bytes: body.usedBytes,
    raw_bytes: body.rawBytes,
    stored_bytes: body.storedBytes,
    extent_count: body.extentCount,
    extents_digest: body.extentsDigest,
    root_digest: body.rootDigest,
    mutable_a_home: body.mutableHomes[0],
    mutable_b_home: body.mutableHomes[1],
    control_length: copy.length,
    window_count: window.count,
    window_first_extent: window.first,
    window_first_slot: homes.firstSlotOf(window.first),
    window_length: window.bytes.length,
    last_anchor_home: body.lastAnchorHome,
  });
  return Buffer.concat([head, table, copy, window.bytes]);
};

/** The largest window of extents that starts at or shortly before `around` and fits. */
const extentWindow = (homes: SlotHomes, around: number, room: ByteLength) => {
  const whole = encodeExtents(homes.extents);
  if (whole.length <= room) return { first: 0, count: homes.extents.length, bytes: whole };
  // A coded extent takes at most 16 bytes.
  const first = Math.max(0, around - Math.floor(room / 32));
  const count = Math.min(homes.extents.length - first, Math.floor(room / 16));
  return { first, count, bytes: encodeExtents(homes.extents.slice(first, first + count)) };
};

const STREAM_NAMES = new Map<number, StreamName>(
  Object.entries(STREAM).map(([name, code]) => [code, name as StreamName]),
);

/**
 * `payload` is that of an anchor slot. Streams of unknown id are skipped. Throws `corrupt` (`anchor.*`).
 * `within` is the partition's length, `slotSize` the container's.
 */
export const parseAnchor = (
  payload: Uint8Array,
  offset: ByteOffset,
  within: ByteLength,
  slotSize: ByteLength,
): ParsedAnchor => {
  const fail = (code: string, message: string, found?: number) =>
    corrupt(message, {
      code: `anchor.${code}`,
      structure: 'anchor',
      offset,
      ...(found === undefined ? {} : { found }),
    });
  const field = ANCHOR.decode(payload);
  if (Buffer.from(field.magic).toString('latin1') !== ANCHOR_MAGIC) throw fail('magic', 'no anchor body');
  const controlAt = ANCHOR.size + field.stream_count * STREAM_HEAD.size;
  const windowAt = controlAt + field.control_length;
  const length = windowAt + field.window_length;
  if (length !== field.body_length || length > payload.length)
    throw fail('length', 'parts do not add up', length);
  if (field.anchor_interval !== ANCHOR_INTERVAL)
    throw fail('interval', 'unknown interval', field.anchor_interval);
  if (field.slot_count * slotSize > within || field.data_end > field.slot_count) {
    throw fail('slots', 'more slots than the partition holds', field.slot_count);
  }
  if (field.journal_slots > MAX_JOURNAL_SLOTS || field.data_end + field.journal_slots > field.slot_count) {
    throw fail('slots', 'more journal slots than there can be', field.journal_slots);
  }
  const homesInside = [field.mutable_a_home, field.mutable_b_home, field.last_anchor_home];
  for (const home of homesInside) {
    if (home + slotSize > within) throw fail('home', 'slot outside the partition', home);
  }
  const streams: StreamHead[] = [];
  for (let index = 0; index < field.stream_count; index += 1) {
    const head = STREAM_HEAD.decode(payload, ANCHOR.size + index * STREAM_HEAD.size);
    const stream = STREAM_NAMES.get(head.stream);
    if (stream === undefined) continue;
    if (head.log_offset + head.length > field.log_length) throw fail('stream', `${stream} outside the log`);
    streams.push({
      stream,
      records: head.records,
      logOffset: head.log_offset,
      length: head.length,
      slotHome: head.slot_home,
      slotIndex: head.slot_index,
      digest: head.digest,
    });
  }
  let control: Uint8Array | undefined;
  if (field.control_length > 0) {
    try {
      control = zstdDecompressSync(payload.subarray(controlAt, windowAt), {
        maxOutputLength: MAX_FRAME_SIZE,
        params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
      });
    } catch (cause) {
      throw corrupt('control copy does not decode', {
        code: 'anchor.control',
        structure: 'anchor',
        offset,
        cause,
      });
    }
  }
  return {
    slotCount: field.slot_count,
    dataEnd: field.data_end,
    journalSlots: field.journal_slots,
    logLength: field.log_length,
    usedBytes: field.used_bytes,
    rawBytes: field.raw_bytes,
    storedBytes: field.stored_bytes,
    extentCount: field.extent_count,
    extentsDigest: field.extents_digest,
    rootDigest: field.root_digest,
    mutableHomes: [field.mutable_a_home, field.mutable_b_home],
    lastAnchorHome: field.last_anchor_home,
    streams,
    streamTable: Uint8Array.from(payload.subarray(ANCHOR.size, controlAt)),
    control,
    window: decodeExtents(payload.subarray(windowAt, length), field.window_count, within, slotSize),
    windowFirstExtent: field.window_first_extent,
    windowFirstSlot: field.window_first_slot,
  };
};
