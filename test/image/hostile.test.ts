import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { Guard } from '../../rescue/device/guard.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { encodeStreamTable, parseAnchor, rootDigestOf, type StreamHead } from '../../rescue/image/anchor.ts';
import { decodeFrame } from '../../rescue/image/codec.ts';
import { encodeCommit, parseCommit, readCommit } from '../../rescue/image/commit.ts';
import { type Control, encodeControl, parseControl } from '../../rescue/image/control.ts';
import { decodeExtents, encodeExtents, SlotHomes } from '../../rescue/image/extents.ts';
import { readJournal, writeJournal } from '../../rescue/image/journal.ts';
import {
  ANCHOR,
  COMMIT,
  COMMIT_MAGIC,
  COMMIT_POSITION,
  JOURNAL_HEADER,
  JOURNAL_POSITION,
  RECORD_HEADER,
  RECORD_MAGIC,
  SLOT_HEADER,
  SLOT_HEADER_SIZE,
  SLOT_MAGIC,
  STREAM_HEAD,
} from '../../rescue/image/layout.ts';
import { LogReader } from '../../rescue/image/log-reader.ts';
import { encodeMapEntries, encodePageReferences, type MapEntry, PagedMap } from '../../rescue/image/map.ts';
import { decodePatch } from '../../rescue/image/patch-coding.ts';
import { openImage } from '../../rescue/image/reader.ts';
import { parseRecordHead, sha256 } from '../../rescue/image/record.ts';
import { parseSlotHeader } from '../../rescue/image/slot.ts';
import { removeImage } from '../../rescue/job/removal.ts';
import { refreshSiblings } from '../../rescue/job/siblings.ts';
import { refuseReadOnly } from '../../rescue/job/volume.ts';
import { GIB, MIB } from '../../rescue/units.ts';
import { CLUSTER, captureInto } from '../locate/captured.ts';
import { COMMIT_VALUE, ID, journalDevice, PATCH } from './made-up.ts';
import { outcomeOf, resealed } from './outcome.ts';
import { contentOf, openAt, type Small, smallContainer } from './small-container.ts';

const original = smallContainer();

const fresh = (): Small => ({ ...original, device: original.device.snapshot() });

/** Changes a slot and makes its checksums right again: what someone who can write to the disk can do. */
const forge = (
  device: MemoryDevice,
  home: number,
  edit: (slot: Uint8Array, payload: Uint8Array) => void,
): void => {
  const slotSize = 2 ** device.read(home + SLOT_HEADER.offsetOf('slot_size_log2'), 1)[0]!;
  const slot = device.read(home, slotSize);
  edit(slot, slot.subarray(SLOT_HEADER_SIZE));
  const length = SLOT_HEADER.get(slot, 'payload_length');
  resealed(slot, SLOT_HEADER.offsetOf('payload_crc'), SLOT_HEADER_SIZE, SLOT_HEADER_SIZE + length);
  device.write(home, resealed(slot, SLOT_HEADER.offsetOf('header_crc')));
};

const forgedAnchor = (edit: (payload: Uint8Array, slot: Uint8Array) => void): string => {
  const { device, captured } = fresh();
  const home = captured.homes.homeOf(0);
  forge(device, home, (slot, payload) => edit(payload, slot));
  return outcomeOf(() => {
    const image = openAt(device, home);
    for (const _ of image.inUse());
    // The content is there all the same, from the data records.
    contentOf(image);
    const damage = image.indexDamage();
    if (damage !== undefined) throw damage;
  });
};

test('forging changes nothing by itself', (t) => {
  t.is(
    forgedAnchor(() => {}),
    'ok',
  );
});

type AnchorField =
  | 'slot_count'
  | 'data_end'
  | 'journal_slots'
  | 'log_length'
  | 'extent_count'
  | 'window_count';

