import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { Recorder } from '../../../rescue/device/recorder.ts';
import type { JobContext } from '../../../rescue/job/context.ts';
import { repairOn } from '../../../rescue/job/repair.ts';
import { verifyFrames } from '../../../rescue/job/verify-image.ts';
import { listContainers, openVolume } from '../../../rescue/job/volume.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { displaceOn, downInPieces } from '../displace.ts';
import { faultsOfImages } from './images.ts';
import type { Cut } from './medium.ts';
import { type Again, judgedByAll, type Scene } from './scene.ts';
import { accessTo, faultsOnceMended, makeWorld, type VolumeName, type World } from './world.ts';

/** Of a container that was moved: in whole slots, so that their headers are put right where they lie, or not. */
export type Mending = 'in place' | 'as a copy';

const SAID = { 'in place': /say again where they lie/, 'as a copy': /written anew/ } as const;

/** The image must open at any time, where it lies or where it was. */
const faultsOfMoved = async (context: JobContext, device: MemoryDevice, id: string): Promise<string[]> => {
  const faults: string[] = [];
  const whole = listContainers(device, openVolume(device).fileSystem).flatMap(({ image, displaced }) => {
    const each = image ?? displaced;
    return each?.id === id && each.state === 'committed' ? [each] : [];
  });
  if (whole.length === 0) return ['the image does not open any more'];
  for (const image of whole)
    await verifyFrames(context, image, image.control.spaces, ({ reason }) => faults.push(reason));
  return faults;
};

const afterRepair = async (world: World, cut: Cut): Promise<string[]> => {
  const faults = await faultsOnceMended(world, cut);
  return faults.length > 0 ? faults : faultsOfMoved(world.context, world.court.lift(), world.factory.id);
};

const runAgain =
  ({ court, context, factory, tree }: World): Again =>
  async (medium, owners) => {
    await repairOn(context, accessTo(medium), factory.id);
    const faults = owners === undefined ? court.faults(medium, tree) : court.faultsAfterOwner(medium, owners);
    return [...faults, ...(await faultsOfImages(context, medium, ['factory']))];
  };

/** A `verify --repair` of the factory image, which a defragmenter moved. Throws unless it goes as `how` says. */
export const mending = async (
  cleanup: Cleanup,
  context: JobContext,
  volume: VolumeName,
  how: Mending,
): Promise<Scene> => {
  const world = await makeWorld(cleanup, context, volume);
  const { factory } = world;
  const clusters = factory.homes.slotSize / openVolume(world.device).fileSystem.geometry.clusterSize;
  const before = world.device.snapshot();
  displaceOn(before, downInPieces(how === 'in place' ? clusters : clusters - 3));
  const wrong = await faultsOfMoved(context, before, factory.id);
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  const recorder = new Recorder(before.snapshot());
  const said = await repairOn(context, accessTo(recorder), factory.id);
  if (!SAID[how].test(said[0]!)) throw new Error(`not ${how}: ${said.join('\n')}`);
  const again = runAgain(world);
  return {
    before,
    events: recorder.events,
    visible: 0,
    judge: judgedByAll(world, afterRepair, again),
  };
};
