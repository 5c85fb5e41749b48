import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryDevice } from '../../../../rescue/device/memory.ts';
import { extDriver } from '../../../../rescue/fs/ext/ext.ts';
import { KIB, MIB } from '../../../../rescue/units.ts';
import { edited, freeRuns, NOTHING, scattered, TIME } from '../../../fs/editing.ts';
import type { Cleanup } from '../../../support/cleanup.ts';
import { temporaryFolder } from '../../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../../support/volume.ts';
import type { DiskSeed } from '../disk-parser.ts';
import type { Target } from '../target.ts';
import { extPlaces } from './ext-places.ts';
import { volumeParser } from './volume-reading.ts';

/** Few inodes: each input reads all of them. */
const FEW = ['-N', '48'];

const VOLUMES: Readonly<Record<string, Partial<VolumeOptions>>> = {
  ext2: { type: 'ext2', size: 320 * KIB },
  'ext4 without a journal': { size: 384 * KIB, features: ['^has_journal', '^resize_inode'] },
  'ext4 with a journal': { size: 2560 * KIB, features: ['64bit'], more: [...FEW, '-J', 'size=1'] },
  'ext4 without checksums': {
    size: 384 * KIB,
    features: ['^has_journal', '^resize_inode', '^metadata_csum', '^uninit_bg'],
  },
};

/** What mke2fs copies into the new volume: a folder in a tree, a file with holes, links, a container. */
const content = (cleanup: Cleanup): string => {
  const folder = temporaryFolder(cleanup);
  const many = join(folder, 'many');
  mkdirSync(many);
  // Each name is long, so that few of them fill blocks.
  for (let index = 0; index < 14; index += 1) symlinkSync('target', join(many, `${index}`.padEnd(220, 'n')));
  symlinkSync('x'.repeat(90), join(folder, 'long link'));
  writeFileSync(join(folder, 'small'), 'inline');
  writeFileSync(join(folder, 'large'), new Uint8Array(20_000).fill(7));
  const holes = join(folder, 'holes');
  writeFileSync(holes, 'x');
  for (let index = 1; index < 7; index += 1) {
    truncateSync(holes, index * 8192);
    writeFileSync(holes, 'x', { flag: 'a' });
  }
  mkdirSync(join(folder, '.holdfast'));
  return folder;
};

const seedOf = (cleanup: Cleanup, name: string, options: Partial<VolumeOptions>, from: string): DiskSeed => {
  const path = makeVolume(join(temporaryFolder(cleanup), 'volume'), {
    size: MIB,
    blockSize: 1024,
    ...options,
    more: [...(options.more ?? FEW), '-d', from],
  });
  const device = MemoryDevice.of(readFileSync(path));
  // In so many pieces that its map takes a block of its own.
  const runs = scattered(freeRuns(extDriver, device), 30);
  edited(extDriver, device, (editor) =>
    extDriver.claim(editor, { name: 'a', runs, time: TIME, avoid: NOTHING }),
  );
  return { name, bytes: device.read(0, device.size), places: extPlaces(device), numbers: [8192, 1024, 48] };
};

export const EXT_TARGET: Target = {
  name: 'ext',
  covers: 'ext2, ext4: superblock, groups, inodes, maps, folders, attributes, journal; claim and release',
  open: (cleanup) => {
    const from = content(cleanup);
    const seeds = Object.entries(VOLUMES).map(([name, options]) => seedOf(cleanup, name, options, from));
    return volumeParser(extDriver, seeds);
  },
};
