import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openFile } from '../../../rescue/device/file.ts';
import { type DirectoryEntry, readDirectory, rootFolder } from '../../../rescue/fs/fat/directory.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { populateFat } from './content.ts';
import { mtools } from './mtools.ts';
import { fatEntry, patchBytes, placesOf, setFatEntry } from './patching.ts';
import { FAT_SERIAL, makeFat } from './volumes.ts';

/** Ways to damage a FAT volume, one thing at a time, and what `check` must say of each. */

export const TYPES = [
  { bits: 12, size: 4 * MIB, sectorsPerCluster: 4 },
  { bits: 16, size: 8 * MIB, sectorsPerCluster: 1 },
  { bits: 32, size: 40 * MIB, sectorsPerCluster: 1 },
] as const;

/** What a damage is done to: a copy of a sound volume, and where two files and two folders of it are. */
export interface Subject {
  readonly path: string;
  /** Entries of the root: `fileA` and `fileB` have several clusters, `empty` none. */
  readonly fileA: DirectoryEntry;
  readonly fileB: DirectoryEntry;
  readonly empty: DirectoryEntry;
  readonly folder: DirectoryEntry;
  /** In `folder`. */
  readonly inner: DirectoryEntry;
  readonly clusterCount: number;
  /** Byte position of the content of a FAT entry's cluster. */
  at(entry: number): number;
}

export const END = 0x0fffffff;
export const BAD = 0x0ffffff7;

export const put16 = (path: string, offset: number, value: number): void =>
  patchBytes(path, offset, Uint8Array.of(value & 0xff, (value >>> 8) & 0xff));
const put32 = (path: string, offset: number, value: number): void => {
  put16(path, offset, value & 0xffff);
  put16(path, offset + 2, value >>> 16);
};
/** DIR_FstClusLO, DIR_FileSize, DIR_Name (fatgen103). */
export const setFirst = (path: string, { position }: DirectoryEntry, entry: number): void =>
  put16(path, position + 26, entry);
const setSize = (path: string, { position }: DirectoryEntry, size: number): void =>
  put32(path, position + 28, size);

export interface Damage {
  readonly name: string;
  readonly codes: readonly string[];
  readonly apply: (subject: Subject) => void;
  /** fsck.fat says nothing of it: why. */
  readonly silent?: string;
}

export const DAMAGES: readonly Damage[] = [
  {
    name: 'a chain that comes back to itself',
    codes: ['fat.chain-loop'],
    apply: ({ path, fileA }) => setFatEntry(path, fatEntry(path, fileA.firstEntry), fileA.firstEntry),
  },
  {
    name: 'a cluster that follows itself',
    codes: ['fat.chain-loop'],
    apply: ({ path, fileA }) => setFatEntry(path, fileA.firstEntry, fileA.firstEntry),
  },
  {
    name: 'two files with one chain',
    codes: ['fat.cross-linked'],
    apply: ({ path, fileA, fileB }) => setFirst(path, fileB, fileA.firstEntry),
  },
  {
    name: 'a chain that runs into another',
    codes: ['fat.cross-linked'],
    apply: ({ path, fileA, fileB }) => setFatEntry(path, fileB.firstEntry, fatEntry(path, fileA.firstEntry)),
  },
  {
    name: 'a chain into a free cluster',
    codes: ['fat.chain-free'],
    apply: ({ path, fileA, clusterCount }) => setFatEntry(path, fileA.firstEntry, clusterCount + 1),
  },
  {
    name: 'a file whose first cluster is free',
    codes: ['fat.chain-free'],
    apply: ({ path, fileA, clusterCount }) => setFirst(path, fileA, Math.min(clusterCount - 7, 65000)),
  },
  {
    name: 'a chain into a bad cluster',
    codes: ['fat.chain-bad'],
    apply: ({ path, fileA }) => setFatEntry(path, fatEntry(path, fileA.firstEntry), BAD),
  },
  {
    name: 'a chain out of the volume',
    codes: ['fat.chain-range'],
    apply: ({ path, fileA, clusterCount }) => setFatEntry(path, fileA.firstEntry, clusterCount + 2),
  },
  {
    name: 'a chain that goes on in entry 1',
    codes: ['fat.chain-range'],
    apply: ({ path, fileA }) => setFatEntry(path, fileA.firstEntry, 1),
  },
  {
    name: 'a file that begins in entry 1',
    codes: ['fat.chain-range'],
    apply: ({ path, fileA }) => setFirst(path, fileA, 1),
    silent: 'it dies of it',
  },
  {
    name: 'a chain shorter than the file',
    codes: ['fat.chain-length'],
    apply: ({ path, fileA }) => setFatEntry(path, fileA.firstEntry, END),
  },
  {
    name: 'a chain longer than the file',
    codes: ['fat.chain-length'],
    apply: ({ path, fileA }) => setSize(path, fileA, 1),
  },
  {
    name: 'an empty file with a chain',
    codes: ['fat.chain-length'],
    apply: ({ path, fileA }) => setSize(path, fileA, 0),
  },
  {
    name: 'a size without a chain',
    codes: ['fat.chain-length'],
    apply: ({ path, empty }) => setSize(path, empty, 700),
  },
  {
    name: 'FATs that differ in a free entry',
    codes: ['fat.tables-differ'],
    apply: ({ path, clusterCount }) => setFatEntry(path, clusterCount - 3, END, { tables: [1] }),
  },
  {
    name: 'FATs that differ in their last entry',
    codes: ['fat.tables-differ'],
    apply: ({ path, clusterCount }) => setFatEntry(path, clusterCount + 1, 5, { tables: [1] }),
  },
  {
    name: 'FATs that differ in their first entry',
    codes: ['fat.tables-differ'],
    apply: ({ path }) => setFatEntry(path, 2, 9, { tables: [1] }),
  },
  {
    name: 'a folder in itself',
    codes: ['fat.cross-linked'],
    apply: ({ path, folder, inner }) => setFirst(path, inner, folder.firstEntry),
  },
  {
    name: 'a folder without a cluster',
    codes: ['fat.no-cluster'],
    apply: ({ path, folder }) => setFirst(path, folder, 0),
  },
  {
    name: 'a folder with a size',
    codes: ['fat.folder-length'],
    apply: ({ path, folder }) => setSize(path, folder, 512),
  },
  {
    name: '`.` that leads elsewhere',
    codes: ['fat.dot-entry'],
    apply: ({ path, folder, fileA, at }) => put16(path, at(folder.firstEntry) + 26, fileA.firstEntry),
  },
  {
    name: '`..` that leads elsewhere',
    codes: ['fat.dot-entry'],
    apply: ({ path, folder, fileA, at }) => put16(path, at(folder.firstEntry) + 32 + 26, fileA.firstEntry),
  },
  {
    name: 'a folder without `.` and `..`',
    codes: ['fat.dot-entry'],
    apply: ({ path, folder, at }) => {
      patchBytes(path, at(folder.firstEntry), Uint8Array.of(0xe5));
      patchBytes(path, at(folder.firstEntry) + 32, Uint8Array.of(0xe5));
    },
  },
  {
    name: 'a name with a control character',
    codes: ['fat.short-name'],
    apply: ({ path, fileA }) => patchBytes(path, fileA.position + 1, Uint8Array.of(0x07)),
  },
  {
    name: 'a name with a reserved character in its extension',
    codes: ['fat.short-name'],
    apply: ({ path, fileA }) => patchBytes(path, fileA.position + 9, Buffer.from('*')),
  },
  {
    name: 'a name with a blank in front',
    codes: ['fat.short-name'],
    apply: ({ path, fileA }) => patchBytes(path, fileA.position, Buffer.from(' ')),
    silent: 'it lets it pass',
  },
  {
    name: 'a long name with a reserved character',
    codes: ['fat.long-name'],
    // LDIR_Name1 of the part in front of the short entry, which is the first of the name.
    apply: ({ path, folder }) => put16(path, folder.position - 32 + 1 + 2, 0x2a),
    silent: 'it does not look into long names',
  },
];

