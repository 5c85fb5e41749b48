import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { GIB, MIB } from '../../../rescue/units.ts';
import { makeFat } from '../../fs/fat/volumes.ts';
import { makeNtfs } from '../../fs/ntfs/volumes.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { mountFile } from '../../support/loop.ts';
import { everythingSaid, mustRun, run, runInBackground } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume } from '../../support/volume.ts';
import { FILES_PER_FOLDER } from './fill.ts';

/** The files of a volume, to be looked at. */
export interface Shown {
  readonly path: string;
  /** Whether it is the volume itself that is shown, with all that an inode says; otherwise copies of its files. */
  readonly mounted: boolean;
  hide(): void;
}

/** A file system in two sizes. */
export interface ScaleKind {
  readonly name: string;
  readonly judges: string;
  readonly files: number;
  /** Bytes of the large volume, and of one in which the same files and two images of them just fit. */
  readonly large: number;
  readonly small: number;
  make(path: string, size: number): void;
  fill(cleanup: Cleanup, path: string): Promise<void>;
  show(cleanup: Cleanup, path: string): Shown;
  /** What is wrong with it. */
  faults(path: string): string[];
}

const TIB = 1024 * GIB;
export const HOUR = 3_600_000;
const FILL = join(import.meta.dirname, 'fill.ts');

/**
 * Programs that work on one folder at once. A file system in user space answers one request at a time, and each of these waits for its answer:
 * with more of them than cores it always has a next one at hand.
 */
export const PROGRAMS = 4 * availableParallelism();

/** All files, made by several programs. */
const fillFolder = async (top: string, files: number): Promise<void> => {
  const parts = PROGRAMS;
  const boundary = (part: number): number =>
    Math.floor((files * part) / parts / FILES_PER_FOLDER) * FILES_PER_FOLDER;
  const ends = await Promise.all(
    Array.from({ length: parts }, (_, part) => {
      const to = part === parts - 1 ? files : boundary(part + 1);
      return runInBackground(process.execPath, [FILL, top, String(boundary(part)), String(to)], {
        timeout: HOUR,
      });
    }),
  );
  for (const end of ends) if (end.exit !== 0) throw new Error(everythingSaid(end));
};

const judged = (program: string, args: readonly string[], isSound: (said: string) => boolean): string[] => {
  const result = run(program, args, { timeout: HOUR });
  const said = everythingSaid(result);
  return result.exit === 0 && isSound(said) ? [] : [said];
};

const mounted = (
  name: string,
  mount: (cleanup: Cleanup, path: string, readOnly: boolean) => ReturnType<typeof mountFile>,
  rest: Omit<ScaleKind, 'name' | 'fill' | 'show'>,
): ScaleKind => ({
  ...rest,
  name,
  fill: async (cleanup, path) => {
    const at = mount(cleanup, path, false);
    await fillFolder(at.path, rest.files);
    at.unmount();
  },
  show: (cleanup, path) => {
    const at = mount(cleanup, path, true);
    return { path: at.path, mounted: true, hide: () => at.unmount() };
  },
});

type Sizes = Pick<ScaleKind, 'files' | 'large' | 'small'>;

/** `more`: further words for mke2fs. */
export const ext4 = (name: string, sizes: Sizes, more: readonly string[] = []): ScaleKind =>
  mounted(
    name,
    (cleanup, path, readOnly) =>
      mountFile(cleanup, path, {
        readOnly,
        // The kernel would write zeros into gigabytes of inode tables that nothing uses: the disk would have to hold them.
        options: readOnly ? [] : ['noinit_itable'],
      }),
    {
      ...sizes,
      judges: 'e2fsck -fn',
      make: (path, size) => {
        // A small volume has few inodes unless it is told.
        const inodes = size < TIB ? ['-N', String(Math.ceil(sizes.files * 1.1) + 1000)] : more;
        makeVolume(path, { size, more: inodes });
      },
      faults: (path) => judged('e2fsck', ['-f', '-n', path], (said) => !/skipping journal/.test(said)),
    },
  );

