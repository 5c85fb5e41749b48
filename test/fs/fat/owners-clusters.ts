import { normalise, subtract } from '../../../rescue/bytes/runs.ts';
import { openFile } from '../../../rescue/device/file.ts';
import type { Run } from '../../../rescue/units.ts';
import { everythingSaid, run } from '../../support/run.ts';
import { tryMtools } from './mtools.ts';
import { placesOf } from './patching.ts';

/** FAT entries of the containers' folder and of everything in it, as mshowfat lists them: `NAME <4-199> <250>`. */
const entriesOfContainers = (path: string, offset: number): Run[] => {
  if (tryMtools('mdir', path, ['::/.holdfast'], { offset }).exit !== 0) return [];
  const image = offset === 0 ? path : `${path}@@${offset}`;
  const result = run('mshowfat', ['-i', image, '::/.holdfast', '::/.holdfast/*'], {
    env: { LC_ALL: 'C.UTF-8', MTOOLS_SKIP_CHECK: '1' },
  });
  if (result.exit !== 0) throw new Error(everythingSaid(result));
  // The folder above stands in the folder as `..`.
  const lines = result.stdout.split('\n').filter((line) => !/\/\.\.? </.test(line));
  return lines.flatMap((line) =>
    [...line.matchAll(/<(\d+)(?:-(\d+))?>/g)].map(([, first, last]) => ({
      start: Number(first),
      length: Number(last ?? first) - Number(first) + 1,
    })),
  );
};

/** Clusters that a FAT (default: the first) has something in, from 0, read by the tests' own reader. */
export const clustersInUse = (
  path: string,
  { offset = 0, table = 0 }: { readonly offset?: number; readonly table?: number } = {},
): Run[] => {
  const { bits, clusterCount, tables, tableLength } = placesOf(path, offset);
  const device = openFile(path);
  try {
    const bytes = Buffer.from(device.read(tables[table]!, tableLength));
    const entry = (index: number): number => {
      if (bits === 32) return bytes.readUInt32LE(index * 4) & 0x0fffffff;
      if (bits === 16) return bytes.readUInt16LE(index * 2);
      const pair = bytes.readUInt16LE(index + (index >> 1));
      return index % 2 === 0 ? pair & 0xfff : pair >>> 4;
    };
    const used: Run[] = [];
    for (let cluster = 0; cluster < clusterCount; cluster += 1)
      if (entry(cluster + 2) !== 0) used.push({ start: cluster, length: 1 });
    return normalise(used);
  } finally {
    device.close();
  }
};

/**
 * Clusters of a FAT volume, counted from 0, that are in use for anything but the images: what a create must leave as it was, and a
 * restore bring back, to the cluster. `offset`: of the volume, in bytes of the file.
 */
export const fatOwnersClusters = (path: string, offset = 0): Run[] => {
  const held = entriesOfContainers(path, offset).map(({ start, length }) => ({ start: start - 2, length }));
  return [...subtract(clustersInUse(path, { offset }), normalise(held))];
};
