import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from '../../support/cleanup.ts';
import { everythingSaid, type RunResult, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';

export interface MtoolsPlace {
  readonly offset?: number | undefined;
}

const mtoolsEnv = { LC_ALL: 'C.UTF-8', TZ: 'UTC', MTOOLS_SKIP_CHECK: '1', MTOOLS_NO_VFAT: '0' };

/** Runs one of the mtools on a volume; throws if it fails. */
export const mtools = (
  program:
    | 'mcopy'
    | 'mmd'
    | 'mdel'
    | 'mdeltree'
    | 'mattrib'
    | 'mdir'
    | 'mren'
    | 'mmove'
    | 'mlabel'
    | 'mshowfat',
  path: string,
  args: readonly string[],
  place: MtoolsPlace = {},
): RunResult => {
  const result = tryMtools(program, path, args, place);
  if (result.exit !== 0) throw new Error(everythingSaid(result));
  return result;
};

/** The same where failure is an answer. */
export const tryMtools = (
  program: Parameters<typeof mtools>[0],
  path: string,
  args: readonly string[],
  { offset = 0 }: MtoolsPlace = {},
): RunResult => run(program, ['-i', offset === 0 ? path : `${path}@@${offset}`, ...args], { env: mtoolsEnv });

/** The content of a file as mtools reads it. */
export const contentByMtools = (cleanup: Cleanup, path: string, name: string): Buffer => {
  const out = join(temporaryFolder(cleanup), 'content');
  mtools('mcopy', path, ['-n', `::${name}`, out]);
  return readFileSync(out);
};

/** What mtools says of one name. */
export interface Listed {
  readonly type: 'file' | 'directory';
  readonly size: number;
  /** `A`, `S`, `H`, `R`. */
  readonly attributes: string;
  /** `NAME.EXT` as mdir shows it. */
  readonly shortName: string;
  /** Seconds since 1970. */
  readonly modified: number;
  /** SHA-256 of the content; of files only. */
  readonly content: string;
}

const attributesByMattrib = (path: string, place: MtoolsPlace): Map<string, string> => {
  const found = new Map<string, string>();
  for (const line of mtools('mattrib', path, ['-/', '::/'], place).stdout.split('\n')) {
    const match = /^(.{13})::(\/.*)$/.exec(line);
    if (match !== null) found.set(match[2]!, match[1]!.replaceAll(' ', ''));
  }
  return found;
};

/** Short names by path: mdir shows them in columns, the long name behind. */
const shortNamesByMdir = (path: string, place: MtoolsPlace): Map<string, string> => {
  const found = new Map<string, string>();
  let folder = '';
  for (const line of mtools('mdir', path, ['-a', '-/', '::/'], place).stdout.split('\n')) {
    const heading = /^Directory for ::(\/.*)$/.exec(line);
    if (heading !== null) folder = heading[1] === '/' ? '' : heading[1]!;
    const match = /^(.{8}) (.{3}) +(?:\d+|<DIR>) +\d{4}-\d\d-\d\d +\d?\d:\d\d ( (.*))?$/u.exec(line);
    if (match === null || match[1]!.startsWith('.')) continue;
    const extension = match[2]!.trimEnd();
    const short = `${match[1]!.trimEnd()}${extension === '' ? '' : `.${extension}`}`;
    found.set(`${folder}/${match[4] ?? short}`, short);
  }
  return found;
};

/**
 * The whole tree as mtools sees it, by path; the root itself is not in it. Content and times by copying everything out,
 * attributes with mattrib, short names with mdir.
 */
export const treeByMtools = (
  cleanup: Cleanup,
  path: string,
  place: MtoolsPlace = {},
): Map<string, Listed> => {
  const out = temporaryFolder(cleanup);
  mtools('mcopy', path, ['-s', '-p', '-m', '-n', '::/', out], place);
  const attributes = attributesByMattrib(path, place);
  const shortNames = shortNamesByMdir(path, place);
  const tree = new Map<string, Listed>();
  const visit = (folder: string): void => {
    for (const name of readdirSync(join(out, folder))) {
      const each = `${folder}/${name}`;
      const stat = statSync(join(out, each));
      const isFolder = stat.isDirectory();
      tree.set(each, {
        type: isFolder ? 'directory' : 'file',
        size: isFolder ? 0 : stat.size,
        attributes: attributes.get(each) ?? '?',
        shortName: shortNames.get(each) ?? '?',
        modified: Math.floor(stat.mtimeMs / 1000),
        content: isFolder
          ? ''
          : createHash('sha256')
              .update(readFileSync(join(out, each)))
              .digest('hex'),
      });
      if (isFolder) visit(each);
    }
  };
  visit('');
  return new Map([...tree.entries()].sort(([a], [b]) => (a < b ? -1 : 1)));
};

/** `treeByMtools` without the containers' folder: for comparing a volume with itself before an image was made. */
export const withoutContainers = (tree: ReadonlyMap<string, Listed>): Map<string, Listed> =>
  new Map([...tree].filter(([path]) => !/^\/\.holdfast(\/|$)/.test(path)));

/** Puts short names into the fixed root folder until mtools says that it is full. Gives how many. */
export const fillRoot = (cleanup: Cleanup, path: string): number => {
  const empty = join(temporaryFolder(cleanup), 'empty');
  writeFileSync(empty, '');
  for (let count = 0; ; count += 1)
    if (tryMtools('mcopy', path, ['-n', empty, `::/F${count}`]).exit !== 0) return count;
};
