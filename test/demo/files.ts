import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun } from '../support/run.ts';

/** Programs, libraries, texts: in this order, each up to its share of what is wanted. */
const PLACES = ['/usr/sbin', '/usr/bin', '/usr/share', '/usr/local', '/usr/lib'];
/** What one file takes besides its content, about: an inode, a name, the rest of its last block. */
const PER_FILE = 2048;

function* below(folder: string, device: number): Generator<{ path: string; size: number }> {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const path = join(folder, entry.name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    // Another file system may be mounted there.
    if (stat === undefined || stat.dev !== device) continue;
    if (stat.isDirectory()) {
      yield { path, size: PER_FILE };
      yield* below(path, device);
    } else if (stat.isFile() || stat.isSymbolicLink()) yield { path, size: stat.size + PER_FILE };
  }
}

/** Files, folders and symbolic links of this machine of about `bytes` in all, always the same ones. */
export const chooseFiles = (bytes: number): string[] => {
  const chosen: string[] = [];
  let left = bytes;
  PLACES.forEach((place, index) => {
    const stat = lstatSync(place, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isDirectory()) return;
    let share = left / (PLACES.length - index);
    for (const { path, size } of below(place, stat.dev)) {
      // One that is too big is passed over: smaller ones after it may fit.
      if (size > share) continue;
      chosen.push(path);
      share -= size;
      left -= size;
    }
  });
  return chosen;
};

/**
 * Copies files with everything that belongs to them, hard links among each other included; `bare`: without owners, modes and
 * attributes, for a file system that has none.
 */
export const copyFiles = (paths: readonly string[], to: string, bare = false): void => {
  // An archive in between keeps hard links, which one copy command per batch would not. -C keeps full paths.
  const pack = 'tar --create --xattrs --acls -C / --null --no-recursion --verbatim-files-from --files-from=-';
  const unpack = bare
    ? 'tar --extract --no-same-permissions --no-same-owner --no-xattrs --no-acls -C "$1"'
    : 'tar --extract --xattrs --xattrs-include="*" --acls --preserve-permissions --same-owner -C "$1"';
  const result = mustRun('sh', ['-c', `${pack} | ${unpack}`, 'sh', to], {
    input: paths.map((path) => `${path.slice(1)}\0`).join(''),
  });
  // The exit code is that of the last program; the first one says what it could not read.
  if (result.stderr !== '') throw new Error(`not everything could be copied:\n${result.stderr}`);
};
