import { complaints, makeNtfs } from '../fs/ntfs/volumes.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { type Mount, mountDevice } from '../support/loop.ts';
import { makeVolume } from '../support/volume.ts';

/** The program that does the same for a file system, as bash scripts. */
export interface Peer {
  readonly name: string;
  /** `$1` a file for its log, `$2` the device, `$3` the image that is to be made. */
  readonly create: string;
  /** The same; the image is there. */
  readonly restore: string;
  /** What they are called in the table. */
  readonly labels: { readonly create: string; readonly restore: string };
}

/** What the bench has to know of a file system. */
export interface Kind {
  readonly name: string;
  readonly judges: string;
  make(path: string, size: number): void;
  mount(cleanup: Cleanup, device: string, readOnly: boolean): Mount;
  /** Whether it keeps owners, modes and attributes as Linux has them. */
  readonly keepsOwners: boolean;
  /** Throws unless the volume is sound. */
  judge(device: string): void;
  readonly peer: Peer;
}

const ext4: Kind = {
  name: 'ext4',
  judges: 'e2fsck, all files',
  make: (path, size) => void makeVolume(path, { size, label: 'bench' }),
  mount: (cleanup, device, readOnly) => mountDevice(cleanup, device, { readOnly }),
  keepsOwners: true,
  judge: (device) => mustBeClean(e2fsckClean(device)),
  peer: {
    name: 'partclone',
    create: 'partclone.ext4 -c -q -L "$1" -s "$2" -o - | zstd -1 -T2 -q -f -o "$3"',
    restore: 'zstd -d -q -c "$3" | partclone.restore -q -L "$1" -s - -O "$2"',
    labels: { create: 'partclone.ext4 -c | zstd -1 -T2', restore: 'zstd -d | partclone.restore' },
  },
};

const ntfs: Kind = {
  name: 'ntfs',
  judges: 'ntfsfix, ntfsresize, all files',
  make: (path, size) => void makeNtfs(path, { size, label: 'bench' }),
  mount: (cleanup, device, readOnly) =>
    mountDevice(cleanup, device, { readOnly, type: 'ntfs-3g', options: ['big_writes', 'noatime'] }),
  keepsOwners: false,
  judge: (device) => {
    const found = complaints(device);
    if (found.length > 0) throw new Error(`not clean:\n${found.join('\n')}`);
  },
  peer: {
    name: 'ntfsclone',
    create: 'ntfsclone -q --save-image -o - "$2" 2>"$1" | zstd -1 -T2 -q -f -o "$3"',
    restore: 'zstd -d -q -c "$3" | ntfsclone -q --restore-image --overwrite "$2" - >"$1" 2>&1',
    labels: {
      create: 'ntfsclone --save-image | zstd -1 -T2',
      restore: 'zstd -d | ntfsclone --restore-image',
    },
  },
};

export const KINDS: readonly Kind[] = [ext4, ntfs];

/** Throws for a name that no kind has. */
export const kindNamed = (name: string): Kind => {
  const kind = KINDS.find((each) => each.name === name);
  if (kind === undefined)
    throw new Error(`--kind ${name}: give ${KINDS.map((each) => each.name).join(' or ')}`);
  return kind;
};
