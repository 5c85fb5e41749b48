import { hash } from 'node:crypto';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import type { DeviceEvent } from '../../../rescue/device/recorder.ts';

/** One sector of one write. */
interface Sector {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** What the medium may hold after power failed, and how it came about, for messages. */
export interface Cut {
  readonly what: string;
  /** Whether a part of a write reached the medium, or a later one without an earlier one. */
  readonly torn: boolean;
  /** Events of the recorded run that had been asked for when power failed. */
  readonly events: number;
  readonly device: MemoryDevice;
}

export interface CutOptions {
  /** Other places and other subsets for another seed. */
  readonly seed: number;
  /** Events before this one are not cut at. Default 0. */
  readonly from?: number;
  /** Whether the write at which power failed is torn too. */
  readonly tears: boolean;
  /** How many subsets of what was not flushed are tried at each cut: of whole writes and of sectors, by turns. */
  readonly subsets: number;
  /** Only cuts before every `of`th write, beginning with write `index`: all shares together are all cuts. */
  readonly share?: { readonly index: number; readonly of: number } | undefined;
}

const sectorsOf = (offset: number, data: Uint8Array, unit: number): Sector[] => {
  const sectors: Sector[] = [];
  for (let at = 0; at < data.length; at += unit)
    sectors.push({ offset: offset + at, data: data.subarray(at, at + unit) });
  return sectors;
};

/** Tosses that depend on the seed alone, so that a failure can be repeated. */
const coins = (seed: string): (() => boolean) => {
  let bytes = hash('sha256', seed, 'buffer');
  let at = 0;
  return () => {
    if (at === bytes.length * 8) {
      bytes = hash('sha256', bytes, 'buffer');
      at = 0;
    }
    const bit = (bytes[at >> 3]! >> (at & 7)) & 1;
    at += 1;
    return bit === 1;
  };
};

const put = (device: MemoryDevice, sectors: Iterable<Sector>): MemoryDevice => {
  for (const { offset, data } of sectors) device.write(offset, data);
  return device;
};

const SEEDED_PLACES = 3;

/** Parts of a write that may be all of it that reached the medium. */
const tornParts = (sectors: readonly Sector[], seed: string): [string, readonly Sector[]][] => {
  const count = sectors.length;
  if (count < 2) return [];
  const middle = count >> 1;
  const seeded = Array.from(
    { length: SEEDED_PLACES },
    (_, index) => 1 + (hash('sha256', `${seed} ${index}`, 'buffer').readUInt32LE() % (count - 1)),
  );
  return [
    ...[...new Set([1, middle, count - 1, ...seeded])].map((length): [string, readonly Sector[]] => [
      `the first ${length} of ${count} sectors`,
      sectors.slice(0, length),
    ]),
    ['only a middle sector', sectors.slice(middle, middle + 1)],
    ['only its second half', sectors.slice(middle)],
    ['only its last sector', sectors.slice(-1)],
  ];
};

/** Of what was not flushed, a part that a disk's cache may have kept: whole writes, or sectors of them. */
const survivorsOf = (pending: readonly (readonly Sector[])[], seed: string, whole: boolean): Sector[] => {
  const survives = coins(seed);
  return whole ? pending.filter(() => survives()).flat() : pending.flat().filter(() => survives());
};

/**
 * The media that a power cut may leave of a recorded run on a disk that held `before`: whole writes in order, the
 * write at which power failed torn, and with a write cache any part of what was not flushed. Each medium once,
 * however many cuts lead to it. Generated one by one: `before` is only read.
 */
export function* cutsOf(
  before: MemoryDevice,
  events: readonly DeviceEvent[],
  { seed, from = 0, tears, subsets, share }: CutOptions,
): Generator<Cut> {
  const unit = before.sectorSize;
  /** Everything flushed, and everything written. */
  let durable = before.snapshot();
  let written = before.snapshot();
  let pending: Sector[][] = [];
  const seen = new Set<string>();
  const fresh = (device: MemoryDevice): boolean => {
    const key = contentOf(before, device);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  };
  let writes = 0;
  for (let index = 0; index <= events.length; index += 1) {
    const event = events[index];
    if (event?.type === 'read') continue;
    if (index >= from && (share === undefined || writes % share.of === share.index)) {
      const where = `before event ${index} (write ${writes})`;
      const whole = written.snapshot();
      if (fresh(whole)) yield { what: where, events: index, torn: false, device: whole };
      if (event?.type === 'write' && tears) {
        const parts = tornParts(sectorsOf(event.offset, event.data, unit), `${seed} ${index}`);
        for (const [part, sectors] of parts) {
          const device = put(written.snapshot(), sectors);
          if (fresh(device))
            yield { what: `${where}, of which ${part}`, events: index + 1, torn: true, device };
        }
      }
      for (let nth = 0; pending.length > 0 && nth < subsets; nth += 1) {
        const kept = survivorsOf(pending, `${seed} ${index} ${nth}`, nth % 2 === 0);
        const device = put(durable.snapshot(), kept);
        if (fresh(device)) yield { what: `${where}, cache ${nth}`, events: index, torn: true, device };
      }
    }
    if (event?.type === 'write') {
      writes += 1;
      const sectors = sectorsOf(event.offset, event.data, unit);
      put(written, sectors);
      pending.push(sectors);
    } else if (event?.type === 'flush') {
      durable = written.snapshot();
      written = durable.snapshot();
      pending = [];
    }
  }
}

/**
 * At most `most` of the media, spread evenly over the run, the first and the last among them. They are generated twice: once
 * to be counted.
 */
export function* spreadOver(cuts: () => Iterable<Cut>, most: number): Generator<Cut> {
  if (most === Number.POSITIVE_INFINITY) {
    yield* cuts();
    return;
  }
  let count = 0;
  for (const _ of cuts()) count += 1;
  const apart = Math.max(1, (count - 1) / (most - 1));
  let index = 0;
  let next = 0;
  for (const cut of cuts()) {
    if (index >= Math.floor(next)) {
      yield cut;
      next += apart;
    }
    index += 1;
  }
}

const contentOf = (before: MemoryDevice, device: MemoryDevice): string => {
  const parts = [...device.differences(before)];
  return parts
    .map(({ start, length }) => `${start} ${hash('sha256', device.read(start, length))}`)
    .join('\n');
};
