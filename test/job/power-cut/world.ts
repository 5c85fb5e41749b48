import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../../rescue/device/device.ts';
import { Guard } from '../../../rescue/device/guard.ts';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import type { Image } from '../../../rescue/image/image.ts';
import type { JobContext } from '../../../rescue/job/context.ts';
import { type Created, createInPartition } from '../../../rescue/job/create.ts';
import { settle } from '../../../rescue/job/settle.ts';
import type { PartitionAccess } from '../../../rescue/job/volume.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { type FatOptions, makeFat } from '../../fs/fat/volumes.ts';
import { type MakeOptions, makeNtfs } from '../../fs/ntfs/volumes.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { noiseSource } from '../../support/noise.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';
import { type Contents, Court } from './court.ts';
import { FatCourt } from './fat-court.ts';
import { imagesOn } from './images.ts';
import type { Cut } from './medium.ts';
import { NtfsCourt } from './ntfs-court.ts';

/** The small volumes on which power is cut. */
export const VOLUMES = {
  'ext4 with a journal': { size: 16 * MIB, blockSize: 1024 },
  'ext4 without a journal': { size: 12 * MIB, blockSize: 1024, features: ['^has_journal'] },
  ext2: { size: 12 * MIB, type: 'ext2', blockSize: 1024 },
} as const satisfies Record<string, VolumeOptions>;

export const FAT_VOLUMES = {
  FAT12: { size: 12 * MIB, bits: 12, sectorsPerCluster: 8 },
  FAT16: { size: 12 * MIB, bits: 16, sectorsPerCluster: 4 },
  FAT32: { size: 36 * MIB, bits: 32, sectorsPerCluster: 1 },
} as const satisfies Record<string, FatOptions>;

export const NTFS_VOLUMES = {
  NTFS: { size: 14 * MIB },
  'NTFS with clusters of 512 bytes': { size: 12 * MIB, clusterSize: 512 },
} as const satisfies Record<string, MakeOptions>;

export type VolumeName = keyof typeof VOLUMES | keyof typeof FAT_VOLUMES | keyof typeof NTFS_VOLUMES;
export const VOLUME_NAMES: readonly VolumeName[] = [
  ...(Object.keys(VOLUMES) as VolumeName[]),
  ...(Object.keys(FAT_VOLUMES) as VolumeName[]),
  ...(Object.keys(NTFS_VOLUMES) as VolumeName[]),
];

export const accessTo = (device: Device): PartitionAccess => ({
  device,
  diskOffset: 0,
  entry: undefined,
  disk: undefined,
  identity: { mapped: false },
});

export const makeImage = (
  context: JobContext,
  device: Device,
  kind: 'user' | 'factory',
  more: { readonly replaceFirst?: boolean; readonly minFree?: number } = {},
): Promise<Created> =>
  createInPartition(context, accessTo(device), {
    name: kind,
    kind,
    codec: { codec: 'zstd', level: 1 },
    keepOld: false,
    replaceFirst: more.replaceFirst ?? false,
    forceFactory: false,
    dryRun: false,
    minFree: more.minFree ?? 64 * KIB,
  });

/** Files of every kind of map, in a few folders. */
export const furnish = (folder: string): void => {
  const random = noiseSource('power cut');
  for (const name of ['etc', 'srv', 'srv/deep']) mkdirSync(join(folder, name));
  for (let index = 0; index < 30; index += 1) {
    const name = join(folder, ['.', 'etc', 'srv/deep'][index % 3]!, `file-${index}`);
    writeFileSync(name, index % 4 === 0 ? Buffer.alloc(index * 900, `${index} text `) : random(index * 700));
  }
  writeFileSync(join(folder, 'etc/empty'), '');
  symlinkSync('file-2', join(folder, 'srv/link'));
};

/** What the owner does between a cut and the next run: writes, appends, deletes, renames. */
export const ownersWork = (folder: string): void => {
  const random = noiseSource('owner');
  writeFileSync(join(folder, 'etc/new'), random(300 * KIB));
  writeFileSync(join(folder, 'file-3'), random(5000), { flag: 'a' });
  rmSync(join(folder, 'srv/deep/file-5'));
  mkdirSync(join(folder, 'srv/more'));
  writeFileSync(join(folder, 'srv/more/file'), 'more');
};

export interface World {
  readonly court: Court;
  readonly context: JobContext;
  /** A furnished volume with a factory image in it. */
  readonly device: MemoryDevice;
  readonly tree: Contents;
  readonly factory: Image;
}

export const isFat = (volume: VolumeName): volume is keyof typeof FAT_VOLUMES => volume in FAT_VOLUMES;

export const isNtfs = (volume: VolumeName): volume is keyof typeof NTFS_VOLUMES => volume in NTFS_VOLUMES;

/** A court with an empty volume in its scratch file. */
export const courtOf = (cleanup: Cleanup, volume: VolumeName): Court => {
  if (isFat(volume)) {
    const court = new FatCourt(cleanup);
    makeFat(court.path, FAT_VOLUMES[volume]);
    return court;
  }
  if (isNtfs(volume)) {
    const court = new NtfsCourt(cleanup);
    makeNtfs(court.path, NTFS_VOLUMES[volume]);
    return court;
  }
  const court = new Court(cleanup);
  makeVolume(court.path, VOLUMES[volume]);
  return court;
};

export const makeWorld = async (
  cleanup: Cleanup,
  context: JobContext,
  volume: VolumeName,
): Promise<World> => {
  const court = courtOf(cleanup, volume);
  const tree = court.own(furnish);
  const device = court.lift();
  await makeImage(context, device, 'factory');
  const [factory] = imagesOn(device);
  if (factory === undefined) throw new Error('there is no factory image');
  return { court, context, device, tree, factory };
};

/**
 * Everything that was there must be there after the file system's own repair, which stays in the scratch file; where that one does not reach,
 * and the cut tore a write apart, after our next run has ended what was begun.
 */
export const faultsOnceMended = async (
  { court, context, tree }: Pick<World, 'court' | 'context' | 'tree'>,
  { device, torn }: Cut,
): Promise<string[]> => {
  if (!court.needsUs(device)) return court.faultsWhenMended(device, tree);
  if (!torn) return ['whole writes left what nobody but us can mend'];
  const medium = device.snapshot();
  await settle(context, new Guard(medium), accessTo(medium));
  return court.faults(medium, tree);
};
