import { hash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Run } from '../../rescue/units.ts';
import { MIB } from '../../rescue/units.ts';
import { treeByMtools, tryMtools, withoutContainers } from '../fs/fat/mtools.ts';
import { fatOwnersClusters } from '../fs/fat/owners-clusters.ts';
import { type FatOptions, makeFat } from '../fs/fat/volumes.ts';
import { ntfsOwnersClusters } from '../fs/ntfs/owners-clusters.ts';
import { complaints, type MakeOptions, makeNtfs, mountNtfs } from '../fs/ntfs/volumes.ts';
import { type Cleanup, withCleanup } from '../support/cleanup.ts';
import { e2fsckClean } from '../support/judges.ts';
import { mountFile } from '../support/loop.ts';
import { noiseSource } from '../support/noise.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../support/volume.ts';
import { ownersClusters } from './owners-clusters.ts';

const full = process.env['HOLDFAST_SWEEP'] === 'full';

/** One thing that an owner does to one file in the root. */
export interface Edit {
  readonly name: string;
  /** Bytes of noise; undefined: the file goes. */
  readonly size: number | undefined;
  readonly seed: string;
}

/** A small volume of some file system for sequences of jobs, and what other people's programs say of it. */
export interface SequenceVolume {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  make(path: string): void;
  /** As the owner's system would; what does not fit is cut short. */
  change(path: string, edits: readonly Edit[]): Promise<void>;
  /** Files in the root by name, each with a digest of its content; the images left out. */
  contents(path: string): Promise<ReadonlyMap<string, string>>;
  faults(path: string): string[];
  /** Clusters in use for anything but the images. */
  ownersClusters(path: string): readonly Run[];
}

const withMount = <T>(path: string, readOnly: boolean, body: (top: string) => T): Promise<T> =>
  withCleanup(async (cleanup: Cleanup) => {
    const mount = mountFile(cleanup, path, { readOnly });
    try {
      return body(mount.path);
    } finally {
      mount.unmount();
    }
  });

const apply = (top: string, { name, size, seed }: Edit): void => {
  const path = join(top, name);
  if (size === undefined) {
    if (existsSync(path)) rmSync(path);
    return;
  }
  try {
    writeFileSync(path, noiseSource(seed)(size));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
};

const ext = (name: string, options: VolumeOptions): SequenceVolume => ({
  name,
  size: options.size,
  make: (path) => {
    makeVolume(path, options);
  },
  change: (path, edits) =>
    withMount(path, false, (top) => {
      for (const edit of edits) apply(top, edit);
    }),
  contents: (path) =>
    withMount(path, true, (top) => {
      const names = readdirSync(top).filter((each) => each !== '.holdfast' && each !== 'lost+found');
      return new Map(names.sort().map((each) => [each, hash('sha256', readFileSync(join(top, each)))]));
    }),
  faults: (path) => {
    const { clean, output } = e2fsckClean(path);
    return clean ? [] : [output];
  },
  ownersClusters,
});

const fat = (name: string, options: FatOptions): SequenceVolume => ({
  name,
  size: options.size,
  make: (path) => {
    makeFat(path, options);
  },
  change: (path, edits) =>
    withCleanup(async (cleanup: Cleanup) => {
      const folder = temporaryFolder(cleanup);
      for (const { name: file, size, seed } of edits) {
        const gone = tryMtools('mdel', path, [`::/${file}`]);
        if (size === undefined) continue;
        writeFileSync(join(folder, file), noiseSource(seed)(size));
        const copied = tryMtools('mcopy', path, [join(folder, file), '::/']);
        if (copied.exit !== 0 && !/full/i.test(copied.stderr)) throw new Error(gone.stderr + copied.stderr);
      }
    }),
  contents: (path) =>
    withCleanup(async (cleanup: Cleanup) => {
      const tree = withoutContainers(treeByMtools(cleanup, path));
      return new Map([...tree].map(([file, { content }]) => [file, content]));
    }),
  faults: (path) => {
    const { exit, stdout, stderr } = run('fsck.fat', ['-n', path]);
    return exit === 0 ? [] : [stdout + stderr];
  },
  ownersClusters: (path) => fatOwnersClusters(path),
});

const withNtfs = <T>(path: string, readOnly: boolean, body: (top: string) => T): Promise<T> =>
  withCleanup(async (cleanup: Cleanup) => {
    const mount = mountNtfs(cleanup, path, { readOnly });
    try {
      return body(mount.path);
    } finally {
      mount.unmount();
    }
  });

const ntfs = (name: string, options: MakeOptions): SequenceVolume => ({
  name,
  size: options.size,
  make: (path) => {
    makeNtfs(path, options);
  },
  change: (path, edits) =>
    withNtfs(path, false, (top) => {
      for (const edit of edits) apply(top, edit);
    }),
  contents: (path) =>
    withNtfs(path, true, (top) => {
      const names = readdirSync(top).filter((each) => each !== '.holdfast');
      return new Map(names.sort().map((each) => [each, hash('sha256', readFileSync(join(top, each)))]));
    }),
  faults: (path) => complaints(path),
  ownersClusters: ntfsOwnersClusters,
});

/** Each file system adds its own here. */
export const SEQUENCE_VOLUMES: readonly SequenceVolume[] = [
  ext('ext4', { size: 16 * MIB, blockSize: 1024 }),
  ext('ext2', { size: 12 * MIB, type: 'ext2', blockSize: 1024 }),
  fat('FAT16', { size: 16 * MIB, bits: 16, sectorsPerCluster: 4 }),
  fat('FAT32', { size: 40 * MIB, bits: 32, sectorsPerCluster: 1 }),
  ntfs('NTFS', { size: 16 * MIB }),
  ...(full ? [ntfs('NTFS, clusters of one sector', { size: 16 * MIB, clusterSize: 512 })] : []),
];