test('forged counts in an anchor are refused, at once and without memory', (t) => {
  const set = (field: AnchorField, value: number): string =>
    forgedAnchor((payload) => ANCHOR.set(payload, field, value));
  const { homes, journal } = original.captured;
  const { slotCount } = homes;
  const dataEnd = journal.slots[0]!;
  t.is(set('journal_slots', 0xffff_ffff), 'anchor.slots');
  t.is(set('journal_slots', journal.slots.length + 1), 'image.shape');
  t.is(set('journal_slots', journal.slots.length - 1), 'image.shape');
  t.is(set('slot_count', Number.MAX_SAFE_INTEGER), 'anchor.slots');
  t.is(set('slot_count', slotCount + 1), 'image.shape');
  t.is(set('slot_count', slotCount - 1), 'image.shape');
  t.is(set('data_end', dataEnd + 1), 'image.shape');
  t.is(set('data_end', dataEnd - 1), 'image.shape');
  t.is(set('data_end', 0), 'image.shape');
  t.is(set('log_length', 2 ** 50), 'image.shape');
  t.is(set('extent_count', 2 ** 50), 'extents.count');
  t.is(set('window_count', 0xffff_ffff), 'extents.count');
  const streams = (value: number): string =>
    forgedAnchor((payload) => ANCHOR.set(payload, 'stream_count', value));
  t.is(streams(0xffff), 'anchor.length');
  t.is(streams(0), 'anchor.length');
  // With a partition that is said to be as large as numbers go, and slots to match.
  t.is(
    forgedAnchor((payload, slot) => {
      SLOT_HEADER.set(slot, 'partition_size', Number.MAX_SAFE_INTEGER);
      ANCHOR.set(payload, 'slot_count', 2 ** 40);
      ANCHOR.set(payload, 'journal_slots', 0xffff_ffff);
    }),
    'anchor.slots',
  );
});

test('places in an anchor that do not follow from the extents are refused', (t) => {
  const { homes } = original.captured;
  for (const field of ['mutable_a_home', 'mutable_b_home', 'last_anchor_home'] as const) {
    t.is(
      forgedAnchor((payload) => ANCHOR.set(payload, field, homes.homeOf(3))),
      'image.shape',
    );
  }
});

test('what the root digest covers cannot be changed alone', (t) => {
  const table = ANCHOR.size;
  t.is(
    forgedAnchor((payload) => STREAM_HEAD.set(payload, 'records', 77, table)),
    'image.root-digest',
  );
  t.is(
    forgedAnchor((payload) => STREAM_HEAD.set(payload, 'stream', 700, table)),
    'image.root-digest',
  );
  // A reserved byte of a stream head.
  t.is(
    forgedAnchor((payload) => {
      payload[table + 4] = 1;
    }),
    'image.root-digest',
  );
  const digest = Buffer.alloc(32, 1);
  // The window is whole but does not fit the digest any more; neither does the table in the log.
  t.is(
    forgedAnchor((payload) => ANCHOR.set(payload, 'extents_digest', digest)),
    'image.extents-digest',
  );
});

/** Rewrites an anchor's variable parts, root digest included. */
const reanchor = (
  payload: Uint8Array,
  slot: Uint8Array,
  parts: {
    readonly streams?: Uint8Array;
    readonly control?: Uint8Array;
    readonly extents?: { readonly bytes: Uint8Array; readonly count: number };
  },
): void => {
  const { control, window } = sectionsOf(payload);
  const streams = parts.streams ?? sectionsOf(payload).streams;
  const document = parts.control ?? zstdDecompressSync(control);
  const packed = parts.control === undefined ? control : zstdCompressSync(parts.control);
  const extents = parts.extents?.bytes ?? window;
  const body = Buffer.concat([payload.subarray(0, ANCHOR.size), streams, packed, extents]);
  ANCHOR.set(body, 'body_length', body.length);
  ANCHOR.set(body, 'stream_count', streams.length / STREAM_HEAD.size);
  ANCHOR.set(body, 'control_length', packed.length);
  ANCHOR.set(body, 'window_length', extents.length);
  if (parts.extents !== undefined) {
    ANCHOR.set(body, 'window_count', parts.extents.count);
    ANCHOR.set(body, 'extent_count', parts.extents.count);
    ANCHOR.set(body, 'extents_digest', sha256(extents));
  }
  const digest = rootDigestOf(streams, ANCHOR.get(body, 'extents_digest'), document);
  ANCHOR.set(body, 'root_digest', digest);
  payload.fill(0);
  payload.set(body);
  SLOT_HEADER.set(slot, 'payload_length', body.length);
};

