import { createHash } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import type { Verdict } from '../../support/judges.ts';
import { everythingSaid, mustRun, type RunResult, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeFile } from '../../support/volume.ts';

/**
 * FAT volumes as other people's programs make them (mkfs.fat), fill them and list them (mtools), and judge them (fsck.fat).
 * What none of them can make is made by patching bytes here, with offsets of its own: not with the program's field tables.
 */

export interface FatOptions {
  /** Bytes; a multiple of 1 KiB. */
  readonly size: number;
  readonly bits: 12 | 16 | 32;
  /** Default 512. */
  readonly sectorSize?: 512 | 1024 | 2048 | 4096;
  /** Default: what mkfs.fat finds right. */
  readonly sectorsPerCluster?: number;
  /** Default 2. */
  readonly tables?: 1 | 2;
  readonly reserved?: number;
  readonly hidden?: number;
  readonly backup?: number;
  /** Entries of the fixed root folder. */
  readonly rootEntries?: number;
  readonly label?: string;
  /** Eight hexadecimal digits. Default 0F8A7B6C. */
  readonly serial?: string;
  /** Default true; false is mkfs.fat's `-a`. */
  readonly aligned?: boolean;
  /** Byte offset in the file, a multiple of the sector size, for a partition of a disk that exists already. */
  readonly offset?: number;
  /** FAT32 only: mirroring off, this FAT is the one in use; the other holds nonsense. */
  readonly active?: 0 | 1;
}

export const FAT_SERIAL = '0F8A7B6C';

/** Makes a FAT volume with mkfs.fat, reproducibly. Without `offset` the file is made or given exactly `size`. */
export const makeFat = (path: string, options: FatOptions): string => {
  const { size, bits, sectorSize = 512, offset = 0 } = options;
  if (options.offset === undefined) makeFile(path, size);
  const args = ['--invariant', '-F', String(bits), '-S', String(sectorSize)];
  args.push('-i', options.serial ?? FAT_SERIAL);
  const numbers: readonly [string, number | undefined][] = [
    ['-s', options.sectorsPerCluster],
    ['-f', options.tables],
    ['-R', options.reserved],
    ['-h', options.hidden],
    ['-b', options.backup],
    ['-r', options.rootEntries],
  ];
  for (const [option, value] of numbers) if (value !== undefined) args.push(option, String(value));
  if (options.label !== undefined) args.push('-n', options.label);
  if (options.aligned === false) args.push('-a');
  if (offset > 0) args.push(`--offset=${offset / sectorSize}`);
  mustRun('mkfs.fat', [...args, path, String(size / KIB)]);
  if (options.active !== undefined) setActiveTable(path, options.active, offset);
  return path;
};

const bytesAt = (path: string, offset: number, length: number): Buffer => {
  const handle = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(length);
    readSync(handle, bytes, 0, length, offset);
    return bytes;
  } finally {
    closeSync(handle);
  }
};

