import { isLocalFailure } from '../device/bad-sectors.ts';
import type { ReadableDevice } from '../device/device.ts';
import { corrupt, isHoldfastError } from '../errors.ts';
import { ANCHOR_INTERVAL, SLOT_HEADER_SIZE } from '../image/layout.ts';
import {
  formatImageId,
  hasSlotMagic,
  parseSlotHeader,
  payloadCapacity,
  type SlotHeader,
} from '../image/slot.ts';
import { dataSlotsBefore, FIRST_DATA_SLOT, isAnchorIndex } from '../image/slot-order.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import type { ScanHit } from './probe.ts';

/** Runs of slots that are kept in all: more than any container within the stated limits needs, some 50 MiB. */
const MAX_RUNS = 512 * 1024;

/** Slots that lie one behind the other on the disk, as their indices and their homes do. */
export interface SlotRun {
  readonly index: number;
  readonly count: number;
  /** Of the first slot: bytes from the start of the device, and what the slot says of itself. */
  readonly position: ByteOffset;
  readonly home: ByteOffset;
  /** Home of the slot after the last one, as that one says. */
  readonly nextHome: ByteOffset;
}

/** All that single slots say of one generation of one image. */
export interface ContainerTraces {
  /** Of any of its slots. */
  readonly identity: SlotHeader;
  /** In the order in which they were found. */
  readonly runs: readonly SlotRun[];
  /** Slots found, copies counted too. */
  readonly slots: number;
  /** Home of slot 0, if a slot of the first interval says so. */
  readonly firstAnchorHome: ByteOffset | undefined;
  /** Slot index after the last data slot that was found, and where its payload ends in the log. */
  readonly dataEnd: number;
  readonly logLength: number;
  /** Lowest and highest index of the journal slots that were found. */
  readonly journal: { readonly first: number; readonly last: number } | undefined;
  /** Slots of the whole container, if the second mutable slot or the last slot tells. */
  readonly slotCount: number | undefined;
}

interface OpenTraces {
  readonly identity: SlotHeader;
  readonly runs: SlotRun[];
  slots: number;
  firstAnchorHome: ByteOffset | undefined;
  dataEnd: number;
  logLength: number;
  journal: { readonly first: number; readonly last: number } | undefined;
  slotCount: number | undefined;
}

const sameContainer = (a: SlotHeader, b: SlotHeader): boolean =>
  a.generation === b.generation && a.slotSize === b.slotSize && Buffer.compare(a.imageId, b.imageId) === 0;

/** Whether what a header says of its place can be true at all. */
const plausible = ({ kind, index, slotSize, partitionSize, logOffset }: SlotHeader): boolean => {
  if ((index + 1) * slotSize > partitionSize) return false;
  if (kind !== 'data') return true;
  return (
    index >= FIRST_DATA_SLOT &&
    !isAnchorIndex(index) &&
    logOffset === dataSlotsBefore(index) * payloadCapacity(slotSize)
  );
};

/**
 * Gathers slots by image and generation, in any order. Each hit is followed on the disk in both directions for as long
 * as slots of the same container continue, header by header, so that memory is taken per run of slots and a scan can
 * be told to leave the whole run alone.
 */
export class SlotCollector {
  readonly #device: ReadableDevice;
  readonly #traces = new Map<string, OpenTraces>();
  #runs = 0;
  #bytesRead = 0;

  constructor(device: ReadableDevice) {
    this.#device = device;
  }

  /** Bytes read to follow runs of slots. */
  get bytesRead(): ByteLength {
    return this.#bytesRead;
  }

  /**
   * Takes a hit of a scan and returns the bytes of the device that it stands for, for `markKnown`; undefined for a
   * slot that is known already, or that says impossible things. Throws `corrupt` (`reassemble.runs`), `io`.
   */
  add({ position, header }: ScanHit): Extent | undefined {
    if (!plausible(header)) return undefined;
    const traces = this.#tracesOf(header);
    const { slotSize } = header;
    const last = traces.runs.at(-1);
    if (last !== undefined && position >= last.position && position < last.position + last.count * slotSize) {
      return undefined;
    }
    if (this.#runs >= MAX_RUNS) {
      throw corrupt('slots are scattered over more runs than can be kept', {
        code: 'reassemble.runs',
        structure: 'container',
        expected: `at most ${MAX_RUNS}`,
      });
    }
    this.#runs += 1;
    this.#note(traces, header);
    const before = this.#follow(traces, header, position, -1);
    const after = this.#follow(traces, header, position, 1);
    const count = before.count + 1 + after.count;
    const start = position - before.count * slotSize;
    traces.runs.push({
      index: header.index - before.count,
      count,
      position: start,
      home: header.home - before.count * slotSize,
      nextHome: after.last.nextHome,
    });
    traces.slots += count;
    return { start, length: count * slotSize };
  }

  /** Newest generation of each image first. */
  traces(): ContainerTraces[] {
    return [...this.#traces.values()].sort((a, b) => b.identity.generation - a.identity.generation);
  }

  #tracesOf(header: SlotHeader): OpenTraces {
    const key = `${formatImageId(header.imageId)} ${header.generation} ${header.slotSize}`;
    let traces = this.#traces.get(key);
    if (traces === undefined) {
      traces = {
        identity: header,
        runs: [],
        slots: 0,
        firstAnchorHome: undefined,
        dataEnd: FIRST_DATA_SLOT,
        logLength: 0,
        journal: undefined,
        slotCount: undefined,
      };
      this.#traces.set(key, traces);
    }
    return traces;
  }

  #note(traces: OpenTraces, header: SlotHeader): void {
    const { kind, index } = header;
    if (index < ANCHOR_INTERVAL) traces.firstAnchorHome ??= header.anchorHome;
    if (kind === 'data' && index >= traces.dataEnd) {
      traces.dataEnd = index + 1;
      traces.logLength = header.logOffset + header.payloadLength;
    }
    if (kind === 'journal') {
      const { first, last } = traces.journal ?? { first: index, last: index };
      traces.journal = { first: Math.min(first, index), last: Math.max(last, index) };
    }
    if (kind === 'mutable' && index > 1) traces.slotCount = index + 2;
    // Before the last anchor come the first one and two mutable slots: whoever says otherwise made it up.
    if (kind === 'anchor' && index > 2 && header.nextHome === header.home) traces.slotCount = index + 1;
  }

  /** Notes the slots that continue a run in one direction and counts them. */
  #follow(traces: OpenTraces, from: SlotHeader, position: ByteOffset, direction: 1 | -1) {
    let last = from;
    for (let count = 1; ; count += 1) {
      const header = this.#headerAt(position + direction * count * from.slotSize);
      if (
        header === undefined ||
        !plausible(header) ||
        !sameContainer(header, from) ||
        header.index !== from.index + direction * count ||
        header.home !== from.home + direction * count * from.slotSize
      ) {
        return { count: count - 1, last };
      }
      this.#note(traces, header);
      last = header;
    }
  }

  #headerAt(position: ByteOffset): SlotHeader | undefined {
    if (position < 0 || position + SLOT_HEADER_SIZE > this.#device.size) return undefined;
    try {
      const bytes = this.#device.read(position, SLOT_HEADER_SIZE);
      this.#bytesRead += bytes.length;
      return hasSlotMagic(bytes) ? parseSlotHeader(bytes, position) : undefined;
    } catch (error) {
      if (
        isLocalFailure(error) ||
        isHoldfastError(error, 'corrupt') ||
        isHoldfastError(error, 'unsupported')
      ) {
        return undefined;
      }
      throw error;
    }
  }
}