const sectionsOf = (payload: Uint8Array) => {
  const controlAt = ANCHOR.size + ANCHOR.get(payload, 'stream_count') * STREAM_HEAD.size;
  const windowAt = controlAt + ANCHOR.get(payload, 'control_length');
  const part = (from: number, to: number): Uint8Array => Uint8Array.from(payload.subarray(from, to));
  return {
    streams: part(ANCHOR.size, controlAt),
    control: part(controlAt, windowAt),
    window: part(windowAt, windowAt + ANCHOR.get(payload, 'window_length')),
  };
};

test('extents over each other, outside, or of odd length are refused', (t) => {
  const { extents } = original.captured;
  const withExtents = (list: readonly { start: number; length: number }[]): string =>
    forgedAnchor((payload, slot) =>
      reanchor(payload, slot, { extents: { bytes: encodeExtents(list), count: list.length } }),
    );
  const [first, second, third] = extents;
  t.is(withExtents(extents), 'ok');
  t.is(withExtents([first!, { ...second!, start: first!.start - 5 * CLUSTER }, third!]), 'extents.overlap');
  t.is(withExtents([first!, first!]), 'extents.overlap');
  t.is(
    withExtents([first!, second!, { start: second!.start + CLUSTER, length: CLUSTER }]),
    'extents.overlap',
  );
  t.is(withExtents([{ ...first!, start: original.device.size }, second!]), 'extents.bounds');
  t.is(withExtents([{ ...first!, length: 512 }, second!]), 'extents.length');
  // Elsewhere, but otherwise possible: the slots there are not ours.
  t.is(withExtents([first!, { ...second!, start: 16 * CLUSTER }, third!]), 'image.shape');
});

test('a stream of unknown id is skipped, and counts for the root digest', (t) => {
  const unknown = STREAM_HEAD.encode({ stream: 9000, records: 5, log_offset: 2 ** 50, length: 2 ** 50 });
  t.is(
    forgedAnchor((payload, slot) =>
      reanchor(payload, slot, { streams: Buffer.concat([unknown, sectionsOf(payload).streams]) }),
    ),
    'ok',
  );
});

test('stream heads that lead astray: typed errors, and an end', (t) => {
  const known = (stream: StreamHead['stream'], change: Partial<StreamHead>): string =>
    forgedAnchor((payload, slot) => {
      const { streams } = parseAnchor(payload, 0, original.device.size, 4096);
      const changed = streams.map((head) => (head.stream === stream ? { ...head, ...change } : head));
      reanchor(payload, slot, { streams: encodeStreamTable(changed) });
    });
  t.is(known('map index', { logOffset: 0 }), 'image.index');
  t.is(known('map index', { records: Number.MAX_SAFE_INTEGER }), 'image.index');
  t.is(known('map index', { logOffset: 4 }), 'record.magic');
  t.is(known('bitmap', { records: 2 ** 40 }), 'bitmap.pages');
  t.is(known('bitmap', { logOffset: 0 }), 'bitmap.page');
  // These are not needed while the anchor holds all.
  t.is(known('control', { logOffset: 8 }), 'ok');
  t.is(known('extents', { slotIndex: 0 }), 'ok');
});

test('the control document says what the slots say', (t) => {
  const { control } = openAt(original.device, original.captured.homes.homeOf(0));
  const withControl = (change: (control: Control) => void): string =>
    forgedAnchor((payload, slot) => {
      const changed = structuredClone(control);
      change(changed);
      reanchor(payload, slot, { control: Buffer.from(JSON.stringify(changed)) });
    });
  t.is(
    withControl(() => {}),
    'ok',
  );
  t.is(
    withControl((each) => (each.partition.size = 8 * GIB)),
    'image.control',
  );
  t.is(
    withControl((each) => (each.partition.offset = 0)),
    'image.control',
  );
  t.is(
    withControl((each) => (each.geometry.clusterSize = 2048)),
    'image.control',
  );
  t.is(
    withControl((each) => (each.id = '0'.repeat(32))),
    'image.id',
  );
  t.is(
    withControl((each) => (each.geometry.clusterCount *= 2)),
    'control.bounds',
  );
});

