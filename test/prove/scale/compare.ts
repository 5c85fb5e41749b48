import { type BigIntStats, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { everythingSaid, runInBackground } from '../../support/run.ts';

/**
 * Two folders, walked at the same time: nothing is kept of what was compared, so that a million files are no matter. `test/support/tree.ts` looks
 * closer, and keeps everything. As a program of its own, so that several can do it at once:
 *
 *   node test/prove/scale/compare.ts BEFORE AFTER OPTIONS
 *
 * prints a `FolderComparison`; OPTIONS are `CompareOptions`; both JSON.
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
  /** Of the names in the top folders, in order, every `of`th one, beginning with number `part`. Default: all. */
  readonly share?: { readonly part: number; readonly of: number };
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
    const { part, of } = (path === '' ? options.share : undefined) ?? { part: 0, of: 1 };
    const names = (top: string): Set<string> =>
      new Set(readdirSync(path === '' ? top : `${top}/${path}`).filter((name) => !ignore.includes(name)));
    const [old, now] = [names(before), names(after)];
    const inside = (name: string): string => (path === '' ? name : `${path}/${name}`);
    const all = [...new Set([...now, ...old])].sort();
    for (const name of all.filter((_, index) => index % of === part)) {
      if (!old.has(name)) say(`${inside(name)} is new`);
      else if (!now.has(name)) say(`${inside(name)} is missing`);
      else compareEntry(inside(name));
    }
  };
  compareNames('');
  return { files, differences };
};

/** The same by several programs at once, each of which may take `timeout` milliseconds. Throws if one of them fails. */
export const compareByPrograms = async (
  before: string,
  after: string,
  options: CompareOptions,
  { programs, timeout }: { readonly programs: number; readonly timeout: number },
): Promise<FolderComparison> => {
  const ends = await Promise.all(
    Array.from({ length: programs }, (_, part) => {
      const own: CompareOptions = { ...options, share: { part, of: programs } };
      const words = [import.meta.filename, before, after, JSON.stringify(own)];
      return runInBackground(process.execPath, words, { timeout });
    }),
  );
  const found = ends.map((end): FolderComparison => {
    if (end.exit !== 0) throw new Error(everythingSaid(end));
    return JSON.parse(end.stdout) as FolderComparison;
  });
  return {
    files: found.reduce((sum, { files }) => sum + files, 0),
    differences: found.flatMap(({ differences }) => differences),
  };
};

if (import.meta.main) {
  const [before, after, options] = process.argv.slice(2);
  console.log(JSON.stringify(compareFolders(before!, after!, JSON.parse(options!) as CompareOptions)));
}
