import type { Device } from '../../../rescue/device/device.ts';
import { folderOf, lookup, rootFolder } from '../../../rescue/fs/fat/directory.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import type { Run } from '../../../rescue/units.ts';

/** Clusters of a file in the containers' folder, as this program's reader finds them. */
export const clustersOf = (device: Device, file: string): Run[] => {
  const volume = new FatVolume(device);
  const root = rootFolder(volume);
  const folder = folderOf(volume, lookup(volume, root, '.holdfast')!, root);
  const entry = lookup(volume, folder, file)!;
  return [...volume.table.chainRuns(volume.clusterOf(entry.firstEntry))];
};
