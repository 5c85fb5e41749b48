import { statSync } from 'node:fs';
import type { DiskFacts } from '../../rescue/job/disks.ts';
import { BLANK, paragraph, row } from '../cells.ts';
import type { Key } from '../keymap.ts';
import type { Place } from '../place.ts';
import type { Screen, Ui } from '../screen.ts';
import { TextField } from '../text-field.ts';
import { imagesScreen } from './images.ts';

const sizeOfFile = (path: string): number | undefined => {
  try {
    const file = statSync(path);
    return file.isFile() ? file.size : undefined;
  } catch {
    return undefined;
  }
};

/** What is at a path, as far as the picture needs it; what is wrong with it the job says better. */
const placeAt = (path: string, disks: readonly DiskFacts[]): Place => {
  const disk = disks.find((each) => each.path === path);
  const partition = disks.flatMap((each) => each.partitions).find((each) => each.path === path);
  const size = disk?.size ?? partition?.size ?? sizeOfFile(path);
  return { target: path, name: path, size, disk };
};

/** A path instead of a disk of the list. */
export const openScreen = (ui: Ui, disks: readonly DiskFacts[]): Screen => {
  const field = new TextField('', 1024);
  const changed = (): void => ui.changed();
  const path = (): string => field.value.trim();
  const wrong = (): string | undefined => {
    if (path() === '') return 'type a path first.';
    const medium = disks.some(
      (each) => each.medium && (each.path === path() || each.partitions.some((own) => own.path === path())),
    );
    return medium ? 'this is the rescue medium itself.' : undefined;
  };
  const screen: Screen = {
    title: 'Open file',
    rows: ({ columns }) => [
      BLANK,
      ...paragraph(
        'Path of a file that holds a disk, a partition or an image (.hfi), or of a device such as /dev/sda2:',
        columns - 2,
      ),
      BLANK,
      row(...field.view(Math.min(columns - 2, 100), true)),
      BLANK,
      ...paragraph('It is searched for images. Searching only reads.', columns - 2, { style: 'dim' }),
    ],
    keys: (): Key[] => [
      {
        names: ['enter'],
        title: 'Search for images',
        hint: 'Searches what is at this path.',
        disabled: wrong(),
        action: () => ui.leave(screen, imagesScreen(ui, placeAt(path(), disks))),
      },
      ...field.keys(changed),
    ],
    typed: (character) => {
      field.type(character);
      return true;
    },
  };
  return screen;
};
