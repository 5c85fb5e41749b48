import type { MemoryDevice } from '../../rescue/device/memory.ts';
import { Recorder, type WriteEvent } from '../../rescue/device/recorder.ts';
import type { Patch } from '../../rescue/fs/patch.ts';
import { applyPatch } from '../../rescue/job/apply.ts';
import { noiseSource } from '../support/noise.ts';

/** A disk on which the power went away while a patch was applied. */
export interface Cut {
  /** For people. */
  readonly when: string;
  /** All writes of one phase reached the disk, and none of the next. */
  readonly whole: boolean;
  readonly device: MemoryDevice;
}

interface Sector {
  readonly offset: number;
  readonly data: Uint8Array;
}

const sectorsOf = ({ offset, data }: WriteEvent): Sector[] =>
  Array.from({ length: data.length / 512 }, (_, index) => ({
    offset: offset + index * 512,
    data: data.subarray(index * 512, (index + 1) * 512),
  }));

/** Which sectors of a phase reached the disk, those that are not all of them: one list for each cut, with words for people. */
export type Parts = (
  sectors: readonly Sector[],
  chance: () => boolean,
) => Iterable<readonly [when: string, sectors: readonly Sector[]]>;

/** One sector more each time, in the order in which the program wrote them; and some of them only, whichever those are. */
export const sectorBySector: Parts = function* (sectors, chance) {
  if (sectors.length > 2) yield ['some of', sectors.filter(chance)];
  for (let count = 1; count < sectors.length; count += 1)
    yield [`${count} of ${sectors.length} sectors of`, sectors.slice(0, count)];
};

/** A few of them only, whichever those are: where there are too many cuts to look at each. */
export const aFewParts: Parts = function* (sectors, chance) {
  for (let part = 0; part < Math.min(6, sectors.length - 1); part += 1)
    yield ['a part of', sectors.filter((_, index) => (sectors.length < 7 ? index <= part : chance()))];
};

/** The disk before the first write, after each phase, and within each phase. */
export function* cuts(base: MemoryDevice, made: Patch, parts: Parts): Generator<Cut> {
  const recorder = new Recorder(base.snapshot());
  applyPatch(recorder, made);
  const device = base.snapshot();
  yield { when: 'before the first write', whole: true, device: device.snapshot() };
  const random = noiseSource('which sectors');
  const chance = (): boolean => random(1)[0]! % 2 === 0;
  let phase: Sector[] = [];
  let phases = 0;
  for (const event of recorder.events) {
    if (event.type === 'write') phase.push(...sectorsOf(event));
    if (event.type !== 'flush') continue;
    phases += 1;
    for (const [when, sectors] of parts(phase, chance)) {
      const some = device.snapshot();
      for (const { offset, data } of sectors) some.write(offset, data);
      yield { when: `${when} phase ${phases}`, whole: false, device: some };
    }
    for (const { offset, data } of phase) device.write(offset, data);
    yield { when: `after phase ${phases}`, whole: true, device: device.snapshot() };
    phase = [];
  }
}
