import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../../rescue/device/device.ts';
import { openFile } from '../../../rescue/device/file.ts';
import { claim } from '../../../rescue/fs/fat/claim.ts';
import { folderOf, lookup, rootFolder } from '../../../rescue/fs/fat/directory.ts';
import { release } from '../../../rescue/fs/fat/release.ts';
import { patch } from '../../../rescue/fs/fat/transaction.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import type { Editor, Patch } from '../../../rescue/fs/patch.ts';
import { applyPatch } from '../../../rescue/job/apply.ts';
import type { Run } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { noiseSource } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { mtools } from './volumes.ts';

/** 2024-03-01: all times of what the tests claim. */
export const TIME = 1709251200;
export const NOTHING = { has: (): boolean => false };

/** A patch made on a device and applied to it. */
export const edited = (device: Device, edit: (editor: Editor) => void): Patch => {
  const made = patch(device, edit);
  applyPatch(device, made);
  return made;
};

/** The FAT volume of a file, opened for one step at a time: others look at the file in between. */
export class FatFile {
  readonly path: string;

  constructor(path: string) {
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

  claim(name: string, runs: readonly Run[], avoid: { has(cluster: number): boolean } = NOTHING): Patch {
    return this.open((device) =>
      edited(device, (editor) => claim(editor, { name, runs, time: TIME, avoid })),
    );
  }

  release(name: string): Patch {
    return this.open((device) => edited(device, (editor) => release(editor, { name, time: TIME + 2 })));
  }

  free(): Run[] {
    return this.open((device) => [...new FatVolume(device).table.freeRuns()]);
  }

  /** Fills clusters with content that tells each from every other, and gives it in the order of the runs. */
  fill(runs: readonly Run[]): Buffer {
    return this.open((device) => {
      const volume = new FatVolume(device);
      const random = noiseSource(`cluster ${runs[0]!.start}`);
      return Buffer.concat(
        runs.map(({ start, length }) => {
          const content = random(length * volume.clusterSize);
          device.write(volume.clusterOffset(start), content);
          return content;
        }),
      );
    });
  }
}

/** The content of a file as mtools reads it. */
export const contentByMtools = (cleanup: Cleanup, path: string, name: string): Buffer => {
  const out = join(temporaryFolder(cleanup), 'content');
  mtools('mcopy', path, ['-n', `::${name}`, out]);
  return readFileSync(out);
};

/** Clusters of a file in the containers' folder, as this program's reader finds them. */
export const clustersOf = (device: Device, file: string): Run[] => {
  const volume = new FatVolume(device);
  const root = rootFolder(volume);
  const folder = folderOf(volume, lookup(volume, root, '.holdfast')!, root);
  const entry = lookup(volume, folder, file)!;
  return [...volume.table.chainRuns(volume.clusterOf(entry.firstEntry))];
};
