import type { Problem } from '../filesystem.ts';
import { at, guardedBy, isFinding, problemOf, wordedBy } from '../findings.ts';
import type { ExtVolume } from './volume.ts';

/**
 * What `check` can say of its own; contradictions inside one structure come with the codes of the reader that met
 * them (`ext.group-checksum`, `ext.extent-order`, ...). `{...}` is filled in.
 */
export const PROBLEMS = {
  'ext.free-clusters': 'counts {found} free clusters, its bitmap {expected}',
  'ext.free-inodes': 'counts {found} free inodes, its bitmap {expected}',
  'ext.used-directories': 'counts {found} folders, its inode table {expected}',
  'ext.unused-inodes': 'says that {found} inodes were never used, it has only {expected}',
  'ext.free-blocks-total': 'counts {found} free blocks, the groups {expected}',
  'ext.free-inodes-total': 'counts {found} free inodes, the groups {expected}',
  'ext.structure-free': 'holds part of the file system itself but is marked as free',
  'ext.structure-overlap': 'holds two parts of the file system itself',
  'ext.content-free': 'belongs to an inode but is marked as free',
  'ext.multiply-claimed': 'belongs to more than one owner',
  'ext.unlinked-inode': 'is in use but has no name',
  'ext.no-root': 'is not in use or is no folder',
  'ext.dot-entry': 'the folder does not name itself and its parent first',
  'ext.entry-unused': 'names inode {found}, which is not in use',
  'ext.orphan-block': 'the orphan file has a block with a wrong magic or checksum',
} as const;
export type ProblemCode = keyof typeof PROBLEMS;

/** How ext volumes are repaired, for the texts of this folder. */
export const E2FSCK = 'Run: e2fsck -f DEVICE';

export { at };

export const problem = wordedBy<ProblemCode, number>(PROBLEMS, E2FSCK);

/** A cluster or block, by number and position. */
export const atBlock = (volume: ExtVolume, cluster: number, structure: string): string =>
  at(`${structure}, cluster ${cluster}`, cluster * volume.clusterSize);

const DEFAULTS = { structure: 'ext', wayOut: E2FSCK };

export type Put = (problem: Problem) => void;

const NONE: readonly Problem[] = [];

/**
 * Runs a check of one structure and gives what it found; damage that stops it becomes one more problem. Other errors (`io`) go on
 * up. Sound structures, of which there are very many, cost nothing.
 */
export const gathered = (check: (put: Put) => void): readonly Problem[] => {
  let found: Problem[] | undefined;
  const put = (each: Problem): void => {
    found ??= [];
    found.push(each);
  };
  try {
    check(put);
  } catch (error) {
    if (!isFinding(error)) throw error;
    put(problemOf(error, DEFAULTS));
  }
  return found ?? NONE;
};

/** Passes problems on; damage that stops the reader becomes one more problem. Other errors (`io`) go on up. */
export const guarded = guardedBy(DEFAULTS);
