import { crc32 } from 'node:zlib';
import { rootDigestOf } from '../../../../rescue/image/anchor.ts';
import { appendAudit } from '../../../../rescue/image/audit.ts';
import { decodeFrame } from '../../../../rescue/image/codec.ts';
import { writeJournal } from '../../../../rescue/image/journal.ts';
import {
  ANCHOR,
  AUDIT,
  AUDIT_POSITION,
  CODEC,
  COMMIT,
  COMMIT_POSITION,
  JOURNAL_HEADER,
  JOURNAL_POSITION,
  MAX_FRAME_SIZE,
  PATCH_CHAIN,
  PATCH_HEAD,
  PATCH_STEP,
  RECORD_HEADER,
  RECORD_RUN,
  SIBLING,
  SLOT_HEADER,
  SLOT_HEADER_SIZE,
  STREAM_HEAD,
} from '../../../../rescue/image/layout.ts';
import { encodePatch } from '../../../../rescue/image/patch-coding.ts';
import { headLength, sha256 } from '../../../../rescue/image/record.ts';
import { parseSlotHeader, payloadCapacity } from '../../../../rescue/image/slot.ts';
import { OPERATIONS } from '../../../image/made-up.ts';
import { openAt, smallContainer } from '../../../image/small-container.ts';
import type { DiskSeed } from '../disk-parser.ts';
import { bytesAt, type Place, placeOf } from '../places.ts';

type Seal = NonNullable<Place['seal']>;

/** CRC-32 of bytes `from` to `to`, both from `at`, stored at `to` or where it is said. */
const sealCrc =
  (at: number, to: number, from = 0, where = to): Seal =>
  (draft) => {
    const crc = new Uint8Array(4);
    new DataView(crc.buffer).setUint32(0, crc32(draft.view(at + from, to - from)), true);
    draft.put(at + where, crc);
  };

/** The checksums of a slot: of its payload, as far as it says how long that is, and of its header. */
export const sealSlotAt =
  (home: number, slotSize: number): Seal =>
  (draft) => {
    const header = Uint8Array.from(draft.view(home, SLOT_HEADER_SIZE));
    const length = SLOT_HEADER.get(header, 'payload_length');
    if (length <= slotSize - SLOT_HEADER_SIZE)
      SLOT_HEADER.set(header, 'payload_crc', crc32(draft.view(home + SLOT_HEADER_SIZE, length)));
    draft.put(home, header);
    sealCrc(home, SLOT_HEADER.offsetOf('header_crc'))(draft);
  };

/** A record in one slot: digest and CRC of its content, of its head, of the slot. */
const sealRecord =
  (at: number, slot: Seal): Seal =>
  (draft) => {
    const head = Uint8Array.from(draft.view(at, RECORD_HEADER.size));
    const runs = RECORD_HEADER.get(head, 'run_count');
    const stored = draft.view(at + headLength(runs), RECORD_HEADER.get(head, 'stored_length'));
    const codec = RECORD_HEADER.get(head, 'codec');
    RECORD_HEADER.set(head, 'stored_crc', crc32(stored));
    const raw = RECORD_HEADER.get(head, 'raw_length');
    if (codec === CODEC.store) RECORD_HEADER.set(head, 'digest', sha256(stored));
    // As far as it still decodes.
    if (codec === CODEC.zstd && raw <= MAX_FRAME_SIZE)
      RECORD_HEADER.set(head, 'digest', sha256(decodeFrame(stored, 'zstd', raw)));
    draft.put(at, head);
    const crc = new Uint8Array(4);
    const from = RECORD_HEADER.offsetOf('stream');
    new DataView(crc.buffer).setUint32(0, crc32(draft.view(at + from, headLength(runs) - from)), true);
    draft.put(at + RECORD_HEADER.offsetOf('header_crc'), crc);
    slot(draft);
  };

/** An anchor's root digest over what it says now, its slot, and the commit records that vouch for it. */
const sealAnchor =
  (home: number, slot: Seal, control: Uint8Array, mutable: readonly number[]): Seal =>
  (draft) => {
    const body = home + SLOT_HEADER_SIZE;
    const fixed = Uint8Array.from(draft.view(body, ANCHOR.size));
    const table = draft.view(body + ANCHOR.size, ANCHOR.get(fixed, 'stream_count') * STREAM_HEAD.size);
    const digest = rootDigestOf(table, ANCHOR.get(fixed, 'extents_digest'), control);
    ANCHOR.set(fixed, 'root_digest', digest);
    draft.put(body, fixed);
    slot(draft);
    for (const each of mutable) {
      draft.put(each + COMMIT_POSITION + COMMIT.offsetOf('root_digest'), digest);
      sealCrc(each + COMMIT_POSITION, COMMIT.offsetOf('crc'))(draft);
    }
  };

