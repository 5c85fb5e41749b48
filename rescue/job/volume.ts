import { SpanSet, toExtents, union } from '../bytes/runs.ts';
import type { PartitionNode } from '../device/block-facts.ts';
import type { Device, ReadableDevice } from '../device/device.ts';
import { type HoldfastError, isHoldfastError, refused } from '../errors.ts';
import type { FileSystem, FileSystemDriver, Geometry, Problem } from '../fs/filesystem.ts';
import { type OtherContent, probeFileSystem } from '../fs/probe.ts';
import type { Image } from '../image/image.ts';
import { containerTest } from '../locate/container-test.ts';
import { openContainers } from '../locate/filesystem.ts';
import { joinedInOrder } from '../locate/found.ts';
import type { Partition } from '../partition/model.ts';
import type { LiveTable } from '../partition/table.ts';
import type { ByteOffset, Extent, Run } from '../units.ts';
import type { EfiSystem } from './efi-system.ts';

/** The disk around a partition with its valid table, for reading. */
export interface SurroundingDisk {
  readonly device: ReadableDevice;
  readonly table: LiveTable;
  /** Partitions that have nodes now. */
  readonly nodes?: readonly PartitionNode[];
}

/** A partition that a job works on; offsets count from its start. */
export interface PartitionAccess {
  readonly device: Device;
  /** Where it starts on its disk; 0 where there is no disk. */
  readonly diskOffset: ByteOffset;
  readonly entry: Partition | undefined;
  readonly disk: SurroundingDisk | undefined;
  /** What is captured of the disk's EFI system partitions; without it, nothing. */
  readonly efiSystems?: readonly EfiSystem[];
  /** Why the table of the disk around it does not count, where that is so: the image has no copy of it then. */
  readonly tableFault?: string | undefined;
  /** For people. */
  readonly identity: { readonly model?: string; readonly serial?: string; readonly mapped: boolean };
}

export interface OpenVolume {
  readonly driver: FileSystemDriver;
  readonly fileSystem: FileSystem;
}

const listed = (problems: readonly Problem[]): string =>
  problems
    .slice(0, 3)
    .map((problem) => `${problem.message} (${problem.where})`)
    .join('; ') + (problems.length > 3 ? `; and ${problems.length - 3} more` : '');

/** A damaged or unknown source is declined, not a damaged image: exit code 4. */
export const asRefusal = (
  error: unknown,
  { repair }: Pick<FileSystemDriver, 'repair'>,
): HoldfastError | unknown => {
  if (!isHoldfastError(error, 'corrupt')) return error;
  return refused(`the file system is damaged: ${error.reason}`, {
    code: 'source-damaged',
    wayOut: `${error.detail.wayOut ?? repair}.`,
    cause: error,
  });
};

/** Opens a volume so that it lists containers only, not files that are merely called so. */
export const openWith = (driver: FileSystemDriver, device: ReadableDevice): FileSystem =>
  driver.open(device, containerTest(device));

/** That a device holds something else than a file system that can be imaged, by name. */
export const otherThanFileSystem = (name: string, { other, wayOut }: OtherContent): HoldfastError =>
  refused(`${name} holds no file system that can be imaged`, {
    code: 'unknown-filesystem',
    found: other,
    wayOut: `${wayOut}.`,
  });

/** Recognises the file system. Throws `refused` (`unknown-filesystem`, `source-damaged`), `unsupported`, `io`. */
export const openVolume = (device: ReadableDevice): OpenVolume => {
  const probed = probeFileSystem(device);
  if (!('driver' in probed)) throw otherThanFileSystem(device.name, probed);
  try {
    return { driver: probed.driver, fileSystem: openWith(probed.driver, device) };
  } catch (error) {
    throw asRefusal(error, probed.driver);
  }
};

/** Throws `refused` with the reason and the way out if the volume must not be touched as it stands. */
export const refuseUnfit = (fileSystem: FileSystem): void => {
  const [reason] = fileSystem.refusals();
  if (reason === undefined) return;
  throw refused(reason.message, {
    code: reason.code,
    structure: reason.where,
    ...(reason.wayOut === undefined ? {} : { wayOut: reason.wayOut }),
  });
};

