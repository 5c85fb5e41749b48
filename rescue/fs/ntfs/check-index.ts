import { PagedBitmap } from './bitmap.ts';
import type { Check } from './check-records.ts';
import { openContent } from './content.ts';
import { directoryEntries, openNameIndex } from './directory.ts';
import type { NtfsFile } from './file.ts';
import { AT_BITMAP, NAME_INDEX } from './layout.ts';
import { compareNames, readUpCase, type UpCase } from './names.ts';
import { at, gather, type Put, problem } from './problems.ts';
import { isMeant, referenceOf } from './record.ts';
import { formatReference } from './reference.ts';
import type { NtfsVolume } from './volume.ts';

const tables = new WeakMap<NtfsVolume, UpCase>();

const upCaseOf = (volume: NtfsVolume): UpCase => {
  const known = tables.get(volume);
  if (known !== undefined) return known;
  const table = readUpCase(volume);
  tables.set(volume, table);
  return table;
};

/** The bitmap that says which blocks of a folder's index are in use. */
const blockMarks = (file: NtfsFile, count: number): PagedBitmap | undefined => {
  const content = openContent(file, AT_BITMAP, NAME_INDEX);
  return content === undefined ? undefined : new PagedBitmap(content, count, file.record.place);
};

/**
 * The index of one folder: blocks sound and marked as in use, names in order and of this folder. Each is booked, to be compared
 * with what the files say.
 */
export const folderProblems = (check: Check, file: NtfsFile, put: Put): void => {
  const { record } = file;
  const folder = referenceOf(record);
  const whole = gather(put, () => {
    const upCase = upCaseOf(check.volume);
    const index = openNameIndex(file);
    const marks =
      index.blocks === undefined
        ? undefined
        : blockMarks(file, Math.floor(index.blocks.size / index.blockSize));
    let unmarked: number | undefined;
    let ordered = true;
    let last: string | undefined;
    const onBlock = (block: number): void => {
      if (unmarked === undefined && marks?.isSet(block) !== true) unmarked = block;
    };
    for (const { parent, reference, name, namespace, place } of directoryEntries(index, onBlock)) {
      check.ledger.listed({ folder, file: reference, name, namespace });
      if (ordered && last !== undefined && compareNames(upCase, last, name) >= 0) {
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
