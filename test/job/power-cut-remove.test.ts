import test from 'ava';
import { Guard } from '../../rescue/device/guard.ts';
import type { MemoryDevice } from '../../rescue/device/memory.ts';
import { Recorder } from '../../rescue/device/recorder.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import type { Image } from '../../rescue/image/image.ts';
import { hasSlotMagic } from '../../rescue/image/slot.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { removeFrom } from '../../rescue/job/remove.ts';
import { settle, tidy } from '../../rescue/job/settle.ts';
import type { Contents } from './power-cut/court.ts';
import { CUTS, DEPTH, enoughMedia } from './power-cut/depth.ts';
import { type Cut, cutsOf, spreadOver } from './power-cut/medium.ts';
import { attempt, Log } from './power-cut/report.ts';
import {
  accessTo,
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
import { removeImage } from './requests.ts';

interface Scene {
  readonly world: World;
  /** The image that is removed. */
  readonly gone: Image;
}

const afterRepair = async ({ world }: Scene, cut: Cut): Promise<string[]> => {
  const { court, context, factory, device } = world;
  const faults = await faultsOnceMended(world, cut);
  if (!sameExtents(cut.device, device, factory)) faults.push('sealed slots of the factory image changed');
  if (faults.length > 0) return faults;
  const mended = court.lift();
  const images = imagesOn(mended);
  if (!images.some(({ id }) => id === factory.id)) faults.push('the factory image is gone');
  for (const image of images) faults.push(...(await faultsOfImage(context, image)));
  faults.push(...faultsOfSiblings(mended, images));
  return faults;
};

/** The command again, on the disk as it is in the scratch file; nothing of the image may be left. */
const runAgain = async ({ world, gone }: Scene, owners?: Contents): Promise<string[]> => {
  const { court, context, factory, device } = world;
  let medium: MemoryDevice | undefined;
  try {
    await removeImage(court.path, { image: gone.id });
  } catch (error) {
    // All of it was removed by the first run, perhaps but for its name in the sibling lists: the next create drops it.
    if (!isHoldfastError(error, 'not-found')) throw error;
    medium = court.lift();
    const guard = new Guard(medium);
    await settle(context, guard, accessTo(medium));
    tidy(guard);
  }
  medium ??= court.lift();
  const faults =
    owners === undefined ? court.faults(medium, world.tree) : court.faultsAfterOwner(medium, owners);
  faults.push(...(await faultsOfImages(context, medium, ['factory'])));
  if (!sameExtents(medium, device, factory)) faults.push('sealed slots of the factory image changed');
  const left = gone.extents.filter(({ start }) => hasSlotMagic(medium.read(start, 16)));
  // Where the owner's files took over some of its clusters, what is left of the image is not found any more.
  if (left.length > 0 && owners === undefined)
    faults.push(`slots of the removed image are left at ${left.map(({ start }) => start)}`);
  return faults;
};

const afterOwner = async (scene: Scene, cut: MemoryDevice): Promise<string[]> => {
  const { court } = scene.world;
  if (court.needsUs(cut)) return [];
  court.faultsWhenMended(cut, scene.world.tree);
  const tree = court.own(ownersWork);
  try {
    return await runAgain(scene, tree);
  } catch (error) {
    if (!isHoldfastError(error, 'refused') || !court.isWayOutSaid(error) || court.canGoThatWay(error))
      throw error;
    return court.compare(tree);
  }
};

for (const volume of VOLUME_NAMES) {
  test(`${CUTS} of remove: ${volume}`, async (t) => {
    const context = new JobContext({ now: 1_800_000_000 });
    t.teardown(() => context.close());
    const world = await makeWorld(t, context, volume);
    const before = world.device.snapshot();
    await makeImage(context, before, 'user');
    const gone = imagesOn(before).find(({ control }) => control.kind === 'user')!;
    const scene = { world, gone };
    const recorder = new Recorder(before.snapshot());
    await removeFrom(context, accessTo(recorder), { image: gone, state: 'committed' });
    const log = new Log();
    for (const cut of spreadOver(
      () => cutsOf(before, recorder.events, { everyFrom: 0, ...DEPTH }),
      DEPTH.most,
    )) {
      log.next(cut.what);
      log.add('after repair', await attempt(() => afterRepair(scene, cut)));
      world.court.lay(cut.device);
      log.add('run again', await attempt(() => runAgain(scene)));
      if (cut.torn && !DEPTH.unchecked) continue;
      log.add('owner in between', await attempt(() => afterOwner(scene, cut.device)));
    }
    t.log(`${log.tried} media tried`);
    t.deepEqual(log.faults.slice(0, 20), []);
    t.true(log.tried >= enoughMedia(26));
  });
}
