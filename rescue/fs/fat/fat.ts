import type { FileSystemDriver } from '../filesystem.ts';
import { hasBootSector } from './boot.ts';
import { claim } from './claim.ts';
import { openFat } from './filesystem.ts';
import { moved } from './hidden-sectors.ts';
import { REPAIR } from './problems.ts';
import { release } from './release.ts';
import { patch } from './transaction.ts';

/** FAT12, FAT16 and FAT32. What each file here answers stands in the README beside this one. */
export const fatDriver: FileSystemDriver = {
  name: 'fat',
  repair: REPAIR,
  probe: hasBootSector,
  open: openFat,
  claim,
  release,
  emptyLog: () => undefined,
  moved,
  patch,
};