/** Places of the patch in the journal: it is short enough for one slot. */
const journalPlaces = (home: number, next: number): Place[] => {
  const at = home + JOURNAL_POSITION;
  const patchAt = next + SLOT_HEADER_SIZE;
  const crc = sealCrc(at, JOURNAL_HEADER.offsetOf('crc'));
  const seal: Seal = (draft) => {
    const header = Uint8Array.from(draft.view(at, JOURNAL_HEADER.size));
    const length = JOURNAL_HEADER.get(header, 'patch_length');
    JOURNAL_HEADER.set(header, 'patch_digest', sha256(draft.view(patchAt, length)));
    draft.put(at, header);
    crc(draft);
  };
  const first = patchAt + PATCH_HEAD.size;
  return [
    placeOf(JOURNAL_HEADER, at, seal),
    placeOf(PATCH_HEAD, patchAt, seal),
    placeOf(PATCH_STEP, first, seal),
    placeOf(PATCH_CHAIN, first + PATCH_STEP.size, seal),
    bytesAt('patch runs', first + PATCH_STEP.size + PATCH_CHAIN.size, 24, seal, 4),
    bytesAt('patch', patchAt, encodePatch(OPERATIONS).length, seal, 4),
  ];
};

export interface ContainerSeed extends DiskSeed {
  /** Homes of the first and the last anchor. */
  readonly anchors: readonly number[];
  readonly extents: readonly { readonly start: number; readonly length: number }[];
}

/** A partition with one committed image, a patch in its journal and an audit record; and where all that is. */
export const containerSeed = (): ContainerSeed => {
  const { device, captured } = smallContainer();
  const { homes } = captured;
  const { slotSize, slotCount } = homes;
  const anchors = [homes.homeOf(0), homes.homeOf(slotCount - 1)];
  const image = openAt(device, anchors[0]!);
  const { identity, mutableHomes } = image;
  appendAudit(device, mutableHomes!, identity.imageId, {
    action: 'created',
    time: 1_700_000_000,
    salvaged: false,
  });
  const { imageId, generation } = identity;
  writeJournal(device, image.journal!, { purpose: 'claim', generation, imageId, patch: OPERATIONS });
  const log = image.log(1);
  const record = log.record(image.streams.find(({ stream }) => stream === 'control')!.logOffset);
  const control = log.content(record, 0);
  const places: Place[] = [];
  const capacity = payloadCapacity(slotSize);
  for (let index = 0; index < slotCount; index += 1) {
    const home = homes.homeOf(index);
    const slot = sealSlotAt(home, slotSize);
    places.push(placeOf(SLOT_HEADER, home, slot));
    const { kind, firstRecord, payloadLength } = parseSlotHeader(device.read(home, SLOT_HEADER_SIZE), home);
    if (kind === 'anchor') {
      const seal = sealAnchor(home, slot, control, mutableHomes!);
      const body = home + SLOT_HEADER_SIZE;
      places.push(placeOf(ANCHOR, body, seal), placeOf(ANCHOR, body, seal));
      for (const stream of image.streams.keys())
        places.push(placeOf(STREAM_HEAD, body + ANCHOR.size + stream * STREAM_HEAD.size, seal));
      const rest = body + ANCHOR.size + image.streams.length * STREAM_HEAD.size;
      places.push(
        bytesAt('control copy and extents', rest, home + SLOT_HEADER_SIZE + payloadLength - rest, seal),
      );
    }
    if (kind !== 'data') continue;
    for (
      let at: number = firstRecord ?? capacity;
      at < capacity && at + RECORD_HEADER.size <= payloadLength;
    ) {
      const position = home + SLOT_HEADER_SIZE + at;
      const head = device.read(position, RECORD_HEADER.size);
      const runs = RECORD_HEADER.get(head, 'run_count');
      const whole = headLength(runs) + RECORD_HEADER.get(head, 'stored_length');
      const seal = sealRecord(position, slot);
      places.push(placeOf(RECORD_HEADER, position, seal));
      for (let run = 0; run < Math.min(runs, 3); run += 1)
        places.push(placeOf(RECORD_RUN, position + headLength(run), seal));
      if (at + whole <= payloadLength)
        places.push(
          bytesAt('record content', position + headLength(runs), Math.max(1, whole - headLength(runs)), seal),
        );
      at += Math.ceil(whole / 8) * 8;
    }
  }
  for (const home of mutableHomes!) {
    const seal = sealCrc(home + COMMIT_POSITION, COMMIT.offsetOf('crc'));
    places.push(placeOf(COMMIT, home + COMMIT_POSITION, seal), placeOf(COMMIT, home + COMMIT_POSITION, seal));
    for (let sibling = 0; sibling < 4; sibling += 1)
      places.push(
        placeOf(SIBLING, home + COMMIT_POSITION + COMMIT.offsetOf('siblings') + sibling * SIBLING.size, seal),
      );
  }
  places.push(
    placeOf(
      AUDIT,
      mutableHomes![0] + AUDIT_POSITION,
      sealCrc(mutableHomes![0] + AUDIT_POSITION, AUDIT.offsetOf('crc')),
    ),
  );
  const [head, next] = image.journal!.slots;
  places.push(...journalPlaces(homes.homeOf(head!), homes.homeOf(next!)));
  return {
    name: 'container',
    bytes: device.read(0, device.size),
    places,
    numbers: [slotCount, ...anchors, ...mutableHomes!, homes.homeOf(2), 4096, 65536, 0xffffffff],
    anchors,
    extents: captured.extents,
  };
};
