import {
  chmodSync,
  chownSync,
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB } from '../../rescue/units.ts';
import { noiseSource } from './noise.ts';
import { everythingSaid, mustRun, run } from './run.ts';

export interface PopulateOptions {
  /** Bytes of ordinary file content, about; odd cases add some 2 MiB, less on tiny volumes. Default 8 MiB. */
  readonly size?: number | undefined;
  /** Entries of the big folder: past some hundreds ext4 indexes it. Default 1500. */
  readonly entries?: number | undefined;
  /** Same seed, same tree: names, contents, modes, owners, times. */
  readonly seed?: string | undefined;
}

/** Compressible but not repetitive: words in an order that depends on the seed. */
const WORDS = 'the kelp grips rock while storm takes everything else and tide returns sand salt foam'.split(
  ' ',
);
const prose = (random: Uint8Array): string => {
  const words: string[] = [];
  for (const byte of random) words.push(WORDS[byte % WORDS.length]!);
  return words.join(' ');
};

const mkdir = (...parts: string[]): string => {
  const path = join(...parts);
  mkdirSync(path, { recursive: true });
  return path;
};

/** Names that break careless programs. The last one is no valid UTF-8. */
const ODD_NAMES: readonly (string | Buffer)[] = [
  ' leading and trailing ',
  '-rf',
  '--',
  'new\nline',
  'tab\tand\\backslash',
  'quote"\'`$(echo no)',
  '*?[a]',
  'ünïcödé 海藻 🌊',
  'e\u0301 decomposed',
  '...',
  '.hidden',
  'x'.repeat(255),
  'ü'.repeat(127),
  Buffer.from([0xff, 0xfe, 0x20, 0x80]),
];

const oddNames = (root: string): void => {
  const folder = mkdir(root, 'odd names');
  for (const [index, name] of ODD_NAMES.entries())
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name as string)]), `${index}\n`);
  mkdir(folder, 'folder\nwith newline', 'ü');
};

const links = (root: string): void => {
  const folder = mkdir(root, 'links');
  writeFileSync(join(folder, 'target'), 'target of links\n');
  // An ext inode holds link targets below 60 bytes itself; longer ones take a block, which they must fit.
  for (const length of [1, 59, 60, 61, 900])
    symlinkSync('t'.repeat(length), join(folder, `symbolic-${length}`));
  symlinkSync('target', join(folder, 'symbolic'));
  symlinkSync('../links', join(folder, 'to folder'));
  lchownSync(join(folder, 'symbolic'), 1000, 1000);
  const other = mkdir(root, 'links', 'elsewhere');
  for (const index of [1, 2, 3]) linkSync(join(folder, 'target'), join(other, `hard-${index}`));
};

const writeAt = (path: string, pieces: readonly (readonly [number, Uint8Array])[], size?: number): void => {
  const handle = openSync(path, 'w');
  try {
    for (const [offset, data] of pieces) writeSync(handle, data, 0, data.length, offset);
    if (size !== undefined) ftruncateSync(handle, size);
  } finally {
    closeSync(handle);
  }
};

const sparse = (root: string, next: (length: number) => Buffer): void => {
  const folder = mkdir(root, 'sparse');
  writeAt(join(folder, 'only a hole'), [], 10 * MIB + 1);
  writeAt(join(folder, 'hole in front'), [[3 * MIB, next(5000)]]);
  writeAt(join(folder, 'hole behind'), [[0, next(5000)]], 64 * MIB);
  const islands = Array.from({ length: 12 }, (_, index) => [index * 200 * KIB, next(KIB)] as const);
  writeAt(join(folder, 'islands'), islands, 32 * MIB);
  writeFileSync(join(folder, 'zeros, but written'), Buffer.alloc(64 * KIB));
  const reserved = run('fallocate', ['--length', '200KiB', join(folder, 'reserved, not written')]);
  // ext2 and ext3 have no unwritten extents, and say so.
  if (reserved.exit !== 0 && !/not supported/i.test(reserved.stderr))
    throw new Error(everythingSaid(reserved));
};