/** Throws `refused` (`source-damaged`) if the volume's own structures contradict each other. */
export const refuseInconsistent = ({ driver, fileSystem }: OpenVolume): void => {
  const problems = fileSystem.check();
  if (problems.length === 0) return;
  throw refused(`the file system is damaged: ${listed(problems)}`, {
    code: 'source-damaged',
    wayOut: `${driver.repair}.`,
  });
};

/** A container that the file system lists: the image if its slots can be read. */
export interface ListedContainer {
  readonly name: string;
  readonly paths: readonly string[];
  readonly runs: readonly Run[];
  readonly image: Image | undefined;
  /** The image, if a defragmenter moved these clusters. */
  readonly displaced: Image | undefined;
  /** Why there is none, for people. */
  readonly reason: string;
}

export const listContainers = (device: ReadableDevice, fileSystem: FileSystem): ListedContainer[] =>
  openContainers(device, fileSystem).map(
    ({ container: { name, paths, runs }, image, displaced, reason }) => ({
      name,
      paths,
      runs,
      image,
      displaced,
      reason,
    }),
  );

/** Throws `refused` (`container.read-only`) for a container into which only a newer version may write. */
export const refuseReadOnly = (image: Pick<Image, 'id' | 'unknownRoCompat'>): void => {
  if (image.unknownRoCompat === 0) return;
  throw refused(`image ${image.id.slice(0, 8)} was made by a newer version and can only be read`, {
    code: 'container.read-only',
    found: `feature bits 0x${image.unknownRoCompat.toString(16)}`,
    wayOut: 'Use a newer Holdfast.',
  });
};

/** A container's extents as cluster runs in container order, neighbours joined. */
export const clusterRuns = (extents: readonly Extent[], clusterSize: number, clusterBase: number): Run[] =>
  joinedInOrder(extents).map(({ start, length }) => ({
    start: (start - clusterBase) / clusterSize,
    length: length / clusterSize,
  }));

/** The clusters that extents touch, in the same order, where they need not be whole clusters: of a volume with other clusters than theirs. */
export const clustersAround = (extents: readonly Extent[], clusterSize: number, clusterBase: number): Run[] =>
  joinedInOrder(extents).map(({ start, length }) => {
    const first = Math.floor((start - clusterBase) / clusterSize);
    return { start: first, length: Math.ceil((start + length - clusterBase) / clusterSize) - first };
  });

/** Where an image has data, as a volume counts its clusters: it may have other ones than the image. Read anew at each call. */
export function* dataOf(
  image: Pick<Image, 'inUse' | 'control'>,
  { clusterSize, clusterBase }: Pick<Geometry, 'clusterSize' | 'clusterBase'>,
): Generator<Run> {
  const own = image.control.geometry;
  if (own.clusterSize === clusterSize && own.clusterBase === clusterBase) {
    yield* image.inUse();
    return;
  }
  const around = function* (): Generator<Run> {
    for (const { start, length } of toExtents(image.inUse(), own.clusterSize, own.clusterBase)) {
      const first = Math.max(0, Math.floor((start - clusterBase) / clusterSize));
      const end = Math.ceil((start + length - clusterBase) / clusterSize);
      if (end > first) yield { start: first, length: end - first };
    }
  };
  yield* union(around(), []);
}

/** The image's mutable slots: commit records and journal. */
export const mutableExtents = (image: Pick<Image, 'extents' | 'sealed'>): Extent[] => {
  const sealed = new SpanSet(image.sealed);
  return new SpanSet(image.extents).spans.flatMap((span) => {
    const holes: Extent[] = [];
    let at = span.start;
    for (const part of sealed.within(span)) {
      if (part.start > at) holes.push({ start: at, length: part.start - at });
      at = part.start + part.length;
    }
    if (at < span.start + span.length) holes.push({ start: at, length: span.start + span.length - at });
    return holes;
  });
};
