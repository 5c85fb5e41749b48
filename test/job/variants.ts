import { closeSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { KIB, MIB } from '../../rescue/units.ts';
import { noiseSource } from '../support/noise.ts';
import type { PopulateOptions } from '../support/populate.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../support/volume.ts';
import { wholeCycle } from './cycle.ts';
import { fillStage, type Stage } from './stage.ts';

/** A way to make an ext volume, and what lies in it. */
export interface Variant extends Partial<VolumeOptions> {
  /** As after `mount -o` for the mounts that write. */
  readonly mount?: readonly string[];
  readonly tree?: PopulateOptions;
  /** Adds to the mounted volume. */
  readonly fill?: (top: string) => void;
  /** Changes the volume when everything is in it and nothing mounted. */
  readonly afterwards?: (path: string) => void;
  /** dumpe2fs must say this of the volume that is imaged, so that the variant is what its name says. */
  readonly says?: RegExp;
  /** Extents that the container must have at least. */
  readonly extents?: number;
}

/** Takes all free space, in one file that packs well. */
const fillUp = (path: string): void => {
  const handle = openSync(path, 'w');
  const words = Buffer.alloc(64 * KIB, 'sand and salt and foam ');
  try {
    for (;;) writeSync(handle, words);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(handle);
  }
};

/** Leaves thousands of free pieces of 4 KiB (some a little longer) and next to no other free space. */
export const shatter =
  (pieces: number) =>
  (top: string): void => {
    // What does not pack decides how large the image becomes.
    writeFileSync(join(top, 'noise'), noiseSource('noise')(5 * MIB));
    const block = Buffer.alloc(4 * KIB, 'kelp ');
    const made: string[] = [];
    for (let index = 0; index < pieces * 2; index += 1) {
      const path = join(top, `piece ${index}`);
      writeFileSync(path, block);
      made.push(path);
    }
    mustRun('sync', ['--file-system', top]);
    fillUp(join(top, 'filler'));
    mustRun('sync', ['--file-system', top]);
    for (let index = 0; index < made.length; index += 2) rmSync(made[index]!);
  };

/** More entries than one level of an index holds at 1 KiB blocks. */
const manyInRoot =
  (count: number) =>
  (top: string): void => {
    for (let index = 0; index < count; index += 1)
      writeFileSync(join(top, `an entry of the root folder, number ${index}`), '');
  };

const largeAttribute = (top: string): void => {
  const path = join(top, 'tree', 'attributes', 'in an inode of its own');
  writeFileSync(path, 'ea_inode\n');
  const value = noiseSource('attribute')(9000).toString('base64').slice(0, 9000);
  mustRun('setfattr', ['-n', 'user.large', '-v', value, path]);
};

/** The kernel reads version 2 but never chooses it: version 3 with metadata_csum, version 1 where asked for. */
const journalVersion2 = (path: string): void => {
  mustRun('debugfs', ['-w', '-f', '-', path], { input: 'journal_open -c -v 2\njournal_close\n' });
};

export const LAYOUTS: Readonly<Record<string, Variant>> = {
  'ext4, two groups': { size: 160 * MIB, mount: ['noinit_itable'], says: /metadata_csum/ },
  'ext4, 1 KiB blocks': { blockSize: 1024, says: /Block size: +1024/ },
  'ext4, 2 KiB blocks': { blockSize: 2048, says: /Block size: +2048/ },
  'ext4, 4 KiB blocks': { blockSize: 4096, says: /Block size: +4096/ },
  'ext2, 1 KiB blocks': { type: 'ext2', blockSize: 1024 },
  'ext2, 4 KiB blocks': { type: 'ext2', blockSize: 4096 },
  'ext2 without any feature': { type: 'ext2', blockSize: 1024, features: ['none'] },
  'ext3, 1 KiB blocks': { type: 'ext3', blockSize: 1024 },
  'ext3, 4 KiB blocks': { type: 'ext3', blockSize: 4096 },
  meta_bg: {
    size: 100 * MIB,
    blockSize: 1024,
    features: ['meta_bg', '^resize_inode'],
    says: /meta_bg/,
  },
  'no flex_bg': { size: 64 * MIB, blockSize: 1024, features: ['^flex_bg'] },
  'no 64bit': { features: ['^64bit'], says: /^(?!.*64bit)Filesystem features/m },
  'groups never used': {
    size: 160 * MIB,
    blockSize: 1024,
    extended: ['lazy_itable_init=1', 'lazy_journal_init=1'],
    mount: ['noinit_itable'],
    says: /BLOCK_UNINIT/,
  },
  'groups never used, no flex_bg': {
    size: 160 * MIB,
    blockSize: 1024,
    features: ['^flex_bg'],
    extended: ['lazy_itable_init=1'],
    mount: ['noinit_itable'],
    says: /INODE_UNINIT, BLOCK_UNINIT/,
  },
  sparse_super2: {
    size: 64 * MIB,
    blockSize: 1024,
    features: ['sparse_super2', '^resize_inode'],
    says: /sparse_super2/,
  },
  'bigalloc, clusters of 64 KiB': { size: 200 * MIB, features: ['bigalloc'], says: /Cluster size: +65536/ },
  'bigalloc, clusters of 1 MiB, larger than a slot': {
    size: 320 * MIB,
    features: ['bigalloc'],
    more: ['-C', String(MIB)],
    tree: { size: MIB, entries: 40 },
    says: /Cluster size: +1048576/,
  },
  'bigalloc, 1 KiB blocks, clusters of 8 KiB': {
    size: 64 * MIB,
    blockSize: 1024,
    features: ['bigalloc'],
    more: ['-C', '8192'],
  },
  'indexed root folder': { fill: manyInRoot(3000), more: ['-N', '8192'] },
  'indexed root folder of two levels': {
    blockSize: 1024,
    more: ['-N', '16384'],
    fill: manyInRoot(9000),
  },
};

export const FEATURES: Readonly<Record<string, Variant>> = {
  'no journal': { features: ['^has_journal'] },
  'no journal, 1 KiB blocks': { blockSize: 1024, features: ['^has_journal'] },
  'no journal, no checksums': { features: ['^has_journal', '^metadata_csum', '^uninit_bg'] },
  'journal checksums v1': {
    features: ['^metadata_csum'],
    mount: ['journal_checksum'],
    says: /Journal features: .*journal_checksum/,
  },
  'journal checksums v2': {
    features: ['64bit', 'metadata_csum'],
    afterwards: journalVersion2,
    says: /Journal features: .*journal_checksum_v2/,
  },
  'journal checksums v3': {
    features: ['64bit', 'metadata_csum'],
    says: /Journal features: .*journal_64bit journal_checksum_v3/,
  },
  'no metadata_csum, no uninit_bg': { features: ['^metadata_csum', '^uninit_bg'] },
  'uninit_bg only': { features: ['^metadata_csum', 'uninit_bg'], says: /uninit_bg/ },
  metadata_csum_seed: { features: ['metadata_csum_seed'], says: /metadata_csum_seed/ },
  orphan_file: { features: ['orphan_file'], says: /orphan_file/ },
  inline_data: { features: ['inline_data'], says: /inline_data/ },
  'inline_data, large inodes': { features: ['inline_data'], more: ['-I', '1024'] },
  ea_inode: { features: ['ea_inode'], fill: largeAttribute, says: /ea_inode/ },
  'inodes of 128 bytes': { more: ['-I', '128'] },
  fast_commit: { features: ['fast_commit'], says: /fast_commit/ },
  large_dir: { features: ['large_dir'], says: /large_dir/ },
  'ext4 with block maps': { features: ['^extent', '^64bit'] },
  'container in thousands of extents': {
    size: 64 * MIB,
    more: ['-N', '16384'],
    fill: shatter(4000),
    extents: 1000,
  },
  'container in thousands of extents, block map': {
    size: 64 * MIB,
    type: 'ext3',
    blockSize: 1024,
    more: ['-N', '16384'],
    fill: shatter(4000),
    extents: 1500,
  },
};

/** Makes and fills the volume of a variant. */
export const stageOf = (t: ExecutionContext, variant: Variant) => {
  const {
    mount,
    tree,
    fill,
    afterwards,
    says,
    extents: _,
    size = 48 * MIB,
    blockSize = 4096,
    ...volume
  } = variant;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize, label: 'kelp', ...volume });
  const stage: Stage = { file, start: 0, size, ...(mount === undefined ? {} : { mount }) };
  const filled = fillStage(t, stage, tree, fill);
  afterwards?.(file);
  if (says !== undefined) t.regex(mustRun('dumpe2fs', [file]).stdout, says);
  return { stage, tree: filled };
};

/** The whole cycle on one variant. */
export const variantCycle = async (t: ExecutionContext, variant: Variant): Promise<void> => {
  const { image } = await wholeCycle(t, stageOf(t, variant));
  if (variant.extents !== undefined)
    t.true(image.extents.length >= variant.extents, `${image.extents.length}`);
};
