import { endOf, subtract } from '../bytes/runs.ts';
import { readAround } from '../device/bad-sectors.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError, usage } from '../errors.ts';
import { type ByteLength, type ByteOffset, type Extent, MIB, roundDown, roundUp } from '../units.ts';
import { KnownRanges } from './known.ts';
import { type DamagedHeader, probeSlots, type ScanHit } from './probe.ts';
import { type ReadAhead, STRETCH, STRETCHES, TILE } from './read-ahead.ts';

/** Bytes looked at per stride. Not below the largest slot: the proof in README.md needs it. */
export const WINDOW = TILE;
/** Quick depth ends with this stride. */
export const QUICK_STRIDE = MIB;
/**
 * Stride below which a rotating disk reads everything instead: hop time × rate. A hop of a few MiB costs the settling
 * of the head and half a turn (1 to 2 ms and 4.2 ms at 7200 turns a minute), in which the disk would have read
 * 6 ms × 180 MB/s, about 1 MiB. All strides down to this one together cost as much time as reading the disk once.
 */
export const ROTATING_BREAK_EVEN = MIB;
/** Longest request where unread windows adjoin. */
export const REQUEST = MIB;
/** Sequential reading goes from the end to the start in zones, forwards in each: going backwards costs a turn per request. */
const ZONE = 64 * MIB;
/** Slots start at multiples of this. */
const SECTOR = 512;
/** Tiles of which the turn is known before they are looked at: a stretch for each thread, as often as there are stretches. */
const PLANNED = 2 * STRETCHES * STRETCH;
const NEVER = Number.POSITIVE_INFINITY;
/** Damaged headers that are kept; more are only counted. */
const MAX_DAMAGED = 256;

export type ScanDepth = 'quick' | 'full';

export interface ScanOptions {
  readonly device: ReadableDevice;
  /** Range to scan, in bytes of the device; the whole device by default. */
  readonly start?: ByteOffset;
  readonly end?: ByteOffset;
  readonly rotational: boolean;
  /** `full` by default. */
  readonly depth?: ScanDepth;
  /**
   * Stride below which all that is left is read in order. Infinity for a caller who needs everything anyway; by
   * default `ROTATING_BREAK_EVEN` on rotating disks, and never on others.
   */
  readonly sequentialBelow?: ByteLength;
  /**
   * Another thread that reads every second stretch below the quick stride, where in the end everything is read. Not used
   * where anything is read in order.
   */
  readonly readAhead?: ReadAhead | undefined;
}

/** A tile that was read ahead, or will be read when its turn has come. */
interface Turn {
  readonly covered: Extent;
  readonly ahead: boolean;
}

/** What one request brought. */
export interface ScanStep {
  /** The part of the disk whose turn it was. */
  readonly covered: Extent;
  readonly hits: readonly ScanHit[];
  readonly unreadable: readonly Extent[];
}

/**
 * Looks for slots in a range of a disk: one window per stride from the end backwards, then halving the stride, never
 * reading anything twice, until nothing is left. Windows are the 64 KiB tiles of the range counted from its end, and
 * tile `t` is read in the pass whose stride, in tiles, is the largest power of two that divides `t`: so what was read
 * is known without being remembered. The bound on the bytes read before a container is met is proven in README.md.
 *
 * A job calls `step` until it returns undefined. Memory: one request, and what `markKnown` was given.
 */
export class BackwardScan {
  readonly device: ReadableDevice;
  readonly start: ByteOffset;
  readonly end: ByteOffset;
  /** The end, rounded up to a sector: where tiles are counted from. */
  readonly #top: ByteOffset;
  /** Smallest stride that is sampled; below it everything is read in order. */
  readonly #lastSampled: ByteLength;
  readonly #words = new Uint32Array(REQUEST / 4);
  readonly #buffer = new Uint8Array(this.#words.buffer);
  readonly #readAhead: ReadAhead | undefined;
  /** The next turns, where they are known already. */
  readonly #turns: Turn[] = [];
  #depth: ScanDepth;
  readonly #known = new KnownRanges();
  #stride: ByteLength;
  /** Distance of the next tile's upper end from the top; while reading in order: position from which on to read. */
  #next = 0;
  #tilesApart: ByteLength;
  #sequential = false;
  /** Lower end of the zone that is read in order. */
  #zoneStart: ByteOffset;
  #bytesRead = 0;
  #bytesKnown = 0;
  #bytesUnreadable = 0;
  #damagedCount = 0;
  readonly #damaged: DamagedHeader[] = [];

