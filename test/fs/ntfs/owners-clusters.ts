import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { normalise, subtract } from '../../../rescue/bytes/runs.ts';
import type { Run } from '../../../rescue/units.ts';
import { everythingSaid, mustRun, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { runsByNtfscluster } from './volumes.ts';

/** What a claim lets grow and no release makes smaller: $MFT with its bitmap, and the index of the root. */
const GROWING = [0, 5];

/** Bits of a bitmap that are set, of the first `count`. */
export const setBits = (bytes: Uint8Array, count: number): Run[] => {
  const runs: Run[] = [];
  for (let start = 0; start < count; start += 1)
    if (((bytes[start >> 3]! >> (start & 7)) & 1) === 1) runs.push({ start, length: 1 });
  return normalise(runs);
};

/**
 * Clusters of an NTFS volume in a file that are in use for anything but the images, by $Bitmap as ntfs-3g shows it: what a create must
 * leave as it was, and a restore bring back, to the cluster. $MFT and the root's index are left out.
 */
export const ntfsOwnersClusters = (path: string): Run[] => {
  const undos: (() => void)[] = [];
  const root = join(temporaryFolder({ teardown: (undo) => undos.push(undo) }), 'mounted');
  mkdirSync(root);
  // Nothing is written: it does not matter that ntfs-3g is still there for a moment after the mount has gone.
  const mounted = run('ntfs-3g', ['-o', 'ro,show_sys_files', path, root]);
  try {
    if (mounted.exit !== 0) throw new Error(everythingSaid(mounted));
    const folder = join(root, '.holdfast');
    const names = existsSync(folder) ? readdirSync(folder) : [];
    const containers = existsSync(folder) ? [folder, ...names.map((name) => join(folder, name))] : [];
    const records = [...GROWING, ...containers.map((each) => lstatSync(each).ino)];
    const held = records
      .flatMap((record) => runsByNtfscluster(path, record))
      .map((text): Run => {
        const [start, length] = text.split(' ').map(Number) as [number, number];
        return { start, length };
      });
    const said = mustRun('ntfsinfo', ['--mft', '--force', path]).stdout;
    const [, clusters] = /^\tVolume Size in Clusters: (\d+)$/m.exec(said)!;
    const inUse = setBits(readFileSync(join(root, '$Bitmap')), Number(clusters));
    return [...subtract(inUse, normalise(held))];
  } finally {
    if (mounted.exit === 0) mustRun('umount', [root]);
    for (const undo of undos) undo();
  }
};
