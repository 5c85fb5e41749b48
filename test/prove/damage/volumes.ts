import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB } from '../../../rescue/units.ts';
import { fsckFat } from '../../fs/fat/fsck.ts';
import { mtools } from '../../fs/fat/mtools.ts';
import { makeFat } from '../../fs/fat/volumes.ts';
import { complaints, growByTurns, makeNtfs, mountNtfs } from '../../fs/ntfs/volumes.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { e2fsckClean, mustBeClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { noiseSource } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume } from '../../support/volume.ts';
import type { FilePlaces } from './places.ts';
import { extPlaces } from './places-ext.ts';
import { fatPlaces } from './places-fat.ts';
import { ntfsPlaces } from './places-ntfs.ts';
import { plantTree } from './tree.ts';

/** One kind of volume, as other people's programs make it, fill it, say where its files lie, and judge it. */
export interface Kind {
  readonly name: string;
  /** A volume in a new file, filled. */
  make(cleanup: Cleanup, path: string, seed: string): void;
  /** Where everything lies in it. */
  places(cleanup: Cleanup, path: string): FilePlaces[];
  /** Throws unless it is sound. */
  judge(cleanup: Cleanup, path: string): void;
}

/** Copies the tree, and two files that lie in pieces. */
const fillMounted = (cleanup: Cleanup, root: string, seed: string): void => {
  const from = temporaryFolder(cleanup);
  plantTree(from, seed);
  cpSync(from, root, { recursive: true });
  growByTurns(
    [join(root, 'large', 'left'), join(root, 'large', 'right')],
    40,
    noiseSource(`${seed} turns`)(8 * KIB),
  );
};

const ext = (type: 'ext2' | 'ext4', blockSize: 1024 | 4096): Kind => ({
  name: type,
  make: (cleanup, path, seed) => {
    makeVolume(path, { size: 64 * MIB, type, blockSize });
    const mount = mountFile(cleanup, path);
    fillMounted(cleanup, mount.path, seed);
    mount.unmount();
  },
  places: extPlaces,
  judge: (_cleanup, path) => mustBeClean(e2fsckClean(path)),
});

const fat = (bits: 12 | 16 | 32, size: number, sectorsPerCluster: number): Kind => ({
  name: `FAT${bits}`,
  make: (cleanup, path, seed) => {
    makeFat(path, { size, bits, sectorsPerCluster });
    const from = temporaryFolder(cleanup);
    plantTree(from, seed);
    mtools('mcopy', path, ['-s', ...readdirSync(from).map((name) => join(from, name)), '::/']);
  },
  places: fatPlaces,
  judge: (cleanup, path) => mustBeClean(fsckFat(cleanup, path)),
});

const ntfs = (clusterSize: number): Kind => ({
  name: `NTFS, ${clusterSize / KIB} KiB`,
  make: (cleanup, path, seed) => {
    makeNtfs(path, { size: 96 * MIB, clusterSize });
    const mount = mountNtfs(cleanup, path);
    fillMounted(cleanup, mount.path, seed);
    mount.unmount();
  },
  places: ntfsPlaces,
  judge: (_cleanup, path) => {
    const found = complaints(path);
    if (found.length > 0) throw new Error(`not clean:\n${found.join('\n')}`);
  },
});

export const KINDS: readonly Kind[] = [
  ext('ext4', 4096),
  ext('ext2', 1024),
  fat(32, 64 * MIB, 1),
  fat(16, 64 * MIB, 8),
  fat(12, 48 * MIB, 32),
  ntfs(4 * KIB),
  ntfs(64 * KIB),
];

/** Throws for a name that no kind has. */
export const kindNamed = (name: string): Kind => {
  const kind = KINDS.find((each) => each.name === name);
  if (kind === undefined) throw new Error(`${name}: there is no such kind of volume`);
  return kind;
};
