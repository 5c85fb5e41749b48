import { truncateSync } from 'node:fs';
import { MIB } from '../../../rescue/units.ts';
import { populateFat } from '../../fs/fat/content.ts';
import { DAMAGES, HARMLESS, locate, soundVolume, TYPES } from '../../fs/fat/damages.ts';
import {
  bytesAt,
  fatEntry,
  forgetFreeCount,
  markBad,
  patchBytes,
  placesOf,
  setFatEntry,
  setNextFree,
  shorten,
} from '../../fs/fat/patching.ts';
import { makeFatVariant } from '../../fs/fat/variants.ts';
import { type FatOptions, makeFat } from '../../fs/fat/volumes.ts';
import { duplicate } from '../../support/duplicate.ts';
import { noiseSource } from '../../support/noise.ts';
import { makeFile } from '../../support/volume.ts';
import type { Collection, Dice, Make, Specimen } from './specimen.ts';

/** FAT volumes as nobody wants them, by patching bytes: no program at hand makes such. */

const sound =
  (type: (typeof TYPES)[number]): Make =>
  (cleanup, path) => {
    duplicate(soundVolume(cleanup, type), path);
  };

const odd =
  (
    options: FatOptions & {
      readonly bad?: number;
      readonly fullRoot?: boolean;
      readonly shortenedTo?: number;
    },
  ): Make =>
  (cleanup, path) => {
    makeFatVariant(cleanup, path, { name: 'odd', content: { entries: 20, largest: 60_000 }, ...options });
  };

const ODD: Readonly<Record<string, Make>> = {
  'one FAT, FAT12': odd({ size: 6 * MIB, bits: 12, sectorsPerCluster: 4, tables: 1 }),
  'bad clusters, FAT16': odd({ size: 16 * MIB, bits: 16, sectorsPerCluster: 4, bad: 10 }),
  'full root folder, FAT16': odd({
    size: 16 * MIB,
    bits: 16,
    sectorsPerCluster: 4,
    rootEntries: 16,
    fullRoot: true,
  }),
  'sectors of 4096 bytes, FAT16': odd({ size: 64 * MIB, bits: 16, sectorSize: 4096, sectorsPerCluster: 1 }),
  'mirroring off, second FAT in use': odd({ size: 40 * MIB, bits: 32, sectorsPerCluster: 1, active: 1 }),
  'FAT32 with few clusters': odd({ size: 40 * MIB, bits: 32, sectorsPerCluster: 1, shortenedTo: 12 * MIB }),
  'wrong hidden sectors': odd({ size: 16 * MIB, bits: 16, sectorsPerCluster: 2, hidden: 12345 }),
  'clusters of 64 KiB': odd({ size: 64 * MIB, bits: 12, sectorSize: 512, sectorsPerCluster: 128 }),
  'not aligned': odd({ size: 80 * MIB, bits: 32, sectorsPerCluster: 2, aligned: false }),
  'a floppy disk': (cleanup, path) => {
    makeFat(path, { size: 1440 * 1024, bits: 12, aligned: false });
    populateFat(cleanup, path, { entries: 5, largest: 20_000 });
  },
};

const BASES: Readonly<Record<string, Make>> = {
  FAT12: sound(TYPES[0]),
  FAT16: sound(TYPES[1]),
  FAT32: sound(TYPES[2]),
  ...ODD,
};
type Bits = 'FAT12' | 'FAT16' | 'FAT32';
const ALL: readonly Bits[] = ['FAT12', 'FAT16', 'FAT32'];

const bytes =
  (offset: number, ...values: readonly number[]) =>
  (path: string): void =>
    patchBytes(path, offset, Uint8Array.from(values));

/** FSInfo (fatgen103): free clusters at 488, the next free one at 492, signatures at 0, 484 and 508. */
const inFsInfo =
  (offset: number, value: number) =>
  (path: string): void => {
    const sector = bytesAt(path, 48, 2).readUInt16LE();
    const field = Buffer.alloc(4);
    field.writeUInt32LE(value);
    patchBytes(path, sector * placesOf(path).sectorSize + offset, field);
  };