/** A document with everything in it. */
const CONTROL: Control = {
  ...openAt(original.device, original.captured.homes.homeOf(0)).control,
  fileSystem: {
    kind: 'ext4',
    label: 'label',
    uuid: 'uuid',
    parameters: { blockSize: 4096, features: 'a b' },
  },
  containers: [{ name: 'user-1' }],
  zeroOnRestore: [{ start: 0, length: 4096 }],
};

/** The document with one member replaced. */
const controlWith = (path: readonly (string | number)[], value: unknown): string => {
  const copy = structuredClone(CONTROL) as unknown;
  let at = copy as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
  if (value === undefined) delete at[path.at(-1)!];
  else at[path.at(-1)!] = value;
  const text = JSON.stringify(copy);
  return outcomeOf(() => parseControl(Buffer.from(text)));
};

/** Paths of all members, the elements of lists and of free-form parts left out. */
const paths = (value: unknown, at: readonly string[] = []): string[][] => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[...at]];
  const own = Object.entries(value).flatMap(([key, each]) =>
    key === 'parameters' || key === 'table' ? [[...at, key]] : paths(each, [...at, key]),
  );
  return at.length === 0 ? own : [[...at], ...own];
};

test('control document: every member is needed and has one type', (t) => {
  t.deepEqual(parseControl(encodeControl(CONTROL)), CONTROL);
  const all = paths(CONTROL);
  t.true(all.length > 30);
  for (const path of all) {
    const what = path.join('.');
    if (what !== 'table') t.is(controlWith(path, undefined), 'control.schema', `${what} missing`);
    for (const value of [true, {}, [[]], -1, 1.5, 2 ** 60, 'x'.repeat(300)]) {
      const outcome = controlWith(path, value);
      const free = what === 'table' || (what === 'fileSystem.parameters' && !Array.isArray(value));
      if (free) continue;
      if (what === 'codec.level' && value === -1) continue;
      t.regex(outcome, /^control\.(schema|bounds)$/, `${what} as ${JSON.stringify(value).slice(0, 20)}`);
    }
  }
});

