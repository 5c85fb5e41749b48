import test from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { parseAnchor } from '../../rescue/image/anchor.ts';
import { readAudit } from '../../rescue/image/audit.ts';
import { parseCommit } from '../../rescue/image/commit.ts';
import { readJournal } from '../../rescue/image/journal.ts';
import {
  ANCHOR,
  AUDIT,
  AUDIT_POSITION,
  COMMIT,
  JOURNAL_HEADER,
  PATCH_CHAIN,
  PATCH_HEAD,
  PATCH_RUN,
  PATCH_STEP,
  RECORD_HEADER,
  SLOT_HEADER,
  STREAM_HEAD,
} from '../../rescue/image/layout.ts';
import { decodePatch, encodePatch } from '../../rescue/image/patch-coding.ts';
import { parseRecordHead } from '../../rescue/image/record.ts';
import { parseSlotHeader } from '../../rescue/image/slot.ts';
import {
  anchorBytes,
  auditBytes,
  commitBytes,
  ID,
  IDENTITY,
  JOURNAL_AT,
  journalDevice,
  OPERATIONS,
  patchBytes,
  recordBytes,
  slotBytes,
} from './made-up.ts';
import { flipped, outcomeOf, outcomesByField, resealed, reservedBytes } from './outcome.ts';

/** Of a field of eight bytes that may hold anything up to 2^53 - 1. */
const WIDE = 'ok*6 field.too-large*2';

test('slot header: any changed byte is told by magic or CRC', (t) => {
  for (let at = 0; at < SLOT_HEADER.size; at += 1) {
    const outcome = outcomeOf(() => parseSlotHeader(flipped(slotBytes(), at), 0));
    t.is(outcome, at < 16 ? 'slot.magic' : 'slot.header-crc', `byte ${at}`);
  }
});

test('slot header with its CRC made right: impossible values are told by field, others are taken as they are', (t) => {
  const change = (at: number): string =>
    outcomeOf(() => parseSlotHeader(resealed(flipped(slotBytes(), at), 252), 0));
  // Byte 2 of a home turns 1f into e0: still inside 32 MiB.
  const home = 'slot.field*2 ok slot.field*3 field.too-large*2';
  t.deepEqual(outcomesByField(SLOT_HEADER, change), {
    magic: 'slot.magic',
    features_compat: 'ok',
    features_ro_compat: 'ok',
    features_incompat: 'slot.incompat',
    slot_size_log2: 'slot.field',
    kind: 'slot.field',
    file_system: 'ok',
    device_kind: 'ok',
    image_id: 'ok',
    slot_index: WIDE,
    generation: WIDE,
    home,
    next_home: home,
    anchor_home: home,
    log_offset: WIDE,
    first_record: 'ok slot.field*3',
    payload_length: 'ok slot.field*3',
    payload_crc: 'ok',
    parity_group: 'ok',
    parity_index: 'ok',
    cluster_size_log2: 'slot.field',
    sector_size_log2: 'slot.field',
    partition_scheme: 'ok',
    partition_number: 'ok',
    partition_offset: WIDE,
    partition_size: WIDE,
    disk_size: WIDE,
    file_system_uuid: 'ok',
    partition_uuid: 'ok',
    partition_type: 'ok',
    cluster_base: WIDE,
    header_crc: 'ok',
  });
  for (const at of reservedBytes(SLOT_HEADER)) t.is(change(at), 'ok', `reserved byte ${at}`);
});

test('record header: any changed byte is told', (t) => {
  const change = (at: number): string => outcomeOf(() => parseRecordHead(flipped(recordBytes(), at), 0));
  for (let at = 0; at < recordBytes().length; at += 1) {
    const outcome = change(at);
    // The number of runs is needed to know what the CRC covers.
    const expected =
      at < 4
        ? 'record.magic'
        : at === 24
          ? 'record.cut-short'
          : at > 24 && at < 28
            ? 'record.runs'
            : 'record.header-crc';
    t.is(outcome, expected, `byte ${at}`);
  }
});

test('record header with its CRC made right', (t) => {
  const length = recordBytes().length;
  const change = (at: number): string =>
    outcomeOf(() => parseRecordHead(resealed(flipped(recordBytes(), at), 4, 8, length), 0));
  t.deepEqual(outcomesByField(RECORD_HEADER, change), {
    magic: 'record.magic',
    header_crc: 'ok',
    stream: 'record.stream',
    codec: 'record.codec',
    flags: 'ok',
    space: 'ok',
    sequence: WIDE,
    run_count: 'record.cut-short record.runs*3',
    raw_length: 'ok*2 record.length*2',
    stored_length: 'ok record.length*3',
    stored_crc: 'ok',
    digest: 'ok',
    first_unit: WIDE,
  });
  for (const at of reservedBytes(RECORD_HEADER)) t.is(change(at), 'ok', `reserved byte ${at}`);
});

