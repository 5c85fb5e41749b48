import test from 'ava';
import { complement, SpanSet, toExtents } from '../../rescue/bytes/runs.ts';
import type { MemoryDevice } from '../../rescue/device/memory.ts';
import { type DeviceEvent, Recorder } from '../../rescue/device/recorder.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { openVolume } from '../../rescue/job/volume.ts';
import type { Contents } from './power-cut/court.ts';
import { CUTS, DEPTH, enoughMedia } from './power-cut/depth.ts';
import { type Cut, cutsOf, spreadOver } from './power-cut/medium.ts';
import { attempt, Log } from './power-cut/report.ts';
import {
  faultsOfImage,
  faultsOfImages,
  faultsOfSiblings,
  faultsOnceMended,
  imagesOn,
  makeImage,
  makeWorld,
  ownersWork,
  sameExtents,
  VOLUME_NAMES,
  type World,
} from './power-cut/world.ts';

/** Bytes that the file system does not use. */
const freeOf = (device: MemoryDevice): SpanSet => {
  const { fileSystem } = openVolume(device);
  const { clusterSize, clusterBase, clusterCount } = fileSystem.geometry;
  const free = complement(fileSystem.allocation(), { start: 0, length: clusterCount });
  return new SpanSet(toExtents(free, clusterSize, clusterBase));
};

const changedOutside = (free: SpanSet, before: MemoryDevice, after: MemoryDevice): string[] =>
  [...after.differences(before)]
    .filter((span) => [...free.within(span)].reduce((sum, part) => sum + part.length, 0) < span.length)
    .map(({ start, length }) => `${length} bytes at ${start} changed, which are in use`);

/** The first event by which a run changes anything but free clusters. */
const visibleFrom = (free: SpanSet, events: readonly DeviceEvent[]): number =>
  events.findIndex(
    (event) =>
      event.type === 'write' &&
      [...free.within({ start: event.offset, length: event.length })].reduce(
        (sum, part) => sum + part.length,
        0,
      ) < event.length,
  );

interface Scene {
  readonly world: World;
  readonly before: MemoryDevice;
  /** Ids of user images before. */
  readonly old: readonly string[];
}

/** Right after the cut: everything that was there must be there after the file system's own repair. */
const afterRepair = async ({ world, old }: Scene, cut: Cut): Promise<string[]> => {
  const { court, context, factory, device } = world;
  const faults = await faultsOnceMended(world, cut);
  if (!sameExtents(cut.device, device, factory)) faults.push('sealed slots of the factory image changed');
  if (faults.length > 0) return faults;
  const mended = court.lift();
  const images = imagesOn(mended);
  if (!images.some(({ id }) => id === factory.id)) faults.push('the factory image is gone');
  if (old.length > 0 && !images.some(({ control }) => control.kind === 'user'))
    faults.push('no user image is left');
  for (const image of images) faults.push(...(await faultsOfImage(context, image)));
  faults.push(...faultsOfSiblings(mended, images));
  return faults;
};

/** The command again, on the medium as it is. */
const runAgain = async ({ world }: Scene, medium: MemoryDevice, owners?: Contents): Promise<string[]> => {
  const { court, context, factory, device } = world;
  await makeImage(context, medium, 'user');
  const faults =
    owners === undefined ? court.faults(medium, world.tree) : court.faultsAfterOwner(medium, owners);
  faults.push(...(await faultsOfImages(context, medium, ['factory', 'user'])));
  if (!sameExtents(medium, device, factory)) faults.push('sealed slots of the factory image changed');
  return faults;
};

/** The command again after the owner. If it is declined, with the way out said, then nothing was written, and that way must lead out. */
const runAfterOwner = async (
  scene: Scene,
  medium: MemoryDevice,
  tree: Contents,
  isMended: boolean,
): Promise<string[]> => {
  const { court } = scene.world;
  const before = medium.snapshot();
  try {
    return await runAgain(scene, medium, tree);
  } catch (error) {
    if (!isHoldfastError(error, 'refused') || !court.isWayOutSaid(error)) throw error;
    if ([...medium.differences(before)].length > 0) return ['declined after it had written'];
    if (!court.canGoThatWay(error)) return court.faultsAfterOwner(medium, tree);
    if (isMended) throw error;
  }
  const faults = court.faultsWhenMended(medium, tree);
  return faults.length > 0 ? faults : runAfterOwner(scene, court.lift(), tree, true);
};

