import { SpanSet } from '../bytes/runs.ts';
import { type HoldfastError, refused } from '../errors.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { checkBounds } from './bounds.ts';
import type { Device } from './device.ts';
import { PassingReader } from './passing.ts';
import { writeSoon } from './soon.ts';

/** What a container asks to be kept, in bytes of the guarded device. */
export interface Protection {
  /** Slots of committed generations: no write touches them until the image is given up. */
  readonly sealed: Iterable<Extent>;
  /** Commit records, journal, checkpoint, audit: written through `withOpened` only. */
  readonly mutable?: Iterable<Extent>;
}

/** `SpanSet` counts clusters or bytes; here it is bytes. */
const toExtent = (span: { readonly start: number; readonly length: number }): Extent => ({
  start: span.start,
  length: span.length,
});

interface Protected {
  readonly sealed: SpanSet;
  readonly mutable: SpanSet;
}

const guardError = (message: string, code: string, offset: ByteOffset): HoldfastError =>
  refused(message, {
    code,
    structure: 'image guard',
    offset,
    wayOut: 'This write was not done. It is a fault of this program: please report it.',
  });

/**
 * The image is sacred: refuses every write that touches protected bytes, so that no caller has to be careful. Lay it
 * around the device that everything is written through, once; windows and overlays go above it.
 */
export class Guard extends PassingReader implements Device {
  readonly #below: Device;
  readonly #images = new Map<string, Protected>();

  constructor(below: Device) {
    super(below);
    this.#below = below;
  }

  /** Ids of the images that are protected now. */
  get images(): string[] {
    return [...this.#images.keys()];
  }

  /** Protects an image from now on; replaces what was said of the same id before. */
  protect(imageId: string, protection: Protection): void {
    this.#images.set(imageId, {
      sealed: new SpanSet(protection.sealed),
      mutable: new SpanSet(protection.mutable ?? []),
    });
  }

  /**
   * Ends the protection of one image: its removal was asked for, or its successor is committed and flushed. Extents
   * that another protected image names too stay protected. Throws `refused` for an image that is not protected.
   */
  giveUp(imageId: string): void {
    if (this.#images.delete(imageId)) return;
    throw guardError(`image ${imageId} is not protected, so it cannot be given up`, 'guard.unknown', 0);
  }

  /** The protected image that has bytes in `span`, by the name that it is protected under. */
  holderIn(span: Extent): string | undefined {
    for (const [imageId, { sealed, mutable }] of this.#images)
      if (sealed.intersects(span) || mutable.intersects(span)) return imageId;
    return undefined;
  }

  /** All that is protected, ascending. Plans keep clear of it: a write that is refused comes too late. */
  get held(): SpanSet {
    return new SpanSet(
      [...this.#images.values()].flatMap(({ sealed, mutable }) => [...sealed.spans, ...mutable.spans]),
    );
  }

  /** Throws `refused` (`guard.sealed`, `guard.mutable`) before any of it is written. */
  write(offset: ByteOffset, data: Uint8Array): void {
    this.#refuse(offset, data.length);
    this.#below.write(offset, data);
  }

  /** The same. What is protected only while the write is under way does not stop it: wait for it first. */
  async writeSoon(offset: ByteOffset, data: Uint8Array): Promise<void> {
    this.#refuse(offset, data.length);
    await writeSoon(this.#below, offset, data);
  }

  #refuse(offset: ByteOffset, length: ByteLength): void {
    checkBounds(this, offset, length);
    this.#refuseSealed(offset, length);
    for (const [imageId, image] of this.#images) {
      for (const hit of image.mutable.within({ start: offset, length })) {
        throw guardError(
          `write into the mutable area of image ${imageId}`,
          'guard.mutable',
          toExtent(hit).start,
        );
      }
    }
  }

  flush(): void {
    this.#below.flush();
  }

  /**
   * Gives `body` a device whose writes must lie wholly in `extents`, which may be mutable areas but not sealed slots.
   * It is dead when `body` returns; the guard itself is no more open meanwhile than before.
   */
  withOpened<Result>(extents: Iterable<Extent>, body: (opened: Device) => Result): Result {
    const open = new SpanSet(extents);
    for (const { start, length } of open.spans.map(toExtent)) {
      checkBounds(this, start, length);
      this.#refuseSealed(start, length);
    }
    const opened = new OpenedRanges(this.#below, open, (offset, length) =>
      this.#refuseSealed(offset, length),
    );
    try {
      return body(opened);
    } finally {
      opened.end();
    }
  }

  #refuseSealed(offset: ByteOffset, length: ByteLength): void {
    const span = { start: offset, length };
    for (const [imageId, image] of this.#images) {
      for (const hit of image.sealed.within(span)) {
        throw guardError(`write into a sealed slot of image ${imageId}`, 'guard.sealed', toExtent(hit).start);
      }
    }
  }
}

/** The only way into mutable areas; see `Guard.withOpened`. */
class OpenedRanges extends PassingReader implements Device {
  readonly #below: Device;
  readonly #open: SpanSet;
  readonly #refuseSealed: (offset: ByteOffset, length: ByteLength) => void;
  #ended = false;

  constructor(below: Device, open: SpanSet, refuseSealed: (offset: ByteOffset, length: ByteLength) => void) {
    super(below);
    this.#below = below;
    this.#open = open;
    this.#refuseSealed = refuseSealed;
  }

  end(): void {
    this.#ended = true;
  }

  write(offset: ByteOffset, data: Uint8Array): void {
    checkBounds(this, offset, data.length);
    if (this.#ended) throw guardError('write through an opening that was closed', 'guard.closed', offset);
    // Protection may have grown since the opening.
    this.#refuseSealed(offset, data.length);
    const inside = [...this.#open.within({ start: offset, length: data.length })];
    if (data.length > 0 && (inside.length !== 1 || inside[0]?.length !== data.length)) {
      throw guardError('write reaches outside the opened ranges', 'guard.not-opened', offset);
    }
    this.#below.write(offset, data);
  }

  flush(): void {
    this.#below.flush();
  }
}
