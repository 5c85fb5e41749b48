import { readdirSync, readFileSync, statSync } from 'node:fs';
import { refused } from '../errors.ts';
import { type BlockDeviceFacts, blockNumberOf, readBlockDeviceFacts } from './block-facts.ts';
import { UNMOUNT } from './failure.ts';

/** One reason why a device or file must not be written behind the kernel's back. */
export interface DeviceUse {
  readonly by: 'mount' | 'swap' | 'holder';
  /** The node or file that is in use: the target itself, a partition of it, a loop device upon it. */
  readonly device: string;
  /** Mount point, or the kernel name of the holder; empty for swap. */
  readonly where: string;
}

export interface MountEntry {
  /** `MAJOR:MINOR`; of no real device for file systems that span several or none. */
  readonly number: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
}

/** Spaces and the like stand as three octal digits (proc_pid_mountinfo(5), getmntent(3)). */
const unescapeOctal = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** The lines of /proc/self/mountinfo; those that are not understood are left out. */
export const parseMountInfo = (text: string): MountEntry[] => {
  const mounts: MountEntry[] = [];
  for (const line of text.split('\n')) {
    // Optional fields end with a lone dash; then type, source, options.
    const [left, right] = line.split(' - ');
    const before = left?.split(' ') ?? [];
    const [type, source] = right?.split(' ') ?? [];
    const [number, mountPoint] = [before[2], before[4]];
    if (number === undefined || mountPoint === undefined || type === undefined || source === undefined)
      continue;
    mounts.push({ number, mountPoint: unescapeOctal(mountPoint), type, source: unescapeOctal(source) });
  }
  return mounts;
};

/** Paths of the areas in /proc/swaps. */
export const parseSwaps = (text: string): string[] =>
  text
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s/)[0] ?? '')
    .filter((path) => path !== '')
    .map(unescapeOctal);

/** Without /proc nothing is known, which must not pass for "not mounted": the error goes up. */
const mounts = (): MountEntry[] => {
  let text: string;
  try {
    text = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch (cause) {
    throw refused('it cannot be told what is mounted: /proc/self/mountinfo cannot be read', {
      code: 'no-proc',
      wayOut: 'Mount it first: mount -t proc proc /proc',
      cause,
    });
  }
  return parseMountInfo(text);
};

const swaps = (): string[] => {
  try {
    return parseSwaps(readFileSync('/proc/swaps', 'utf8'));
  } catch {
    // A kernel without swap has no such file.
    return [];
  }
};

const sameFile = (left: string, right: string): boolean => {
  const a = statSync(left, { bigint: true, throwIfNoEntry: false });
  const b = statSync(right, { bigint: true, throwIfNoEntry: false });
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
};

/** `stat` fails on some sources (a stale FUSE or network mount): those are not our devices. */
const quietly = <Result>(look: () => Result): Result | undefined => {
  try {
    return look();
  } catch {
    return undefined;
  }
};

/** Loop devices with a backing file for which `matches` holds. */
const loopsOver = (matches: (backingFile: string) => boolean): string[] =>
  (quietly(() => readdirSync('/sys/block')) ?? []).filter((name) => {
    if (!name.startsWith('loop')) return false;
    const file = quietly(() =>
      readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').replace(/\n$/, ''),
    );
    return file !== undefined && (quietly(() => matches(file)) ?? false);
  });

/** Loop devices may lie on files, files on loop devices, and so on; no sane stack is deeper. */
const DEPTH_LIMIT = 8;

const usesOfLoops = (names: readonly string[], depth: number): DeviceUse[] =>
  names.flatMap((name) => {
    const facts = quietly(() => readBlockDeviceFacts(`/dev/${name}`));
    return facts === undefined ? [] : usesOfDevice(facts, depth + 1);
  });

const usesOfNode = (path: string, number: string, depth: number): DeviceUse[] => {
  const uses: DeviceUse[] = [];
  for (const mount of mounts()) {
    // btrfs mounts carry a number of their own: their source names the device.
    const isSource = mount.source.startsWith('/') && quietly(() => blockNumberOf(mount.source)) === number;
    if (mount.number === number || isSource)
      uses.push({ by: 'mount', device: path, where: mount.mountPoint });
  }
  for (const swap of swaps()) {
    if (quietly(() => blockNumberOf(swap)) === number) uses.push({ by: 'swap', device: path, where: '' });
  }
  return [
    ...uses,
    ...usesOfLoops(
      loopsOver((file) => blockNumberOf(file) === number),
      depth,
    ),
  ];
};

const usesOfDevice = (facts: BlockDeviceFacts, depth: number): DeviceUse[] => {
  if (depth > DEPTH_LIMIT) return [];
  const uses = usesOfNode(facts.path, facts.number, depth);
  for (const holder of facts.holders) uses.push({ by: 'holder', device: facts.path, where: holder });
  if (facts.partition !== undefined) {
    // A disk that is mounted as a whole covers its partitions.
    const parent = blockNumberOf(facts.partition.parentPath);
    if (parent !== undefined) uses.push(...usesOfNode(facts.partition.parentPath, parent, depth));
  }
  for (const partition of facts.partitions) {
    const each = quietly(() => readBlockDeviceFacts(partition.path));
    if (each === undefined) continue;
    uses.push(...usesOfNode(each.path, each.number, depth));
    for (const holder of each.holders) uses.push({ by: 'holder', device: each.path, where: holder });
  }
  return uses;
};

/**
 * Who uses a block device now: mounts and swap of the device, of its partitions and of loop devices upon it, and
 * devices built from it. For a partition: of itself and of the disk as a whole, not of its neighbours.
 * Mounts of other mount namespaces are not seen; an exclusive open still meets them.
 */
export const mountPointsOf = (facts: BlockDeviceFacts): DeviceUse[] => usesOfDevice(facts, 0);

/** The same for a regular file: loop devices upon it, FUSE mounts of it, swap in it. */
export const mountPointsOfFile = (path: string): DeviceUse[] => {
  const uses: DeviceUse[] = [];
  for (const mount of mounts()) {
    if (mount.source.startsWith('/') && quietly(() => sameFile(mount.source, path)) === true)
      uses.push({ by: 'mount', device: path, where: mount.mountPoint });
  }
  for (const swap of swaps()) {
    if (quietly(() => sameFile(swap, path)) === true) uses.push({ by: 'swap', device: path, where: '' });
  }
  return [
    ...uses,
    ...usesOfLoops(
      loopsOver((file) => sameFile(file, path)),
      0,
    ),
  ];
};

/** Throws `refused`: `mounted` or `in-use`, naming what is in use and by whom. */
export const refuseUses = (target: string, uses: readonly DeviceUse[]): void => {
  const use = uses.find((each) => each.by === 'mount') ?? uses[0];
  if (use === undefined) return;
  const what = use.device === target ? target : `${target} (through ${use.device})`;
  if (use.by === 'mount') {
    throw refused(`${what} is mounted on ${use.where}`, {
      code: 'mounted',
      wayOut: UNMOUNT,
    });
  }
  if (use.by === 'swap') {
    throw refused(`${what} is swap space in use`, {
      code: 'in-use',
      wayOut: 'Turn it off with swapoff, or boot the rescue medium.',
    });
  }
  throw refused(`${what} is part of ${use.where}, which is active`, {
    code: 'in-use',
    found: use.where,
    wayOut: 'Stop that volume (LVM, RAID, encryption), or boot the rescue medium.',
  });
};
