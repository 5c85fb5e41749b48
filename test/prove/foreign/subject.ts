import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openFile } from '../../../rescue/device/file.ts';
import { ReadableWindow } from '../../../rescue/device/window.ts';
import { HoldfastError } from '../../../rescue/errors.ts';
import { probeFileSystem } from '../../../rescue/fs/probe.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { partitionsOf } from '../../support/disk.ts';
import { mustRun, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';

/** Whose programs judge a volume; `none`: nobody at hand knows what it is. */
export type Family = 'ext' | 'fat' | 'ntfs' | 'none';

/** A volume in a file: the file itself, or a partition of the disk that it holds. */
export interface Subject {
  /** For the table: the file's name, with the partition's number. */
  readonly name: string;
  readonly family: Family;
  /** As libblkid calls it, for the table. */
  readonly fileSystem: string;
  /** In bytes of the file. */
  readonly start: number;
  readonly size: number;
  /** As TARGET's `--partition`; undefined where the file is the volume. */
  readonly partition: number | undefined;
}

/** By the first bytes, whatever the file is called: gzip (RFC 1952), xz (its file format, 1.1.1) and Zstandard (RFC 8878). */
const PACKED: readonly { readonly magic: readonly number[]; readonly program: string }[] = [
  { magic: [0x1f, 0x8b], program: 'gzip' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], program: 'xz' },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], program: 'zstd' },
];

const headOf = (path: string): Uint8Array => {
  const handle = openSync(path, 'r');
  try {
    const head = new Uint8Array(6);
    readSync(handle, head, 0, head.length, 0);
    return head;
  } finally {
    closeSync(handle);
  }
};

/**
 * A copy of the image in a folder of its own, unpacked where it is packed and with holes where it has zeros: whatever is done to it,
 * the file of the collection stays as it is. Throws if it cannot be unpacked.
 */
export const openCopy = (cleanup: Cleanup, path: string): string => {
  const copy = join(temporaryFolder(cleanup), basename(path).replace(/\.(gz|xz|zst)$/, '') || 'image');
  const head = headOf(path);
  const packed = PACKED.find(({ magic }) => magic.every((byte, index) => head[index] === byte));
  if (packed === undefined) mustRun('cp', ['--sparse=always', '--', path, copy], HALF_AN_HOUR);
  else mustRun('bash', ['-c', UNPACK, 'bash', packed.program, path, copy], HALF_AN_HOUR);
  return copy;
};

const HALF_AN_HOUR = { timeout: 1_800_000 };
const UNPACK = 'set -o pipefail; "$1" -dc <"$2" | dd of="$3" bs=1M conv=sparse iflag=fullblock status=none';

/** What libblkid makes of a place in a file. */
const factsByBlkid = (
  path: string,
  place?: { readonly start: number; readonly size: number },
): ReadonlyMap<string, string> => {
  const where = place === undefined ? [] : ['--offset', String(place.start), '--size', String(place.size)];
  const { stdout } = run('blkid', ['--probe', '--output', 'export', ...where, path]);
  return new Map([...stdout.matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [key!, value!]));
};

const FAMILIES: Readonly<Record<string, Family>> = {
  ext2: 'ext',
  ext3: 'ext',
  ext4: 'ext',
  vfat: 'fat',
  ntfs: 'ntfs',
};

/** By libblkid; of what it does not know any more (a superblock with a wrong checksum), by the program under test. */
const whatIsAt = (
  path: string,
  facts: ReadonlyMap<string, string>,
  { start, size }: { readonly start: number; readonly size: number },
): Pick<Subject, 'family' | 'fileSystem'> => {
  const type = facts.get('TYPE');
  if (type !== undefined)
    return {
      family: FAMILIES[type] ?? 'none',
      fileSystem: type === 'vfat' ? (facts.get('VERSION') ?? type) : type,
    };
  const device = openFile(path);
  try {
    const probed = probeFileSystem(new ReadableWindow(device, { start, length: size }));
    return 'driver' in probed
      ? { family: probed.driver.name, fileSystem: probed.driver.name }
      : { family: 'none', fileSystem: probed.other };
  } catch (error) {
    if (error instanceof HoldfastError) return { family: 'none', fileSystem: 'unreadable' };
    throw error;
  } finally {
    device.close();
  }
};

/**
 * The volumes of a disk image: each partition with a file system that is known if there is a table that sfdisk can read and libblkid
 * takes for one (there is something like a table in many a boot sector); else the file itself, whatever is in it.
 */
export const subjectsOf = (path: string, name: string): readonly Subject[] => {
  const { size } = statSync(path);
  if (size === 0)
    return [{ name, family: 'none', fileSystem: 'empty', start: 0, size, partition: undefined }];
  const facts = factsByBlkid(path);
  const whole = { name, ...whatIsAt(path, facts, { start: 0, size }), start: 0, size, partition: undefined };
  if (facts.has('TYPE') || !facts.has('PTTYPE') || run('sfdisk', ['--json', path]).exit !== 0) return [whole];
  const known = partitionsOf(path)
    .filter((each) => each.start + each.size <= size)
    .map(({ number, ...place }): Subject => {
      const what = whatIsAt(path, factsByBlkid(path, place), place);
      return {
        name: `${name}, partition ${number}`,
        ...what,
        start: place.start,
        size: place.size,
        partition: number,
      };
    })
    .filter(({ family }) => family !== 'none');
  return known.length > 0 ? known : [whole];
};

/** Regular files below a folder, in the order of their names. */
export const imagesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name))
    .sort();

/** The volume as a file of its own, for programs that cannot be told where in a file to look. */
export const alone = (cleanup: Cleanup, path: string, { start, size, partition }: Subject): string => {
  if (partition === undefined) return path;
  const copy = join(temporaryFolder(cleanup), 'volume');
  const flags = ['bs=64K', 'conv=sparse', 'iflag=skip_bytes,count_bytes', 'status=none'];
  mustRun('dd', [`if=${path}`, `of=${copy}`, ...flags, `skip=${start}`, `count=${size}`]);
  return copy;
};
