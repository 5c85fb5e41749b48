import { Guard } from '../../../rescue/device/guard.ts';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { Recorder } from '../../../rescue/device/recorder.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import type { Image } from '../../../rescue/image/image.ts';
import { hasSlotMagic } from '../../../rescue/image/slot.ts';
import type { JobContext } from '../../../rescue/job/context.ts';
import { removeFrom } from '../../../rescue/job/remove.ts';
import { settle, tidy } from '../../../rescue/job/settle.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { removeImage } from '../requests.ts';
import {
  faultsOfGuard,
  faultsOfImage,
  faultsOfImages,
  faultsOfSiblings,
  imagesOn,
  sameExtents,
} from './images.ts';
import type { Cut } from './medium.ts';
import { type Again, judgedByAll, type Scene } from './scene.ts';
import { accessTo, faultsOnceMended, makeImage, makeWorld, type VolumeName, type World } from './world.ts';

const afterRepair = async (world: World, cut: Cut): Promise<string[]> => {
  const { court, context, factory, device } = world;
  const faults = await faultsOnceMended(world, cut);
  if (!sameExtents(cut.device, device, factory)) faults.push('sealed slots of the factory image changed');
  if (faults.length > 0) return faults;
  const mended = court.lift();
  const images = imagesOn(mended);
  if (!images.some(({ id }) => id === factory.id)) faults.push('the factory image is gone');
  for (const image of images) faults.push(...(await faultsOfImage(context, image)));
  return [...faults, ...faultsOfSiblings(mended, images), ...faultsOfGuard(mended, images)];
};

/** `remove` as a person asks for it, of what lies in a file. Nothing is found once all of it was removed. */
const removeFromFile = async ({ court }: World, medium: MemoryDevice, { id }: Image): Promise<boolean> => {
  court.lay(medium);
  try {
    await removeImage(court.path, { image: id });
    return true;
  } catch (error) {
    if (!isHoldfastError(error, 'not-found')) throw error;
    return false;
  } finally {
    const left = court.lift();
    for (const { start, length } of left.differences(medium)) medium.write(start, left.read(start, length));
  }
};

/** The command again; nothing of the image may be left. */
const runAgain =
  (world: World, gone: Image): Again =>
  async (medium, owners) => {
    const { court, context, factory, device, tree } = world;
    if (!(await removeFromFile(world, medium, gone))) {
      // All of it was removed by the first run, perhaps but for its name in the sibling lists: the next create drops it.
      const guard = new Guard(medium);
      await settle(context, guard, accessTo(medium));
      tidy(guard);
    }
    const faults = owners === undefined ? court.faults(medium, tree) : court.faultsAfterOwner(medium, owners);
    faults.push(...(await faultsOfImages(context, medium, ['factory'])));
    if (!sameExtents(medium, device, factory)) faults.push('sealed slots of the factory image changed');
    const left = gone.extents.filter(({ start }) => hasSlotMagic(medium.read(start, 16)));
    // Where the owner's files took over some of its clusters, what is left of the image is not found any more.
    if (left.length > 0 && owners === undefined)
      faults.push(`slots of the removed image are left at ${left.map(({ start }) => start)}`);
    return faults;
  };

/** A `remove` of the user image beside a factory image. */
export const removing = async (cleanup: Cleanup, context: JobContext, volume: VolumeName): Promise<Scene> => {
  const world = await makeWorld(cleanup, context, volume);
  const before = world.device.snapshot();
  await makeImage(context, before, 'user');
  const gone = imagesOn(before).find(({ control }) => control.kind === 'user')!;
  const recorder = new Recorder(before.snapshot());
  await removeFrom(context, accessTo(recorder), { image: gone, state: 'committed' });
  const again = runAgain(world, gone);
  return {
    before,
    events: recorder.events,
    visible: 0,
    judge: judgedByAll(world, afterRepair, again),
  };
};
