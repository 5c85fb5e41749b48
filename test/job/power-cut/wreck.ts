import { complement, normalise } from '../../../rescue/bytes/runs.ts';
import type { Device } from '../../../rescue/device/device.ts';
import { Guard } from '../../../rescue/device/guard.ts';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { Window } from '../../../rescue/device/window.ts';
import { protectAt, type RestorePlace } from '../../../rescue/job/destination.ts';
import type { Found } from '../../../rescue/locate/found.ts';
import { type Located, locate } from '../../../rescue/locate/locate.ts';
import { readTable } from '../../../rescue/partition/table.ts';
import type { Extent } from '../../../rescue/units.ts';
import { noiseSource } from '../../support/noise.ts';

/** Where the partition is on a device of ours. */
export interface Ground {
  readonly partition: Extent;
  readonly hasTable: boolean;
}

/** Everything that lies on a medium, at full depth. */
export const findAll = (device: Device): Located => {
  const ladder = locate({
    device,
    diskOffset: 0,
    table: readTable(device),
    depth: 'full',
    rotational: false,
  });
  for (let step = ladder.next(); ; step = ladder.next()) if (step.done) return step.value;
};

/** The same medium with noise everywhere but in its two images. */
export const wreckOf = (disk: MemoryDevice): MemoryDevice => {
  const found = findAll(disk).images.filter(({ state }) => state === 'committed');
  if (found.length !== 2) throw new Error(`${found.length} images`);
  const keep = normalise(
    found.flatMap(({ image, start }) =>
      image.extents.map((each) => ({ start: each.start + start, length: each.length })),
    ),
  );
  const next = noiseSource('wreck');
  const wreck = disk.snapshot();
  for (const { start, length } of complement(keep, { start: 0, length: disk.size }))
    wreck.write(start, next(length));
  return wreck;
};

export const shifted = (extents: readonly Extent[], by: number): Extent[] =>
  extents.map(({ start, length }) => ({ start: start + by, length }));

/** What `restore` opens for a path, over a device of ours. */
export const placeOn = (
  device: Device,
  { partition, hasTable }: Ground,
  kept: readonly Found[],
): RestorePlace => {
  const disk = new Guard(device);
  for (const { image, start } of kept) {
    disk.protect(image.id, { sealed: shifted(image.sealed, start), mutable: [] });
  }
  // Beside the disk's guard, as the job lays them.
  const window = new Guard(new Window(device, partition));
  protectAt(
    window,
    kept.map(({ image }) => ({ image, start: 0 })),
  );
  return {
    path: 'wreck',
    inPlace: true,
    isNew: false,
    destroyed: [],
    identity: { size: device.size, removable: false, rotational: false, mapped: false },
    partition: window,
    disk: hasTable ? disk : undefined,
    table: hasTable ? readTable(device) : undefined,
    start: partition.start,
    traffic: () => ({ bytesRead: 0, bytesWritten: 0 }),
    reread: () => undefined,
    close: () => {},
  };
};
