import { complement } from '../../../rescue/bytes/runs.ts';
import type { Device } from '../../../rescue/device/device.ts';
import { openFile } from '../../../rescue/device/file.ts';
import { allocatedRuns } from '../../../rescue/fs/ntfs/allocation.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import { patch } from '../../../rescue/fs/ntfs/transaction.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import type { Editor, Patch } from '../../../rescue/fs/patch.ts';
import { applyPatch } from '../../../rescue/job/apply.ts';
import type { Run } from '../../../rescue/units.ts';
import { noiseSource } from '../../support/noise.ts';
import { complaints } from './volumes.ts';

/** 2024-03-01: all times of what the tests claim. */
export const TIME = 1709251200;
export const NOTHING = { has: (): boolean => false };

/** A patch made on a device and applied to it. */
export const edited = (device: Device, edit: (editor: Editor) => void): Patch => {
  const made = patch(device, edit);
  applyPatch(device, made);
  return made;
};

/** The NTFS volume of a file, opened for one step at a time: others look at the file in between. */
export class NtfsFileVolume {
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

  /** Free clusters, ascending. */
  free(): Run[] {
    return this.open((device) => {
      const volume = new NtfsVolume(device);
      return [...complement(allocatedRuns(volume), { start: 0, length: volume.clusterCount })];
    });
  }

  /** What this program's check and the programs of ntfs-3g complain of, and why the volume would be refused. */
  problems(sectorSize = 512): string[] {
    const own = this.open((device) => {
      const system = openNtfs(device);
      return [...system.check(), ...system.refusals()].map(({ message }) => message);
    });
    return [...own, ...complaints(this.path, { sectorSize })];
  }

  /** Fills clusters with content that tells each from every other, and gives it in the order of the runs. */
  fill(runs: readonly Run[]): Buffer {
    return this.open((device) => {
      const volume = new NtfsVolume(device);
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
