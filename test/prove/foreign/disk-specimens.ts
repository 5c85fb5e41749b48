import { truncateSync } from 'node:fs';
import { MIB } from '../../../rescue/units.ts';
import { patchBytes } from '../../fs/fat/patching.ts';
import { makeFat } from '../../fs/fat/volumes.ts';
import { makeNtfs } from '../../fs/ntfs/volumes.ts';
import { type DiskOptions, makeDisk } from '../../support/disk.ts';
import { noiseSource } from '../../support/noise.ts';
import { mustRun } from '../../support/run.ts';
import { makeFile, makeVolume } from '../../support/volume.ts';
import type { Collection, Make, Specimen } from './specimen.ts';

/** Whole disks with several volumes, sound and damaged; and files in which there is no volume at all. */

const SIZE = 96 * MIB;

const disk =
  (table: DiskOptions['table']): Make =>
  (cleanup, path) => {
    const [ext, fat, ntfs] = makeDisk(cleanup, path, {
      size: SIZE,
      table,
      partitions: [
        { start: MIB, size: 24 * MIB },
        { size: 24 * MIB, type: table === 'gpt' ? 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7' : '0e' },
        { size: 24 * MIB, type: table === 'gpt' ? 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7' : '07' },
      ],
    });
    makeVolume(path, { size: ext!.size, offset: ext!.start, blockSize: 1024 });
    makeFat(path, { size: fat!.size, offset: fat!.start, bits: 16, hidden: fat!.start / 512 });
    const volume = `${path}.ntfs`;
    makeNtfs(volume, { size: ntfs!.size, hidden: ntfs!.start / 512 });
    mustRun('dd', [
      `if=${volume}`,
      `of=${path}`,
      'bs=1M',
      'conv=notrunc,sparse',
      `seek=${ntfs!.start / MIB}`,
      'status=none',
    ]);
    mustRun('rm', [volume]);
  };

const whole =
  (make: (path: string) => void): Make =>
  (_cleanup, path) =>
    make(path);

const ODD: Readonly<Record<string, Make>> = {
  'zeros only': whole((path) => void makeFile(path, 8 * MIB)),
  'noise only': whole((path) => {
    makeFile(path, 4 * MIB);
    patchBytes(path, 0, noiseSource('nothing')(4 * MIB));
  }),
  'an empty file': whole((path) => void makeFile(path, 0)),
  'a swap partition': whole((path) => {
    makeFile(path, 8 * MIB);
    mustRun('mkswap', [path]);
  }),
  'a table of partitions that are empty': (cleanup, path) => {
    makeDisk(cleanup, path, { size: 32 * MIB, table: 'gpt', partitions: [{ size: 8 * MIB }, {}] });
  },
};

const BASES: Readonly<Record<string, Make>> = { 'GPT disk': disk('gpt'), 'MBR disk': disk('mbr'), ...ODD };

const DAMAGED: readonly (readonly [name: string, base: string, damage: (path: string) => void])[] = [
  ['sound', 'GPT disk', () => {}],
  ['sound', 'MBR disk', () => {}],
  ['the first GPT header lost', 'GPT disk', (path) => patchBytes(path, 512, new Uint8Array(512))],
  [
    'both GPT headers damaged',
    'GPT disk',
    (path) => {
      for (const at of [512, SIZE - 512]) patchBytes(path, at + 20, noiseSource('header')(40));
    },
  ],
  ['cut short in the last partition', 'MBR disk', (path) => truncateSync(path, 60 * MIB)],
  [
    'partitions that overlap',
    'MBR disk',
    (path) => patchBytes(path, 446 + 16 + 8, Uint8Array.of(0, 8, 0, 0)),
  ],
];

export const DISK_SPECIMENS: Collection = {
  bases: BASES,
  specimens: [
    ...Object.keys(ODD).map((base): Specimen => ({ kind: 'no volume at all', name: base, base })),
    ...DAMAGED.map(
      ([name, base, damage]): Specimen => ({
        kind: 'whole disks',
        name: `${base}: ${name}`,
        base,
        damage,
      }),
    ),
  ],
};