/** What a person need not be told of: nothing is lost or changed by it in an image. */
export const HARMLESS: readonly Damage[] = [
  {
    name: 'a name with a blank in it',
    codes: [],
    apply: ({ path, fileA }) => patchBytes(path, fileA.position + 1, Buffer.from(' ')),
  },
  {
    name: 'clusters that no name leads to',
    codes: [],
    apply: ({ path, clusterCount }) => setFatEntry(path, clusterCount - 3, END),
  },
  {
    name: 'a long name whose checksum does not fit the short one',
    codes: [],
    apply: ({ path, folder }) => patchBytes(path, folder.position - 32 + 13, Uint8Array.of(0)),
  },
  {
    name: 'first entries of the FATs that differ',
    codes: [],
    apply: ({ path }) => setFatEntry(path, 0, 0xff0, { tables: [1] }),
  },
];

export const locate = (path: string): Subject => {
  const device = openFile(path);
  try {
    const volume = new FatVolume(device);
    const entries = [...readDirectory(volume, rootFolder(volume))];
    const named = (name: string): DirectoryEntry => entries.find((entry) => entry.name === name)!;
    const folder = named('folder of files');
    const inner = [
      ...readDirectory(volume, { first: volume.clusterOf(folder.firstEntry), path: '/folder' }),
    ].find((entry) => entry.name === 'inner')!;
    const { data, clusterSize, clusterCount } = placesOf(path);
    return {
      path,
      fileA: named('FILEA.BIN'),
      fileB: named('FILEB.BIN'),
      empty: named('EMPTY.BIN'),
      folder,
      inner,
      clusterCount,
      at: (entry) => data + (entry - 2) * clusterSize,
    };
  } finally {
    device.close();
  }
};

export const soundVolume = (cleanup: Cleanup, options: (typeof TYPES)[number]): string => {
  const path = makeFat(join(temporaryFolder(cleanup), 'volume'), { ...options, serial: FAT_SERIAL });
  const from = temporaryFolder(cleanup);
  const file = (name: string, size: number): string => {
    writeFileSync(join(from, name), Buffer.alloc(size, name));
    return join(from, name);
  };
  mtools('mmd', path, ['::/folder of files', '::/folder of files/inner']);
  mtools('mcopy', path, [
    file('FILEA.BIN', 20 * KIB),
    file('FILEB.BIN', 30 * KIB),
    file('EMPTY.BIN', 0),
    '::/',
  ]);
  populateFat(cleanup, path, { entries: 10, largest: 20 * KIB });
  return path;
};
