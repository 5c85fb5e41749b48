import type { Editor } from '../patch.ts';
import { StagedEdits as StagedInPhases } from '../staged-edits.ts';

/**
 * The order in which edits reach the disk, of claims and releases alike: what is taken is marked before anything points to it, what is
 * given back is marked free when nothing points to it any more.
 */
export const PHASES = [
  /** Content of clusters that nothing points to yet: index blocks, records behind the end of $MFT, attribute lists. */
  'prepare',
  /** Bits of $Bitmap that are set. */
  'allocation',
  /** Bits of $MFT's bitmap that are set, some of them for records that only the next phases make part of it. */
  'marks',
  /** Extension records for more runs of $MFT, and those with sizes or runs that may be ahead of what the first record says. */
  'further',
  /** Record 0 when $MFT grows; a folder's index when it gets another block. */
  'growth',
  /** What follows these: the copy of record 0, so that one of the two is always sound; bits of a folder's blocks, sizes that stand in another record. */
  'grown',
  /** New records: a file after its extensions, its folder after it. */
  'extensions',
  'files',
  'folder',
  /** Index nodes and roots that name something else now. */
  'reference',
  /** Index blocks of which a part has moved into another one. */
  'trim',
  /** Records that are not in use any more: extensions after the file to which they belong. */
  'unused',
  'unextended',
  /** Bits that are cleared, of $MFT's bitmap and of $Bitmap. */
  'unmarks',
  'release',
] as const;
export type Phase = (typeof PHASES)[number];

/** See `fs/staged-edits.ts`. */
export class StagedEdits extends StagedInPhases<Phase> {
  constructor(editor: Editor) {
    super(editor, PHASES);
  }
}
