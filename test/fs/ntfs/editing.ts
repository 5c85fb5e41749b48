import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { FileVolume } from '../editing.ts';
import { complaints } from './volumes.ts';

/** The NTFS volume of a file. */
export class NtfsFileVolume extends FileVolume {
  constructor(path: string) {
    super(ntfsDriver, path);
  }

  /** What this program's check and the programs of ntfs-3g complain of, and why the volume would be refused. */
  problems(sectorSize = 512): string[] {
    const own = this.open((device) => {
      const system = openNtfs(device);
      return [...system.check(), ...system.refusals()].map(({ message }) => message);
    });
    return [...own, ...complaints(this.path, { sectorSize })];
  }
}
