import type { FileSystemDriver } from '../filesystem.ts';
import { hasBootSector } from './boot-sector.ts';
import { claim } from './claim.ts';
import { openNtfs } from './filesystem.ts';
import { moved } from './hidden-sectors.ts';
import { resetLog } from './log-reset.ts';
import { REPAIR } from './problems.ts';
import { release } from './release.ts';
import { patch } from './transaction.ts';
import { NtfsVolume } from './volume.ts';

/** NTFS 3.0 and 3.1. What each file here answers stands in the README beside this one. */
export const ntfsDriver: FileSystemDriver = {
  name: 'ntfs',
  repair: REPAIR,
  probe: hasBootSector,
  open: openNtfs,
  claim,
  release,
  emptyLog: (editor) => resetLog(new NtfsVolume(editor), editor),
  moved,
  patch,
};
