import { type BigIntStats, lstatSync, readdirSync, readFileSync } from 'node:fs';

/**
 * Two folders, walked at the same time: nothing is kept of what was compared, so that a million files are no matter. `test/support/tree.ts` looks
 * closer, and keeps everything.
 */
export interface FolderComparison {
  readonly files: number;
  /** One readable line for each difference, up to some ten. None: the same. */
  readonly differences: readonly string[];
}

export interface CompareOptions {
  /** Names in the top folders that are left out. */
  readonly ignore: readonly string[];
  /** Owners, change times, links, blocks, and times of folders: not where files were copied out of a volume. */
  readonly inodes: boolean;
}

const MOST = 10;

const propertiesOf = (stat: BigIntStats, inodes: boolean): Record<string, string> => ({
  mode: stat.mode.toString(8),
  ...(stat.isDirectory() ? {} : { size: String(stat.size), mtime: String(stat.mtimeNs) }),
  ...(inodes
    ? {
        owner: `${stat.uid}:${stat.gid}`,
        time: String(stat.mtimeNs),
        changed: String(stat.ctimeNs),
        links: String(stat.nlink),
        blocks: String(stat.blocks),
      }
    : {}),
});

/** Compares all that is below two folders: names, properties, content. Throws if a folder cannot be read. */
export const compareFolders = (before: string, after: string, options: CompareOptions): FolderComparison => {
  const differences: string[] = [];
  let files = 0;
  const say = (text: string): void => {
    if (differences.length < MOST) differences.push(text);
  };
  const compareEntry = (path: string): void => {
    const [a, b] = [`${before}/${path}`, `${after}/${path}`];
    const [was, is] = [lstatSync(a, { bigint: true }), lstatSync(b, { bigint: true })];
    const old = propertiesOf(was, options.inodes);
    const now = propertiesOf(is, options.inodes);
    for (const name of Object.keys(old))
      if (old[name] !== now[name]) say(`${path}: ${name} was ${old[name]}, is ${now[name]}`);
    if (was.isDirectory() && is.isDirectory()) compareNames(path);
    else if (was.isFile() && is.isFile()) {
      files += 1;
      if (Buffer.compare(readFileSync(a), readFileSync(b)) !== 0) say(`${path}: its content differs`);
    }
  };
  const compareNames = (path: string): void => {
    const ignore = path === '' ? options.ignore : [];
    const names = (top: string): Set<string> =>
      new Set(readdirSync(path === '' ? top : `${top}/${path}`).filter((name) => !ignore.includes(name)));
    const [old, now] = [names(before), names(after)];
    const inside = (name: string): string => (path === '' ? name : `${path}/${name}`);
    for (const name of now) if (!old.has(name)) say(`${inside(name)} is new`);
    for (const name of old) {
      if (now.has(name)) compareEntry(inside(name));
      else say(`${inside(name)} is missing`);
    }
  };
  compareNames('');
  return { files, differences };
};