const special = (root: string): void => {
  const folder = mkdir(root, 'special');
  mustRun('mknod', [join(folder, 'fifo'), 'p']);
  mustRun('mknod', [join(folder, 'character'), 'c', '1', '3']);
  mustRun('mknod', [join(folder, 'block'), 'b', '7', '200']);
  // Needs the second, wider encoding of device numbers.
  mustRun('mknod', [join(folder, 'large numbers'), 'b', '300', '70000']);
};

const modesAndOwners = (root: string): void => {
  const folder = mkdir(root, 'modes');
  for (const mode of [0o000, 0o400, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o6711]) {
    const path = join(folder, mode.toString(8));
    writeFileSync(path, `${mode}\n`);
    chmodSync(path, mode);
  }
  // 65536 and more need the upper halves that ext keeps apart.
  for (const owner of [1, 1000, 65534, 65536, 4_000_000_000]) {
    const path = join(folder, `owner-${owner}`);
    writeFileSync(path, '');
    chownSync(path, owner, owner - 1);
  }
  writeFileSync(join(folder, 'no dump'), 'flagged\n');
  mustRun('chattr', ['+dA', join(folder, 'no dump')]);
};

const attributes = (root: string, next: (length: number) => Buffer): void => {
  const folder = mkdir(root, 'attributes');
  const make = (name: string): string => {
    const path = join(folder, name);
    writeFileSync(path, `${name}\n`);
    return path;
  };
  const set = (path: string, name: string, value: Uint8Array): void => {
    const hex = value.length === 0 ? [] : ['-v', `0x${Buffer.from(value).toString('hex')}`];
    mustRun('setfattr', ['-h', '-n', name, ...hex, path]);
  };
  const small = make('small');
  set(small, 'user.note', Buffer.from('kelp'));
  set(small, 'user.empty', new Uint8Array());
  set(small, 'user.binary', Uint8Array.of(0, 10, 34, 92, 255));
  set(make('in a block of its own'), 'user.large', next(700));
  // Two files with the same attributes share one block.
  for (const name of ['shared 1', 'shared 2']) set(make(name), 'user.same', new Uint8Array(600).fill(7));
  set(make('trusted'), 'trusted.holdfast.test', Buffer.from('for root'));
  // cap_net_raw+ep in the kernel's version 2 layout (vfs_cap_data in linux/capability.h).
  const capability = Buffer.alloc(20);
  capability.writeUInt32LE(0x02000001, 0);
  capability.writeUInt32LE(1 << 13, 4);
  set(make('capable'), 'security.capability', capability);
  set(folder, 'user.on a folder', Buffer.from('yes'));
  mustRun('setfacl', ['-m', 'u:1000:rw,g:1001:r', make('acl')]);
  const inheriting = mkdir(folder, 'default acl');
  mustRun('setfacl', ['-m', 'u:1000:rwx', '-d', '-m', 'u:1000:rwx,g:1001:r-x', inheriting]);
  writeFileSync(join(inheriting, 'child'), 'inherits\n');
};

const folders = (root: string, entries: number): void => {
  const deep = Array.from({ length: 40 }, (_, depth) => `level ${depth}`);
  writeFileSync(join(mkdir(root, 'deep', ...deep), 'bottom'), 'bottom\n');
  mkdir(root, 'empty folder');
  const many = mkdir(root, 'many');
  // Few inodes on small volumes: of each eight names, seven are hard links to the first.
  for (let index = 0; index < entries; index += 1) {
    const path = (number: number): string => join(many, `entry number ${number} of the big folder`);
    if (index % 8 === 0) writeFileSync(path(index), index % 16 === 0 ? '' : `${index}\n`);
    else linkSync(path(index - (index % 8)), path(index));
  }
};

/** Around block sizes, and around what fits into an inode (inline_data). */
const sizes = (root: string, next: (length: number) => Buffer): void => {
  const folder = mkdir(root, 'sizes');
  const edges = [1024, 2048, 4096, 12 * 1024, 12 * 4096].flatMap((size) => [size - 1, size, size + 1]);
  for (const size of [0, 1, 59, 60, 61, 90, 130, 160, 170, ...edges])
    writeFileSync(join(folder, String(size)), next(size));
};