export const ntfs = (name: string, sizes: Sizes): ScaleKind =>
  mounted(
    name,
    (cleanup, path, readOnly) =>
      mountFile(cleanup, path, { readOnly, type: 'ntfs-3g', options: ['big_writes', 'noatime'] }),
    {
      ...sizes,
      judges: 'ntfsfix -n, ntfsresize --info',
      make: (path, size) => void makeNtfs(path, { size }),
      faults: (path) => [
        ...judged('ntfsfix', ['-n', path], (said) => !/not match|FAILED|corrupt/i.test(said)),
        // It compares all runs with $Bitmap before it says how far a volume could be shrunk.
        ...judged('ntfsresize', ['--info', '--force', '--no-progress-bar', path], (said) =>
          /^Space in use/m.test(said),
        ),
      ],
    },
  );

const MTOOLS = { LC_ALL: 'C.UTF-8', TZ: 'UTC', MTOOLS_SKIP_CHECK: '1' };

const mcopy = (path: string, args: readonly string[]): void =>
  void mustRun('mcopy', ['-i', path, '-s', '-p', '-m', '-n', ...args], { env: MTOOLS, timeout: HOUR });

/** A folder on a volume of its own: to delete a hundred thousand files one by one takes a busy disk minutes. */
const scratchFolder = (cleanup: Cleanup, files: number): { readonly path: string; remove(): void } => {
  const image = join(temporaryFolder(cleanup), 'scratch');
  makeVolume(image, { size: 4 * GIB, more: ['-N', String(Math.ceil(files * 1.1) + 1000)] });
  const { path, unmount } = mountFile(cleanup, image);
  const remove = (): void => {
    unmount();
    rmSync(image);
  };
  return { path, remove };
};

/** No kernel mounts FAT here: files go in and come out with mtools. */
export const fat32 = (name: string, sizes: Sizes): ScaleKind => ({
  ...sizes,
  name,
  judges: 'fsck.fat -n',
  make: (path, size) => void makeFat(path, { size, bits: 32, sectorsPerCluster: 64 }),
  fill: async (cleanup, path) => {
    const scratch = scratchFolder(cleanup, sizes.files);
    await fillFolder(scratch.path, sizes.files);
    const most = Math.ceil(sizes.files / FILES_PER_FOLDER / 100);
    for (let index = 0; index < most; index += 1) mcopy(path, [join(scratch.path, String(index)), '::/']);
    scratch.remove();
  },
  show: (cleanup, path) => {
    const scratch = scratchFolder(cleanup, sizes.files);
    mcopy(path, ['::/', scratch.path]);
    return { path: scratch.path, mounted: false, hide: () => scratch.remove() };
  },
  faults: (path) => judged('fsck.fat', ['-n', path], () => true),
});

const MILLION = 1_000_000;

export const FULL_KINDS: readonly ScaleKind[] = [
  ext4('ext4, 4 TiB', { files: MILLION, large: 4 * TIB, small: 7 * GIB }),
  ntfs('NTFS, 4 TiB', { files: MILLION, large: 4 * TIB, small: 10 * GIB }),
  // One sector less than 2 TiB is the most that FAT32 can say with sectors of 512 bytes.
  fat32('FAT32, 2 TiB', { files: MILLION / 10, large: 2 * TIB - 64 * 1024, small: 5 * GIB }),
];

/** Few inodes: that gigabytes of never used tables take time is a matter for the full proof. */
export const SAMPLE_KINDS: readonly ScaleKind[] = [
  ext4('ext4, 1 TiB', { files: 4000, large: TIB, small: 192 * MIB }, ['-i', '1048576']),
];

/** Throws for a name that no kind has. */
export const scaleKind = (name: string): ScaleKind => {
  const kind = [...FULL_KINDS, ...SAMPLE_KINDS].find((each) => each.name === name);
  if (kind === undefined) throw new Error(`${name}: there is no such kind of volume`);
  return kind;
};
