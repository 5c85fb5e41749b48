import { createHash } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { KIB, MIB } from '../../rescue/units.ts';
import { mustRun, run } from './run.ts';

/** Every property of one file as text, by name: `content`, `mode`, `mtime`, `xattr user.note`, ... */
export type Properties = ReadonlyMap<string, string>;
/** By path from the top, as bytes in latin1 (a name need not be UTF-8); the top itself is `.`. */
export type Tree = ReadonlyMap<string, Properties>;

export interface SnapshotOptions {
  /** Paths from the top to leave out with all below. Default: `.holdfast`, where the images are. */
  readonly ignore?: readonly string[] | undefined;
  /**
   * Whether the top folder's own size, link count and times count: they change when `.holdfast` is added.
   * Default false.
   */
  readonly topFolder?: boolean | undefined;
  /** Attribute flags, generations and what is backed, which file systems in user space do not tell. Default true. */
  readonly inodeDetails?: boolean | undefined;
}

const TYPES = {
  1: 'fifo',
  2: 'character device',
  4: 'folder',
  6: 'block device',
  8: 'file',
  10: 'symbolic link',
  12: 'socket',
};

const contentHash = (path: Buffer, block: Uint8Array): string => {
  const hash = createHash('sha256');
  const handle = openSync(path, 'r');
  try {
    for (;;) {
      const count = readSync(handle, block, 0, block.length, null);
      if (count === 0) return hash.digest('hex');
      hash.update(block.subarray(0, count));
    }
  } finally {
    closeSync(handle);
  }
};

const fromStat = (stat: BigIntStats): Map<string, string> => {
  const type = TYPES[Number(stat.mode >> 12n) as keyof typeof TYPES] ?? 'unknown';
  const properties = new Map<string, string>([
    ['type', type],
    ['mode', (stat.mode & 0o7777n).toString(8)],
    ['owner', `${stat.uid}:${stat.gid}`],
    ['mtime', String(stat.mtimeNs)],
    ['ctime', String(stat.ctimeNs)],
    ['links', String(stat.nlink)],
    ['size', String(stat.size)],
    // 512-byte units: together with the content this tells a hole from zeros; `extents` tells where.
    ['blocks', String(stat.blocks)],
  ]);
  if (type.endsWith('device')) properties.set('device', String(stat.rdev));
  return properties;
};

/** One `getfattr` for the whole tree. ACLs are among the attributes (`system.posix_acl_access`). */
const addAttributes = (top: string, tree: Map<string, Map<string, string>>): void => {
  const dump = mustRun('getfattr', ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '.'], { cwd: top });
  const unquote = (text: string): string =>
    text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
  let current: Map<string, string> | undefined;
  for (const line of dump.stdoutBytes.toString('latin1').split('\n')) {
    if (line.startsWith('# file: ')) current = tree.get(unquote(line.slice(8)));
    else if (line !== '') {
      const [name, value] = line.split('=');
      current?.set(`xattr ${unquote(name!)}`, value ?? '');
    }
  }
};

/** Characters of arguments for one call of a program. Starting one costs more than what it does for hundreds of files. */
const MOST_ARGUMENTS = 256 * KIB;

/** Calls `use` with as many paths as one call takes. Only names that a program prints as they are can take part. */
const inBatches = (paths: readonly string[], use: (batch: string[]) => void): void => {
  let batch: string[] = [];
  let length = 0;
  for (const path of paths) {
    if (length + path.length > MOST_ARGUMENTS) {
      use(batch);
      batch = [];
      length = 0;
    }
    batch.push(path);
    length += path.length;
  }
  if (batch.length > 0) use(batch);
};