/**
 * Two files that grow in turns, each piece forced to the disk (the kernel still joins many of their blocks), and one
 * with a hole after every block, which is as many extents as blocks.
 */
const fragmented = (root: string, rounds: number, next: (length: number) => Buffer): void => {
  const folder = mkdir(root, 'fragmented');
  const handles = ['left', 'right'].map((name) => openSync(join(folder, name), 'w'));
  try {
    for (let round = 0; round < rounds; round += 1)
      for (const handle of handles) {
        writeSync(handle, next(4096));
        fdatasyncSync(handle);
      }
  } finally {
    for (const handle of handles) closeSync(handle);
  }
  const stripes = Array.from({ length: rounds * 4 }, (_, index) => [index * 8 * KIB, next(16)] as const);
  writeAt(join(folder, 'striped'), stripes);
};

/** Half prose, half noise, sizes from 4 KiB up; some deleted again, so that free clusters are not blank. */
const bulk = (root: string, size: number, next: (length: number) => Buffer): void => {
  const folder = mkdir(root, 'bulk');
  let left = size;
  for (let index = 0; left > 0; index += 1) {
    const want = Math.min(left, 4 * KIB * 2 ** (index % 9) + (next(1)[0] ?? 0));
    const content =
      index % 2 === 0 ? Buffer.from(prose(next(Math.ceil(want / 5)))).subarray(0, want) : next(want);
    const sub = mkdir(folder, `part ${index % 7}`);
    writeFileSync(join(sub, `file ${index}`), content);
    left -= want;
  }
  const doomed = mkdir(root, 'doomed');
  for (let index = 0; index < 8; index += 1)
    writeFileSync(join(doomed, `${index}`), next(Math.min(64 * KIB, size / 64)));
  mustRun('sync', ['--file-system', root]);
  rmSync(doomed, { recursive: true });
};

/** Whole seconds and odd fractions, from before 2000 until after 2038, for everything below `folder` and itself. */
const setTimes = (folder: Buffer, next: (length: number) => Buffer): void => {
  const some = (): number =>
    900_000_000 + next(4).readUInt32LE() / 4 + (next(1)[0]! % 2 === 0 ? 0 : 0.123456);
  for (const entry of readdirSync(folder, { withFileTypes: true, encoding: 'buffer' }).sort((a, b) =>
    Buffer.compare(a.name, b.name),
  )) {
    const path = Buffer.concat([folder, Buffer.from('/'), entry.name]);
    if (entry.isDirectory()) setTimes(path, next);
    else if (entry.isSymbolicLink()) lutimesSync(path, some(), some());
    else utimesSync(path, some(), some());
  }
  utimesSync(folder, some(), some());
};

/**
 * Fills a mounted volume with a real tree under `mountpoint/tree`: odd names, links, sparse and reserved files,
 * devices, modes, owners, flags, extended attributes, ACLs, deep and big folders, edge sizes, fragmented files, bulk
 * data that packs well and badly, and times. Needs root. Returns the path of the tree.
 */
export const populate = (mountpoint: string, options: PopulateOptions = {}): string => {
  const size = options.size ?? 8 * MIB;
  const next = noiseSource(options.seed ?? 'tree');
  const root = mkdir(mountpoint, 'tree');
  oddNames(root);
  links(root);
  sparse(root, next);
  special(root);
  modesAndOwners(root);
  attributes(root, next);
  folders(root, options.entries ?? 1500);
  sizes(root, next);
  fragmented(root, Math.min(100, Math.ceil(size / (64 * KIB))), next);
  bulk(root, size, next);
  setTimes(Buffer.from(root), next);
  mustRun('sync', ['--file-system', mountpoint]);
  return root;
};

/** Bytes that a mounted volume has left for root: to choose a `size`. */
export const freeBytes = (mountpoint: string): number => {
  const { bfree, bsize } = statfsSync(mountpoint);
  return bfree * bsize;
};
