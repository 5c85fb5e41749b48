import { coalesce } from '../bytes/runs.ts';
import type { Device } from '../device/device.ts';
import { type ByteLength, type Extent, type Run, roundUp } from '../units.ts';
import { encodeStreamTable, rootDigestOf } from './anchor.ts';
import { bitmapPages, CLUSTERS_PER_PAGE } from './bitmap.ts';
import { type Control, encodeControl } from './control.ts';
import { appendExtents, planEnd, type WrittenContainer, writeEnd } from './ending.ts';
import { encodeExtents, SlotHomes } from './extents.ts';
import { type Codec, MAX_FRAME_SIZE, MAX_RECORD_RUNS } from './layout.ts';
import { LogWriter } from './log-writer.ts';
import {
  encodeMapEntries,
  encodePageReferences,
  INDEX_ENTRIES,
  type MapEntry,
  PAGE_ENTRIES,
  type PageReference,
} from './map.ts';
import type { Placement } from './placement.ts';
import { NO_DIGEST, type RecordRun, sha256 } from './record.ts';
import { headerTemplate, payloadCapacity, type SlotIdentity } from './slot.ts';
import { StreamWriter } from './streams.ts';

/** One captured frame as the workers return it. Runs are in units of the address space, ascending. */
export interface CapturedFrame {
  readonly space: number;
  readonly runs: readonly RecordRun[];
  readonly unit: ByteLength;
  readonly codec: Codec;
  readonly stored: Uint8Array;
  readonly rawLength: ByteLength;
  readonly storedCrc: number;
  readonly digest: Uint8Array;
}

export interface ContainerWriterOptions {
  /** The partition. */
  readonly device: Device;
  readonly identity: SlotIdentity;
  readonly placement: Placement;
  readonly control: Control;
}

/**
 * Writes one container into free clusters: control, data with its map, bitmap, index and extents into the log,
 * then journal, mutable slots and anchors. Nothing of it counts before a commit record is written.
 */
export class ContainerWriter {
  readonly #options: ContainerWriterOptions;
  readonly #planned: SlotHomes;
  readonly #template: Uint8Array;
  readonly #log: LogWriter;
  readonly #streams: StreamWriter;
  readonly #control: Uint8Array;
  readonly #pages: PageReference[] = [];
  #entries: MapEntry[] = [];
  /** Zero runs that no record carries yet. */
  #zeros: RecordRun[] = [];
  #zeroSpace = 0;
  #rawBytes = 0;

  constructor(options: ContainerWriterOptions) {
    this.#options = options;
    this.#planned = new SlotHomes(options.placement.extents, options.placement.slotSize);
    this.#template = headerTemplate(options.identity);
    this.#log = new LogWriter({ device: options.device, homes: this.#planned, template: this.#template });
    this.#streams = new StreamWriter(this.#log);
    this.#control = encodeControl(options.control);
    this.#streams.appendContent('control', this.#control);
  }

