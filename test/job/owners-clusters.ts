import { normalise, subtract } from '../../rescue/bytes/runs.ts';
import { openFile } from '../../rescue/device/file.ts';
import { ReadableWindow } from '../../rescue/device/window.ts';
import { extDriver } from '../../rescue/fs/ext/ext.ts';
import type { Run } from '../../rescue/units.ts';
import { debugfs } from '../fs/ext/e2fsprogs.ts';

const numbers = (text: string): number[] => [...text.matchAll(/\d+/g)].map((match) => Number(match[0]));

/** A list of blocks as debugfs gives it, which may have nothing in it. */
const blockList = (text: string): number[] => numbers(text.replace(/^.*:.*$/gm, ''));

/** Blocks of the containers' folder and of everything in it, content and maps, as debugfs names them. */
const blocksOfContainers = (path: string): number[] => {
  const [folder] = debugfs(path, ['ls -p /.holdfast']) as [string];
  const names = [...folder.matchAll(/^\/\d+\/\d+\/\d+\/\d+\/([^/]+)\//gm)]
    .map((match) => match[1]!)
    .filter((name) => name !== '.' && name !== '..');
  if (names.length === 0) return [];
  const files = ['/.holdfast', ...names.map((name) => `/.holdfast/${name}`)];
  return debugfs(
    path,
    files.map((file) => `blocks ${file}`),
  ).flatMap(blockList);
};

/**
 * Clusters of an ext volume (without bigalloc, from block 0) that are in use for anything but the images: what a create must
 * leave as it was, and a restore bring back, to the cluster. `start` and `size`: of the partition, in bytes of the file.
 */
export const ownersClusters = (path: string, start = 0, size?: number): Run[] => {
  const device = openFile(path);
  try {
    const partition = new ReadableWindow(device, { start, length: size ?? device.size - start });
    const held = blocksOfContainers(start === 0 ? path : `${path}?offset=${start}`);
    const runs = held.map((block) => ({ start: block, length: 1 }));
    return [...subtract(extDriver.open(partition).allocation(), normalise(runs))];
  } finally {
    device.close();
  }
};
