import { KIB, MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { type FatContent, populateFat } from './content.ts';
import { fillRoot, type Listed, treeByMtools } from './mtools.ts';
import { markBad, setActiveTable, shorten } from './patching.ts';
import { type FatOptions, makeFat } from './volumes.ts';

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
