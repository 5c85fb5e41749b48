import {
  complement,
  intersect,
  normalise,
  SpanSet,
  subtract,
  toExtents,
  totalLength,
} from '../bytes/runs.ts';
import type { Guard } from '../device/guard.ts';
import { isHoldfastError, refused } from '../errors.ts';
import type { FileSystemDriver } from '../fs/filesystem.ts';
import type { Editor, PatchBuilder } from '../fs/patch.ts';
import { nextGeneration } from '../image/commit.ts';
import type { Image } from '../image/image.ts';
import { journalLength } from '../image/journal.ts';
import { planPlacement } from '../image/placement.ts';
import { checkRelocatable, planRelocation, type RelocationPlan, roomForCopy } from '../image/relocation.ts';
import { type ByteLength, type Extent, formatBytes, MIB, type Run } from '../units.ts';
import type { JobContext } from './context.ts';
import { containerName } from './identity.ts';
import { standingCommitHomes } from './own-slots.ts';
import { bitmapDamage } from './salvage.ts';
import { clustersAround, dataOf, openVolume } from './volume.ts';

/**
 * Images that lie where the chosen image has data, and where each of them goes: found before the first write. `moves.ts` carries
 * it out.
 */
export interface Move {
  readonly from: Image;
  readonly plan: RelocationPlan;
  /** Whether the copy may overwrite what the file system that stands there now has in use. */
  readonly overLive: boolean;
}

type Grid = Pick<Image['control']['geometry'], 'clusterSize' | 'clusterBase'>;

/** What is known of the place that is restored to. */
export interface Ground {
  readonly partition: Guard;
  /** All that was found there and is not to be destroyed, leftovers too: copies keep clear of it if they can. */
  readonly found: readonly Image[];
}

/** The volume that is to come about: the view of the chosen image, edited so far. */
export interface Lodging {
  readonly driver: FileSystemDriver;
  readonly editor: PatchBuilder;
  /** The chosen image. */
  readonly image: Image;
  readonly survivors: readonly Image[];
}

/** The clusters that a container touches in container order, as the chosen image counts clusters. */
export const runsWithin = (extents: readonly Extent[], { control }: Image): Run[] => {
  const { clusterSize, clusterBase } = control.geometry;
  return clustersAround(extents, clusterSize, clusterBase);
};

/** Whether a container begins and ends where clusters do, all of it. The volume may have been made anew with other clusters since. */
const isOfWholeClusters = ({ extents }: Image, { clusterSize, clusterBase }: Grid): boolean =>
  extents.every(
    ({ start, length }) => (start - clusterBase) % clusterSize === 0 && length % clusterSize === 0,
  );

/** Bytes of the survivor that lie where the image has data. */
export const sharedBytes = (image: Image, survivor: Image): ByteLength =>
  totalLength(intersect(image.inUse(), normalise(runsWithin(survivor.extents, image)))) *
  image.control.geometry.clusterSize;

/** Throws `refused` (`collision`): the volume was made larger after the chosen image was made, and a later image lies in what came to it. */
const refuseBeyond = (image: Image, survivor: Image): void => {
  const { clusterSize, clusterBase, clusterCount } = image.control.geometry;
  const end = clusterBase + clusterCount * clusterSize;
  const beyond = survivor.extents.find(({ start, length }) => start < clusterBase || start + length > end);
  if (beyond === undefined) return;
  const short = survivor.id.slice(0, 8);
  throw refused(`image ${short} does not lie in the volume that the chosen image holds, which was smaller`, {
    code: 'collision',
    expected: `places from byte ${clusterBase} to ${end} of the partition`,
    found: `${beyond.length} bytes at byte ${beyond.start}`,
    wayOut: `Restore to another place with --to, or let it be destroyed with --drop ${short}.`,
  });
};

/**
 * The survivors that lie where the chosen image has data, or not in whole clusters of its volume. Throws `refused`
 * (`self-collision`): an image lies in clusters that were free when it was made, so one that says otherwise of its own is not to be
 * trusted; and `collision`.
 */
export const inTheWay = (image: Image, survivors: readonly Image[]): Image[] =>
  survivors.filter((survivor) => {
    const isWhole = isOfWholeClusters(survivor, image.control.geometry);
    const shared = sharedBytes(image, survivor);
    if (survivor.id === image.id && (shared > 0 || !isWhole)) {
      throw refused('the image claims clusters for its own slots that it says were in use', {
        code: 'self-collision',
        found: shared > 0 ? formatBytes(shared) : 'no whole clusters',
        wayOut: 'Restore to another place with --to.',
      });
    }
    refuseBeyond(image, survivor);
    return shared > 0 || !isWhole;
  });

