import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { joined } from '../../../rescue/fs/ntfs/runlist-encoder.ts';
import { GIB, KIB, MIB, type Run } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { type Mount, mountFile } from '../../support/loop.ts';
import { noiseSource } from '../../support/noise.ts';
import { everythingSaid, mustRun, run } from '../../support/run.ts';

/** One way to make an NTFS volume that Holdfast must handle. */
export interface Variant {
  readonly name: string;
  readonly size: number;
  /** Default 4096. */
  readonly clusterSize?: number;
  /** Default 512. With 4096, mkntfs makes MFT records of 4 KiB. */
  readonly sectorSize?: number;
  /** Files of the big folder; a third of them is deleted again. Default 300. */
  readonly many?: number;
}

export const VARIANTS: readonly Variant[] = [
  { name: 'as mkntfs makes it', size: 64 * MIB, many: 3000 },
  { name: 'clusters of 512 bytes', size: 48 * MIB, clusterSize: 512, many: 600 },
  { name: 'clusters of 64 KiB', size: 96 * MIB, clusterSize: 64 * KIB },
  { name: 'clusters of 2 MiB', size: 512 * MIB, clusterSize: 2 * MIB, many: 30 },
  { name: 'sectors of 4096 bytes', size: 64 * MIB, sectorSize: 4096 },
  { name: 'a size that fills no cluster', size: 40 * MIB + 5 * 512, clusterSize: 8 * KIB, many: 60 },
];

export interface MakeOptions {
  readonly size: number;
  readonly clusterSize?: number | undefined;
  readonly sectorSize?: number | undefined;
  readonly label?: string | undefined;
  /** Sectors of the disk before the volume, as the boot sector says. Default 0. */
  readonly hidden?: number | undefined;
}

/** A new volume in a file. Returns its path. */
export const makeNtfs = (path: string, options: MakeOptions): string => {
  const { size, clusterSize = 4096, sectorSize = 512, label = 'holdfast test', hidden = 0 } = options;
  writeFileSync(path, '');
  truncateSync(path, size);
  // --force: a file is no block device. A file of no whole number of clusters: mkntfs uses all sectors.
  const geometry = [
    '-s',
    String(sectorSize),
    '-c',
    String(clusterSize),
    '-p',
    String(hidden),
    '-H',
    '0',
    '-S',
    '0',
  ];
  mustRun('mkntfs', ['-q', '-F', '-f', ...geometry, '-L', label, path]);
  return path;
};

export interface MountNtfsOptions {
  readonly sectorSize?: number | undefined;
  readonly readOnly?: boolean | undefined;
  /** Bytes, of a partition of a disk. */
  readonly offset?: number | undefined;
  readonly size?: number | undefined;
  readonly options?: readonly string[];
}

/** Through ntfs-3g: streams are `FILE:STREAM`, links are those of Windows' Linux subsystem. */
export const mountNtfs = (cleanup: Cleanup, path: string, more: MountNtfsOptions = {}): Mount =>
  mountFile(cleanup, path, {
    type: 'ntfs-3g',
    sectorSize: more.sectorSize,
    readOnly: more.readOnly,
    offset: more.offset,
    size: more.size,
    options: ['streams_interface=windows', 'special_files=wsl', 'compression', ...(more.options ?? [])],
  });

/** Names in several scripts, with every length up to the longest, and pairs that differ in case only. */
const NAMES: readonly string[] = [
  'README.TXT',
  'Readme.txt',
  'readme.txt',
  'Straße',
  'STRASSE',
  'ünïcödé 海藻 🌊',
  'УТРО',
  'утро',
  'ΣΊΣΥΦΟΣ',
  'σίσυφος',
  'ﬀ ligature',
  'e\u0301 decomposed',
  'é composed',
  ' leading blank',
  '中'.repeat(80),
  'x'.repeat(255),
  'a.b.c.d',
  '~tilde',
  '[brackets]',
  '_underscore',
];

const folder = (...parts: string[]): string => {
  const path = join(...parts);
  mkdirSync(path, { recursive: true });
  return path;
};

/** Gives a file or folder the attributes of a Windows file (FILE_ATTRIBUTE_*). */
export const setAttributes = (path: string, attributes: number): void => {
  const value = `0x${attributes.toString(16).padStart(8, '0')}`;
  mustRun('setfattr', ['-n', 'system.ntfs_attrib_be', '-v', value, path]);
};

