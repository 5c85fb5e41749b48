import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { Recorder } from '../../../rescue/device/recorder.ts';
import type { JobContext } from '../../../rescue/job/context.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import {
  faultsOfGuard,
  faultsOfImage,
  faultsOfImages,
  faultsOfSiblings,
  imagesOn,
  sameExtents,
} from './images.ts';
import type { Cut } from './medium.ts';
import { attempt } from './report.ts';
import { type Again, afterOwner, changedOutside, freeOf, type Scene, visibleFrom } from './scene.ts';
import { faultsOnceMended, makeImage, makeWorld, type VolumeName, type World } from './world.ts';

interface Creation {
  readonly world: World;
  /** Whether there was a user image before. */
  readonly replaces: boolean;
}

/** Every older image is there and whole, whatever became of the new one. */
const faultsOfOlder = async ({ world, replaces }: Creation, medium: MemoryDevice): Promise<string[]> => {
  const faults: string[] = [];
  const images = imagesOn(medium);
  if (!images.some(({ id }) => id === world.factory.id)) faults.push('the factory image is gone');
  if (replaces && !images.some(({ control }) => control.kind === 'user'))
    faults.push('no user image is left');
  for (const image of images) faults.push(...(await faultsOfImage(world.context, image)));
  return [...faults, ...faultsOfSiblings(medium, images), ...faultsOfGuard(medium, images)];
};

/** Right after the cut: everything that was there must be there after the file system's own repair. */
const afterRepair = async (creation: Creation, cut: Cut): Promise<string[]> => {
  const { world } = creation;
  const faults = await faultsOnceMended(world, cut);
  if (!sameExtents(cut.device, world.device, world.factory))
    faults.push('sealed slots of the factory image changed');
  return faults.length > 0 ? faults : faultsOfOlder(creation, world.court.lift());
};

const runAgain =
  ({ court, context, factory, device, tree }: World): Again =>
  async (medium, owners) => {
    await makeImage(context, medium, 'user');
    const faults = owners === undefined ? court.faults(medium, tree) : court.faultsAfterOwner(medium, owners);
    faults.push(...(await faultsOfImages(context, medium, ['factory', 'user'])));
    if (!sameExtents(medium, device, factory)) faults.push('sealed slots of the factory image changed');
    return faults;
  };

/** A `create` beside a factory image: of the first user image, or of one that replaces another. */
export const creating = async (
  cleanup: Cleanup,
  context: JobContext,
  volume: VolumeName,
  { replaces }: Pick<Creation, 'replaces'>,
): Promise<Scene> => {
  const world = await makeWorld(cleanup, context, volume);
  const before = world.device.snapshot();
  if (replaces) await makeImage(context, before, 'user');
  const recorder = new Recorder(before.snapshot());
  await makeImage(context, recorder, 'user');
  const { events } = recorder;
  const free = freeOf(before);
  const visible = visibleFrom(free, events);
  const creation: Creation = { world, replaces };
  return {
    before,
    events,
    visible,
    judge: async (cut, owners, log) => {
      const again = runAgain(world);
      // Nothing was to be seen of it yet: byte for byte what it was, the volume is what its judges judged before.
      const isUnseen = cut.events <= visible;
      if (isUnseen) {
        log.add('before the claim', changedOutside(free, before, cut.device));
        log.add('before the claim', await attempt(() => faultsOfOlder(creation, cut.device)));
      } else log.add('after repair', await attempt(() => afterRepair(creation, cut)));
      log.again += 1;
      log.add('run again', await attempt(() => again(cut.device.snapshot())));
      // What is in free clusters makes no difference to an owner, checked or not.
      const comers = isUnseen ? (cut.torn ? [] : owners.slice(0, 1)) : owners;
      for (const owner of comers) await afterOwner(world, cut, owner, again, log);
    },
  };
};
