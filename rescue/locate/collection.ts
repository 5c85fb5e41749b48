import { SpanSet } from '../bytes/runs.ts';
import { formatImageId, type SlotHeader } from '../image/slot.ts';
import type { ByteOffset } from '../units.ts';
import type { Found } from './found.ts';

/** Slots that no anchor could be opened for, per image: kept for reassembly. At most this many images. */
const MAX_UNOPENED = 64;
/** Anchors that are remembered, so that none is opened twice. */
const MAX_TRIED = 16384;

/** What a search has met: images, slots of which no anchor opens, copies that cannot be at home. */
export class Collection {
  readonly found: Found[] = [];
  readonly unopened = new Map<string, SlotHeader>();
  /** Beginnings of ids of images of which a copy was met that lies where it cannot be at home, and where. */
  readonly copies = new Map<string, ByteOffset>();
  /** Starts at which a file system was looked for. */
  readonly looked = new Set<ByteOffset>();
  readonly #places = new Map<string, SpanSet[]>();
  readonly #known = new Set<string>();
  readonly #tried = new Set<string>();

  key(header: Pick<SlotHeader, 'imageId' | 'generation'>, start: ByteOffset): string {
    return `${formatImageId(header.imageId)}/${header.generation}/${start}`;
  }

  /** Whether the slot that was met is one of an image that is known: not of another one that only has its id. */
  holds(key: string, home: ByteOffset): boolean {
    return this.#places.get(key)?.some((each) => each.has(home)) === true;
  }

  /** A slot that lies lower than its home: no partition begins before the disk, so its container was copied there. */
  noteCopy({ imageId }: SlotHeader, position: ByteOffset): void {
    const id = formatImageId(imageId).slice(0, 8);
    if (this.copies.size < MAX_UNOPENED && !this.copies.has(id)) this.copies.set(id, position);
  }

  /** Whether to open this anchor; asked once for each. */
  isNew(key: string, { kind, home, anchorHome }: SlotHeader): boolean {
    const anchor = `${key}/${kind === 'anchor' ? home : anchorHome}`;
    if (this.#tried.has(anchor)) return false;
    if (this.#tried.size < MAX_TRIED) this.#tried.add(anchor);
    return true;
  }

  /** A slot of which no anchor opens. Remains of an image that is known are not put together. */
  miss(key: string, header: SlotHeader): void {
    if (this.unopened.size < MAX_UNOPENED && !this.#places.has(key)) this.unopened.set(key, header);
  }

  add(found: Found): void {
    const { image, start } = found;
    const key = this.key(image.identity, start);
    const place = `${key}/${image.extents[0]?.start}/${image.displaced === true}`;
    if (this.#known.has(place)) return;
    this.#known.add(place);
    const places = this.#places.get(key) ?? [];
    this.#places.set(key, places);
    if (image.displaced !== true) places.push(new SpanSet(image.extents));
    this.unopened.delete(key);
    this.found.push(found);
  }
}