  /** Throws `usage` for a range that is not inside the device. */
  constructor(options: ScanOptions) {
    const { device, start = 0 } = options;
    const end: ByteOffset = options.end ?? Number(device.size);
    if (!(start >= 0 && start <= end && end <= device.size)) {
      throw usage(`the range to scan is not inside ${device.name}`, {
        code: 'scan.range',
        expected: `at most ${device.size}`,
        found: `${start} to ${end}`,
      });
    }
    this.device = device;
    this.start = roundDown(start, SECTOR);
    this.end = end;
    this.#top = roundUp(end, SECTOR);
    this.#zoneStart = this.#top;
    this.#depth = options.depth ?? 'full';
    const sequentialBelow = options.sequentialBelow ?? (options.rotational ? ROTATING_BREAK_EVEN : WINDOW);
    // What quick depth samples, it samples even for a caller who would read the rest in order.
    const limit = this.#depth === 'quick' ? QUICK_STRIDE : NEVER;
    this.#lastSampled = Math.max(WINDOW, Math.min(sequentialBelow, limit));
    this.#readAhead = this.#lastSampled === WINDOW ? options.readAhead : undefined;
    const range = this.#top - this.start;
    this.#stride = Math.max(WINDOW, 2 ** Math.floor(Math.log2(Math.max(1, range))));
    this.#tilesApart = this.#stride;
    if (this.#stride < this.#lastSampled) this.#beginSequential();
  }

  /** Bytes from one window to the next in the pass at hand; the window itself when everything is read in order. */
  get stride(): ByteLength {
    return this.#sequential ? WINDOW : this.#stride;
  }

  /** Stride below which what was left is read in order; undefined as long as it is sampled. */
  get sequentialFrom(): ByteLength | undefined {
    return this.#sequential && this.#lastSampled > WINDOW ? this.#lastSampled : undefined;
  }

  get bytesRead(): ByteLength {
    return this.#bytesRead;
  }

  /** Bytes that need no more reading: read, known, or unreadable. At full depth it ends as the length of the range. */
  get bytesCovered(): ByteLength {
    return this.#bytesRead + this.#bytesKnown + this.#bytesUnreadable;
  }

  get bytesUnreadable(): ByteLength {
    return this.#bytesUnreadable;
  }

  /** The first places where a slot magic stands before a header that cannot be used, and why. */
  get damaged(): readonly DamagedHeader[] {
    return this.#damaged;
  }

  get damagedCount(): number {
    return this.#damagedCount;
  }

  /** From now on `step` goes on to the full depth. */
  deepen(): void {
    this.#depth = 'full';
  }

  /** These bytes of the device need no reading, because an image that is open holds them. */
  markKnown(extents: Iterable<Extent>): void {
    for (const extent of extents) {
      const start = roundUp(extent.start, SECTOR);
      this.#known.add({ start, length: roundDown(endOf(extent), SECTOR) - start });
    }
  }

  /**
   * Makes one request and returns what it brought; undefined when the depth is reached. Unreadable sectors are
   * reported, not thrown. Throws `io` when the device is gone.
   */
  step(): ScanStep | undefined {
    this.#planAhead();
    const turn = this.#turns.shift() ?? this.#nextTurn();
    return turn === undefined ? undefined : this.#visit(turn);
  }

  #nextTurn(): Turn | undefined {
    const covered = this.#sequential ? this.#nextInOrder() : this.#nextTile();
    return covered === undefined ? undefined : { covered, ahead: false };
  }

  /** As long as the other thread can take a stretch: the next one is for this thread, the one after it for the other. */
  #planAhead(): void {
    const readAhead = this.#readAhead;
    if (readAhead === undefined || this.#stride >= QUICK_STRIDE) return;
    while (this.#turns.length < PLANNED && readAhead.isFree) {
      this.#turns.push(...this.#nextStretch());
      // What needs no reading in part is nothing for the other thread.
      const stretch = this.#nextStretch().map((turn) => ({ ...turn, ahead: !this.#isKnown(turn.covered) }));
      if (stretch.length === 0) return;
      this.#turns.push(...stretch);
      const handed = stretch.filter(({ ahead }) => ahead);
      if (handed.length > 0) readAhead.hand(handed.map(({ covered }) => covered));
    }
  }

