import { complement, normalise, SpanSet, subtract, toExtents, totalLength } from '../bytes/runs.ts';
import { BlankedReader } from '../device/blanked.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError, refused } from '../errors.ts';
import type { FileSystem, FileSystemDriver } from '../fs/filesystem.ts';
import type { Image } from '../image/image.ts';
import { SPACE } from '../image/layout.ts';
import { type Placement, planPlacement } from '../image/placement.ts';
import { worstCaseSize } from '../image/writer.ts';
import { type ByteLength, formatBytes, KIB, MIB, type Run } from '../units.ts';
import { type Capture, estimateRatio, inUnits } from './capture.ts';
import type { JobContext } from './context.ts';
import { controlOf } from './identity.ts';
import type { CreateRequest } from './results.ts';
import { type Bystanders, bystanders } from './siblings.ts';
import { clusterRuns, type ListedContainer, type OpenVolume, type PartitionAccess } from './volume.ts';

/** What stays free unless the person says otherwise: the smaller of 2 % and this. */
const KEEP_FREE = 256 * MIB;

/** With so much left, and a 256th of the container for maps of it, a claim finds what it needs. */
const AMPLE = 16 * MIB;
/** What is kept for the claim's own needs, doubled until they fit. */
const FIRST_OWN_NEED = 64 * KIB;

/** Slots of less than the usual size, the largest first. */
const SMALL_SLOTS = [32 * KIB, 16 * KIB, 8 * KIB, 4 * KIB];

/** The volume, or what it will be once some images are removed. */
export interface ViewedVolume extends OpenVolume {
  readonly view: ReadableDevice;
}

/** What is known before anything is written. */
export interface CreatePlan {
  /** What was planned on. */
  readonly view: ReadableDevice;
  readonly fileSystem: FileSystem;
  readonly driver: FileSystemDriver;
  readonly captures: readonly Capture[];
  /** Bytes to capture, and how many of them belong to the partition's clusters. */
  readonly rawBytes: ByteLength;
  readonly usedBytes: ByteLength;
  readonly placement: Placement;
  readonly listed: readonly ListedContainer[];
  readonly siblings: readonly Image[];
  readonly beside: Bystanders;
  /** The highest sequence number that any image here has. */
  readonly above: number;
}

/** Measures and places an image. Throws `refused` (`no-space`) with the numbers. */
export const makePlan = (
  context: JobContext,
  access: PartitionAccess,
  { driver, fileSystem, view }: ViewedVolume,
  listed: readonly ListedContainer[],
  request: Pick<CreateRequest, 'codec' | 'minFree'> & { readonly above: number },
): CreatePlan => {
  const { geometry } = fileSystem;
  const { clusterSize, clusterBase, clusterCount } = geometry;
  const excluded = normalise(fileSystem.excludes().flatMap((exclude) => exclude.runs));
  // Of bad clusters nothing can be read, and nothing is written there.
  const captured = (): Iterable<Run> =>
    subtract(subtract(fileSystem.allocation(), excluded), fileSystem.bad());
  const usedBytes = totalLength(captured()) * clusterSize;
  const captures = capturesOf(access, fileSystem, captured);
  const companions = captures
    .slice(1)
    .reduce((sum, each) => sum + totalLength(each.runs()) * each.space.unit, 0);
  const rawBytes = usedBytes + companions;
  context.progress('estimate', 0, 1);
  const ratio = estimateRatio(captures[0]!, usedBytes / captures[0]!.space.unit, request.codec);
  context.progress('estimate', 1, 1);
  const free = (): Iterable<Run> =>
    subtract(complement(fileSystem.allocation(), { start: 0, length: clusterCount }), fileSystem.bad());
  const freeBytes = totalLength(free()) * clusterSize;
  const minFree = request.minFree ?? Math.min(KEEP_FREE, Math.floor(geometry.size * 0.02));
  const slack = 1.1;
  const enough = Math.ceil(rawBytes * ratio * slack) + 2 * MIB;
  const runs = 1 + Math.ceil(rawBytes / MIB);
  const worst = (slotSize: ByteLength): ByteLength => worstCaseSize(rawBytes, runs, slotSize);
  const lowest = Math.min(enough, worst(64 * KIB));
  const placedBeside = (kept: ByteLength): Placement => {
    const available = Math.max(0, freeBytes - kept);
    const wanted = Math.min(worst(4 * KIB), available);
    const crowded = available < lowest * 0.9;
    // On the smallest volumes (a floppy, say) it is the slots themselves that take the room.
    const slotSize = crowded ? SMALL_SLOTS.find((size) => worst(size) <= available) : undefined;
    if (crowded && slotSize === undefined) {
      throw refused('there is not enough free space for an image', {
        code: 'no-space',
        expected: `about ${formatBytes(lowest)} besides ${formatBytes(kept)} that stay free`,
        found: `${formatBytes(freeBytes)} free`,
        wayOut:
          'Free some space, compress better (--level), keep less free (--min-free), or give up the old image first (--replace-first).',
      });
    }
    return planPlacement({
      free,
      reserved: () => fileSystem.reserved(),
      clusterSize,
      clusterBase,
      ...(slotSize === undefined
        ? { wanted, enough: Math.min(lowest, wanted) }
        : { wanted: worst(slotSize), enough: worst(slotSize), slotSize }),
    });
  };
  let placement = placedBeside(minFree);
  // What lists the container (a folder, more of $MFT, index blocks, maps) needs clusters of its own, which come first.
  for (let own = FIRST_OWN_NEED; leavesNothing({ driver, fileSystem, view }, placement, freeBytes); own *= 2)
    placement = placedBeside(Math.max(minFree, own));
  return {
    view,
    fileSystem,
    driver,
    captures,
    rawBytes,
    usedBytes,
    placement,
    listed,
    siblings: committed(listed),
    beside: bystanders(listed),
    above: request.above,
  };
};

