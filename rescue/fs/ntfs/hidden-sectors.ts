import type { ByteOffset } from '../../units.ts';
import type { Editor } from '../patch.ts';
import { backupPositions, hasBootSector, readParameters } from './boot-sector.ts';
import { BOOT_SECTOR } from './layout.ts';

/** What the field can say. */
const LIMIT = 2 ** 32;

/**
 * `hidden_sectors` is the number of sectors of the disk before the volume, and Windows' boot code takes it at its word. Only a value that was
 * right is put right, in the boot sector and its backups: many volumes have some other, with which whatever starts them copes.
 */
export const moved = (
  editor: Editor,
  { from, to }: { readonly from: ByteOffset; readonly to: ByteOffset },
): void => {
  if (!hasBootSector(editor)) return;
  const parameters = readParameters(editor);
  const { sectorSize } = parameters;
  const value = to / sectorSize;
  if (!Number.isInteger(value) || value >= LIMIT) return;
  for (const offset of [0, ...backupPositions(editor, parameters)]) {
    const boot = editor.read(offset, BOOT_SECTOR.size);
    if (!isCopy(boot, parameters.bootSector)) continue;
    if (BOOT_SECTOR.get(boot, 'hidden_sectors') * sectorSize !== from) continue;
    BOOT_SECTOR.set(boot, 'hidden_sectors', value);
    editor.write(offset, boot);
  }
};

/** Whether a sector says that it is a boot sector of NTFS, as the first one does. */
const isCopy = (sector: Uint8Array, boot: Uint8Array): boolean =>
  Buffer.compare(BOOT_SECTOR.get(sector, 'oem_id'), BOOT_SECTOR.get(boot, 'oem_id')) === 0;