/** Overwrites bytes of a file. */
export const patchBytes = (path: string, offset: number, bytes: Uint8Array): void => {
  const handle = openSync(path, 'r+');
  try {
    writeSync(handle, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(handle);
  }
};

/** The few numbers of a boot sector that patching needs, read anew from the specification (fatgen103). */
export interface FatPlaces {
  readonly bits: 12 | 16 | 32;
  readonly sectorSize: number;
  readonly clusterSize: number;
  readonly clusterCount: number;
  /** Where each FAT begins in the file, and how long one is. */
  readonly tables: readonly number[];
  readonly tableLength: number;
  /** Where the fixed root folder or the root's first cluster begins. */
  readonly root: number;
  /** Where FAT entry 2 begins. */
  readonly data: number;
  /** Bytes of the volume by its boot sector: mkfs.fat may leave out some sectors at the end. */
  readonly size: number;
}

export const placesOf = (path: string, offset = 0): FatPlaces => {
  const boot = bytesAt(path, offset, 512);
  const sectorSize = boot.readUInt16LE(11);
  const clusterSize = boot[13]! * sectorSize;
  const tableSectors = boot.readUInt16LE(22) || boot.readUInt32LE(36);
  const tableLength = tableSectors * sectorSize;
  const first = offset + boot.readUInt16LE(14) * sectorSize;
  const afterTables = first + boot[16]! * tableLength;
  const data = afterTables + boot.readUInt16LE(17) * 32;
  const total = (boot.readUInt16LE(19) || boot.readUInt32LE(32)) * sectorSize;
  const clusterCount = Math.floor((offset + total - data) / clusterSize);
  const wide = boot.readUInt16LE(22) === 0;
  return {
    bits: wide ? 32 : clusterCount < 4085 ? 12 : 16,
    sectorSize,
    clusterSize,
    clusterCount,
    tables: Array.from({ length: boot[16]! }, (_, index) => first + index * tableLength),
    tableLength,
    root: wide ? data + (boot.readUInt32LE(44) - 2) * clusterSize : afterTables,
    data,
    size: total,
  };
};

/** Sets an entry of the given FATs (default: all). `entry` counts as in the FAT: the data begins with 2. */
export const setFatEntry = (
  path: string,
  entry: number,
  value: number,
  { tables, offset = 0 }: { readonly tables?: readonly number[]; readonly offset?: number } = {},
): void => {
  const places = placesOf(path, offset);
  for (const index of tables ?? places.tables.keys()) {
    const at = places.tables[index]! + Math.floor((entry * places.bits) / 8);
    const bytes = bytesAt(path, at, 4);
    if (places.bits === 32)
      bytes.writeUInt32LE(((bytes.readUInt32LE() & 0xf0000000) | (value & 0x0fffffff)) >>> 0);
    else if (places.bits === 16) bytes.writeUInt16LE(value & 0xffff);
    else {
      const pair = bytes.readUInt16LE();
      bytes.writeUInt16LE(
        entry % 2 === 0 ? (pair & 0xf000) | (value & 0xfff) : (pair & 0x000f) | ((value & 0xfff) << 4),
      );
    }
    patchBytes(path, at, bytes.subarray(0, places.bits === 32 ? 4 : 2));
  }
};

export const fatEntry = (path: string, entry: number, offset = 0): number => {
  const places = placesOf(path, offset);
  const bytes = bytesAt(path, places.tables[0]! + Math.floor((entry * places.bits) / 8), 4);
  if (places.bits === 32) return bytes.readUInt32LE() & 0x0fffffff;
  if (places.bits === 16) return bytes.readUInt16LE();
  return entry % 2 === 0 ? bytes.readUInt16LE() & 0xfff : bytes.readUInt16LE() >>> 4;
};

const BAD_MARK = 0x0ffffff7;

/** Marks free clusters as bad, from the end of the volume down, every third one: no program at hand can do that. Gives their FAT entries. */
export const markBad = (path: string, count: number, offset = 0): number[] => {
  const { clusterCount } = placesOf(path, offset);
  const marked: number[] = [];
  for (let entry = clusterCount + 1; entry >= 2 && marked.length < count; entry -= 3) {
    if (fatEntry(path, entry, offset) !== 0) continue;
    setFatEntry(path, entry, BAD_MARK, { offset });
    marked.unshift(entry);
  }
  forgetFreeCount(path, offset);
  return marked;
};

/** BPB_ExtFlags in both boot sectors; the FAT that is not in use is filled with nonsense. */
export const setActiveTable = (path: string, active: 0 | 1, offset = 0): void => {
  const { tables, tableLength, sectorSize } = placesOf(path, offset);
  const backup = bytesAt(path, offset + 50, 2).readUInt16LE() * sectorSize;
  for (const boot of [0, backup]) patchBytes(path, offset + boot + 40, Uint8Array.of(0x80 | active, 0));
  if (tables.length > 1) patchBytes(path, tables[1 - active]!, Buffer.alloc(tableLength, 'stale'));
};

// --- mtools ------------------------------------------------------------------------------------------------------

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

// --- content -----------------------------------------------------------------------------------------------------

export interface FatContent {
  /** Files of the large folder. Default 120. */
  readonly entries?: number;
  /** Bytes of the largest file. Default 300 KiB. */
  readonly largest?: number;
  readonly offset?: number;
  /** Default: all that is here. False leaves out what needs many clusters. */
  readonly fragments?: boolean;
}

const NAMES: readonly string[] = [
  'README.TXT',
  'lower.txt',
  'Mixed Case Name.text',
  'ünïcödé 海藻 🌊.txt',
  'ελληνικά.txt',
  'кириллица.doc',
  '日本語のファイル.txt',
  '.hidden at the front',
  'several.dots.in.it.tar.gz',
  'trailing-number~1.txt',
  'no extension',
  `${'thirteen char'.repeat(3)}`,
  `${'x'.repeat(150)}.long`,
  'a+b=c,[d];e.txt',
];

/** Contents that tell clusters apart: every 16 bytes say which file and where. */
const content = (name: string, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  const tag = createHash('sha256').update(name).digest('hex').slice(0, 7);
  for (let at = 0; at < length; at += 16) bytes.write(`${tag} ${String(at).padStart(8, '0')}`, at, 'latin1');
  return bytes;
};

/** 2001-02-03 04:05:06 UTC and so on: even seconds, which is all that FAT keeps. */
const TIME = 981_173_106;

/**
 * Fills a volume with mtools: names long and short in several scripts, folders in folders, a folder of many files, empty
 * files, sizes around the cluster size, attributes, deleted files that leave holes, a file in pieces between others.
 */
export const populateFat = (cleanup: Cleanup, path: string, options: FatContent = {}): void => {
  const { entries = 120, largest = 300 * KIB, fragments = true } = options;
  const place = { offset: options.offset };
  const { clusterSize } = placesOf(path, options.offset);
  const from = temporaryFolder(cleanup);
  let count = 0;
  const file = (name: string, length: number): string => {
    const full = join(from, name);
    writeFileSync(full, content(name, length));
    count += 1;
    utimesSync(full, TIME + count * 86_402, TIME + count * 86_402);
    return full;
  };
  for (const name of ['top', 'top/names', 'top/sizes', 'top/many', 'top/deep'])
    mkdirSync(join(from, name), { recursive: true });
  for (const [index, name] of NAMES.entries()) file(`top/names/${name}`, 100 + index);
  for (const size of [0, 1, clusterSize - 1, clusterSize, clusterSize + 1, 3 * clusterSize])
    file(`top/sizes/${size} bytes`, size);
  file('top/sizes/the largest of all', largest);
  for (let index = 0; index < entries; index += 1)
    file(`top/many/file number ${String(index).padStart(4, '0')}.bin`, index % 5);
  let deep = 'top/deep';
  for (const name of ['one', 'Two with a long name', 'THREE', 'four', 'five']) {
    deep += `/${name}`;
    mkdirSync(join(from, deep));
    file(`${deep}/leaf.txt`, 20);
  }
  mtools('mcopy', path, ['-s', '-m', '-Q', join(from, 'top'), '::/'], place);
  for (const [flags, name] of [
    ['+r', 'README.TXT'],
    ['+h', '.hidden at the front'],
    ['+s', 'lower.txt'],
    ['-a', 'no extension'],
  ] as const)
    mtools('mattrib', path, [flags, `::/top/names/${name}`], place);
  if (fragments) fragment(path, place, { file, clusterSize });
};

const fragment = (
  path: string,
  place: MtoolsPlace,
  {
    file,
    clusterSize,
  }: { readonly file: (name: string, length: number) => string; readonly clusterSize: number },
): void => {
  mtools('mmd', path, ['::/pieces'], place);
  const fillers = Array.from({ length: 12 }, (_, index) => file(`filler${index}`, clusterSize));
  mtools('mcopy', path, ['-m', ...fillers, '::/pieces'], place);
  const even = fillers.map((_, index) => index).filter((index) => index % 2 === 0);
  mtools(
    'mdel',
    path,
    even.map((index) => `::/pieces/filler${index}`),
    place,
  );
  // mtools takes free clusters from the lowest on only if it is not told where to begin.
  forgetNextFree(path, place.offset);
  mtools('mcopy', path, ['-m', file('in pieces between others', 8 * clusterSize), '::/pieces'], place);
  mtools('mdel', path, ['::/pieces/filler1', '::/pieces/filler5'], place);
};

/** One of FSInfo's two hints, where there is an FSInfo: 488 free clusters, 492 where to look for free ones. */
const setHint = (path: string, at: 488 | 492, value: number, offset = 0): void => {
  const { bits, sectorSize } = placesOf(path, offset);
  if (bits !== 32) return;
  const hint = Buffer.alloc(4);
  hint.writeUInt32LE(value);
  patchBytes(path, offset + bytesAt(path, offset + 48, 2).readUInt16LE() * sectorSize + at, hint);
};

/** The next program looks for free clusters from the first on. */
export const forgetNextFree = (path: string, offset = 0): void => setNextFree(path, 2, offset);
/** The next program looks for free clusters from this FAT entry on. */
export const setNextFree = (path: string, entry: number, offset = 0): void =>
  setHint(path, 492, entry, offset);
/** Nobody knows how many clusters are free. */
export const forgetFreeCount = (path: string, offset = 0): void => setHint(path, 488, 0xffffffff, offset);

/** Puts short names into the fixed root folder until mtools says that it is full. Gives how many. */
export const fillRoot = (cleanup: Cleanup, path: string): number => {
  const empty = join(temporaryFolder(cleanup), 'empty');
  writeFileSync(empty, '');
  for (let count = 0; ; count += 1)
    if (tryMtools('mcopy', path, ['-n', empty, `::/F${count}`]).exit !== 0) return count;
};

// --- fsck.fat ----------------------------------------------------------------------------------------------------

/**
 * `fsck.fat -n`: a full check that changes nothing. It does not know of FATs that are not kept alike: with mirroring off it is
 * shown a copy in which the active one stands in the place of all.
 */
export const fsckFat = (
  cleanup: Cleanup,
  path: string,
  place: MtoolsPlace & { readonly size?: number } = {},
): Verdict => {
  const { offset = 0 } = place;
  const flags = bytesAt(path, offset + 40, 1)[0]!;
  const { bits } = placesOf(path, offset);
  const unmirrored = bits === 32 && (flags & 0x80) !== 0;
  let subject = path;
  if (offset > 0 || unmirrored) {
    subject = join(temporaryFolder(cleanup), 'volume');
    if (offset === 0) copyFileSync(path, subject);
    else
      mustRun('dd', [
        `if=${path}`,
        `of=${subject}`,
        'bs=64K',
        'conv=sparse',
        'iflag=skip_bytes,count_bytes',
        `skip=${offset}`,
        ...(place.size === undefined ? [] : [`count=${place.size}`]),
      ]);
    if (unmirrored) likeMirrored(subject, flags & 0x0f);
  }
  const result = run('fsck.fat', ['-n', subject]);
  return { clean: result.exit === 0, output: everythingSaid(result) };
};

const likeMirrored = (copy: string, active: number): void => {
  const { tables, tableLength, sectorSize } = placesOf(copy);
  const table = bytesAt(copy, tables[active]!, tableLength);
  for (const at of tables) patchBytes(copy, at, table);
  const backup = bytesAt(copy, 50, 2).readUInt16LE() * sectorSize;
  for (const boot of [0, backup]) patchBytes(copy, boot + 40, Uint8Array.of(0));
};

/** Clusters in use and in all, as `fsck.fat -n` counts them in its last line. */
export const clustersByFsck = (verdict: Verdict): { readonly used: number; readonly all: number } => {
  const match = /(\d+)\/(\d+) clusters/.exec(verdict.output);
  if (match === null) throw new Error(`fsck.fat did not count:\n${verdict.output}`);
  return { used: Number(match[1]), all: Number(match[2]) };
};

// --- variants ----------------------------------------------------------------------------------------------------

/** One way to make a FAT volume that Holdfast must handle. */
export interface FatVariant extends FatOptions {
  readonly name: string;
  readonly content?: FatContent;
  /** Clusters marked as bad. */
  readonly bad?: number;
  /** The fixed root folder is filled to its last entry. */
  readonly fullRoot?: boolean;
  /** Made by shortening a larger one (mtools takes it for FAT16): FAT32 with fewer clusters than it should have. */
  readonly shortenedTo?: number;
}

export const FAT_VARIANTS: readonly FatVariant[] = [
  { name: 'FAT12 floppy', size: 1440 * KIB, bits: 12, aligned: false, content: { largest: 100 * KIB } },
  {
    name: 'FAT12, clusters of 4 KiB, one FAT',
    size: 12 * MIB,
    bits: 12,
    sectorsPerCluster: 8,
    tables: 1,
    label: 'KELP 12',
  },
  {
    name: 'FAT12, sectors of 4096 bytes, clusters of 64 KiB',
    size: 200 * MIB,
    bits: 12,
    sectorSize: 4096,
    sectorsPerCluster: 16,
  },
  { name: 'FAT12, bad clusters', size: 8 * MIB, bits: 12, sectorsPerCluster: 4, bad: 25 },
  {
    name: 'FAT12, full root folder',
    size: 4 * MIB,
    bits: 12,
    sectorsPerCluster: 4,
    rootEntries: 32,
    fullRoot: true,
  },
  {
    name: 'FAT12, as many clusters as there can be',
    size: 2071 * KIB,
    rootEntries: 528,
    bits: 12,
    sectorsPerCluster: 1,
    aligned: false,
  },
  { name: 'FAT16, clusters of 512 bytes', size: 16 * MIB, bits: 16, sectorsPerCluster: 1, label: 'HOLDFAST' },
  {
    name: 'FAT16, clusters of 2 KiB, one FAT, hidden sectors',
    size: 40 * MIB,
    bits: 16,
    sectorsPerCluster: 4,
    tables: 1,
    hidden: 2048,
  },
  { name: 'FAT16, clusters of 64 KiB', size: 400 * MIB, bits: 16, sectorsPerCluster: 128 },
  { name: 'FAT16, sectors of 4096 bytes', size: 64 * MIB, bits: 16, sectorSize: 4096, sectorsPerCluster: 1 },
  {
    name: 'FAT16, bad clusters and a full root folder',
    size: 20 * MIB,
    bits: 16,
    sectorsPerCluster: 4,
    rootEntries: 16,
    bad: 10,
    fullRoot: true,
  },
  { name: 'FAT32, clusters of 512 bytes', size: 40 * MIB, bits: 32, sectorsPerCluster: 1, label: 'STORM' },
  { name: 'FAT32, clusters of 4 KiB', size: 300 * MIB, bits: 32, sectorsPerCluster: 8 },
  { name: 'FAT32, clusters of 64 KiB', size: 4400 * MIB, bits: 32, sectorsPerCluster: 128 },
  {
    name: 'FAT32, one FAT, backup boot sector elsewhere',
    size: 40 * MIB,
    bits: 32,
    sectorsPerCluster: 1,
    tables: 1,
    reserved: 64,
    backup: 12,
    hidden: 63,
  },
  {
    name: 'FAT32, mirroring off, first FAT in use',
    size: 40 * MIB,
    bits: 32,
    sectorsPerCluster: 1,
    active: 0,
  },
  {
    name: 'FAT32, mirroring off, second FAT in use',
    size: 40 * MIB,
    bits: 32,
    sectorsPerCluster: 1,
    active: 1,
  },
  { name: 'FAT32, sectors of 4096 bytes', size: 300 * MIB, bits: 32, sectorSize: 4096, sectorsPerCluster: 1 },
  {
    name: 'FAT32, not aligned, bad clusters',
    size: 80 * MIB,
    bits: 32,
    sectorsPerCluster: 2,
    aligned: false,
    bad: 40,
  },
  { name: 'FAT32 with few clusters', size: 40 * MIB, bits: 32, sectorsPerCluster: 1, shortenedTo: 12 * MIB },
];

/** Makes the volume of a variant and fills it. Gives the tree as mtools lists it. */
export const makeFatVariant = (
  cleanup: Cleanup,
  path: string,
  variant: FatVariant,
): { readonly tree: ReadonlyMap<string, Listed>; readonly bad: readonly number[] } => {
  const { active, ...mirrored } = variant;
  makeFat(path, mirrored);
  populateFat(cleanup, path, variant.content);
  if (variant.fullRoot === true) fillRoot(cleanup, path);
  // mtools reads such volumes, but writes to the wrong FAT.
  if (active !== undefined) setActiveTable(path, active);
  const tree = treeByMtools(cleanup, path);
  const bad = variant.bad === undefined ? [] : markBad(path, variant.bad);
  if (variant.shortenedTo !== undefined) shorten(path, variant.shortenedTo);
  return { tree, bad };
};

/** BPB_TotSec32 in both boot sectors and the file's length; FSInfo's count of free clusters is then not known. */
export const shorten = (path: string, size: number): void => {
  const { sectorSize } = placesOf(path);
  const boot = bytesAt(path, 0, 512);
  const sectors = Buffer.alloc(4);
  sectors.writeUInt32LE(size / sectorSize);
  for (const at of [0, boot.readUInt16LE(50) * sectorSize]) patchBytes(path, at + 32, sectors);
  forgetFreeCount(path);
  makeFile(path, size);
};
