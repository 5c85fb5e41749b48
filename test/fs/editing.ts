import { complement, endOf, totalLength } from '../../rescue/bytes/runs.ts';
import type { Device } from '../../rescue/device/device.ts';
import { openFile } from '../../rescue/device/file.ts';
import type { FileSystemDriver } from '../../rescue/fs/filesystem.ts';
import type { Editor, Patch } from '../../rescue/fs/patch.ts';
import { applyPatch } from '../../rescue/job/apply.ts';
import type { Run } from '../../rescue/units.ts';
import { noiseSource } from '../support/noise.ts';

/** 2024-03-01: all times of what the tests claim. */
export const TIME = 1709251200;
export const NOTHING = { has: (): boolean => false };

/** A patch made on a device and applied to it. */
export const edited = (
  driver: Pick<FileSystemDriver, 'patch'>,
  device: Device,
  edit: (editor: Editor) => void,
): Patch => {
  const made = driver.patch(device, edit);
  applyPatch(device, made);
  return made;
};

/** Clusters that no file and no structure has, ascending. */
export const freeRuns = (driver: FileSystemDriver, device: Device): Run[] => {
  const system = driver.open(device);
  return [...complement(system.allocation(), { start: 0, length: system.geometry.clusterCount })];
};

/** The volume of a file, opened for one step at a time: others look at the file in between. */
export class FileVolume {
  readonly path: string;
  readonly driver: FileSystemDriver;

  constructor(driver: FileSystemDriver, path: string) {
    this.driver = driver;
    this.path = path;
  }

  open<Result>(body: (device: Device) => Result): Result {
    const device = openFile(this.path, { write: true });
    try {
      return body(device);
    } finally {
      device.close();
    }
  }

  edit(edit: (editor: Editor) => void): Patch {
    return this.open((device) => edited(this.driver, device, edit));
  }

  claim(name: string, runs: readonly Run[], avoid: { has(cluster: number): boolean } = NOTHING): Patch {
    return this.edit((editor) => this.driver.claim(editor, { name, runs, time: TIME, avoid }));
  }

  release(name: string): Patch {
    return this.edit((editor) => this.driver.release(editor, { name, time: TIME + 2 }));
  }

  free(): Run[] {
    return this.open((device) => freeRuns(this.driver, device));
  }

  /** Fills clusters with content that tells each from every other, and gives it in the order of the runs. */
  fill(runs: readonly Run[]): Buffer {
    return this.open((device) => {
      const { clusterBase, clusterSize } = this.driver.open(device).geometry;
      const random = noiseSource(`cluster ${runs[0]!.start}`);
      return Buffer.concat(
        runs.map(({ start, length }) => {
          const content = random(length * clusterSize);
          device.write(clusterBase + start * clusterSize, content);
          return content;
        }),
      );
    });
  }
}

/** From the end of the free space downwards, as create plans: about `count` clusters in whole runs or parts. */
export const highest = (free: readonly Run[], count: number): Run[] => {
  const taken: Run[] = [];
  let left = count;
  for (const run of [...free].reverse()) {
    if (left === 0) break;
    const length = Math.min(left, run.length);
    taken.push({ start: endOf(run) - length, length });
    left -= length;
  }
  if (left > 0) throw new Error(`only ${totalLength(free)} clusters are free, ${count} wanted`);
  return taken;
};

/** Every other cluster: as fragmented as it gets. `count` runs of one cluster, in a disk order of its own. */
export const scattered = (free: readonly Run[], count: number): Run[] => {
  const all: Run[] = [];
  for (const run of free)
    for (let at = run.start; at < endOf(run); at += 2) all.push({ start: at, length: 1 });
  if (all.length < count) throw new Error(`only ${all.length} single clusters, ${count} wanted`);
  const chosen = all.slice(-count);
  return [
    ...chosen.filter((_, index) => index % 2 === 0),
    ...chosen.filter((_, index) => index % 2 === 1).reverse(),
  ];
};
