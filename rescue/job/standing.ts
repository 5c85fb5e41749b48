import { SpanSet } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { type Extent, MIB } from '../units.ts';
import { ShortList } from './losses.ts';
import { extentsOf, type MappedFrame } from './mapped-frame.ts';

/** So much may differ before it counts. */
const GRACE = 16 * MIB;
/** Where more than one byte in so many differs, a look at the rest does not pay: what is read for it is written anyway. */
const ONE_IN = 4;
/** Stretches of the log that are told apart; what lies between those behind is restored like all else. */
const TOLD_APART = 65536;

/**
 * Which frames of an image stand where they belong already, by the SHA-256 of what the medium holds there. A restore need neither
 * decode nor write those: a partition that is brought back every night costs little more than being read once.
 */
export class Standing {
  readonly device: ReadableDevice;
  /** Bytes of the device that somebody else will write: what stands there now says nothing. */
  readonly #except: SpanSet;
  readonly #found = new ShortList(TOLD_APART, (spans) => spans.slice(0, TOLD_APART));
  #log: SpanSet | undefined;
  #seen = 0;
  #differing = 0;
  #disturbed = new SpanSet([]);

  /** `device`: where the partition's own spaces are restored to. */
  constructor(device: ReadableDevice, except: SpanSet) {
    this.device = device;
    this.#except = except;
  }

  /** Whether the medium is to be looked at for this frame. */
  isWanted(frame: MappedFrame): boolean {
    if (frame.zero || frame.space.of !== 'partition') return false;
    if (this.#differing > GRACE + this.#seen / ONE_IN) return false;
    const { size } = this.device;
    return extentsOf(frame).every(
      (extent) => extent.start + extent.length <= size && !this.#except.intersects(extent),
    );
  }

  /** What the look at a frame showed. */
  note({ entries: [first], length }: MappedFrame, stands: boolean): void {
    this.#seen += length;
    if (!stands) this.#differing += length;
    else {
      this.#found.add({ start: first!.logOffset, length: first!.recordLength });
      this.#log = undefined;
    }
  }

  /** Whether it stood there when it was looked at. Its content was compared then, but not decoded. */
  stood({ zero, entries: [first] }: MappedFrame): boolean {
    this.#log ??= new SpanSet(this.#found.spans());
    return !zero && this.#log.has(first!.logOffset);
  }

  /** These bytes of the device may have been written since. */
  disturb(extents: Iterable<Extent>): void {
    this.#disturbed = new SpanSet([...this.#disturbed.spans, ...extents]);
  }

  /** Whether it stands there still. */
  stands(frame: MappedFrame): boolean {
    return this.stood(frame) && !extentsOf(frame).some((extent) => this.#disturbed.intersects(extent));
  }
}
