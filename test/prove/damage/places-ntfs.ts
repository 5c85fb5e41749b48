import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { normalise } from '../../../rescue/bytes/runs.ts';
import type { Extent } from '../../../rescue/units.ts';
import { dataByNtfscluster, informationOf, mountNtfs, runsByNtfscluster } from '../../fs/ntfs/volumes.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { above, type FilePlaces, type PlacedPiece } from './places.ts';

/** Records that a reader needs before any file: $MFT itself to the last of the system files. */
const SYSTEM_RECORDS = 16;

interface Listed {
  readonly record: number;
  readonly size: number;
  readonly isFolder: boolean;
}

const list = (root: string): Map<string, Listed> => {
  const found = new Map<string, Listed>();
  const visit = (path: string): void => {
    const stat = lstatSync(join(root, path));
    found.set(path, { record: stat.ino, size: stat.size, isFolder: stat.isDirectory() });
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(join(root, path))) visit(path === '/' ? `/${name}` : `${path}/${name}`);
  };
  visit('/');
  return found;
};

/** Names and records through ntfs-3g's mount; where they lie by ntfscluster. */
export const ntfsPlaces = (cleanup: Cleanup, path: string): FilePlaces[] => {
  const mount = mountNtfs(cleanup, path, { readOnly: true });
  const listed = list(mount.path);
  mount.unmount();
  const facts = informationOf(path);
  const clusterSize = Number(facts.get('Cluster Size'));
  const recordSize = Number(facts.get('MFT Record Size'));
  const extentOf = (start: number, length: number): Extent => ({
    start: start * clusterSize,
    length: length * clusterSize,
  });
  const mft = dataByNtfscluster(path, 0);
  const recordPlace = (record: number): Extent => {
    let skip = record * recordSize;
    for (const { start, length } of mft) {
      if (skip < length * clusterSize) return { start: start * clusterSize + skip, length: recordSize };
      skip -= length * clusterSize;
    }
    throw new Error(`ntfscluster shows no place for record ${record}`);
  };
  const system = Array.from({ length: SYSTEM_RECORDS }, (_, record) => recordPlace(record));
  const folderPlaces = new Map(
    [...listed]
      .filter(([, { isFolder }]) => isFolder)
      .map(([name, { record }]) => [
        name,
        [
          recordPlace(record),
          ...runsByNtfscluster(path, record).map((text) =>
            extentOf(...(text.split(' ').map(Number) as [number, number])),
          ),
        ],
      ]),
  );
  return [...listed]
    .filter(([, { isFolder }]) => !isFolder)
    .map(([name, { record, size }]) => {
      const pieces: PlacedPiece[] = [];
      let offset = 0;
      for (const run of dataByNtfscluster(path, record)) {
        const { start, length } = extentOf(run.start, run.length);
        if (offset < size) pieces.push({ offset, start, length: Math.min(length, size - offset) });
        offset += length;
      }
      return {
        path: name,
        pieces,
        leads: normalise([
          { start: 0, length: 512 },
          ...system,
          ...above(name).flatMap((each) => folderPlaces.get(each)!),
          recordPlace(record),
        ]),
      };
    });
};
