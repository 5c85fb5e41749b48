import { PagedBitmap } from './bitmap.ts';
import type { Check } from './check-records.ts';
import { openContent } from './content.ts';
import { directoryEntries, openNameIndex } from './directory.ts';
import type { NtfsFile } from './file.ts';
import { AT_BITMAP, NAME_INDEX } from './layout.ts';
import { compareNames } from './names.ts';
import { at, gather, type Put, problem } from './problems.ts';
import { isMeant, referenceOf } from './record.ts';
import { formatReference } from './reference.ts';

/** Says which blocks of a folder's index are in use; blocks behind the end of its bitmap are not. */
const blockMarks = (file: NtfsFile): ((block: number) => boolean) => {
  const content = openContent(file, AT_BITMAP, NAME_INDEX);
  if (content === undefined) return () => false;
  const count = 8 * content.size;
  const bits = new PagedBitmap(content, count, file.record.place);
  return (block) => block < count && bits.isSet(block);
};

/**
 * The index of one folder: blocks sound and marked as in use, names in order and of this folder. Each is booked, to be compared
 * with what the files say.
 */
export const folderProblems = (check: Check, file: NtfsFile, put: Put): void => {
  const { record } = file;
  const folder = referenceOf(record);
  const whole = gather(put, () => {
    const { upCase } = check;
    const index = openNameIndex(file);
    const isMarked = blockMarks(file);
    let unmarked: number | undefined;
    let ordered = upCase !== undefined;
    let last: string | undefined;
    const onBlock = (block: number): void => {
      if (unmarked === undefined && !isMarked(block)) unmarked = block;
    };
    for (const { parent, reference, name, namespace, place } of directoryEntries(index, onBlock)) {
      check.ledger.listed({ folder, file: reference, name, namespace });
      if (ordered && upCase !== undefined && last !== undefined && compareNames(upCase, last, name) >= 0) {
        ordered = false;
        put(problem('ntfs.index-order', at(place.structure, place.offset)));
      }
      last = name;
      if (!isMeant(record, parent))
        put(
          problem('ntfs.entry-parent', at(place.structure, place.offset), { found: formatReference(parent) }),
        );
    }
    if (unmarked !== undefined)
      put(problem('ntfs.index-bitmap', at(index.place.structure, index.place.offset), { found: unmarked }));
  });
  if (!whole) check.damagedFolders.add(record.number);
};