/** Clears bits of FAT[1] in all FATs. */
const clearInSecond =
  (mask: number) =>
  (path: string): void =>
    setFatEntry(path, 1, fatEntry(path, 1) & ~mask);

const atEntryOf =
  (which: 'fileA' | 'fileB' | 'folder', within: number, ...values: readonly number[]) =>
  (path: string): void =>
    patchBytes(path, locate(path)[which].position + within, Uint8Array.from(values));

/** In the folder of files, where it has entries enough. */
const inFolder =
  (within: number, ...values: readonly number[]) =>
  (path: string): void => {
    const { folder, at } = locate(path);
    patchBytes(path, at(folder.firstEntry) + within, Uint8Array.from(values));
  };

const lost =
  (count: number) =>
  (path: string): void => {
    const { clusterCount } = placesOf(path);
    for (let entry = clusterCount - count; entry < clusterCount; entry += 1)
      setFatEntry(path, entry, entry + 1);
    setFatEntry(path, clusterCount, 0x0fffffff);
    forgetFreeCount(path);
  };

type Row = readonly [
  kind: string,
  name: string,
  bases: readonly Bits[],
  damage: (path: string, dice: Dice) => void,
];
const DAMAGED: readonly Row[] = [
  ['lost clusters', 'a chain of 30 without a name', ALL, lost(30)],
  [
    'lost clusters',
    'a ring without a name',
    ['FAT16'],
    (path) => {
      lost(5)(path);
      const { clusterCount } = placesOf(path);
      setFatEntry(path, clusterCount, clusterCount - 5);
    },
  ],
  ['FSInfo', 'too many free clusters', ['FAT32'], inFsInfo(488, 70_000)],
  ['FSInfo', 'more free clusters than there are', ['FAT32'], inFsInfo(488, 0x7fffffff)],
  ['FSInfo', 'no free clusters', ['FAT32'], inFsInfo(488, 0)],
  ['FSInfo', 'not known', ['FAT32'], inFsInfo(488, 0xffffffff)],
  ['FSInfo', 'next free cluster outside of the volume', ['FAT32'], (path) => setNextFree(path, 0x0ffffff0)],
  ['FSInfo', 'without its signature', ['FAT32'], inFsInfo(484, 0)],
  ['FSInfo', 'in the boot sector', ['FAT32'], bytes(48, 0, 0)],
  [
    'state',
    'dirty, says the boot sector',
    ['FAT12', 'FAT16'],
    (path) => patchBytes(path, 37, Uint8Array.of(1)),
  ],
  ['state', 'dirty, says the boot sector', ['FAT32'], bytes(65, 1)],
  ['state', 'dirty, says the FAT', ['FAT16'], clearInSecond(0x8000)],
  ['state', 'dirty, says the FAT', ['FAT32'], clearInSecond(0x08000000)],
  ['state', 'read errors, says the FAT', ['FAT32'], clearInSecond(0x04000000)],
  ['state', 'both', ['FAT16'], clearInSecond(0xc000)],
  ['media byte', 'another in the boot sector than in the FAT', ALL, bytes(21, 0xf0)],
  ['media byte', 'none that there is', ['FAT16', 'FAT32'], bytes(21, 0x12)],
  [
    'boot sector',
    'backup differs',
    ['FAT32'],
    (path) => patchBytes(path, 6 * 512 + 100, noiseSource('boot')(50)),
  ],
  ['boot sector', 'backup lost', ['FAT32'], (path) => patchBytes(path, 6 * 512, new Uint8Array(512))],
  ['boot sector', 'no backup, says the first', ['FAT32'], bytes(50, 0, 0)],
  ['boot sector', 'lost, backup is there', ['FAT32'], (path) => patchBytes(path, 0, new Uint8Array(512))],
  ['boot sector', 'no signature at its end', ALL, bytes(510, 0, 0)],
  ['boot sector', 'no jump at its beginning', ALL, bytes(0, 0, 0, 0)],
  ['boot sector', 'a name of nonsense', ALL, (path) => patchBytes(path, 3, noiseSource('oem')(8))],
  [
    'boot sector',
    'boot code of nonsense',
    ['FAT16'],
    (path) => patchBytes(path, 62, noiseSource('code')(448)),
  ],
  ['boot sector', 'sectors of no bytes', ['FAT16'], bytes(11, 0, 0)],
  ['boot sector', 'clusters of no sectors', ['FAT12'], bytes(13, 0)],
  ['boot sector', 'clusters of three sectors', ['FAT32'], bytes(13, 3)],
  ['boot sector', 'no reserved sectors', ['FAT16'], bytes(14, 0, 0)],
  ['boot sector', 'no FAT', ['FAT12'], bytes(16, 0)],
  ['boot sector', 'three FATs', ['FAT16'], bytes(16, 3)],
  ['boot sector', 'FATs that are too short', ['FAT16'], bytes(22, 2, 0)],
  ['boot sector', 'the root outside of the volume', ['FAT32'], bytes(44, 0xff, 0xff, 0xff, 0)],
  ['boot sector', 'a version of its own', ['FAT32'], bytes(42, 1, 1)],
  [
    'boot sector',
    'the wrong type by name',
    ['FAT16', 'FAT32'],
    (path) => patchBytes(path, placesOf(path).bits === 32 ? 82 : 54, Buffer.from('FAT12   ')),
  ],
  ['boot sector', 'hidden sectors of nonsense', ['FAT32'], bytes(28, 0xff, 0xff, 0xff, 0xff)],
  ['long names', 'a part of a name that begins nowhere', ['FAT16', 'FAT32'], inFolder(64, 0x43)],
  [
    'long names',
    'an order that cannot be',
    ['FAT12'],
    (path) => {
      const { folder } = locate(path);
      patchBytes(path, folder.position - 32, Uint8Array.of(0x41 + 20));
    },
  ],
  ['entries', 'times that there are not', ALL, atEntryOf('fileA', 14, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
  ['entries', 'time of the change is not there', ['FAT32'], atEntryOf('fileB', 22, 0xff, 0xff, 0xff, 0xff)],
  ['entries', 'attributes that nobody knows', ['FAT16'], atEntryOf('fileA', 11, 0xe0)],
  ['entries', 'a file that is a volume label', ALL, atEntryOf('fileA', 11, 0x08)],
  ['entries', 'a folder that is a file', ['FAT16'], atEntryOf('folder', 11, 0x20)],
  ['entries', 'a file that is a folder', ['FAT32'], atEntryOf('fileA', 11, 0x10)],
  [
    'entries',
    'two files with one name',
    ALL,
    (path) => patchBytes(path, locate(path).fileB.position, Buffer.from('FILEA   BIN')),
  ],
  [
    'entries',
    'lower case in a short name',
    ['FAT16'],
    (path) => patchBytes(path, locate(path).fileB.position, Buffer.from('fileb   bin')),
  ],
  ['entries', 'flags of lower case that nobody knows', ['FAT32'], atEntryOf('fileA', 12, 0xff)],
  ['entries', 'the upper half of a cluster number on FAT16', ['FAT16'], atEntryOf('fileA', 20, 0x34, 0x12)],
  ['entries', 'the upper half of a cluster number', ['FAT32'], atEntryOf('fileA', 20, 0x34, 0x12)],
  [
    'entries behind the end of the root',
    'right behind it, as Linux shows them',
    ALL,
    (path) => patchBytes(path, locate(path).fileA.position, Uint8Array.of(0)),
  ],
  [
    'entries behind the end of the root',
    'far behind it, of nonsense',
    ALL,
    (path) => patchBytes(path, placesOf(path).root + 14 * 32, noiseSource('behind')(32)),
  ],
  [
    'FAT entries',
    'upper four bits set',
    ['FAT32'],
    (path) => {
      const { tables } = placesOf(path);
      for (const table of tables)
        for (const entry of [5, 9, 900]) patchBytes(path, table + entry * 4 + 3, Uint8Array.of(0xa0));
    },
  ],
  [
    'FAT entries',
    'reserved numbers at the end of chains',
    ['FAT16'],
    (path) => {
      for (let entry = 2; entry < 2000; entry += 1)
        if (fatEntry(path, entry) === 0xffff) setFatEntry(path, entry, 0xfff8);
    },
  ],
  [
    'FAT entries',
    'behind the last cluster',
    ['FAT16', 'FAT32'],
    (path) => {
      const { tables, tableLength } = placesOf(path);
      for (const table of tables) patchBytes(path, table + tableLength - 2, Uint8Array.of(0x77, 0x07));
    },
  ],
  [
    'FAT entries',
    'the first FAT lost',
    ['FAT16'],
    (path) => {
      const { tables, tableLength } = placesOf(path);
      patchBytes(path, tables[0]!, new Uint8Array(tableLength));
    },
  ],
  [
    'FAT entries',
    'both FATs lost',
    ['FAT12'],
    (path) => {
      const { tables, tableLength } = placesOf(path);
      for (const table of tables) patchBytes(path, table, new Uint8Array(tableLength));
    },
  ],
  ['bad clusters', 'a few in free space', ['FAT12', 'FAT32'], (path) => void markBad(path, 12)],
  [
    'resized',
    'in a file that is larger',
    ['FAT16'],
    (path) => {
      makeFile(path, 12 * MIB);
    },
  ],
  ['resized', 'made smaller', ['FAT32'], (path) => shorten(path, 24 * MIB)],
  ['cut short', 'one sector is missing', ALL, (path) => truncateSync(path, placesOf(path).size - 512)],
  ['cut short', 'the second half is missing', ['FAT16'], (path) => truncateSync(path, 4 * MIB)],
];

const named = ([kind, name, bases, damage]: Row): Specimen[] =>
  bases.map((base) => ({ kind: `FAT: ${kind}`, name: `${base}: ${kind}: ${name}`, base, damage }));

/** Flips a few bits in boot sector, FATs and root, wherever they fall. */
const chance = (path: string, dice: Dice): void => {
  for (let flips = 1 + dice(3); flips > 0; flips -= 1) {
    const { tables, root } = placesOf(path);
    const [from, length] = (
      [
        [0, 90],
        [tables[0]!, 400],
        [tables[1]!, 400],
        [root, 600],
      ] as const
    )[dice(4)]!;
    const at = from + dice(length);
    const [byte] = bytesAt(path, at, 1);
    patchBytes(path, at, Uint8Array.of(byte! ^ (1 << dice(8))));
  }
};

export const FAT_SPECIMENS: Collection = {
  bases: BASES,
  specimens: [
    ...Object.keys(ODD).map(
      (base): Specimen => ({ kind: 'FAT: unusual layouts', name: `FAT: ${base}`, base }),
    ),
    ...DAMAGED.flatMap(named),
    ...[...DAMAGES, ...HARMLESS].map(({ name, apply }, index): Specimen => {
      const base = ALL[index % ALL.length]!;
      return {
        kind: 'FAT: contradictions that the check knows',
        name: `${base}: ${name}`,
        base,
        damage: (path) => apply(locate(path)),
      };
    }),
    ...ALL.flatMap((base) =>
      Array.from(
        { length: 4 },
        (_, index): Specimen => ({
          kind: 'FAT: bits flipped by chance',
          name: `${base}: bits flipped by chance, ${index + 1}`,
          base,
          damage: chance,
        }),
      ),
    ),
  ],
};
