import type { DiskFacts } from '../rescue/job/disks.ts';

/** What a search, a restore or a verification works on. */
export interface Place {
  /** As jobs take it. */
  readonly target: string;
  /** For the titles of screens. */
  readonly name: string;
  /** Bytes; undefined where it is not known: then there is no picture. */
  readonly size: number | undefined;
  /** Where it is one of this machine's disks. */
  readonly disk: DiskFacts | undefined;
}

export const placeOfDisk = (disk: DiskFacts): Place => ({
  target: disk.path,
  name: disk.path,
  size: disk.size,
  disk,
});
