import { normalise, subtract, totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { ReadableWindow } from '../device/window.ts';
import { corrupt, isHoldfastError } from '../errors.ts';
import { CLUSTERS_PER_PAGE, readBitmap } from '../image/bitmap.ts';
import { type Commit, readCommit } from '../image/commit.ts';
import { type Control, parseControl } from '../image/control.ts';
import { decodeExtents, SlotHomes } from '../image/extents.ts';
import type { Image, ImageState } from '../image/image.ts';
import { ANCHOR_INTERVAL, MAX_JOURNAL_SLOTS } from '../image/layout.ts';
import { LogReader, type SlotSource } from '../image/log-reader.ts';
import { checkAgreement, SUPERSEDED } from '../image/reader.ts';
import { sha256 } from '../image/record.ts';
import { RANK } from '../image/record-order.ts';
import { ScannedLog } from '../image/scanned-log.ts';
import { ScannedMap } from '../image/scanned-map.ts';
import { journalSlotIndices, mutableBIndex, sealedExtents } from '../image/sealed.ts';
import { unknownRoCompat } from '../image/slot.ts';
import { dataSlotsBefore, isAnchorIndex } from '../image/slot-order.ts';
import type { ByteOffset, Extent, Run } from '../units.ts';
import type { ContainerTraces } from './collect.ts';
import { endOfLog, isPlaced, partitionStart, placedExtents, placeSlots } from './place.ts';
import { contradictingAnchor } from './testimony.ts';

/** Bytes of an extent table at most; the same limit as when it is read through an anchor. */
const MAX_EXTENT_TABLE = 64 * 1024 * 1024;

export interface Assembled {
  readonly image: Image;
  /** Where the partition starts on the device. */
  readonly start: ByteOffset;
  /** Whether that is where it was when the image was made. */
  readonly atHome: boolean;
  /** Indices of slots that were not found, ascending; anchors among them. */
  readonly lost: readonly Run[];
  readonly map: ScannedMap;
}

/**
 * Puts an image together from single slots: no anchor and no index is needed. What must be there is one of the two
 * copies of the control stream. Reads a few slots. `diskOffset` is where `disk`
 * itself starts on its disk (a partition's node). Throws `corrupt` (`reassemble.*`), `io`.
 */
export const assemble = (
  disk: ReadableDevice,
  traces: ContainerTraces,
  diskOffset: ByteOffset = 0,
): Assembled => {
  const { identity } = traces;
  const recorded = identity.partitionOffset - diskOffset;
  const start = partitionStart(traces, recorded);
  if (start === undefined || start >= disk.size) {
    throw corrupt('no slot lies where its partition can start', {
      code: 'reassemble.start',
      structure: 'container',
    });
  }
  // A disk that was cut off keeps the slots that it still holds.
  const length = Math.min(identity.partitionSize, disk.size - start);
  const device = new ReadableWindow(disk, { start, length });
  const found = placeSlots(traces, start);
  const end = endOfLog(traces);
  const guessed: SlotSource = {
    device,
    homes: found.homes,
    imageId: identity.imageId,
    generation: identity.generation,
    logLength: end.length,
  };
  const table = readTable(new ScannedLog(guessed));
  const listed = table === undefined ? undefined : homesOf(table, traces, found.homes, found.lost);
  const homes = listed ?? found.homes;
  const source: SlotSource = { ...guessed, homes };
  const log = new ScannedLog(source);
  const control = readControl(log);
  checkAgreement(control, identity);
  const tail = tailOf(traces, homes);
  const commit =
    tail === undefined
      ? commitIn(source, homes, traces)
      : readCommit(device, tail.mutable, identity.imageId)?.commit;
  const contradiction = (): string | undefined => {
    if (table === undefined || commit === undefined) return undefined;
    if (listed === undefined) return 'its extent table says that they lie elsewhere';
    const anchor = contradictingAnchor({ source, identity, table, commit });
    return anchor === undefined
      ? undefined
      : `anchor ${anchor} is whole, and says something else than they do`;
  };
  const lostData = lostDataSlots(found.lost, end.slots);
  const map = new ScannedMap(log);
  const inUse = () => bitmapOf(log, control);
  const extents = placedExtents(homes, identity.partitionSize);
  let usedBytes: number | undefined;
  const used = (): number => {
    if (usedBytes !== undefined) return usedBytes;
    try {
      usedBytes = totalLength(inUse()) * control.geometry.clusterSize;
    } catch (error) {
      if (!isHoldfastError(error, 'corrupt') && !isHoldfastError(error, 'io')) throw error;
      // The bitmap is lost as well: the image is still to be listed, and 0 says that this is not known.
      usedBytes = 0;
    }
    return usedBytes;
  };
  const image: Image = {
    id: control.id,
    identity,
    control,
    unknownRoCompat: unknownRoCompat(identity),
    ...stateOf({ ...traces, dataEnd: end.slots }, commit, lostData, {
      endKnown: table !== undefined,
      contradiction,
    }),
    commit,
    device,
    homes,
    extents,
    sealed: sealedIn(homes, traces, tail, identity.partitionSize),
    extentsDigest: table === undefined ? new Uint8Array(32) : sha256(table),
    rootDigest: commit?.rootDigest ?? new Uint8Array(32),
    get usedBytes() {
      return used();
    },
    streams: [],
    /** Not recorded outside the anchors: what was in use is the nearest that is. */
    get rawBytes() {
      return used();
    },
    storedBytes: totalLength(extents),
    map,
    indexDamage: () => undefined,
    gaps: () => map.gaps,
    log: (readAhead) => new LogReader(source, readAhead),
    inUse,
    journal: tail?.journal === undefined ? undefined : { homes, slots: tail.journal },
    mutableHomes: tail?.mutable,
  };
  return { image, start, atHome: start === recorded, lost: found.lost, map };
};

/** The delta-coded extent table, the last stream of the log; undefined when a part of it is lost. */
const readTable = (log: ScannedLog): Uint8Array | undefined => {
  const parts: Uint8Array[] = [];
  let total = 0;
  let gap = false;
  const begin = log.positionBefore({ rank: RANK.control, space: 0, unit: 0 });
  for (const { head, logOffset } of log.walk(begin, () => {
    gap = true;
  })) {
    if (head.stream !== 'extents') continue;
    if (head.sequence !== parts.length || total + head.rawLength > MAX_EXTENT_TABLE) return undefined;
    try {
      parts.push(log.log.content(log.log.record(logOffset), logOffset));
    } catch (error) {
      if (isHoldfastError(error, 'corrupt') || isHoldfastError(error, 'io')) return undefined;
      throw error;
    }
    total += head.rawLength;
  }
  return parts.length === 0 || (gap && total === 0) ? undefined : Buffer.concat(parts);
};

/** The places that the table gives, if the slots that were found are where it says. */
const homesOf = (
  table: Uint8Array,
  traces: ContainerTraces,
  found: SlotHomes,
  lost: readonly Run[],
): SlotHomes | undefined => {
  const { slotSize, partitionSize } = traces.identity;
  // Two numbers for each extent; the last byte of a number has its high bit clear.
  let numbers = 0;
  for (const byte of table) if (byte < 0x80) numbers += 1;
  let homes: SlotHomes;
  try {
    homes = new SlotHomes(decodeExtents(table, numbers / 2, partitionSize, slotSize), slotSize);
  } catch (error) {
    if (isHoldfastError(error, 'corrupt')) return undefined;
    throw error;
  }
  if (homes.slotCount < found.slotCount) return undefined;
  let index = 0;
  let hole = 0;
  while (index < found.slotCount) {
    while (hole < lost.length && lost[hole]!.start + lost[hole]!.length <= index) hole += 1;
    const gap = lost[hole];
    if (gap !== undefined && gap.start <= index) {
      index = gap.start + gap.length;
      continue;
    }
    if (found.homeOf(index) !== homes.homeOf(index)) return undefined;
    const upTo = Math.min(found.contiguousFrom(index), homes.contiguousFrom(index));
    index = Math.min(index + upTo, gap?.start ?? Number.POSITIVE_INFINITY);
  }
  return homes;
};

const readControl = (log: ScannedLog): Control => {
  const places = [0, log.positionBefore({ rank: RANK['map index'], space: 0, unit: 0 })];
  for (const place of places) {
    for (const { head, logOffset } of log.walk(place)) {
      if (head.stream !== 'control') {
        // The first copy is the log's first record.
        if (place === 0) break;
        continue;
      }
      try {
        return parseControl(log.log.content(log.log.record(logOffset), logOffset));
      } catch (error) {
        if (!isHoldfastError(error, 'corrupt') && !isHoldfastError(error, 'io')) throw error;
      }
    }
  }
  throw corrupt('neither copy of the control stream can be read', {
    code: 'reassemble.control',
    structure: 'container',
  });
};

function* bitmapOf(log: ScannedLog, control: Control): Generator<Run> {
  const begin = log.positionBefore({ rank: RANK.data, space: Number.MAX_VALUE, unit: 0 });
  const first = log.firstOf('bitmap', begin);
  if (first === undefined || first.head.sequence !== 0) {
    throw corrupt('page 0 is missing', { code: 'bitmap.page', structure: 'bitmap stream' });
  }
  const { clusterCount } = control.geometry;
  yield* readBitmap(log.log, first.logOffset, Math.ceil(clusterCount / CLUSTERS_PER_PAGE), clusterCount);
}

interface Tail {
  readonly dataEnd: number;
  readonly journal: readonly number[];
  readonly mutable: readonly [number, number];
}

/** The slots behind the data, if it is certain which they are. */
const tailOf = (traces: ContainerTraces, homes: SlotHomes): Tail | undefined => {
  const { partitionSize } = traces.identity;
  const slotCount = traces.slotCount;
  if (slotCount === undefined || slotCount !== homes.slotCount) return undefined;
  const mutableB = mutableBIndex(slotCount);
  const { dataEnd } = traces;
  const journal: number[] = [];
  if (mutableB - dataEnd > MAX_JOURNAL_SLOTS) return undefined;
  for (let index = dataEnd; index < mutableB; index += 1) if (!isAnchorIndex(index)) journal.push(index);
  // A data slot lost at the end would pass for a journal slot.
  if (traces.journal === undefined || traces.journal.first !== journal[0]) return undefined;
  if (traces.journal.last !== journal.at(-1)) return undefined;
  if (![1, mutableB, ...journal].every((index) => isPlaced(homes, index, partitionSize))) return undefined;
  const mutable = [homes.homeOf(1), homes.homeOf(mutableB)] as const;
  return { dataEnd, journal: journalSlotIndices(dataEnd, journal.length), mutable };
};

/** A commit record in whichever of its two slots has a known place. */
const commitIn = (
  { device, imageId }: SlotSource,
  homes: SlotHomes,
  traces: ContainerTraces,
): Commit | undefined => {
  const indices = [1, ...(traces.slotCount === undefined ? [] : [mutableBIndex(traces.slotCount)])];
  const placed = indices
    .filter((index) => index < homes.slotCount && isPlaced(homes, index, device.size))
    .map((index) => homes.homeOf(index));
  const [first] = placed;
  return first === undefined ? undefined : readCommit(device, [first, placed.at(-1)!], imageId)?.commit;
};

/** How many of the lost slots held a part of the log. */
const lostDataSlots = (lost: readonly Run[], dataEnd: number): number => {
  let sum = 0;
  for (const { start, length } of lost) {
    const from = Math.min(start, dataEnd);
    const to = Math.min(start + length, dataEnd);
    const anchors = Math.ceil(to / ANCHOR_INTERVAL) - Math.ceil(from / ANCHOR_INTERVAL);
    const first = from <= 1 && to > 1 ? 1 : 0;
    sum += to - from - anchors - first;
  }
  return sum;
};

const stateOf = (
  { identity, dataEnd, slots }: ContainerTraces,
  commit: Commit | undefined,
  lostData: number,
  { endKnown, contradiction }: { endKnown: boolean; contradiction: () => string | undefined },
): { readonly state: ImageState; readonly reason: string } => {
  const how = `put together from ${slots} single slots`;
  if (commit?.state === 'removed') return { state: 'removed', reason: 'the image was removed' };
  if (commit?.state === 'superseded' && commit.generation === identity.generation) {
    return { state: 'superseded', reason: SUPERSEDED };
  }
  if (lostData > 0) {
    return {
      state: 'damaged',
      reason: `${how}; of ${dataSlotsBefore(dataEnd)} data slots, ${lostData} are lost`,
    };
  }
  if (!endKnown) return { state: 'damaged', reason: `${how}; the end of the log is lost` };
  if (commit === undefined) return { state: 'damaged', reason: `${how}; commit unknown` };
  if (commit.generation !== identity.generation) {
    return { state: 'damaged', reason: `${how}; the commit record vouches for another generation` };
  }
  const against = contradiction();
  if (against !== undefined) return { state: 'damaged', reason: `${how}; ${against}` };
  return { state: 'committed', reason: how };
};

/** What must not be overwritten: when the end of the container is not certain, everything but what is known to change. */
const sealedIn = (
  homes: SlotHomes,
  traces: ContainerTraces,
  tail: Tail | undefined,
  partitionSize: number,
): Extent[] => {
  const inside = ({ start, length }: Extent): boolean => start + length <= partitionSize;
  if (tail !== undefined) return sealedExtents(homes, tail.dataEnd, tail.journal.length).filter(inside);
  const changing = [1];
  if (traces.slotCount !== undefined) changing.push(mutableBIndex(traces.slotCount));
  const holes = changing
    .filter((index) => index < homes.slotCount)
    .map((index) => ({ start: homes.homeOf(index), length: homes.slotSize }));
  return [...subtract(normalise(placedExtents(homes, partitionSize)), normalise(holes))];
};
