import { lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chooseFiles, copyFiles } from '../demo/files.ts';
import { fsckFat } from '../fs/fat/fsck.ts';
import { mtools, treeByMtools, withoutContainers } from '../fs/fat/mtools.ts';
import { makeFat } from '../fs/fat/volumes.ts';
import { mustBeClean } from '../support/judges.ts';
import { temporaryFolder } from '../support/temporary.ts';
import type { Kind } from './kinds.ts';
import { partclone } from './peers.ts';

/** Characters that a long name must not have (Microsoft's FAT specification, 7.1), and the end that it loses. */
const NOT_IN_FAT = /[\p{Cc}"*:<>?\\|]|[. ](\/|$)/u;

/** Of what `chooseFiles` names, what FAT can hold: files and folders whose names differ by more than case. */
export const fitsFat = (paths: readonly string[]): string[] => {
  const taken = new Set<string>();
  return paths.filter((path) => {
    const folded = path.toUpperCase();
    if (NOT_IN_FAT.test(path) || taken.has(folded) || lstatSync(path).isSymbolicLink()) return false;
    taken.add(folded);
    return true;
  });
};

/** Many kernels of small machines have no vfat: mtools fills the volume and reads it. */
export const fat32: Kind = {
  name: 'fat32',
  judges: 'fsck.fat, all files',
  usualSize: '512M',
  make: (path, size) => void makeFat(path, { size, bits: 32, label: 'BENCH' }),
  fill: (cleanup, device, bytes) => {
    const from = temporaryFolder(cleanup);
    mkdirSync(join(from, 'usr'), { recursive: true });
    copyFiles(fitsFat(chooseFiles(bytes)), from, true);
    mtools('mcopy', device, ['-s', '-m', '-Q', join(from, 'usr'), '::/']);
  },
  tree: (cleanup, device) =>
    new Map(
      [...withoutContainers(treeByMtools(cleanup, device))].map(([path, listed]) => [
        path,
        new Map(Object.entries(listed).map(([name, value]) => [name, String(value)])),
      ]),
    ),
  judge: (cleanup, device) => mustBeClean(fsckFat(cleanup, device)),
  peer: partclone('partclone.fat32'),
};