  /** Frames come in ascending order of address space and unit. */
  addFrame(frame: CapturedFrame): void {
    for (const run of frame.runs) this.#rawBytes += run.length * frame.unit;
    if (frame.codec === 'zero') {
      this.#addZeros(frame.space, frame.runs);
      return;
    }
    this.#flushZeros();
    const { space, codec } = frame;
    const place = this.#streams.append(
      { ...frame, stream: 'data', storedLength: frame.stored.length, firstUnit: frame.runs[0]!.start },
      frame.stored,
    );
    let rawOffset = 0;
    for (const { start, length, zero } of frame.runs) {
      if (zero === true)
        this.#addEntry({ space, start, length, codec: 'zero', logOffset: 0, recordLength: 0, rawOffset: 0 });
      else {
        this.#addEntry({
          space,
          start,
          length,
          codec,
          logOffset: place.logOffset,
          recordLength: place.length,
          rawOffset,
        });
        rawOffset += length * frame.unit;
      }
    }
  }

  #addZeros(space: number, runs: readonly RecordRun[]): void {
    if (space !== this.#zeroSpace) this.#flushZeros();
    this.#zeroSpace = space;
    for (const { start, length } of runs) {
      const last = this.#zeros.at(-1);
      if (last !== undefined && last.start + last.length === start && last.length + length < 2 ** 31) {
        this.#zeros[this.#zeros.length - 1] = { start: last.start, length: last.length + length, zero: true };
      } else this.#zeros.push({ start, length, zero: true });
      if (this.#zeros.length === MAX_RECORD_RUNS) this.#flushZeros();
    }
  }

  #flushZeros(): void {
    const runs = this.#zeros;
    const space = this.#zeroSpace;
    if (runs.length === 0) return;
    this.#zeros = [];
    const none = new Uint8Array(0);
    const head = {
      stream: 'data',
      codec: 'zero',
      space,
      runs,
      rawLength: 0,
      storedLength: 0,
      storedCrc: 0,
    } as const;
    this.#streams.append({ ...head, digest: NO_DIGEST, firstUnit: runs[0]!.start }, none);
    for (const { start, length } of runs) {
      this.#addEntry({ space, start, length, codec: 'zero', logOffset: 0, recordLength: 0, rawOffset: 0 });
    }
  }

  #addEntry(entry: MapEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length === PAGE_ENTRIES) this.#flushPage();
  }

  #flushPage(): void {
    const [first] = this.#entries;
    if (first === undefined) return;
    const raw = encodeMapEntries(this.#entries);
    const place = this.#streams.appendContent('map', raw, first.start, first.space);
    this.#pages.push({
      space: first.space,
      firstUnit: first.start,
      entries: this.#entries.length,
      logOffset: place.logOffset,
      recordLength: place.length,
    });
    this.#entries = [];
  }

  /** While many frames are added, writes are not waited for: see `LogWriter`. */
  beginBulk(): void {
    this.#log.beginBulk();
  }

  async roomForMore(): Promise<void> {
    await this.#log.roomForMore();
  }

  async endBulk(): Promise<void> {
    await this.#log.endBulk();
  }

  /** Which clusters the file system had in use; call once, after the last frame. */
  addBitmap(runs: Iterable<Run>): void {
    this.#flushZeros();
    this.#flushPage();
    let first = 0;
    for (const page of bitmapPages(runs, this.#options.control.geometry.clusterCount)) {
      this.#streams.appendContent('bitmap', page, first);
      first += CLUSTERS_PER_PAGE;
    }
  }

  /** Searchable facts for people: OS name and version, label, host. */
  addProperties(properties: Readonly<Record<string, string>>): void {
    this.#streams.appendContent('properties', Buffer.from(JSON.stringify(properties)));
  }

  /**
   * Writes index, extents, journal, mutable slots and anchors. `patchLength` tells, for given container extents, how
   * many bytes the largest patch may take that the journal must hold. Does not flush.
   */
  finish(usedBytes: ByteLength, patchLength: (extents: readonly Extent[]) => ByteLength): WrittenContainer {
    for (let at = 0; at < Math.max(1, this.#pages.length); at += INDEX_ENTRIES) {
      this.#streams.appendContent(
        'map index',
        encodePageReferences(this.#pages.slice(at, at + INDEX_ENTRIES)),
      );
    }
    this.#streams.appendContent('control', this.#control);
    const { tail, extents } = planEnd({
      position: this.#log.position,
      planned: this.#planned,
      clusterSize: this.#options.identity.clusterSize,
      patchLength,
    });
    const table = encodeExtents(extents);
    appendExtents(this.#streams, table);
    const logLength = this.#log.position;
    this.#log.finish(tail.dataSlots);
    const homes = new SlotHomes(extents, this.#planned.slotSize);
    const streams = this.#streams.heads(homes);
    const extentsDigest = sha256(table);
    const rootDigest = rootDigestOf(encodeStreamTable(streams), extentsDigest, this.#control);
    return writeEnd(
      { device: this.#options.device, template: this.#template, control: this.#control, homes, tail },
      {
        logLength,
        usedBytes,
        rawBytes: this.#rawBytes,
        extentsDigest,
        rootDigest,
        streams,
      },
    );
  }
}

/** Bytes that a container may take at most, nothing compressed: what has to be planned for. */
export const worstCaseSize = (rawBytes: ByteLength, runs: number, slotSize: ByteLength): ByteLength => {
  const frames = Math.ceil(rawBytes / MAX_FRAME_SIZE) + 1;
  const log = rawBytes + frames * 128 + runs * 64 + rawBytes / 4096;
  return roundUp(Math.ceil(log * (slotSize / payloadCapacity(slotSize)) * 1.002), slotSize) + 64 * slotSize;
};

/** Joined and ascending, as lists for people and JSON want them. */
export const ascending = (extents: readonly Extent[]): Extent[] => [
  ...coalesce([...extents].sort((a, b) => a.start - b.start)),
];
