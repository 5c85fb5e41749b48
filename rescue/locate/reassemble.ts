import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import { formatImageId, type SlotIdentity } from '../image/slot.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import { type Assembled, assemble } from './assemble.ts';
import { SlotCollector } from './collect.ts';
import { BackwardScan } from './scan.ts';

export interface ReassemblyOptions {
  readonly device: ReadableDevice;
  readonly within: Extent;
  /** The images to look for, all of their generations; every image by default. */
  readonly wanted?: Iterable<Pick<SlotIdentity, 'imageId'>>;
  /** Where the device itself starts on its disk: not 0 for a partition's node. */
  readonly diskOffset?: ByteOffset;
}

/**
 * The last step of the ladder: reads the whole range in order, gathers every slot of the wanted images and puts each
 * image together from what was found. `run` to its end, then ask for `images`.
 */
export class Reassembly {
  readonly #device: ReadableDevice;
  readonly #diskOffset: ByteOffset;
  readonly #wanted: ReadonlySet<string> | undefined;
  readonly #scan: BackwardScan;
  readonly #collector: SlotCollector;
  readonly #total: ByteLength;
  readonly #failures: string[] = [];

  constructor({ device, within, wanted, diskOffset = 0 }: ReassemblyOptions) {
    this.#device = device;
    this.#diskOffset = diskOffset;
    this.#wanted =
      wanted === undefined ? undefined : new Set([...wanted].map((each) => formatImageId(each.imageId)));
    this.#total = within.length;
    this.#collector = new SlotCollector(device);
    this.#scan = new BackwardScan({
      device,
      start: within.start,
      end: within.start + within.length,
      rotational: false,
      // Everything is wanted, so nothing is gained by sampling; runs of slots that are in order stay few.
      sequentialBelow: Number.POSITIVE_INFINITY,
    });
  }

  get bytesRead(): ByteLength {
    return this.#scan.bytesRead + this.#collector.bytesRead;
  }

  /** Why images could not be put together, for people. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  /** One request per iteration. Throws `corrupt` (`reassemble.runs`), `io`. */
  *run(): Generator<{ readonly covered: ByteLength; readonly total: ByteLength }> {
    for (let step = this.#scan.step(); step !== undefined; step = this.#scan.step()) {
      for (const hit of step.hits) {
        if (this.#wanted?.has(formatImageId(hit.header.imageId)) === false) continue;
        const run = this.#collector.add(hit);
        if (run !== undefined) this.#scan.markKnown([run]);
      }
      yield { covered: this.#scan.bytesCovered, total: this.#total };
    }
  }

  /** For each image its newest whole generation, or else its newest that can be put together at all. Throws `io`. */
  images(): Assembled[] {
    const chosen = new Map<string, Assembled>();
    for (const traces of this.#collector.traces()) {
      const id = formatImageId(traces.identity.imageId);
      const before = chosen.get(id);
      if (before !== undefined && before.image.state !== 'damaged') continue;
      try {
        const assembled = assemble(this.#device, traces, this.#diskOffset);
        if (before === undefined || assembled.image.state === 'committed') chosen.set(id, assembled);
      } catch (error) {
        if (!isHoldfastError(error) || error.kind === 'io') throw error;
        this.#failures.push(`${id.slice(0, 8)}, generation ${traces.identity.generation}: ${error.message}`);
      }
    }
    return [...chosen.values()];
  }
}
