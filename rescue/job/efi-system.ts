import { subtract, toExtents, totalLength, union } from '../bytes/runs.ts';
import { readBlockDeviceFacts } from '../device/block-facts.ts';
import { mountPointsOf } from '../device/in-use.ts';
import { ReadableWindow } from '../device/window.ts';
import { isHoldfastError } from '../errors.ts';
import type { FileSystem } from '../fs/filesystem.ts';
import { probeFileSystem } from '../fs/probe.ts';
import {
  type CompanionSpace,
  companionSpaces,
  EFI_SYSTEM_LIMIT,
  efiSystemPartitions,
  isEfiSystemSpace,
} from '../partition/companion.ts';
import { type ByteLength, formatBytes, MIB, type Run } from '../units.ts';
import type { JobContext } from './context.ts';
import { openWith, type PartitionAccess, type SurroundingDisk } from './volume.ts';

/** What is captured of one EFI system partition beside the image's own partition. */
export interface EfiSystem extends CompanionSpace {
  /** Logical sectors from the partition's start: what is in use, and all that belongs to no cluster. Read anew at each call. */
  runs(): Iterable<Run>;
}

/**
 * Sectors without which the file system would not be what it is: what belongs to no cluster, and clusters in use, but for
 * those of images that it holds itself and those that cannot be read.
 */
function* sectorsInUse(fileSystem: FileSystem, sectorSize: ByteLength, sectors: number): Generator<Run> {
  const { clusterSize, clusterBase, outside } = fileSystem.geometry;
  const left = [...fileSystem.excludes().flatMap(({ runs }) => runs)].sort((a, b) => a.start - b.start);
  const used = subtract(subtract(fileSystem.allocation(), left), fileSystem.bad());
  const inSectors = function* (): Generator<Run> {
    for (const { start, length } of union(outside, toExtents(used, clusterSize, clusterBase))) {
      const first = Math.floor(start / sectorSize);
      const end = Math.min(sectors, Math.ceil((start + length) / sectorSize));
      if (end > first) yield { start: first, length: end - first };
    }
  };
  // A file system with smaller sectors than the disk may have two extents in one of them.
  yield* union(inSectors(), []);
}

/** Throws `io` where any of it cannot be read: an image of another partition must not fail for that. */
const readAll = ({ device }: SurroundingDisk, { start, runs }: EfiSystem): void => {
  const buffer = new Uint8Array(MIB);
  for (const extent of toExtents(runs(), device.sectorSize, start)) {
    for (let at = 0; at < extent.length; at += buffer.length)
      device.readInto(extent.start + at, buffer.subarray(0, Math.min(buffer.length, extent.length - at)));
  }
};

/** Why the space cannot be captured, or what is to be captured of it: at most `limit` bytes. */
const examine = (disk: SurroundingDisk, space: CompanionSpace, limit: ByteLength): string | EfiSystem => {
  const { sectorSize } = disk.device;
  const node = disk.nodes?.find(({ offset }) => offset === space.start);
  const use = node === undefined ? undefined : mountPointsOf(readBlockDeviceFacts(node.path))[0];
  if (use !== undefined) {
    return `it is ${use.by === 'mount' ? `mounted on ${use.where}` : 'in use'}, and may change while it is read; unmount it first`;
  }
  const window = new ReadableWindow(disk.device, { start: space.start, length: space.length });
  const probed = probeFileSystem(window);
  if (!('driver' in probed)) return `it holds no FAT file system: ${probed.other}`;
  if (probed.driver.name !== 'fat') return `it holds no FAT file system, but one for ${probed.driver.name}`;
  const sectors = Math.floor(space.length / sectorSize);
  const fileSystem = openWith(probed.driver, window);
  const system: EfiSystem = { ...space, runs: () => sectorsInUse(fileSystem, sectorSize, sectors) };
  const bytes = totalLength(system.runs()) * sectorSize;
  if (bytes > limit) {
    return `${formatBytes(bytes)} of it are in use, and there is room for ${formatBytes(limit)}`;
  }
  readAll(disk, system);
  return system;
};

const asReason = (error: unknown): string => {
  if (isHoldfastError(error)) return error.message;
  throw error;
};

/**
 * What of the disk's EFI system partitions goes into an image of another partition of the disk. What cannot be had is left
 * out, and said: the image is worth as much for its own partition. One that is mounted is left out too, since what its
 * owner writes meanwhile would be half in the image. `limit`: bytes that are taken of all of them together.
 */
export const findEfiSystems = (
  context: JobContext,
  { disk, device, diskOffset }: Pick<PartitionAccess, 'disk' | 'device' | 'diskOffset'>,
  limit: ByteLength = EFI_SYSTEM_LIMIT,
): EfiSystem[] => {
  if (disk === undefined) return [];
  const isOwn = ({ start }: { readonly start: number }): boolean =>
    start >= diskOffset && start < diskOffset + device.size;
  const spaces = companionSpaces(disk.table).filter((each) => isEfiSystemSpace(each.id));
  const found: EfiSystem[] = [];
  let room = limit;
  for (const partition of efiSystemPartitions(disk.table)) {
    if (isOwn(partition)) continue;
    const space = spaces.find(({ start }) => start === partition.start);
    let result: string | EfiSystem;
    try {
      result = space === undefined ? 'there are too many' : examine(disk, space, room);
    } catch (error) {
      result = asReason(error);
    }
    if (typeof result === 'string') {
      context.note(
        `The image gets no copy of the EFI system partition (partition ${partition.number}): ${result}.`,
        'warning',
      );
      continue;
    }
    room -= totalLength(result.runs()) * disk.device.sectorSize;
    found.push(result);
  }
  return found;
};