/** Files that grow by turns. */
export const growByTurns = (paths: readonly string[], rounds: number, piece: Uint8Array): void => {
  const handles = paths.map((path) => openSync(path, 'w'));
  try {
    for (let round = 0; round < rounds; round += 1) for (const handle of handles) writeSync(handle, piece);
  } finally {
    for (const handle of handles) closeSync(handle);
  }
};

const COMPRESSED = 0x810;

/** Fills a mounted volume with what NTFS has to offer. */
export const fill = (root: string, variant: Variant): void => {
  const { clusterSize = 4096, many = 300, name } = variant;
  const next = noiseSource(name);
  const names = folder(root, 'names');
  for (const each of NAMES) writeFileSync(join(names, each), each);
  writeFileSync(
    join(folder(root, ...Array.from({ length: 60 }, (_, depth) => `level ${depth}`)), 'bottom'),
    'b',
  );

  const links = folder(root, 'links');
  writeFileSync(join(links, 'first'), next(3000));
  // Long names do not fit the record: the file gets an attribute list.
  for (let index = 0; index < 12; index += 1)
    linkSync(join(links, 'first'), join(links, `${index} ${'long'.repeat(40)}`));
  writeFileSync(join(links, 'a long name with a short one'), 'short');
  mustRun('setfattr', [
    '-n',
    'system.ntfs_dos_name',
    '-v',
    'SHORT~1',
    join(links, 'a long name with a short one'),
  ]);
  symlinkSync('first', join(links, 'symbolic'));

  const sizes = folder(root, 'sizes');
  for (const size of [0, 1, 500, 700, 900, 3000, 4095, 4096, 4097, 70_000, 300_000])
    writeFileSync(join(sizes, String(size)), next(size));
  const sparse = openSync(join(sizes, 'sparse'), 'w');
  for (let index = 0; index < 20; index += 1) writeSync(sparse, next(100), 0, 100, index * MIB + index);
  closeSync(sparse);
  // A hole takes no room, whatever its size. ntfs-3g makes it sparse; larger than 4 GiB.
  const huge = openSync(join(sizes, 'huge'), 'w');
  writeSync(huge, next(100), 0, 100, 5 * GIB);
  closeSync(huge);

  const streams = folder(root, 'streams');
  writeFileSync(join(streams, 'file'), 'content');
  writeFileSync(join(streams, 'file:small'), 'small');
  writeFileSync(join(streams, 'file:large'), next(50_000));
  for (let index = 0; index < 15; index += 1)
    writeFileSync(join(streams, `file:stream with a longer name ${index}`), next(60));

  if (clusterSize <= 4096) {
    const compressed = folder(root, 'compressed');
    setAttributes(compressed, COMPRESSED);
    writeFileSync(join(compressed, 'prose'), 'the kelp grips the rock '.repeat(20_000));
    writeFileSync(join(compressed, 'noise'), next(200_000));
  }
  const rounds = Math.min(500, Math.floor((16 * MIB) / clusterSize / 2));
  const turns = folder(root, 'turns');
  growByTurns([join(turns, 'left'), join(turns, 'right')], rounds, next(clusterSize));

  // A hole after every cluster: as many runs as clusters, however generously ntfs-3g allocates in advance.
  const striped = openSync(join(turns, 'striped'), 'w');
  for (let round = 0; round < rounds; round += 1)
    writeSync(striped, next(clusterSize), 0, clusterSize, 2 * round * clusterSize);
  closeSync(striped);

  const big = folder(root, 'many');
  for (let index = 0; index < many; index += 1)
    writeFileSync(
      join(big, `entry number ${(index * 7919) % many} of the big folder`),
      index % 9 === 0 ? next(2000) : '',
    );
  const listed = readdirSync(big).sort();
  for (let index = 0; index < listed.length; index += 3) rmSync(join(big, listed[index]!));
};

/**
 * Scatters $MFT on clusters of 512 bytes: a full volume of files with two clusters each, every second of which is emptied, so
 * that the records of new files find only such gaps. Gives the number of files.
 */
