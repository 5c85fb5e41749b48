import { crc32 } from 'node:zlib';
import test from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { SlotHomes } from '../../rescue/image/extents.ts';
import type { Image } from '../../rescue/image/image.ts';
import { SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { openImage } from '../../rescue/image/reader.ts';
import { encodeRecordHead, headLength, sha256 } from '../../rescue/image/record.ts';
import { type FoundRecord, RANK } from '../../rescue/image/record-order.ts';
import { ScannedLog } from '../../rescue/image/scanned-log.ts';
import { payloadCapacity } from '../../rescue/image/slot.ts';
import { dataSlotIndex, dataSlotsBefore } from '../../rescue/image/slot-order.ts';
import { ImageView } from '../../rescue/image/view.ts';
import { MIB } from '../../rescue/units.ts';
import { type Captured, CLUSTER, captureInto } from '../locate/captured.ts';
import { headerOf, identityOf } from '../locate/containers.ts';
import { noiseSource } from '../support/noise.ts';

const SIZE = 8 * MIB;
const CONTAINER = { start: 4 * MIB, length: 3 * MIB };
/** Clusters of a frame of these containers. */
const FRAME = 8;
const FRAMES = 20;

interface Made {
  readonly device: MemoryDevice;
  readonly captured: Captured;
  /** Data records, in order. */
  readonly data: readonly FoundRecord[];
  readonly mapIndex: FoundRecord;
}

const recordsOf = ({ device, homes }: Pick<Captured, 'homes'> & { device: MemoryDevice }): FoundRecord[] => {
  const { imageId, generation } = identityOf();
  const { streams } = openImage({ device, anchorHome: homes.homeOf(0) });
  const logLength = Math.max(...streams.map((each) => each.logOffset + each.length));
  return [...new ScannedLog({ device, homes, imageId, generation, logLength }).walk(0)];
};

/** Frames of noise, but for the first half of each cluster if `compressible`; then many records stand in one slot. */
const make = (compressible: boolean, plant: (frames: Buffer) => void = () => {}): Made => {
  const device = new MemoryDevice(SIZE);
  const next = noiseSource('stretch');
  const frames = Buffer.alloc(FRAMES * FRAME * CLUSTER);
  for (let at = 0; at < frames.length; at += CLUSTER) frames.set(next(compressible ? 64 : CLUSTER), at);
  plant(frames);
  device.write(0, frames);
  const used = [{ start: 0, length: FRAMES * FRAME }];
  const captured = captureInto(device, used, [CONTAINER], { partitionSize: SIZE });
  const records = recordsOf({ device, homes: captured.homes });
  const data = records.filter(({ head }) => head.stream === 'data' && head.space === 0);
  return { device, captured, data, mapIndex: records.find(({ head }) => head.stream === 'map index')! };
};

const loseHead = ({ device, captured }: Made, { logOffset }: FoundRecord): void => {
  const capacity = payloadCapacity(captured.homes.slotSize);
  const home = captured.homes.homeOf(dataSlotIndex(Math.floor(logOffset / capacity)));
  device.write(home + SLOT_HEADER_SIZE + (logOffset % capacity), new Uint8Array(8));
};

const open = ({ device, captured }: Made): Image =>
  openImage({ device, anchorHome: captured.homes.homeOf(0) });

const mapped = (image: Image): number[] => [
  ...new Set(
    [...image.map.entriesFrom(0, 0)].filter(({ space }) => space === 0).map((each) => each.logOffset),
  ),
];

test('without an index, a record between two damaged ones is found though nothing leads to it', (t) => {
  const it = make(true);
  const lost = [it.data[5]!, it.data[7]!, it.data[10]!];
  for (const each of [it.mapIndex, ...lost]) loseHead(it, each);
  const image = open(it);
  const expected = it.data.filter((each) => !lost.includes(each)).map(({ logOffset }) => logOffset);
  t.deepEqual(mapped(image), expected);
  t.deepEqual(
    image.gaps().map(({ from, to }) => ({ from, to })),
    lost.map(({ logOffset, length }) => ({ from: logOffset, to: logOffset + length })),
  );
  const at = 6 * FRAME * CLUSTER;
  const read = new ImageView(image).read(at, FRAME * CLUSTER);
  t.deepEqual(read, it.device.read(at, FRAME * CLUSTER));
});

test('what it holds must be whole', (t) => {
  const it = make(true);
  const damaged = it.data[6]!;
  for (const each of [it.mapIndex, it.data[5]!, it.data[7]!]) loseHead(it, each);
  const content = headLength(damaged.head.runs.length);
  loseHead(it, { ...damaged, logOffset: damaged.logOffset + content });
  t.false(mapped(open(it)).includes(damaged.logOffset));
});

/** The frame that has a record in its content, and where in its content. */
const HOST = 9;
const WITHIN = 2 * CLUSTER + 4;

/** A record as another container might have it, as the content of a file; `sequence` of it, and the units. */
const planted =
  (sequence: number, unit: number) =>
  (frames: Buffer): void => {
    const stored = frames.subarray(0, CLUSTER);
    const head = encodeRecordHead({
      ...{ stream: 'data', codec: 'store', space: 0, sequence, firstUnit: unit },
      runs: [{ start: unit, length: 1 }],
      rawLength: CLUSTER,
      storedLength: CLUSTER,
      storedCrc: crc32(stored),
      digest: sha256(stored),
    });
    frames.set(Buffer.concat([head, stored]), HOST * FRAME * CLUSTER + WITHIN);
  };

/** Whether that record is taken for one of this container, when that which holds it has lost its head, and the index. */
const isTaken = (plant: (frames: Buffer) => void): boolean => {
  const it = make(false, plant);
  const host = it.data[HOST]!;
  for (const each of [it.mapIndex, host]) loseHead(it, each);
  return mapped(open(it)).includes(host.logOffset + headLength(host.head.runs.length) + WITHIN);
};

test('a record in a file counts for none unless it fits into the place of what is lost', (t) => {
  const unit = HOST * FRAME;
  // One that a forger made for this very place: nothing tells it from a real one.
  t.true(isTaken(planted(HOST, unit)));
  for (const sequence of [0, HOST - 1, HOST + 1, 1000]) t.false(isTaken(planted(sequence, unit)));
  for (const other of [0, unit - 1, unit + FRAME, 100_000]) t.false(isTaken(planted(HOST, other)));
});

test('near the header of a slot, in the copy of a container, not even one that fits', (t) => {
  const fits = planted(HOST, HOST * FRAME);
  t.false(
    isTaken((frames) => {
      fits(frames);
      frames.set(headerOf(identityOf({ generation: 7 })), (HOST * FRAME + 6) * CLUSTER);
    }),
  );
});

test('a log that somebody claims to have thousands of millions of slots is searched as fast as any', (t) => {
  const made = make(true);
  const { homes } = made.captured;
  const { imageId, generation } = identityOf();
  const claimed = { start: 2 ** 50, length: 2 ** 33 * homes.slotSize };
  const far = new SlotHomes([...homes.extents, claimed], homes.slotSize);
  const logLength = dataSlotsBefore(far.slotCount) * payloadCapacity(homes.slotSize);
  const log = new ScannedLog({ device: made.device, homes: far, imageId, generation, logLength });
  const position = log.positionBefore({ rank: RANK['map index'], space: 0, unit: 0 });
  t.true(position <= made.mapIndex.logOffset);
  t.is(log.firstOf('map index', position)?.logOffset, made.mapIndex.logOffset);
});