/** Whether the file system would find no cluster for what lists a container in all of these places. */
const leavesNothing = (
  { driver, fileSystem, view }: ViewedVolume,
  { extents }: Placement,
  freeBytes: ByteLength,
): boolean => {
  const placed = totalLength(extents);
  if (freeBytes - placed > AMPLE + placed / 256) return false;
  const { clusterSize, clusterBase } = fileSystem.geometry;
  const runs = clusterRuns(extents, clusterSize, clusterBase);
  try {
    driver.patch(view, (editor) =>
      driver.claim(editor, { name: 'trial', runs, time: 0, avoid: new SpanSet(runs) }),
    );
    return false;
  } catch (error) {
    // Any other reason is for who claims in earnest.
    return isHoldfastError(error, 'refused') && error.detail.code === 'claim.no-space';
  }
};

const capturesOf = (
  access: PartitionAccess,
  fileSystem: FileSystem,
  captured: () => Iterable<Run>,
): Capture[] => {
  const { geometry } = fileSystem;
  const control = controlOf(access, fileSystem, BLANK);
  const blank = toExtents(fileSystem.blank(), geometry.clusterSize, geometry.clusterBase);
  return control.spaces.map((space): Capture => {
    if (space.id === SPACE.partition) {
      return {
        space,
        device: new BlankedReader(access.device, blank),
        runs: () => inUnits(captured(), geometry.clusterSize / space.unit),
      };
    }
    if (space.of === 'disk') {
      const efi = access.efiSystems?.find(({ id }) => id === space.id);
      const whole = [{ start: 0, length: space.length / space.unit }];
      return { space, device: access.disk!.device, runs: () => efi?.runs() ?? whole };
    }
    const outside = geometry.outside.map(({ start, length }) => ({
      start: (start - space.start) / space.unit,
      length: length / space.unit,
    }));
    return { space, device: access.device, runs: () => outside };
  });
};

const BLANK = {
  imageId: new Uint8Array(16),
  kind: 'user',
  name: '',
  sequence: 0,
  created: 0,
  codec: { name: 'store', level: 0 },
  containers: [],
} as const;

/** The images among listed containers that count. */
export const committed = (listed: readonly ListedContainer[]): Image[] =>
  listed.flatMap(({ image }) => (image?.state === 'committed' ? [image] : []));
