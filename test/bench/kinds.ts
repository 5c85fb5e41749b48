import { chooseFiles, copyFiles } from '../demo/files.ts';
import { complaints, makeNtfs } from '../fs/ntfs/volumes.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { type Mount, mountDevice } from '../support/loop.ts';
import { snapshot, type Tree } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { fat32 } from './fat32.ts';
import { ntfsclone, type Peer, partclone } from './peers.ts';

/** What the bench has to know of a file system. */
export interface Kind {
  readonly name: 'ext4' | 'ntfs' | 'fat32';
  readonly judges: string;
  /** Bytes of files that a run takes unless it is told otherwise. */
  readonly usualSize: string;
  make(path: string, size: number): void;
  /** Puts about `bytes` of this machine's files on the volume. */
  fill(cleanup: Cleanup, device: string, bytes: number): void;
  /** Everything that an owner could miss. */
  tree(cleanup: Cleanup, device: string): Tree;
  /** Throws unless the volume is sound. */
  judge(cleanup: Cleanup, device: string): void;
  readonly peer: Peer;
}

type Mounter = (cleanup: Cleanup, device: string, readOnly: boolean) => Mount;

/** For what this machine can mount. `keepsOwners`: owners, modes and attributes as Linux has them. */
const mounted = (mount: Mounter, keepsOwners: boolean): Pick<Kind, 'fill' | 'tree'> => ({
  fill: (cleanup, device, bytes) => {
    const { path, unmount } = mount(cleanup, device, false);
    copyFiles(chooseFiles(bytes), path, !keepsOwners);
    unmount();
  },
  tree: (cleanup, device) => {
    const { path, unmount } = mount(cleanup, device, true);
    const tree = snapshot(path, { inodeDetails: keepsOwners });
    unmount();
    return tree;
  },
});

const ext4: Kind = {
  name: 'ext4',
  judges: 'e2fsck, all files',
  // A little over 2 GB.
  usualSize: '1920M',
  make: (path, size) => void makeVolume(path, { size, label: 'bench' }),
  ...mounted((cleanup, device, readOnly) => mountDevice(cleanup, device, { readOnly }), true),
  judge: (_cleanup, device) => mustBeClean(e2fsckClean(device)),
  peer: partclone('partclone.ext4'),
};

const ntfs: Kind = {
  name: 'ntfs',
  judges: 'ntfsfix, ntfsresize, all files',
  usualSize: '512M',
  make: (path, size) => void makeNtfs(path, { size, label: 'bench' }),
  ...mounted(
    (cleanup, device, readOnly) =>
      mountDevice(cleanup, device, { readOnly, type: 'ntfs-3g', options: ['big_writes', 'noatime'] }),
    false,
  ),
  judge: (_cleanup, device) => {
    const found = complaints(device);
    if (found.length > 0) throw new Error(`not clean:\n${found.join('\n')}`);
  },
  peer: ntfsclone,
};

export const KINDS: readonly Kind[] = [ext4, ntfs, fat32];

/** Throws for a name that no kind has. */
export const kindNamed = (name: string): Kind => {
  const kind = KINDS.find((each) => each.name === name);
  if (kind === undefined)
    throw new Error(`--kind ${name}: give ${KINDS.map((each) => each.name).join(' or ')}`);
  return kind;
};