  #nextStretch(): Turn[] {
    const turns: Turn[] = [];
    for (let turn = this.#nextTurn(); turn !== undefined; turn = this.#nextTurn()) {
      turns.push(turn);
      if (turns.length === STRETCH) break;
    }
    return turns;
  }

  #isKnown(extent: Extent): boolean {
    return !this.#known.within(extent).next().done;
  }

  /** The tile whose turn it is, clipped to the range. */
  #nextTile(): Extent | undefined {
    while (this.#next >= this.#top - this.start) {
      // Half the stride: the tiles between those that were read.
      const stride = this.#stride / 2;
      if (stride < WINDOW || !this.#reaches(stride)) return undefined;
      if (stride < this.#lastSampled) {
        this.#beginSequential();
        return this.#nextInOrder();
      }
      this.#stride = stride;
      this.#next = stride;
      this.#tilesApart = 2 * stride;
    }
    const upper = this.#top - this.#next;
    this.#next += this.#tilesApart;
    return this.#clipped(upper - WINDOW, upper);
  }

  /** Whether the depth includes this stride. A range too small for the quick stride is simply read. */
  #reaches(stride: ByteLength): boolean {
    return this.#depth === 'full' || stride >= QUICK_STRIDE || this.#top - this.start < QUICK_STRIDE;
  }

  #beginSequential(): void {
    this.#sequential = true;
    // When no stride was sampled, no tile was read.
    if (this.#next === 0) this.#stride = NEVER;
    this.#zoneStart = this.#top;
    this.#next = this.#top;
  }

  /** The next unread piece, at most one request long, going forwards through zones that go backwards. */
  #nextInOrder(): Extent | undefined {
    if (!this.#reaches(WINDOW)) return undefined;
    for (;;) {
      const zoneEnd = this.#zoneEnd();
      if (this.#next >= zoneEnd) {
        if (this.#zoneStart <= this.start) return undefined;
        this.#zoneStart = Math.max(this.start, this.#zoneStart - ZONE);
        this.#next = this.#zoneStart;
        continue;
      }
      const read = this.#readTileFrom(this.#next);
      if (this.#next >= read.start) {
        this.#next = read.end;
        continue;
      }
      const from = this.#next;
      this.#next = Math.min(from + REQUEST, zoneEnd, read.start);
      return this.#clipped(from, this.#next);
    }
  }

  #zoneEnd(): ByteOffset {
    const zones = Math.ceil((this.#top - this.#zoneStart) / ZONE);
    return zones === 0 ? this.#top : this.#top - (zones - 1) * ZONE;
  }

  /** The lowest tile that was read in an earlier pass and ends above `position`. */
  #readTileFrom(position: ByteOffset): { readonly start: ByteOffset; readonly end: ByteOffset } {
    if (this.#stride === NEVER) return { start: NEVER, end: NEVER };
    const strides = Math.ceil((this.#top - position) / this.#stride) - 1;
    const end = this.#top - strides * this.#stride;
    return { start: end - WINDOW, end };
  }

  #clipped(from: ByteOffset, to: ByteOffset): Extent {
    const start = Math.max(from, this.start);
    return { start, length: Math.min(to, this.end) - start };
  }

  #visit({ covered, ahead }: Turn): ScanStep {
    const hits: ScanHit[] = [];
    const unreadable: Extent[] = [];
    if (ahead && this.#takeRead(covered, hits)) return { covered, hits, unreadable };
    const unknown = subtract([covered], this.#known.within(covered));
    let visited = 0;
    for (const part of unknown) {
      visited += part.length;
      this.#readPart(part, hits, unreadable);
    }
    this.#bytesKnown += covered.length - visited;
    return { covered, hits, unreadable };
  }

  /** Takes what the other thread has read. False where it has not: then all is done here as if nothing had been tried. */
  #takeRead(covered: Extent, hits: ScanHit[]): boolean {
    const bytes = this.#buffer.subarray(0, covered.length);
    const outcome = this.#readAhead?.collect(bytes) ?? 'left';
    if (outcome === 'left') return false;
    this.#bytesRead += covered.length;
    if (outcome === 'kept') this.#probe(bytes, covered.start, hits);
    return true;
  }

  #readPart(part: Extent, hits: ScanHit[], unreadable: Extent[]): void {
    const bytes = this.#buffer.subarray(0, part.length);
    try {
      this.device.readInto(part.start, bytes);
      this.#bytesRead += part.length;
    } catch (error) {
      if (!isHoldfastError(error, 'io')) throw error;
      let lost = 0;
      for (const extent of readAround(this.device, part, bytes, error)) {
        lost += extent.length;
        unreadable.push(extent);
      }
      this.#bytesUnreadable += lost;
      this.#bytesRead += part.length - lost;
    }
    this.#probe(bytes, part.start, hits);
  }

  #probe(bytes: Uint8Array, position: ByteOffset, hits: ScanHit[]): void {
    const found: ScanHit[] = [];
    probeSlots(this.#words, bytes, position, found, (damaged) => {
      if (this.#known.has(damaged.position)) return;
      this.#damagedCount += 1;
      if (this.#damaged.length < MAX_DAMAGED) this.#damaged.push(damaged);
    });
    // What was read ahead may have become known since: then it is passed over, as if it had not been read.
    for (const hit of found) if (!this.#known.has(hit.position)) hits.push(hit);
  }
}