test('anchor body, whose checksum is that of its slot: what cannot be is told', (t) => {
  const change = (at: number): string =>
    outcomeOf(() => parseAnchor(flipped(anchorBytes(), at), 0, IDENTITY.partitionSize, 4096));
  const home = 'ok*3 anchor.home*3 field.too-large*2';
  t.deepEqual(outcomesByField(ANCHOR, change), {
    magic: 'anchor.magic',
    body_length: 'anchor.length',
    stream_count: 'anchor.length',
    slot_count: 'ok anchor.slots*5 field.too-large*2',
    data_end: 'anchor.slots*6 field.too-large*2',
    journal_slots: 'anchor.slots',
    anchor_interval: 'anchor.interval',
    log_length: WIDE,
    used_bytes: WIDE,
    raw_bytes: WIDE,
    stored_bytes: WIDE,
    extent_count: WIDE,
    extents_digest: 'ok',
    root_digest: 'ok',
    mutable_a_home: home,
    mutable_b_home: home,
    control_length: 'anchor.length',
    window_count: 'extents.count',
    window_first_extent: WIDE,
    window_first_slot: WIDE,
    window_length: 'anchor.length',
    last_anchor_home: home,
  });
  const stream = (at: number): string => change(ANCHOR.size + at);
  t.deepEqual(outcomesByField(STREAM_HEAD, stream), {
    stream: 'ok',
    records: WIDE,
    log_offset: 'ok anchor.stream*5 field.too-large*2',
    length: 'ok anchor.stream*5 field.too-large*2',
    slot_home: WIDE,
    slot_index: WIDE,
    digest: 'ok',
  });
  for (const at of reservedBytes(ANCHOR)) t.is(change(at), 'ok', `reserved byte ${at}`);
  for (const at of reservedBytes(STREAM_HEAD)) t.is(stream(at), 'ok', `reserved byte ${at}`);
  const windowAt = anchorBytes().length - 6;
  const window = Array.from({ length: 6 }, (_, byte) => change(windowAt + byte));
  t.deepEqual(window, [
    ...new Array(3).fill('extents.bounds'),
    'extents.length',
    ...new Array(2).fill('extents.cut-short'),
  ]);
});

const commitOutcome = (bytes: Uint8Array): string => {
  let found = '';
  const outcome = outcomeOf(() => {
    found = parseCommit(bytes, ID) === undefined ? 'none' : 'ok';
  });
  return outcome === 'ok' ? found : outcome;
};

test('commit record: any changed byte makes it no record', (t) => {
  t.is(commitOutcome(commitBytes()), 'ok');
  for (let at = 0; at < COMMIT.size; at += 1)
    t.is(commitOutcome(flipped(commitBytes(), at)), 'none', `byte ${at}`);
});

test('commit record with its CRC made right', (t) => {
  const change = (at: number): string => commitOutcome(resealed(flipped(commitBytes(), at), 508));
  const { siblings, ...others } = outcomesByField(COMMIT, change);
  t.deepEqual(others, {
    magic: 'none',
    serial: WIDE,
    generation: WIDE,
    sequence: WIDE,
    image_id: 'none',
    root_digest: 'ok',
    time: 'ok*4 none*2 field.too-large*2',
    state: 'none',
    sibling_count: 'none',
    sibling_total: 'ok',
    begun_generation: 'ok*6 field.too-large*2',
    old_first_anchor: 'ok*6 field.too-large*2',
    old_last_anchor: 'ok*6 field.too-large*2',
    crc: 'ok',
  });
  t.regex(siblings!, /^ok\*22 (field\.too-large\*2 ok\*6 ){4}field\.too-large\*2 ok\*\d+$/);
  for (const at of reservedBytes(COMMIT)) t.is(change(at), 'ok', `reserved byte ${at}`);
});

test('audit record: any changed byte makes it no record', (t) => {
  const read = (bytes: Uint8Array) => {
    const device = new MemoryDevice(8192);
    device.write(AUDIT_POSITION, bytes);
    return readAudit(device, [0, 4096], ID);
  };
  t.not(read(auditBytes()), undefined);
  for (let at = 0; at < AUDIT.size; at += 1) t.is(read(flipped(auditBytes(), at)), undefined, `byte ${at}`);
});