test('control document: not JSON, too many, too deep, and names that objects have by themselves', (t) => {
  const parse = (text: string): string => outcomeOf(() => parseControl(Buffer.from(text)));
  for (const text of ['', 'null', '[]', '5', '"x"', '{', '{}', `${'['.repeat(100_000)}`, '\ufeff{}'])
    t.regex(parse(text), /^control\.(json|schema)$/, text.slice(0, 10));
  t.is(parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`), 'control.schema');
  t.is(controlWith(['spaces'], []), 'control.schema');
  t.is(controlWith(['spaces'], new Array(17).fill(CONTROL.spaces[0])), 'control.schema');
  t.is(controlWith(['spaces'], [CONTROL.spaces[0], CONTROL.spaces[0]]), 'control.bounds');
  t.is(controlWith(['containers'], new Array(65).fill({ name: 'a' })), 'control.schema');
  t.is(controlWith(['zeroOnRestore'], new Array(257).fill({ start: 0, length: 1 })), 'control.schema');
  t.is(controlWith(['zeroOnRestore'], [{ start: original.device.size, length: 1 }]), 'control.bounds');
  t.is(controlWith(['format'], 2), 'control.schema');
  const text = JSON.stringify(CONTROL);
  const own = '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},';
  for (const place of ['{', '"parameters":{', '"partition":{']) {
    const at = text.indexOf(place) + place.length;
    const hostile =
      text.slice(0, at) + (place.includes('parameters') ? '"__proto__":5,' : own) + text.slice(at);
    const parsed = parseControl(Buffer.from(hostile));
    t.is((parsed as { polluted?: unknown }).polluted, undefined);
    t.is(({} as { polluted?: unknown }).polluted, undefined);
    t.is(Object.getPrototypeOf(parsed.fileSystem.parameters), Object.prototype);
    t.deepEqual({ ...parsed }, { ...CONTROL });
  }
});

test('a writer does not write what a reader would refuse', (t) => {
  t.throws(() => encodeControl({ ...CONTROL, name: 'x'.repeat(257) }));
  t.throws(() => encodeControl({ ...CONTROL, table: 'x'.repeat(300_000) }), { instanceOf: RangeError });
});

test('decoder bombs: no more than the recorded length, no window beyond a frame', (t) => {
  const bomb = zstdCompressSync(Buffer.alloc(64 * MIB));
  t.true(bomb.length < 16_384);
  t.is(
    outcomeOf(() => decodeFrame(bomb, 'zstd', 4096)),
    'frame.decode',
  );
  t.is(
    outcomeOf(() => decodeFrame(bomb, 'zstd', 262_144)),
    'frame.decode',
  );
  t.is(
    outcomeOf(() => decodeFrame(zstdCompressSync(Buffer.alloc(100)), 'zstd', 101)),
    'frame.decode',
  );
  t.is(
    outcomeOf(() => decodeFrame(zstdCompressSync(Buffer.alloc(100)), 'zstd', 0)),
    'frame.decode',
  );
  t.is(
    outcomeOf(() => decodeFrame(Buffer.alloc(10), 'store', 11)),
    'frame.decode',
  );
  // RFC 8878: magic, no content size, window descriptor 2^(10 + 17), one raw block of one byte.
  const wide = Buffer.from('28b52ffd008809000061', 'hex');
  t.is(zstdDecompressSync(wide).toString(), 'a');
  t.is(
    outcomeOf(() => decodeFrame(wide, 'zstd', 1)),
    'frame.decode',
  );
  const control = (frame: Buffer): string =>
    forgedAnchor((payload, slot) => {
      const at = ANCHOR.size + ANCHOR.get(payload, 'stream_count') * STREAM_HEAD.size;
      payload.fill(0, at);
      payload.set(frame, at);
      ANCHOR.set(payload, 'control_length', frame.length);
      ANCHOR.set(payload, 'window_length', 0);
      ANCHOR.set(payload, 'window_count', 0);
      ANCHOR.set(payload, 'body_length', at + frame.length);
      SLOT_HEADER.set(slot, 'payload_length', at + frame.length);
    });
  t.is(control(zstdCompressSync(Buffer.alloc(4 * MIB))), 'anchor.control');
  t.is(control(wide), 'anchor.control');
});

test('unknown incompatible feature: unsupported, whatever else the header says', (t) => {
  for (const bit of [0, 1, 17, 31]) {
    const { device, captured } = fresh();
    const home = captured.homes.homeOf(0);
    forge(device, home, (slot) => {
      SLOT_HEADER.set(slot, 'features_incompat', 2 ** bit);
      slot.fill(0xff, SLOT_HEADER.offsetOf('home'), SLOT_HEADER.offsetOf('payload_crc'));
      SLOT_HEADER.set(slot, 'payload_length', 100);
    });
    const error = t.throws(() => openAt(device, home));
    t.true(isHoldfastError(error, 'unsupported'));
    t.regex(error?.message ?? '', new RegExp(`feature bits 0x${(2 ** bit).toString(16)}`));
  }
});

test('unknown read-only compatible feature: read, but neither removed nor written into', async (t) => {
  const { device, captured, content } = fresh();
  for (let index = 0; index < captured.homes.slotCount; index += 1) {
    forge(device, captured.homes.homeOf(index), (slot) =>
      SLOT_HEADER.set(slot, 'features_ro_compat', 0x8000_0001),
    );
  }
  const image = openAt(device, captured.homes.homeOf(0));
  t.is(image.state, 'committed');
  t.deepEqual(contentOf(image), content);
  t.is(image.unknownRoCompat, 0x8000_0001);
  const before = device.snapshot();
  const refusal = { code: 'container.read-only' };
  const check = (error: unknown): void => {
    t.true(isHoldfastError(error, 'refused'));
    t.like((error as { detail: object }).detail, refusal);
  };
  check(t.throws(() => refuseReadOnly(image)));
  const nothing = undefined as never;
  check(await t.throwsAsync(removeImage(nothing, new Guard(device), { driver: nothing, image })));
  const other = openAt(original.device, captured.homes.homeOf(0));
  refreshSiblings(new Guard(device), [image, { ...image, id: 'another' }]);
  t.deepEqual([...device.differences(before)], []);
  t.notThrows(() => refuseReadOnly(other));
});

/** A container whose extent table does not fit an anchor. */
const scattered = () => {
  const device = new MemoryDevice(40 * MIB);
  const extents = Array.from({ length: 2600 }, (_, index) => ({
    start: 39 * MIB - index * 3 * 4096,
    length: 4096,
  }));
  // Distances that take two or three bytes.
  const order = extents.map((_, index) => extents[(index * 701) % extents.length]!);
  const captured = captureInto(device, [{ start: 0, length: 8 }], order, { slotSize: 4096 }, 9_900_000);
  return { device, captured };
};

test('a chain of slots that turns in circles, or leads away, ends with an error', (t) => {
  const { device: sound, captured } = scattered();
  const { homes } = captured;
  const anchorHome = homes.homeOf(0);
  const image = openImage({ device: sound, anchorHome });
  t.deepEqual(image.extents, captured.extents);
  const head = image.streams.find((each) => each.stream === 'extents')!;
  t.true(head.length > 2 * 3840, 'the table takes several slots');
  const withNext = (from: number, home: number): string => {
    const device = sound.snapshot();
    forge(device, homes.homeOf(from), (slot) => SLOT_HEADER.set(slot, 'next_home', home));
    return outcomeOf(() => openImage({ device, anchorHome }));
  };
  const first = head.slotIndex;
  t.is(withNext(first, homes.homeOf(first)), 'image.chain');
  t.is(withNext(first, anchorHome), 'image.chain');
  t.is(withNext(first, homes.homeOf(first + 2)), 'image.chain');
  t.is(withNext(first + 1, homes.homeOf(first)), 'image.chain');
  t.is(withNext(first, 0), 'slot.magic');
  t.is(withNext(first, sound.size), 'slot.field');
  // Behind the table nobody looks.
  t.is(withNext(first + 20, homes.homeOf(first)), 'ok');
  const lost = sound.snapshot();
  lost.write(homes.homeOf(first + 1), new Uint8Array(4096));
  t.is(
    outcomeOf(() => openImage({ device: lost, anchorHome })),
    'slot.magic',
  );
});

/** A log of one record, in memory. */
class OneRecord extends LogReader {
  readonly #raw: Uint8Array;
  reads: number[] = [];

  constructor(raw: Uint8Array) {
    super({
      device: undefined as never,
      homes: new SlotHomes([], 4096),
      imageId: ID,
      generation: 1,
      logLength: 0,
    });
    this.#raw = raw;
  }

  override record(logOffset: number, length?: number): never {
    this.reads.push(length ?? 0);
    return { head: { stream: 'map' }, logOffset } as never;
  }

  override content(): Uint8Array {
    return this.#raw;
  }
}

test('map entries out of order, of no length or with impossible numbers are refused', (t) => {
  const entry = (start: number, change: Partial<MapEntry> = {}): MapEntry => ({
    space: 0,
    start,
    length: 2,
    codec: 'store',
    logOffset: 0,
    recordLength: 104,
    rawOffset: 0,
    ...change,
  });
  const walk = (entries: readonly MapEntry[]): string => {
    const page = { space: 0, firstUnit: 0, entries: entries.length, logOffset: 0, recordLength: 200 };
    const map = new PagedMap(new OneRecord(encodeMapEntries(entries)), encodePageReferences([page]));
    return outcomeOf(() => [...map.entriesFrom(0, 0)]);
  };
  t.is(walk([entry(0), entry(2), entry(5, { space: 1 }), entry(7, { space: 1 })]), 'ok');
  t.is(walk([entry(0), entry(1)]), 'map.order');
  t.is(walk([entry(4), entry(1)]), 'map.order');
  t.is(walk([entry(0, { space: 1 }), entry(4)]), 'map.order');
  t.is(walk([entry(0), entry(4, { length: 0 })]), 'map.entry');
  t.is(walk([entry(0, { start: Number.MAX_SAFE_INTEGER })]), 'map.entry');
  t.is(walk([entry(0, { rawOffset: 262_144 })]), 'map.entry');
});

test('references longer than any record cost no memory', (t) => {
  const image = openAt(original.device, original.captured.homes.homeOf(0));
  t.is(
    outcomeOf(() => image.log().record(0, 0xffff_ffff)),
    'record.reference',
  );
  t.is(
    outcomeOf(() => image.log().record(0, 96)),
    'record.reference',
  );
  t.is(
    outcomeOf(() => image.log().read(0, 2 ** 40)),
    'log.end',
  );
  t.is(
    outcomeOf(() => image.log().read(-8, 8)),
    'log.end',
  );
});

test('a commit record with impossible numbers leaves the other one in force', (t) => {
  const device = new MemoryDevice(65536);
  const homes = [0, 8192] as const;
  device.write(COMMIT_POSITION, encodeCommit(COMMIT_VALUE));
  const impossible = encodeCommit({ ...COMMIT_VALUE, serial: 99 });
  impossible.fill(0xff, COMMIT.offsetOf('time'), COMMIT.offsetOf('time') + 8);
  device.write(8192 + COMMIT_POSITION, resealed(impossible, 508));
  t.is(readCommit(device, homes, ID)?.commit.serial, 6);
  t.is(readCommit(device, [0, 65536], ID)?.slot, 0, 'a place outside the device counts as empty');
});

test('a journal header that asks for more than there is', (t) => {
  const { device, place } = journalDevice();
  const at = 0x3000 + JOURNAL_POSITION;
  for (const length of [3841, 2 ** 31, 2 ** 50]) {
    const header = device.read(at, 512);
    JOURNAL_HEADER.set(header, 'patch_length', length);
    device.write(at, resealed(header, 508));
    t.is(
      outcomeOf(() => readJournal(device, place)),
      'journal.digest',
    );
  }
  const entry = { purpose: 'claim', generation: 1, imageId: ID, patch: PATCH } as const;
  const full = { ...entry, patch: { ...PATCH, phases: [...PATCH.phases, ...PATCH.phases, ...PATCH.phases] } };
  t.is(
    outcomeOf(() => writeJournal(device, place, full)),
    'journal-full',
  );
  t.is(
    outcomeOf(() => writeJournal(device, { ...place, slots: [1] }, entry)),
    'journal-full',
  );
});

test('noise behind a right magic and a right CRC: typed errors only', (t) => {
  const noise = fc.uint8Array({ minLength: 512, maxLength: 512 });
  const small = fc.uint8Array({ minLength: 1, maxLength: 200 });
  const property = fc.property(noise, small, fc.nat(300), (bytes, other, count) => {
    const with_ = (edit: (copy: Uint8Array) => void): Uint8Array => {
      const copy = Uint8Array.from(bytes);
      edit(copy);
      return copy;
    };
    outcomeOf(() => parseSlotHeader(bytes, 0));
    const header = with_((copy) => {
      copy.set(SLOT_MAGIC);
      copy.fill(0, 16, 28);
      copy[28] = 12;
      copy[29] = 1;
    });
    outcomeOf(() => parseSlotHeader(resealed(header, 252), 0));
    const record = with_((copy) => {
      RECORD_HEADER.set(copy, 'magic', RECORD_MAGIC);
      RECORD_HEADER.set(copy, 'run_count', count % 30);
    });
    outcomeOf(() => parseRecordHead(resealed(record, 4, 8, 96 + (count % 30) * 12), 0));
    const commit = with_((copy) => copy.set(Buffer.from(COMMIT_MAGIC)));
    outcomeOf(() => parseCommit(resealed(commit, 508), bytes.subarray(32, 48)));
    const anchor = with_((copy) => {
      copy.set(Buffer.from('HFANCHOR'));
      ANCHOR.set(copy, 'stream_count', count % 4);
    });
    outcomeOf(() => parseAnchor(anchor, 0, 2 ** 40, 4096));
    outcomeOf(() => decodeExtents(other, count, 2 ** 40, 4096));
    outcomeOf(() => decodePatch(bytes, 2 ** 40));
    outcomeOf(() => parseControl(other));
    outcomeOf(() => decodeFrame(other, 'zstd', count));
    t.pass();
  });
  fc.assert(property, { numRuns: 500 });
});
