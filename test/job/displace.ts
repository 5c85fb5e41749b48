import { toExtents } from '../../rescue/bytes/runs.ts';
import type { Device } from '../../rescue/device/device.ts';
import { openFile } from '../../rescue/device/file.ts';
import { PiecesReader } from '../../rescue/device/pieces.ts';
import { applyPatch } from '../../rescue/job/apply.ts';
import { openVolume } from '../../rescue/job/volume.ts';
import type { Run } from '../../rescue/units.ts';
import { NOW } from './requests.ts';

/**
 * Moves the clusters of the container of image `id`, or of the first one, as a defragmenter does: the bytes stand elsewhere, the file system lists
 * them there under the same name, what was there before is left. `choose` gives the new clusters in the container's order; it is
 * told which are free, ascending, and the old ones.
 */
export const displaceOn = (
  device: Device,
  choose: (free: readonly Run[], old: readonly Run[]) => readonly Run[],
  id = '',
): readonly Run[] => {
  const { driver, fileSystem } = openVolume(device);
  const container = fileSystem.containers().find(({ name }) => name.endsWith(id.slice(0, 12)));
  if (container === undefined) throw new Error('there is no container to move');
  const { clusterSize, clusterBase, clusterCount } = fileSystem.geometry;
  const free: Run[] = [];
  let at = 0;
  for (const { start, length } of fileSystem.allocation()) {
    if (start > at) free.push({ start: at, length: start - at });
    at = start + length;
  }
  if (at < clusterCount) free.push({ start: at, length: clusterCount - at });
  const runs = choose(free, container.runs);
  const extentsOf = (each: readonly Run[]) => [...toExtents(each, clusterSize, clusterBase)];
  const file = new PiecesReader(device, extentsOf(container.runs), 'container');
  const content = file.read(0, file.size);
  const { name, paths } = container;
  const patch = driver.patch(device, (editor) => {
    driver.release(editor, { name, paths, time: NOW });
    driver.claim(editor, { name, runs, time: NOW, avoid: { has: () => false } });
  });
  let done = 0;
  for (const { start, length } of extentsOf(runs)) {
    device.write(start, content.subarray(done, done + length));
    done += length;
  }
  if (done !== content.length) throw new Error(`${content.length} bytes do not fit ${done}`);
  applyPatch(device, patch);
  return runs;
};

export const displace = (file: string, choose: Parameters<typeof displaceOn>[1]): readonly Run[] => {
  const device = openFile(file, { write: true });
  try {
    return displaceOn(device, choose);
  } finally {
    device.close();
  }
};

const lengthOf = (runs: readonly Run[]): number => runs.reduce((sum, { length }) => sum + length, 0);

/** To the lowest free clusters, in pieces of `piece` clusters with one left out between two. */
export const downInPieces =
  (piece: number) =>
  (free: readonly Run[], old: readonly Run[]): Run[] => {
    const runs: Run[] = [];
    let left = lengthOf(old);
    for (const { start, length } of free) {
      for (let at = start; left > 0 && at < start + length; at += piece + 1) {
        const take = Math.min(piece, left, start + length - at);
        // Whole pieces but for the last.
        if (take < Math.min(piece, left)) break;
        runs.push({ start: at, length: take });
        left -= take;
      }
    }
    if (left > 0) throw new Error('not enough free clusters');
    return runs;
  };