/** Throws `refused` (`collision`): why an image that lies in the way cannot be moved, with the numbers and the ways out. */
const immovable = (
  image: Image,
  mover: Image,
  why: string,
  numbers?: { readonly expected: string; readonly found: string },
) => {
  const short = mover.id.slice(0, 8);
  const shared = sharedBytes(image, mover);
  const where =
    shared > 0 ? 'lies where the chosen image has data' : 'lies across clusters of the chosen image';
  return refused(`image ${short} ${where}, and ${why}`, {
    code: 'collision',
    ...(shared > 0 ? { found: `${formatBytes(shared)} of it in the way` } : {}),
    ...numbers,
    wayOut: `Restore to another place with --to, or let it be destroyed with --drop ${short}.`,
  });
};

/** Bytes that the file system standing there now has free; undefined when it cannot be read, or is not to be relied on. */
const freeNow = (partition: Guard): (() => Iterable<Extent>) | undefined => {
  try {
    const { fileSystem } = openVolume(partition);
    if (fileSystem.refusals().length > 0) return undefined;
    const { clusterSize, clusterBase, clusterCount } = fileSystem.geometry;
    const all = { start: 0, length: clusterCount };
    const free = () => toExtents(complement(fileSystem.allocation(), all), clusterSize, clusterBase);
    // To its end, so that damage shows now.
    totalLength(free());
    return free;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

/** The whole clusters in extents that ascend. */
function* wholeClusters(extents: Iterable<Extent>, { clusterSize, clusterBase }: Grid): Generator<Run> {
  for (const { start, length } of extents) {
    const first = Math.max(0, Math.ceil((start - clusterBase) / clusterSize));
    const end = Math.floor((start + length - clusterBase) / clusterSize);
    if (end > first) yield { start: first, length: end - first };
  }
}

/**
 * Clusters in which a copy is placed: whole ones of the volume that is to come about, and of the one that the moved image holds, which it
 * must fit when it is restored itself. Undefined where there are none.
 */
const commonGrid = (one: Grid, other: Grid): Grid | undefined => {
  const [large, small] = one.clusterSize >= other.clusterSize ? [one, other] : [other, one];
  const fits =
    large.clusterSize % small.clusterSize === 0 &&
    (large.clusterBase - small.clusterBase) % small.clusterSize === 0;
  return fits ? { clusterSize: large.clusterSize, clusterBase: large.clusterBase } : undefined;
};

/**
 * Finds a place for each image that lies in the way and claims it in the view, one after the other. A copy lies in clusters that are
 * free in the volume that is to come about and were free in the one that it holds, outside of all containers, the old copy among them; if there is room, in clusters that are free in the
 * volume as it is, so that nothing is lost before all copies are whole. Writes nothing. Throws `refused` (`collision`).
 */
export const makeWay = (lodging: Lodging, ground: Ground, movers: readonly Image[]): Move[] => {
  const moves: Move[] = [];
  if (movers.length === 0) return moves;
  const live = freeNow(ground.partition);
  for (const mover of movers) {
    const move = placeCopy(lodging, ground, moves, mover, live);
    moves.push(move);
    claimCopy(lodging, moves, move.from, move.plan.extents);
  }
  return moves;
};

/** Clusters that no claim may use for its own needs: containers where they are and where they go. */
const kept = ({ image, survivors }: Lodging, moves: readonly Move[]): Run[] =>
  [...survivors.map((each) => each.extents), ...moves.map(({ plan }) => plan.extents)].flatMap((extents) =>
    runsWithin(extents, image),
  );

/** Claims a copy in the view, or in what is edited above it. */
const claimCopy = (
  lodging: Lodging,
  moves: readonly Move[],
  { control, id }: Image,
  extents: readonly Extent[],
  editor: Editor = lodging.editor,
): void => {
  const runs = runsWithin(extents, lodging.image);
  const name = containerName(control.kind, id);
  const avoid = new SpanSet([...kept(lodging, moves), ...runs]);
  lodging.driver.claim(editor, { name, runs, time: control.created, avoid });
};

const placeCopy = (
  lodging: Lodging,
  ground: Ground,
  moves: readonly Move[],
  mover: Image,
  live: (() => Iterable<Extent>) | undefined,
): Move => {
  const { image, driver, editor } = lodging;
  requireMovable(image, mover, ground.partition);
  const { geometry } = image.control;
  const { clusterSize, clusterBase } = geometry;
  const fileSystem = driver.open(editor);
  const all = { start: 0, length: fileSystem.geometry.clusterCount };
  const freeBeside = (images: readonly Image[]) => {
    const held = new SpanSet([
      ...kept(lodging, moves),
      ...images.flatMap(({ extents }) => runsWithin(extents, image)),
    ]);
    return (): Iterable<Run> =>
      // Nor where the moved image itself has data: it could not be restored from there.
      subtract(
        subtract(subtract(complement(fileSystem.allocation(), all), fileSystem.bad()), held.spans),
        dataOf(mover, geometry),
      );
  };
  const grid = commonGrid(geometry, mover.control.geometry);
  if (grid === undefined)
    throw immovable(image, mover, 'its clusters and those of that image do not fit each other');
  const freeClusters = (images: readonly Image[], isFreeNow: boolean) => {
    const free = freeBeside(images);
    const { control } = mover;
    // It must fit into its own volume too, which may be the smaller one.
    const own = {
      start: control.geometry.clusterBase,
      length: control.geometry.clusterCount * control.geometry.clusterSize,
    };
    return (): Iterable<Run> => {
      const extents = intersect(toExtents(free(), clusterSize, clusterBase), [own]);
      return wholeClusters(isFreeNow ? intersect(extents, live?.() ?? []) : extents, grid);
    };
  };
  const places: { readonly free: () => Iterable<Run>; readonly overLive: boolean }[] = [
    ...(live === undefined
      ? []
      : [
          { free: freeClusters(ground.found, true), overLive: false },
          { free: freeClusters([], true), overLive: false },
        ]),
    { free: freeClusters(ground.found, false), overLive: true },
    { free: freeClusters([], false), overLive: true },
  ];
  const reserved = (): Iterable<Run> =>
    wholeClusters(toExtents(fileSystem.reserved(), clusterSize, clusterBase), grid);
  const patchLength = (extents: readonly Extent[]): ByteLength =>
    journalLength(driver.patch(editor, (inner) => claimCopy(lodging, moves, mover, extents, inner)));
  const oldJournal = (mover.journal?.slots.length ?? 0) * mover.homes.slotSize;
  const wanted = roomForCopy(mover, oldJournal);
  for (const { free, overLive } of places) {
    try {
      const { slotSize } = mover.homes;
      const enough = mover.storedBytes - oldJournal;
      const placement = planPlacement({ free, reserved, ...grid, wanted, enough, slotSize });
      const generation = nextGeneration(mover.commit!);
      return {
        from: mover,
        plan: planRelocation({ image: mover, generation, placement, patchLength, unit: grid.clusterSize }),
        overLive,
      };
    } catch (error) {
      const isFull =
        isHoldfastError(error, 'refused') && ['no-space', 'claim.no-space'].includes(error.detail.code);
      if (!isFull) throw error;
    }
  }
  throw immovable(image, mover, 'there is no room to move it out of the way', {
    expected: `about ${formatBytes(wanted)} in pieces of at least ${formatBytes(Math.max(mover.homes.slotSize, grid.clusterSize))}`,
    found: `${formatBytes(totalLength(freeClusters([], false)()) * grid.clusterSize)} that are free in both images and outside of all images`,
  });
};

/** Throws `refused` (`collision`). */
const requireMovable = (image: Image, mover: Image, partition: Guard): void => {
  if (mover.unknownRoCompat !== 0) throw immovable(image, mover, 'only a newer version may write it');
  if (mover.state !== 'committed' || mover.streams.length === 0) {
    throw immovable(image, mover, `it cannot be copied: ${mover.reason ?? 'no anchor of it opens'}`);
  }
  if (mover.commit === undefined || standingCommitHomes(partition, mover) === undefined) {
    throw immovable(image, mover, 'it cannot be copied: its commit record is lost');
  }
  const damage = bitmapDamage(mover);
  if (damage !== undefined) throw immovable(image, mover, `it cannot be copied whole: ${damage.message}`);
};

/** Reads every slot that is to be copied, before anything is written. Throws `refused` (`collision`). */
export const checkMoves = async (
  context: JobContext,
  image: Image,
  moves: readonly Move[],
): Promise<void> => {
  for (const { from } of moves) {
    try {
      let told = 0;
      for (const done of checkRelocatable(from)) {
        if (done - told < MIB) continue;
        told = done;
        context.progress('verify-slots', done, from.storedBytes);
        await context.checkpoint();
      }
    } catch (error) {
      if (!isHoldfastError(error, 'corrupt') && !isHoldfastError(error, 'io')) throw error;
      throw immovable(image, from, `it cannot be copied whole: ${error.message}`);
    }
  }
};
