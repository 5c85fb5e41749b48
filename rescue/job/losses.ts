import { normalise, type Span, SpanSet } from '../bytes/runs.ts';
import type { AddressSpace } from '../image/control.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';

/** Bytes of the partition, or of the disk for a companion range. */
export interface LostExtent extends Extent {
  readonly of: AddressSpace['of'];
}

/** A frame, or a stretch of the log from which no frame can be told, that cannot be restored. */
export interface Loss {
  /** Ascending in each address space. */
  readonly extents: Iterable<LostExtent>;
  /** Bytes of the log. */
  readonly log: Extent;
  readonly reason: string;
}

/** Places that a result lists; more are only counted. */
const LISTED = 1024;
/** Stretches of the log, and of the partition, that are told apart; what lies between those behind counts as lost as well. */
const TOLD_APART = 65536;

const joinBehind = (spans: readonly Span[]): Span[] => {
  const { start } = spans[TOLD_APART - 1]!;
  const { start: last, length } = spans.at(-1)!;
  return [...spans.slice(0, TOLD_APART - 1), { start, length: last + length - start }];
};

/** Neighbours joined, now and then, so that the list stays short without being sorted each time. */
export class ShortList {
  #spans: Span[] = [];
  readonly #limit: number;
  readonly #cut: (spans: Span[]) => Span[];

  constructor(limit: number, cut: (spans: Span[]) => Span[]) {
    this.#limit = limit;
    this.#cut = cut;
  }

  add(span: Span): void {
    if (span.length === 0) return;
    this.#spans.push(span);
    if (this.#spans.length >= 2 * this.#limit) this.spans();
  }

  spans(): readonly Span[] {
    const joined = normalise(this.#spans);
    this.#spans = joined.length > this.#limit ? this.#cut(joined) : joined;
    return this.#spans;
  }
}

/** What of an image cannot be restored: all of it counted, and as much of it listed as memory may take. */
export class Losses {
  /** How many there are, joined or not. */
  count = 0;
  /** Bytes that will be missing. */
  bytes: ByteLength = 0;
  first: { readonly start: number | undefined; readonly reason: string } | undefined;
  readonly #places = new ShortList(LISTED, (spans) => spans.slice(0, LISTED));
  readonly #log = new ShortList(TOLD_APART, joinBehind);
  readonly #partition = new ShortList(TOLD_APART, joinBehind);
  readonly #start: ByteOffset;

  /** `start`: where the partition that is restored begins on its disk. */
  constructor(start: ByteOffset = 0) {
    this.#start = start;
  }

  add({ extents, log, reason }: Loss): void {
    this.count += 1;
    this.#log.add(log);
    let first: number | undefined;
    for (const { start, length, of } of extents) {
      first ??= start;
      this.bytes += length;
      if (of === 'partition') this.#partition.add({ start, length });
      this.#places.add({ start: of === 'partition' ? this.#start + start : start, length });
    }
    this.first ??= { start: first, reason };
  }

  /** Bytes of the partition. */
  get partition(): SpanSet {
    return new SpanSet(this.#partition.spans());
  }

  /** The lowest places, neighbours joined; in bytes from the start of the disk. */
  get places(): readonly Extent[] {
    return this.#places.spans();
  }

  /** Log positions of what is lost. */
  get log(): SpanSet {
    return new SpanSet(this.#log.spans());
  }
}