export const scatterMft = (root: string, more: number): number => {
  const many = folder(root, 'many');
  const content = new Uint8Array(1000).fill(7);
  let count = 0;
  const make = (bytes: Uint8Array): void => writeFileSync(join(many, `file number ${count}`), bytes);
  try {
    for (;;) {
      make(content);
      count += 1;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
  rmSync(join(many, `file number ${count}`), { force: true });
  for (let index = 0; index < count; index += 2) truncateSync(join(many, `file number ${index}`), 0);
  for (const end = count + more; count < end; count += 1) make(new Uint8Array());
  return count;
};

/** What the programs of ntfs-3g find: consistent structures, clusters accounted for. Empty if they are content. */
export const complaints = (
  path: string,
  { sectorSize = 512 }: { readonly sectorSize?: number | undefined } = {},
): string[] => {
  const found: string[] = [];
  const fix = run('ntfsfix', ['-n', path]);
  if (fix.exit !== 0 || /not match|FAILED|corrupt/i.test(fix.stdout + fix.stderr))
    found.push(everythingSaid(fix));
  // It compares all runs with $Bitmap before it says how far a volume could be shrunk. It knows sectors of 512 bytes only.
  if (sectorSize === 512) {
    const resize = run('ntfsresize', ['--info', '--force', '--no-progress-bar', path]);
    if (!/^Space in use/m.test(resize.stdout)) found.push(everythingSaid(resize));
  }
  return found;
};

/** Facts that ntfsinfo prints, by their names there. */
export const informationOf = (path: string): ReadonlyMap<string, string> => {
  const { stdout } = mustRun('ntfsinfo', ['--mft', '--force', path]);
  const facts = [...stdout.matchAll(/^\s*([^:\n]+):\s*(.+)$/gm)].map(
    ([, key, value]) => [key!.trim(), value!.trim()] as const,
  );
  return new Map(facts);
};

/** Clusters of all attributes of a record and its extensions, as `start length`, sorted, holes left out. */
export const runsByNtfscluster = (path: string, record: number): string[] => {
  const { stdout } = mustRun('ntfscluster', ['--force', '--inode', String(record), path]);
  return [...stdout.matchAll(/^\s+\d+\s+(-?\d+)\s+(\d+)$/gm)]
    .filter(([, start]) => Number(start) >= 0)
    .map(([, start, length]) => `${start} ${length}`)
    .sort();
};

/** Where the content of a file lies, in its order and joined, as ntfscluster follows the runs in all of its records. */
export const dataByNtfscluster = (path: string, record: number): Run[] => {
  const { stdout } = mustRun('ntfscluster', ['--force', '--inode', String(record), path]);
  const rows = stdout
    .split(/^ {4}(?=0x)/m)
    .filter((part) => part.startsWith('0x80 - non-resident'))
    .flatMap((part) => [...part.matchAll(/^\s+(\d+)\s+(\d+)\s+(\d+)$/gm)])
    .map(([, vcn, start, length]) => ({ vcn: Number(vcn), start: Number(start), length: Number(length) }))
    .sort((a, b) => a.vcn - b.vcn);
  let next = 0;
  for (const { vcn, length } of rows) {
    if (vcn !== next) throw new Error(`ntfscluster lists cluster ${vcn} of the content behind ${next}`);
    next += length;
  }
  return joined(rows.map(({ start, length }) => ({ start, length })));
};

/** Files above this are holes but for their end: only that is read. */
const READ_WHOLE = 64 * MIB;

const digestOfFile = (path: string, size: number): string => {
  const handle = openSync(path, 'r');
  try {
    const length = size > READ_WHOLE ? KIB : size;
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const count = readSync(handle, bytes, done, length - done, size - length + done);
      if (count === 0) throw new Error(`${path} ends before its size`);
      done += count;
    }
    return createHash('sha256').update(bytes).digest('hex');
  } finally {
    closeSync(handle);
  }
};

/** Every file and folder below a mounted root but the containers', with type, size, links, time and content. */
export const treeThroughMount = (root: string): Map<string, string> => {
  const tree = new Map<string, string>();
  const visit = (folderPath: string, path: string): void => {
    for (const name of readdirSync(folderPath).sort()) {
      if (path === '' && name === '.holdfast') continue;
      const full = join(folderPath, name);
      const stat = lstatSync(full);
      const common = `${stat.mode.toString(8)} ${stat.nlink} ${stat.mtimeMs}`;
      const key = `${path}/${name}`;
      if (stat.isDirectory()) {
        tree.set(key, common);
        visit(full, key);
      } else if (stat.isSymbolicLink()) tree.set(key, `${common} -> ${readlinkSync(full)}`);
      else tree.set(key, `${common} ${stat.size} ${digestOfFile(full, stat.size)}`);
    }
  };
  visit(root, '');
  for (const name of existsSync(join(root, 'streams')) ? ['small', 'large'] : []) {
    const stream = join(root, 'streams', `file:${name}`);
    tree.set(stream.slice(root.length), readFileSync(stream).toString('hex'));
  }
  return tree;
};
