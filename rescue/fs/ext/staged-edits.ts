import type { Editor } from '../patch.ts';
import { StagedEdits as StagedInPhases } from '../staged-edits.ts';

/**
 * The order in which a claim's edits reach the disk; within a phase it is open. What is taken is marked as taken
 * before anything points to it, and names come before their inodes: a name without an inode is removed by
 * `e2fsck -p` without asking, while for an inode without a name it calls a person.
 */
export const PHASES = [
  /** Content of clusters that nothing points to yet; bitmaps and inode tables that their group calls uninitialised. */
  'prepare',
  /** Bitmaps, group descriptors, counts in the superblock. */
  'allocation',
  /** A directory's own inode and map, when it gets another block. */
  'growth',
  /** Directory entries, index entries, the root's link count. */
  'reference',
  /** The half of a split index leaf that has moved is dropped from its old block. */
  'trim',
  /** The inode of the containers' folder. */
  'folder',
  /** The inodes of a container's files. */
  'files',
] as const;
export type Phase = (typeof PHASES)[number];

/** The other way round; no file is left without the folder that names it. */
const RELEASE_ORDER: readonly Phase[] = [
  'prepare',
  'files',
  'folder',
  'growth',
  'reference',
  'trim',
  'allocation',
];

/** See `fs/staged-edits.ts`. */
export class StagedEdits extends StagedInPhases<Phase> {
  constructor(editor: Editor, direction: 'claim' | 'release') {
    super(editor, direction === 'claim' ? PHASES : RELEASE_ORDER);
  }
}
