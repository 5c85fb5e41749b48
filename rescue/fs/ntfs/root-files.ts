import type { DirectoryEntry } from './directory.ts';
import { directoryEntries, openNameIndex } from './directory.ts';
import type { NtfsFile } from './file.ts';
import { FILE_ROOT, NAMESPACE_DOS } from './layout.ts';
import { readUpCase, toUpperCase } from './names.ts';
import type { NtfsVolume } from './volume.ts';
import { meantFile } from './walk.ts';

/** A file in the root, called by the name that was asked for. */
export interface RootFile {
  /** As it was asked for. */
  readonly name: string;
  readonly file: NtfsFile;
}

/**
 * The files of these names (in ASCII) in the root, whatever their case. Goes through the whole index: its order is not trusted, since
 * a hibernated system must not be overlooked. Throws `corrupt`, `io`.
 */
export const findInRoot = (volume: NtfsVolume, names: readonly string[]): RootFile[] => {
  const upCase = readUpCase(volume);
  const wanted = new Map(names.map((name) => [toUpperCase(upCase, name), name]));
  const lengths = new Set(names.map((name) => name.length));
  const found: { readonly name: string; readonly entry: DirectoryEntry }[] = [];
  for (const entry of directoryEntries(openNameIndex(volume.file(FILE_ROOT)))) {
    if (entry.namespace === NAMESPACE_DOS || !lengths.has(entry.name.length)) continue;
    const name = wanted.get(toUpperCase(upCase, entry.name));
    if (name !== undefined) found.push({ name, entry });
  }
  return found.map(({ name, entry }) => ({ name, file: meantFile(volume, entry.reference, entry.place) }));
};