/** Attribute flags, generation and project of files and folders (lsattr), and which parts of a file are backed (filefrag). */
const addInodeDetails = (top: string, tree: Map<string, Map<string, string>>): void => {
  const printable = [...tree.keys()].filter((path) => /^[\x20-\x7e]+$/.test(path));
  const plain = printable.filter((path) => ['file', 'folder'].includes(tree.get(path)!.get('type')!));
  inBatches(plain, (batch) => {
    const lines = mustRun('lsattr', ['-d', '-p', '-v', '--', ...batch.map((path) => `./${path}`)], {
      cwd: top,
    })
      .stdout.trimEnd()
      .split('\n');
    if (lines.length !== batch.length)
      throw new Error(`lsattr gave ${lines.length} lines for ${batch.length} files`);
    for (const [index, line] of lines.entries()) {
      const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s/.exec(line);
      if (match === null) throw new Error(`lsattr said '${line}'`);
      const properties = tree.get(batch[index]!)!;
      properties.set('project', match[1]!);
      properties.set('generation', match[2]!);
      properties.set('flags', match[3]!);
    }
  });
  const backed = printable.filter((path) => {
    const properties = tree.get(path)!;
    return properties.get('type') === 'file' && properties.get('blocks') !== '0';
  });
  inBatches(backed, (batch) => {
    const result = run('filefrag', ['-v', '-s', ...batch.map((path) => `./${path}`)], { cwd: top });
    const sections = result.stdout.split(/^File size of /m).slice(1);
    if (sections.length !== batch.length) return; // no such call on this file system: `blocks` still counts
    for (const [index, section] of sections.entries())
      tree.get(batch[index]!)!.set('extents', logicalExtents(section));
  });
};

/** From filefrag's table, the places in the file that are backed: `0..4,96..100 unwritten`, in file-system blocks. */
const logicalExtents = (section: string): string => {
  const extents: { start: number; end: number; kind: string }[] = [];
  for (const match of section.matchAll(/^\s*\d+:\s*(\d+)\.\.\s*(\d+):.*:\s*([a-z_,]*)$/gm)) {
    const start = Number(match[1]);
    const kind = match[3]!.includes('unwritten') ? ' unwritten' : '';
    const last = extents.at(-1);
    if (last !== undefined && last.end + 1 === start && last.kind === kind) last.end = Number(match[2]);
    else extents.push({ start, end: Number(match[2]), kind });
  }
  return extents.map(({ start, end, kind }) => `${start}..${end}${kind}`).join(',');
};

/** Everything about a mounted tree that its owner could miss. Needs root. Access times are left out: looking changes them. */
export const snapshot = (top: string, options: SnapshotOptions = {}): Tree => {
  const ignore = new Set(options.ignore ?? ['.holdfast']);
  const tree = new Map<string, Map<string, string>>();
  const linked = new Map<bigint, string>();
  const block = new Uint8Array(MIB);
  const visit = (name: string, path: Buffer): void => {
    if (ignore.has(name)) return;
    const stat = lstatSync(path, { bigint: true });
    const properties = fromStat(stat);
    tree.set(name, properties);
    if (stat.isSymbolicLink()) properties.set('target', readlinkSync(path, 'latin1'));
    if (!stat.isDirectory() && stat.nlink > 1n) {
      const first = linked.get(stat.ino);
      if (first === undefined) linked.set(stat.ino, name);
      else {
        // The same inode: its properties stand at its first name.
        properties.set('same file as', first);
        return;
      }
    }
    if (stat.isFile()) properties.set('content', contentHash(path, block));
    if (!stat.isDirectory()) return;
    for (const entry of readdirSync(path, 'buffer').sort(Buffer.compare)) {
      const entryName = entry.toString('latin1');
      visit(
        name === '.' ? entryName : `${name}/${entryName}`,
        Buffer.concat([path, Buffer.from('/'), entry]),
      );
    }
  };
  visit('.', Buffer.from(top));
  addAttributes(top, tree);
  if (options.inodeDetails !== false) addInodeDetails(top, tree);
  if (options.topFolder !== true)
    for (const name of ['mtime', 'ctime', 'links', 'size', 'blocks', 'flags']) tree.get('.')?.delete(name);
  return tree;
};

const readable = (path: string): string => JSON.stringify(Buffer.from(path, 'latin1').toString('utf8'));

/** What became of the tree, one readable line per difference; empty if nothing. At most `most` lines. */
export const differences = (before: Tree, after: Tree, most = 40): string[] => {
  const lines: string[] = [];
  for (const [path, old] of before) {
    const now = after.get(path);
    if (now === undefined) {
      lines.push(`${readable(path)} is missing`);
      continue;
    }
    for (const name of new Set([...old.keys(), ...now.keys()]))
      if (old.get(name) !== now.get(name))
        lines.push(
          `${readable(path)}: ${name} was ${old.get(name) ?? 'absent'}, is ${now.get(name) ?? 'absent'}`,
        );
  }
  for (const path of after.keys()) if (!before.has(path)) lines.push(`${readable(path)} is new`);
  if (lines.length > most) return [...lines.slice(0, most), `... and ${lines.length - most} more`];
  return lines;
};
