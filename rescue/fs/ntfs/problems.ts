import type { Problem } from '../filesystem.ts';
import { at, guardedBy, isFinding, problemOf, wordedBy } from '../findings.ts';

export { at };

/**
 * What `check` can say of its own; contradictions inside one structure come with the codes of the reader that met
 * them (`ntfs.update-sequence`, `ntfs.runlist`, ...). `{...}` is filled in.
 */
export const PROBLEMS = {
  'ntfs.content-free': 'belongs to a file but is marked as free',
  'ntfs.multiply-claimed': 'belongs to more than one file or stream',
  'ntfs.record-unmarked': 'is in use, but marked as free in the bitmap of $MFT',
  'ntfs.extension': 'extends {expected}, which does not know it',
  'ntfs.mirror': 'is not the same in $MFT and $MFTMirr',
  'ntfs.mirror-place': '$MFTMirr is at cluster {found}, by the boot sector at {expected}',
  'ntfs.index-order': 'its names are not in order',
  'ntfs.index-bitmap': 'block {found} is part of the tree, but marked as free',
  'ntfs.entry-parent': 'lists a name of {found}, which belongs to another folder',
  'ntfs.name-without-entry': 'its name {found} is not listed in its folder, {expected}',
  'ntfs.entry-without-name': 'lists {found} as {expected}, which has no such name there',
  'ntfs.entry-sequence': 'lists {found}; the file is now {expected}',
  'ntfs.parent-sequence': 'says that its folder is {found}; the folder is now {expected}',
} as const;
export type ProblemCode = keyof typeof PROBLEMS;

/** How NTFS volumes are repaired, for the texts of this folder. */
export const REPAIR = 'In Windows, run: chkdsk /f on the volume';

export const problem = wordedBy<ProblemCode, string | number>(PROBLEMS, REPAIR);

export type Put = (problem: Problem) => void;

const DEFAULTS = { structure: 'NTFS', wayOut: REPAIR };

/**
 * Runs a check of one structure; damage that stops it becomes one more problem. True if it ran to its end. Other errors (`io`) go
 * on up.
 */
export const gather = (put: Put, check: () => void): boolean => {
  try {
    check();
    return true;
  } catch (error) {
    if (!isFinding(error)) throw error;
    put(problemOf(error, DEFAULTS));
    return false;
  }
};

/** Passes problems on; damage that stops the reader becomes one more problem. Other errors (`io`) go on up. */
export const guarded = guardedBy(DEFAULTS);
