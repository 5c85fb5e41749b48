import type { FileSystemDriver } from '../filesystem.ts';
import { claim } from './claim.ts';
import { openExt } from './filesystem.ts';
import { E2FSCK } from './problems.ts';
import { release } from './release.ts';
import { hasSuperblock } from './superblock.ts';
import { patch } from './transaction.ts';

/** ext2, ext3 and ext4. What each file here answers stands in the README beside this one. */
export const extDriver = {
  name: 'ext',
  repair: E2FSCK,
  probe: hasSuperblock,
  open: openExt,
  claim,
  release,
  // A journal that is not empty is a reason to refuse.
  emptyLog: () => undefined,
  // ext does not say where it lies.
  moved: () => undefined,
  patch,
} satisfies FileSystemDriver;
