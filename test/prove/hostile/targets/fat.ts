import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryDevice } from '../../../../rescue/device/memory.ts';
import { fatDriver } from '../../../../rescue/fs/fat/fat.ts';
import { openFat } from '../../../../rescue/fs/fat/filesystem.ts';
import {
  BOOT_SECTOR,
  DIRECTORY_ENTRY,
  EXTENDED_16,
  EXTENDED_32,
  FS_INFO,
  LONG_ENTRY,
} from '../../../../rescue/fs/fat/layout.ts';
import { FatVolume } from '../../../../rescue/fs/fat/volume.ts';
import { KIB, MIB } from '../../../../rescue/units.ts';
import { edited, freeRuns, NOTHING, scattered, TIME } from '../../../fs/editing.ts';
import { populateFat } from '../../../fs/fat/content.ts';
import { setActiveTable, shorten } from '../../../fs/fat/patching.ts';
import { type FatOptions, makeFat } from '../../../fs/fat/volumes.ts';
import type { Cleanup } from '../../../support/cleanup.ts';
import { temporaryFolder } from '../../../support/temporary.ts';
import type { DiskSeed } from '../disk-parser.ts';
import { bytesAt, type Place, placeOf } from '../places.ts';
import type { Target } from '../target.ts';
import { volumeParser } from './volume-reading.ts';

interface Small extends FatOptions {
  /** mkfs.fat makes FAT32 of a certain size only: the rest is cut off. */
  readonly shortenedTo?: number;
}

const VOLUMES: Readonly<Record<string, Small>> = {
  FAT12: { size: 360 * KIB, bits: 12, aligned: false, sectorsPerCluster: 2 },
  FAT16: { size: 3 * MIB, bits: 16, sectorsPerCluster: 1 },
  FAT32: { size: 40 * MIB, bits: 32, sectorsPerCluster: 1, shortenedTo: MIB },
  'FAT32, mirroring off': { size: 40 * MIB, bits: 32, sectorsPerCluster: 1, shortenedTo: MIB, active: 1 },
};

/** Entries of the FATs, and of each folder, that are looked at. */
const TABLE_BYTES = 512;
const FOLDER_ENTRIES = 16;

const placesOf = (device: MemoryDevice): Place[] => {
  const volume = new FatVolume(device);
  const { tables, root, clusterBase, fsInfo } = volume.parameters;
  const places: Place[] = [
    placeOf(BOOT_SECTOR, 0),
    placeOf(BOOT_SECTOR, 0),
    placeOf(volume.bits === 32 ? EXTENDED_32 : EXTENDED_16, 0),
  ];
  if (fsInfo !== undefined) places.push(placeOf(FS_INFO, fsInfo));
  const width = volume.bits === 32 ? 4 : volume.bits === 16 ? 2 : 1;
  const [first, ...copies] = tables;
  // All copies alike, as whoever writes them would leave them.
  const mirror: Place['seal'] = (draft) => {
    for (const copy of copies) draft.put(copy, Uint8Array.from(draft.view(first!, TABLE_BYTES)));
  };
  for (const table of tables) {
    const seal = table === first ? mirror : undefined;
    for (let at = 0; at < TABLE_BYTES; at += 64) places.push(bytesAt('FAT', table + at, 64, seal, width));
  }
  const folder = (at: number): void => {
    for (let entry = at; entry < at + FOLDER_ENTRIES * 32; entry += 32) {
      const isLong = device.read(entry + 11, 1)[0] === 0x0f;
      places.push(placeOf(isLong ? LONG_ENTRY : DIRECTORY_ENTRY, entry));
    }
  };
  if ('entry' in root) folder(clusterBase + (root.entry - 2) * volume.clusterSize);
  else folder(root.offset);
  for (const entry of openFat(device).walk())
    if (entry.type === 'directory' && entry.path !== '/')
      for (const { start } of entry.runs()) folder(clusterBase + start * volume.clusterSize);
  return places;
};

const seedOf = (cleanup: Cleanup, name: string, { active, shortenedTo, ...options }: Small): DiskSeed => {
  const path = makeFat(join(temporaryFolder(cleanup), 'volume'), options);
  populateFat(cleanup, path, { entries: 12, largest: 4 * KIB });
  if (shortenedTo !== undefined) shorten(path, shortenedTo);
  if (active !== undefined) setActiveTable(path, active);
  const device = MemoryDevice.of(readFileSync(path));
  const runs = scattered(freeRuns(fatDriver, device), 12);
  edited(fatDriver, device, (editor) =>
    fatDriver.claim(editor, { name: 'a', runs, time: TIME, avoid: NOTHING }),
  );
  const { clusterCount, clusterSize } = new FatVolume(device);
  const numbers = [
    clusterCount,
    clusterCount + 1,
    clusterCount + 2,
    clusterSize,
    0xfff7,
    0xffff,
    0xff7,
    0xfff,
    0xffffff7,
  ];
  return { name, bytes: device.read(0, device.size), places: placesOf(device), numbers };
};

export const FAT_TARGET: Target = {
  name: 'fat',
  covers: 'FAT12, FAT16, FAT32: boot sector, FSInfo, FATs, folders, long names; claim and release',
  open: (cleanup) => {
    const seeds = Object.entries(VOLUMES).map(([name, options]) => seedOf(cleanup, name, options));
    return volumeParser(fatDriver, seeds);
  },
};
