import type { ByteOffset } from '../../units.ts';
import type { Editor } from '../patch.ts';
import { BOOT_SECTOR, BOOT_SECTOR_SIZE } from './layout.ts';
import { FatVolume } from './volume.ts';

/** What `BPB_HiddSec` can say. */
const LIMIT = 2 ** 32;

/**
 * `BPB_HiddSec` is the number of sectors of the disk before the volume (fatgen103), and boot code takes it at its word. Only a value that
 * was right is put right: many volumes have some other, with which whatever starts them copes.
 */
export const moved = (
  editor: Editor,
  { from, to }: { readonly from: ByteOffset; readonly to: ByteOffset },
): void => {
  // Of a volume that was imaged in a file, or filled its disk, nobody knows what would be right.
  if (from === 0) return;
  const { sectorSize, backupBoot } = new FatVolume(editor).parameters;
  const value = to / sectorSize;
  if (!Number.isInteger(value) || value >= LIMIT) return;
  for (const offset of [0, backupBoot]) {
    if (offset === undefined) continue;
    const boot = editor.read(offset, BOOT_SECTOR_SIZE);
    if (BOOT_SECTOR.get(boot, 'BPB_HiddSec') * sectorSize !== from) continue;
    BOOT_SECTOR.set(boot, 'BPB_HiddSec', value);
    editor.write(offset, boot);
  }
};
