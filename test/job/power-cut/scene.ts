import { complement, SpanSet, toExtents, totalLength } from '../../../rescue/bytes/runs.ts';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import type { DeviceEvent } from '../../../rescue/device/recorder.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { openVolume } from '../../../rescue/job/volume.ts';
import type { Contents, Court } from './court.ts';
import { type Cut, type CutOptions, cutsOf, spreadOver } from './medium.ts';
import { attempt, Log } from './report.ts';
import { ownersWork } from './world.ts';

/** How the owner's system comes to a volume: with its usual check at boot, or mounting it as it was left. */
export type Owner = 'checked' | 'unchecked';

/** One command on one volume: what it did, and how to judge what a cut leaves of it. */
export interface Scene {
  readonly before: MemoryDevice;
  readonly events: readonly DeviceEvent[];
  /** The first event by which anything changes but free clusters; 0 where nothing is free yet. */
  readonly visible: number;
  /** Adds to `log` what is wrong right after the cut, after the command was run again, and after each of these owners and the command. */
  judge(cut: Cut, owners: readonly Owner[], log: Log): Promise<void>;
}

export interface SweepOptions extends Omit<CutOptions, 'from'> {
  /** Cuts from the first visible event on only. Default: of the whole run. */
  readonly onlyVisible?: boolean;
  /** Media at most, spread over the run. Default: all. */
  readonly most?: number;
  /** Whole writes are judged with these owners; what is torn with one of them, by turns. */
  readonly owners: readonly Owner[];
}

/** Cuts power everywhere in one run. */
export const sweep = async (scene: Scene, options: SweepOptions): Promise<Log> => {
  const { owners, most = Number.POSITIVE_INFINITY } = options;
  const from = options.onlyVisible === true ? scene.visible : 0;
  const log = new Log();
  for (const cut of spreadOver(() => cutsOf(scene.before, scene.events, { ...options, from }), most)) {
    log.next(cut);
    const turn = log.tried % Math.max(1, owners.length);
    await scene.judge(cut, cut.torn ? owners.slice(turn, turn + 1) : owners, log);
  }
  return log;
};

/** Bytes that the file system does not use. */
export const freeOf = (device: MemoryDevice): SpanSet => {
  const { fileSystem } = openVolume(device);
  const { clusterSize, clusterBase, clusterCount } = fileSystem.geometry;
  const free = complement(fileSystem.allocation(), { start: 0, length: clusterCount });
  return new SpanSet(toExtents(free, clusterSize, clusterBase));
};

const isWithin = (free: SpanSet, span: { readonly start: number; readonly length: number }): boolean =>
  totalLength(free.within(span)) === span.length;

export const changedOutside = (free: SpanSet, before: MemoryDevice, after: MemoryDevice): string[] =>
  [...after.differences(before)]
    .filter((span) => !isWithin(free, span))
    .map(({ start, length }) => `${length} bytes at ${start} changed, which are in use`);

/** The first event by which a run changes anything but free clusters. */
export const visibleFrom = (free: SpanSet, events: readonly DeviceEvent[]): number =>
  events.findIndex(
    (event) => event.type === 'write' && !isWithin(free, { start: event.offset, length: event.length }),
  );

/** The command again on a medium, which it changes, and what is wrong then. `owners`: files, if somebody changed them in between. */
export type Again = (medium: MemoryDevice, owners?: Contents) => Promise<string[]>;

/** The command again after the owner. If it is declined, with the way out said, then nothing was written, and that way must lead out. */
const runAfterOwner = async (
  court: Court,
  again: Again,
  medium: MemoryDevice,
  tree: Contents,
  isMended: boolean,
): Promise<string[]> => {
  const before = medium.snapshot();
  try {
    return await again(medium, tree);
  } catch (error) {
    if (!isHoldfastError(error, 'refused') || !court.isWayOutSaid(error)) throw error;
    if ([...medium.differences(before)].length > 0) return ['declined after it had written'];
    if (!court.canGoThatWay(error)) return court.faultsAfterOwner(medium, tree);
    if (isMended) throw error;
  }
  const faults = court.faultsWhenMended(medium, tree);
  return faults.length > 0 ? faults : runAfterOwner(court, again, court.lift(), tree, true);
};

/**
 * The owner's system ran before the command was run again, which is judged. `tree`: files as they were before. What it does not mount
 * as it was left, it checks first: only what is torn, or a volume of which the court knows that it never is.
 */
export const afterOwner = async (
  { court, tree }: { readonly court: Court; readonly tree: Contents },
  cut: Cut,
  owner: Owner,
  again: Again,
  log: Log,
): Promise<void> => {
  const { device, torn } = cut;
  const work = (): Contents | undefined => {
    court.lay(device);
    if (owner === 'unchecked') {
      const files = court.tryToOwn(ownersWork);
      if (files !== undefined) return files;
      if (!torn && !court.isNeverMounted(device)) return undefined;
    }
    court.faultsWhenMended(device, tree);
    return court.own(ownersWork);
  };
  const judge = async (): Promise<string[]> => {
    if (court.needsUs(device)) return [];
    const files = work();
    if (files === undefined) return ["the owner's system does not mount the volume"];
    log.owned += 1;
    log.again += 1;
    return runAfterOwner(court, again, court.lift(), files, false);
  };
  log.add(`owner in between, ${owner}`, await attempt(judge));
};

/** Judges what a cut left after the file system's own repair, after the command was run again, and after each owner and the command. */
export const judgedByAll =
  <W extends { readonly court: Court; readonly tree: Contents }>(
    world: W,
    afterRepair: (world: W, cut: Cut) => Promise<string[]>,
    again: Again,
  ): Scene['judge'] =>
  async (cut, owners, log) => {
    log.add('after repair', await attempt(() => afterRepair(world, cut)));
    log.again += 1;
    log.add('run again', await attempt(() => again(cut.device.snapshot())));
    for (const owner of owners) await afterOwner(world, cut, owner, again, log);
  };
