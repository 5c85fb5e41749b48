import {
  coalesce,
  intersect,
  normalise,
  type Span,
  SpanSet,
  toExtents,
  totalLength,
} from '../../../rescue/bytes/runs.ts';
import type { ReadableDevice } from '../../../rescue/device/device.ts';
import { openFile } from '../../../rescue/device/file.ts';
import type { Image } from '../../../rescue/image/image.ts';
import { RECORD_HEADER, RECORD_RUN, SLOT_HEADER_SIZE } from '../../../rescue/image/layout.ts';
import { openImage } from '../../../rescue/image/reader.ts';
import { ScannedLog } from '../../../rescue/image/scanned-log.ts';
import { parseSlotHeader } from '../../../rescue/image/slot.ts';
import { dataSlotIndex } from '../../../rescue/image/slot-order.ts';
import type { ImageSummary } from '../../../rescue/job/results.ts';
import type { Extent } from '../../../rescue/units.ts';

/** A record of a container that is whole: where its bytes lie, and which bytes of the volume are in it. */
export interface RecordPlace {
  readonly stream: string;
  /** Bytes of the container, as bytes of the volume. */
  readonly at: readonly Extent[];
  /** Bytes of the volume; for data only. */
  readonly holds: readonly Extent[];
}

/** A whole container, read before anything of it is destroyed: what is lost with which of its bytes follows from this alone. */
export interface Whole {
  readonly extents: readonly Extent[];
  readonly slotSize: number;
  /** Of the volume, and where its first cluster lies. */
  readonly clusterSize: number;
  readonly clusterBase: number;
  /** Homes of all slots, by index. */
  readonly homes: readonly number[];
  readonly anchors: readonly number[];
  readonly journal: readonly number[];
  readonly mutable: readonly number[];
  readonly data: readonly number[];
  readonly records: readonly RecordPlace[];
  /** Bytes of the volume that the image says were in use. */
  readonly inUse: readonly Extent[];
  /** Bytes of the volume that data records hold. */
  readonly held: readonly Extent[];
}

const placeInLog = (image: Image, from: number, length: number): Extent[] => {
  const { slotSize } = image.homes;
  const capacity = slotSize - SLOT_HEADER_SIZE;
  const pieces: Extent[] = [];
  for (let at = from; at < from + length; ) {
    const inside = at % capacity;
    const size = Math.min(capacity - inside, from + length - at);
    const home = image.homes.homeOf(dataSlotIndex(Math.floor(at / capacity)));
    pieces.push({ start: home + SLOT_HEADER_SIZE + inside, length: size });
    at += size;
  }
  return pieces;
};

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

/** Through the first anchor in its extents, which may be two pieces joined: then none of them begins with one. */
const openFirst = (device: ReadableDevice, { extents }: ImageSummary): Image => {
  for (const [start, length] of extents) {
    const { slotSize } = parseSlotHeader(device.read(start, SLOT_HEADER_SIZE), start);
    for (let at = start; at < start + length; at += slotSize) {
      const { kind } = parseSlotHeader(device.read(at, SLOT_HEADER_SIZE), at);
      if (kind === 'anchor') return openImage({ device, anchorHome: at });
    }
  }
  throw new Error('there is no anchor in the container');
};

/** Reads the container of an image in the volume at `path`, which begins at byte 0 of the file. */
export const readWhole = (path: string, summary: ImageSummary): Whole => {
  const device = openFile(path);
  try {
    const image = openFirst(device, summary);
    const { slotSize, slotCount } = image.homes;
    const { clusterBase, clusterSize } = image.control.geometry;
    const logLength = Math.max(...image.streams.map((each) => each.logOffset + each.length));
    const source = { device, homes: image.homes, imageId: image.identity.imageId, generation: 1, logLength };
    const records: RecordPlace[] = [];
    for (const { head, logOffset } of new ScannedLog(source).walk(0)) {
      const space = image.control.spaces.find(({ id }) => id === head.space)!;
      const length = RECORD_HEADER.size + head.runs.length * RECORD_RUN.size + head.storedLength;
      records.push({
        stream: head.stream,
        at: placeInLog(image, logOffset, length),
        holds: head.stream === 'data' ? [...toExtents(head.runs, space.unit, space.start)] : [],
      });
    }
    const counted = image.streams.reduce((sum, each) => sum + each.records, 0);
    if (records.length !== counted)
      throw new Error(`${records.length} records read, ${counted} in the anchor`);
    const journal = image.journal!.slots;
    const anchors = [
      0,
      ...range(1, slotCount).filter((index) => index % 1024 === 0 || index === slotCount - 1),
    ];
    const mutable = [1, slotCount - 2];
    const others = new Set([...journal, ...anchors, ...mutable]);
    return {
      extents: [...image.extents],
      slotSize,
      clusterSize,
      clusterBase,
      homes: range(0, slotCount).map((index) => image.homes.homeOf(index)),
      anchors,
      journal,
      mutable,
      data: range(0, slotCount).filter((index) => !others.has(index)),
      records,
      inUse: [...toExtents(image.inUse(), clusterSize, clusterBase)],
      held: normalise(records.flatMap(({ holds }) => holds)),
    };
  } finally {
    device.close();
  }
};

/** What goes with these bytes of the container. */
export interface Truth {
  readonly recordsHit: number;
  readonly dataHit: number;
  /** Bytes of the volume that were in data records of which a byte is gone. */
  readonly lost: SpanSet;
  readonly lostBytes: number;
  /** Whether anything is left to say what the volume was: an anchor, or one of the two control records. */
  readonly readable: boolean;
  /** Whether an anchor is whole. */
  readonly anchored: boolean;
}

export const truthOf = (whole: Whole, destroyed: readonly Span[]): Truth => {
  const gone = new SpanSet(destroyed);
  const isHit = (extents: readonly Extent[]): boolean => extents.some((each) => gone.intersects(each));
  const hit = whole.records.filter(({ at }) => isHit(at));
  const lost = new SpanSet(hit.flatMap(({ holds }) => holds));
  const slotHit = (index: number): boolean =>
    gone.intersects({ start: whole.homes[index]!, length: whole.slotSize });
  const control = whole.records.filter(({ stream }) => stream === 'control');
  return {
    recordsHit: hit.length,
    dataHit: hit.filter(({ stream }) => stream === 'data').length,
    lost,
    lostBytes: totalLength(lost.spans),
    anchored: !whole.anchors.every(slotHit),
    readable: !whole.anchors.every(slotHit) || control.some(({ at }) => !isHit(at)),
  };
};

/** Bytes of `spans` that were in use. */
export const used = (whole: Whole, spans: Iterable<Span>): Span[] => [
  ...intersect(coalesce(spans), normalise([...whole.inUse, ...whole.held])),
];
