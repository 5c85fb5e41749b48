import type { ByteOffset } from '../../units.ts';
import type { Editor } from '../patch.ts';
import { backupPositions, hasBootSector, readCopy, readParameters } from './boot-sector.ts';
import { BOOT_SECTOR } from './layout.ts';

/** What the field can say. */
const LIMIT = 2 ** 32;

/**
 * `hidden_sectors` is the number of sectors of the disk before the volume, and Windows' boot code takes it at its word: a wrong one does not
 * start. It is put right in the boot sector and its backups, whatever it was: a volume that was cloned or moved is the usual reason for
 * another value.
 */
export const moved = (editor: Editor, { to }: { readonly to: ByteOffset }): void => {
  if (!hasBootSector(editor)) return;
  const parameters = readParameters(editor);
  const value = to / parameters.sectorSize;
  if (!Number.isInteger(value) || value >= LIMIT) return;
  for (const offset of [0, ...backupPositions(editor, parameters)]) {
    const boot = readCopy(editor, offset, BOOT_SECTOR.size);
    if (boot === undefined) continue;
    BOOT_SECTOR.set(boot, 'hidden_sectors', value);
    editor.write(offset, boot);
  }
};
