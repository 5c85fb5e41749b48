import { mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { KIB, MIB, type Run } from '../../../rescue/units.ts';
import { clustersByFsck, fsckFat } from '../../fs/fat/fsck.ts';
import { mtools } from '../../fs/fat/mtools.ts';
import { fatOwnersClusters } from '../../fs/fat/owners-clusters.ts';
import { forgetNextFree, placesOf } from '../../fs/fat/patching.ts';
import { ntfsOwnersClusters } from '../../fs/ntfs/owners-clusters.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { noiseSource } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { ownersClusters } from '../owners-clusters.ts';
import type { Contents, Court } from './court.ts';
import { furnish, isFat, isNtfs, type VolumeName } from './world.ts';

/**
 * A small volume on which the second image comes to lie where the first one has data: files fill a volume from below, images from
 * above. Room for the first one is left below a file `large`, and next to none above it; when `large` is gone, the second goes there.
 */

const ROOM = 2.5 * MIB;
const ABOVE = 200 * KIB;
const PIECE = 128 * KIB;

/** Clusters of the court's volume that are in use for anything but images. */
export const clustersOn = ({ path }: Court, volume: VolumeName): readonly Run[] => {
  if (isFat(volume)) return fatOwnersClusters(path);
  return isNtfs(volume) ? ntfsOwnersClusters(path) : ownersClusters(path);
};

/** The owner's files for the first image. */
export const furnishTightly = (cleanup: Cleanup, court: Court, volume: VolumeName): Contents =>
  isFat(volume) ? tightFat(cleanup, court) : isNtfs(volume) ? tightNtfs(court) : court.own(tightMount);

const tightMount = (folder: string): void => {
  furnish(folder);
  const fill = (name: string, free: number): void => {
    const { bavail, bsize } = statfsSync(folder);
    writeFileSync(join(folder, name), noiseSource(name)(bavail * bsize - free));
  };
  fill('low', ROOM);
  fill('large', ABOVE);
  rmSync(join(folder, 'low'));
};

/** mtools takes the lowest free clusters in order when FSInfo does not say where to begin. */
const tightFat = (cleanup: Cleanup, court: Court): Contents => {
  const { path } = court;
  court.own(furnish);
  const from = temporaryFolder(cleanup);
  const fill = (name: string, content: (length: number) => Buffer, free: number): void => {
    const { used, all } = clustersByFsck(fsckFat(cleanup, path));
    writeFileSync(join(from, name), content((all - used) * placesOf(path).clusterSize - free));
    forgetNextFree(path);
    mtools('mcopy', path, [join(from, name), '::/']);
  };
  fill('low', Buffer.alloc, ROOM);
  fill('large', noiseSource('large'), ABOVE);
  mtools('mdel', path, ['::/low']);
  return court.contents();
};

/** Where ntfs-3g puts files is its own business: many small ones fill the volume, and those that lie highest are `large`. */
const tightNtfs = (court: Court): Contents => {
  court.own((folder) => {
    furnish(folder);
    mkdirSync(join(folder, 'low'));
    mkdirSync(join(folder, 'large'));
    const { bavail, bsize } = statfsSync(folder);
    const next = noiseSource('pieces');
    for (let left = bavail * bsize - 2 * ABOVE, index = 0; left > PIECE; left -= PIECE, index += 1)
      writeFileSync(join(folder, 'low', `${index}`), next(PIECE));
  });
  const device = court.lift();
  const pieces = [...openNtfs(device).walk()]
    .filter(({ path }) => path.startsWith('/low/'))
    .map(({ path, runs }) => ({ path, start: [...runs()][0]!.start }))
    .sort((a, b) => b.start - a.start);
  return court.own((folder) => {
    for (const { path } of pieces.slice(0, ROOM / PIECE))
      renameSync(join(folder, path), join(folder, path.replace('low', 'large')));
    rmSync(join(folder, 'low'), { recursive: true });
  });
};

/** What the owner changes before the second image: `large` goes, something smaller comes. */
export const makeRoomAbove = (court: Court, volume: VolumeName): Contents => {
  if (isFat(volume)) forgetNextFree(court.path);
  return court.own((folder) => {
    rmSync(join(folder, 'large'), { recursive: true });
    writeFileSync(join(folder, 'etc/later'), noiseSource('later')(200 * KIB));
  });
};
