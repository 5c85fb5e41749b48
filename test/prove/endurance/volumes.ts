import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MIB, type Run } from '../../../rescue/units.ts';
import { mtools, treeByMtools, tryMtools, withoutContainers } from '../../fs/fat/mtools.ts';
import { fatOwnersClusters } from '../../fs/fat/owners-clusters.ts';
import { makeFat } from '../../fs/fat/volumes.ts';
import { ntfsOwnersClusters } from '../../fs/ntfs/owners-clusters.ts';
import { complaints, makeNtfs, mountNtfs, treeThroughMount } from '../../fs/ntfs/volumes.ts';
import { ownersClusters } from '../../job/owners-clusters.ts';
import { withCleanup } from '../../support/cleanup.ts';
import { makeDisk } from '../../support/disk.ts';
import { e2fsckClean, e2fsckPreen, partitionTableSound } from '../../support/judges.ts';
import { type Mount, mountFile } from '../../support/loop.ts';
import { noiseSource } from '../../support/noise.ts';
import { mustRun, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { snapshot } from '../../support/tree.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';
import { type Change, FOLDERS } from './changes.ts';

/** Everything about each file that its owner could miss, as one text, by path; the images left out. */
export type Files = ReadonlyMap<string, string>;

export interface EnduranceVolume {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Makes it, with empty folders. */
  make(path: string): Promise<void>;
  /** As the owner's system would. */
  change(path: string, changes: readonly Change[]): Promise<void>;
  files(path: string): Promise<Files>;
  /** What other people's programs find; each of them counts clusters. */
  faults(path: string): string[];
  /**
   * The owner's system comes up after a command was killed, with its own check, which mends what that left. What is wrong even so; undefined: only
   * a program that does not run here could mend it.
   */
  comeUp(path: string): string[] | undefined;
  /** Clusters in use for anything but the images. */
  clusters(path: string): readonly Run[];
}

/** Half text, so that an image is smaller than what it holds, and not much. */
const contentOf = (size: number, seed: string): Buffer => {
  const bytes = noiseSource(seed)(size);
  return bytes.fill('kelp and rock ', size >> 1);
};

const applyThroughMount = (top: string, changes: readonly Change[]): void => {
  for (const change of changes) {
    const path = join(top, change.path);
    if (change.do === 'write') writeFileSync(path, contentOf(change.size, change.seed));
    else if (change.do === 'delete') rmSync(path);
    else renameSync(path, join(top, change.to));
  }
};

type Mounting = (
  cleanup: Parameters<typeof mountFile>[0],
  path: string,
  options: { readonly readOnly: boolean },
) => Mount;

const whileMounted = <T>(
  mounting: Mounting,
  path: string,
  readOnly: boolean,
  body: (top: string) => T,
): Promise<T> =>
  withCleanup((cleanup) => {
    const mount = mounting(cleanup, path, { readOnly });
    const result = body(mount.path);
    mount.unmount();
    return result;
  });

const throughMount = (
  mounting: Mounting,
  make: (path: string) => void,
  filesBelow: (top: string) => Files,
): Pick<EnduranceVolume, 'make' | 'change' | 'files'> => ({
  make: async (path) => {
    make(path);
    await whileMounted(mounting, path, false, (top) => {
      for (const folder of FOLDERS) mkdirSync(join(top, folder), { recursive: true });
    });
  },
  change: (path, changes) => whileMounted(mounting, path, false, (top) => applyThroughMount(top, changes)),
  files: (path) => whileMounted(mounting, path, true, filesBelow),
});

const snapshotOf = (top: string): Files =>
  new Map([...snapshot(top)].map(([path, all]) => [path, JSON.stringify([...all])]));

/** An ext volume that begins at byte `offset` of a file. */
const judgedAt = (offset: number, size: number): Pick<EnduranceVolume, 'faults' | 'comeUp' | 'clusters'> => {
  const faults = (path: string): string[] => {
    const { clean, output } = e2fsckClean(path, { offset });
    return clean ? [] : [output];
  };
  return {
    faults,
    comeUp: (path) => {
      const { clean, output } = e2fsckPreen(path, { offset });
      return clean ? faults(path) : [output];
    },
    clusters: (path) => ownersClusters(path, offset, size),
  };
};

const ext = (name: string, options: VolumeOptions): EnduranceVolume => ({
  name,
  size: options.size,
  ...throughMount(mountFile, (path) => void makeVolume(path, options), snapshotOf),
  ...judgedAt(0, options.size),
});

const TABLE = 'the partition table';

/** An ext4 volume in the one partition of a disk; the table is judged and compared with the files. */
const disk = (name: string, size: number): EnduranceVolume => {
  const partition = { start: MIB, size: size - 2 * MIB };
  const volume = throughMount(
    (cleanup, path, options) =>
      mountFile(cleanup, path, { ...options, offset: partition.start, size: partition.size }),
    (path) => void makeVolume(path, { size: partition.size, offset: partition.start }),
    snapshotOf,
  );
  const judged = judgedAt(partition.start, partition.size);
  return {
    name,
    size: partition.size,
    make: async (path) => {
      await withCleanup(
        async (cleanup) => void makeDisk(cleanup, path, { size, table: 'gpt', partitions: [partition] }),
      );
      await volume.make(path);
    },
    change: volume.change,
    files: async (path) =>
      new Map([...(await volume.files(path)), [TABLE, mustRun('sfdisk', ['--dump', path]).stdout]]),
    faults: (path) => {
      const { clean, output } = partitionTableSound(path);
      return [...judged.faults(path), ...(clean ? [] : [output])];
    },
    comeUp: judged.comeUp,
    clusters: judged.clusters,
  };
};

const ntfs = (name: string, size: number, clusterSize: number): EnduranceVolume => ({
  name,
  size,
  ...throughMount(mountNtfs, (path) => void makeNtfs(path, { size, clusterSize }), treeThroughMount),
  faults: (path) => complaints(path),
  // Clusters that a claim has taken and nobody has yet are for chkdsk to give back.
  comeUp: (path) => (complaints(path).length === 0 ? [] : undefined),
  clusters: ntfsOwnersClusters,
});

const changeByMtools = (path: string, changes: readonly Change[]): Promise<void> =>
  withCleanup((cleanup) => {
    const content = join(temporaryFolder(cleanup), 'content');
    for (const change of changes) {
      const name = `::/${change.path}`;
      if (change.do === 'delete') mtools('mdel', path, [name]);
      else if (change.do === 'rename') mtools('mmove', path, [name, `::/${change.to}`]);
      else {
        writeFileSync(content, contentOf(change.size, change.seed));
        mtools('mcopy', path, ['-D', 'o', content, name]);
      }
    }
  });

const fsckFat = (path: string): string[] => {
  const { exit, stdout, stderr } = run('fsck.fat', ['-n', path]);
  return exit === 0 ? [] : [stdout + stderr];
};

const fat32 = (name: string, size: number, sectorsPerCluster: number): EnduranceVolume => ({
  name,
  size,
  make: async (path) => {
    makeFat(path, { size, bits: 32, sectorsPerCluster });
    for (const folder of FOLDERS) mtools('mmd', path, [`::/${folder}`]);
  },
  change: changeByMtools,
  files: (path) =>
    withCleanup((cleanup) => {
      const tree = withoutContainers(treeByMtools(cleanup, path));
      return new Map([...tree].map(([file, all]) => [file, JSON.stringify(all)]));
    }),
  faults: fsckFat,
  comeUp: (path) => {
    run('fsck.fat', ['-a', path]);
    // What it makes of chains that no name leads to; there may be none.
    tryMtools('mdel', path, ['::/FSCK*.REC']);
    return fsckFat(path);
  },
  clusters: (path) => fatOwnersClusters(path),
});

export const ENDURANCE_VOLUMES: readonly EnduranceVolume[] = [
  ext('ext4', { size: 64 * MIB }),
  fat32('FAT32', 64 * MIB, 1),
  ntfs('NTFS', 64 * MIB, 4096),
  ext('ext4 with blocks of 1 KiB, no journal', {
    size: 64 * MIB,
    blockSize: 1024,
    features: ['^has_journal'],
  }),
  ntfs('NTFS with clusters of 512 bytes', 48 * MIB, 512),
  disk('ext4 in a disk with a GPT', 66 * MIB),
];

/** Throws for a name that none has. */
export const enduranceVolume = (name: string): EnduranceVolume => {
  const volume = ENDURANCE_VOLUMES.find((each) => each.name === name);
  if (volume === undefined) throw new Error(`${name}: there is no such volume`);
  return volume;
};