/** The owner's system ran before the command was run again: with its usual check at boot, or mounted as it was. */
const afterOwner = async (scene: Scene, cut: Cut, checked: boolean): Promise<string[]> => {
  const { court } = scene.world;
  if (court.needsUs(cut.device)) return [];
  court.lay(cut.device);
  if (!checked && court.isNeverMounted(cut.device))
    return court.mounts() ? ['mounted, though it should not be'] : [];
  if (checked) court.faultsWhenMended(cut.device, scene.world.tree);
  const tree = court.own(ownersWork);
  return runAfterOwner(scene, court.lift(), tree, false);
};

/** Cuts power everywhere in one `create`; gives what went wrong and how many media were tried. */
const sweep = async (scene: Scene): Promise<Log> => {
  const { world, before } = scene;
  const recorder = new Recorder(before.snapshot());
  await makeImage(world.context, recorder, 'user');
  const free = freeOf(before);
  const visible = visibleFrom(free, recorder.events);
  const log = new Log();
  for (const cut of spreadOver(
    () => cutsOf(before, recorder.events, { everyFrom: visible - 8, ...DEPTH }),
    DEPTH.most,
  )) {
    log.next(cut.what);
    if (cut.events <= visible) log.add('before the claim', changedOutside(free, before, cut.device));
    log.add('after repair', await attempt(() => afterRepair(scene, cut)));
    log.add('run again', await attempt(() => runAgain(scene, cut.device.snapshot())));
    if (cut.events < visible || (cut.torn && !DEPTH.unchecked)) continue;
    log.add('owner in between', await attempt(() => afterOwner(scene, cut, true)));
    if (DEPTH.unchecked)
      log.add('owner in between, unchecked', await attempt(() => afterOwner(scene, cut, false)));
  }
  return log;
};

for (const volume of VOLUME_NAMES) {
  test(`${CUTS} of a first and a replacing create: ${volume}`, async (t) => {
    const context = new JobContext({ now: 1_800_000_000 });
    t.teardown(() => context.close());
    const world = await makeWorld(t, context, volume);
    const first = await sweep({ world, before: world.device, old: [] });
    const before = world.device.snapshot();
    await makeImage(context, before, 'user');
    const second = await sweep({ world, before, old: [imagesOn(before)[0]!.id] });
    t.log(`${first.tried} and ${second.tried} media tried`);
    t.deepEqual([...first.faults, ...second.faults].slice(0, 20), []);
    t.true(first.tried >= enoughMedia(21) && second.tried >= enoughMedia(31));
  });
}

test('the sweep finds a claim whose writes come in the wrong order', async (t) => {
  const context = new JobContext({ now: 1_800_000_000 });
  t.teardown(() => context.close());
  const world = await makeWorld(t, context, 'ext2');
  const scene: Scene = { world, before: world.device, old: [] };
  const recorder = new Recorder(world.device.snapshot());
  await makeImage(context, recorder, 'user');
  const { events } = recorder;
  const visible = visibleFrom(freeOf(world.device), events);
  const backwards = events
    .slice(visible)
    .filter(({ type }) => type === 'write')
    .reverse();
  const faults: string[] = [];
  const options = { everyFrom: visible, sample: 100, subsets: 0, tornSample: 1 };
  for (const cut of cutsOf(world.device, [...events.slice(0, visible), ...backwards], options)) {
    if (cut.torn || faults.length > 0) continue;
    faults.push(...(await attempt(() => afterRepair(scene, cut))));
    faults.push(...(await attempt(() => runAgain(scene, cut.device.snapshot()))));
  }
  t.true(faults.length > 0);
});
