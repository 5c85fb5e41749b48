import { at, guardedBy, wordedBy } from '../findings.ts';

export { at };

/**
 * What `check` can say of its own; contradictions that stop a reader come with its codes (`fat.folder-size`, ...).
 * `{...}` is filled in.
 */
export const PROBLEMS = {
  'fat.tables-differ': 'the first FAT says {expected}, the second {found}',
  'fat.chain-loop': 'its chain of clusters comes back to itself',
  'fat.cross-linked': 'shares a cluster with another file or folder',
  'fat.chain-free': 'its chain of clusters runs into a free one',
  'fat.chain-bad': 'its chain of clusters runs into one that is marked as bad',
  'fat.chain-range': 'its chain of clusters leads out of the volume ({found})',
  'fat.chain-length': 'has {expected} clusters by its size, but {found} in its chain',
  'fat.no-cluster': 'the folder has no cluster',
  'fat.folder-length': 'the folder has a size ({found})',
  'fat.dot-entry': 'the folder does not name itself and its parent first',
  'fat.short-name': 'has a short name that is not valid',
  'fat.long-name': 'has a long name that is not valid',
} as const;
export type ProblemCode = keyof typeof PROBLEMS;

/** How FAT volumes are repaired, for the texts of this folder. */
export const REPAIR = 'Run: fsck.fat -a DEVICE, or in Windows: chkdsk /f';

export const problem = wordedBy<ProblemCode, string | number>(PROBLEMS, REPAIR);

/** Passes problems on; damage that stops the reader becomes one more problem. Other errors (`io`) go on up. */
export const guarded = guardedBy({ structure: 'FAT', wayOut: REPAIR });