test('journal: a changed header is idle, a changed patch is told', (t) => {
  const { device, place } = journalDevice();
  const sound = device.snapshot();
  const readWith = (at: number): string => {
    const changed = sound.snapshot();
    changed.write(at, flipped(changed.read(at, 1), 0));
    let found = '';
    const outcome = outcomeOf(() => {
      found = readJournal(changed, place) === undefined ? 'idle' : 'active';
    });
    return outcome === 'ok' ? found : outcome;
  };
  t.is(readJournal(sound, place)?.purpose, 'claim');
  for (let at = 0; at < JOURNAL_HEADER.size; at += 1) t.is(readWith(JOURNAL_AT + at), 'idle', `byte ${at}`);
  const patchAt = 0x4000 + 256;
  for (let at = 0; at < patchBytes().length; at += 7)
    t.is(readWith(patchAt + at), 'journal.digest', `byte ${at}`);
  t.is(readWith(patchAt + patchBytes().length), 'active', 'behind the patch');
});

/** Of the position of a step, byte by byte. */
const offset = 'patch.alignment*2 patch.bounds*4 field.too-large*2';

test('patch: what cannot be is told', (t) => {
  const change = (at: number): string => outcomeOf(() => decodePatch(flipped(patchBytes(), at), 65536));
  t.deepEqual(outcomesByField(PATCH_HEAD, change), {
    sector_size: 'patch.sector',
    phases: 'ok patch.phases*3',
    steps: 'field.cut-short*6 field.too-large*2',
  });
  t.deepEqual(
    outcomesByField(PATCH_STEP, (at) => change(PATCH_HEAD.size + at)),
    {
      phase: 'patch.order',
      kind: 'patch.kind',
      offset,
      length: 'patch.alignment patch.cut-short*3',
      // A write has none.
      value: 'ok',
    },
  );
  const second = 0x428;
  t.deepEqual(
    outcomesByField(PATCH_STEP, (at) => change(second + at)),
    { phase: 'patch.order', kind: 'patch.kind', offset, length: 'patch.cut-short', value: 'ok' },
  );
  t.is(
    outcomeOf(() => decodePatch(Buffer.concat([patchBytes(), Buffer.alloc(8)]), 65536)),
    'patch.excess',
  );
});

test('chain, fill and bits: what cannot be is told', (t) => {
  const bytes = encodePatch(OPERATIONS);
  const change = (at: number): string => outcomeOf(() => decodePatch(flipped(bytes, at), 65536));
  t.is(
    outcomeOf(() => decodePatch(bytes, 65536)),
    'ok',
  );
  t.deepEqual(
    outcomesByField(PATCH_STEP, (at) => change(PATCH_HEAD.size + at)),
    {
      phase: 'patch.order',
      kind: 'patch.kind',
      offset,
      length: 'patch.alignment*2 patch.bounds*2',
      value: 'patch.chain-end',
    },
  );
  const chain = PATCH_HEAD.size + PATCH_STEP.size;
  t.deepEqual(
    outcomesByField(PATCH_CHAIN, (at) => change(chain + at)),
    { copies: 'patch.bounds patch.copies*3', runs: 'patch.cut-short*2 patch.runs*2' },
  );
  const run = chain + PATCH_CHAIN.size;
  t.deepEqual(
    outcomesByField(PATCH_RUN, (at) => change(run + at)),
    { start: 'patch.run', length: 'patch.run' },
  );
  const last = run + 2 * PATCH_RUN.size;
  const withBit = (at: number, mask: number): string =>
    outcomeOf(() => decodePatch(flipped(bytes, at, mask), 65536));
  t.is(withBit(last + 7, 0x80), 'patch.open-chain');
  t.is(withBit(last, 0x18), 'patch.overlap');
  const fill = last + PATCH_RUN.size;
  t.is(withBit(fill + PATCH_STEP.offsetOf('value') + 1, 1), 'patch.fill');
  t.is(change(fill + PATCH_STEP.offsetOf('kind')), 'patch.kind');
  const bits = fill + PATCH_STEP.size;
  t.is(change(bits + PATCH_STEP.offsetOf('value')), 'patch.bits');
  t.is(change(bits + PATCH_STEP.offsetOf('offset')), 'patch.alignment');
});
