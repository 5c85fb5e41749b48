import test from 'ava';
import type { MemoryDevice } from '../../rescue/device/memory.ts';
import { Recorder } from '../../rescue/device/recorder.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { repairOn } from '../../rescue/job/repair.ts';
import { verifyFrames } from '../../rescue/job/verify-image.ts';
import { listContainers, openVolume } from '../../rescue/job/volume.ts';
import { displaceOn, downInPieces } from './displace.ts';
import type { Contents } from './power-cut/court.ts';
import { CUTS, DEPTH, enoughMedia } from './power-cut/depth.ts';
import { type Cut, cutsOf, spreadOver } from './power-cut/medium.ts';
import { attempt, Log } from './power-cut/report.ts';
import {
  accessTo,
  faultsOfImages,
  faultsOnceMended,
  makeWorld,
  ownersWork,
  type VolumeName,
  type World,
} from './power-cut/world.ts';

/** Power cuts while a container that was moved is put right: the image must open at any time, and the command end what it began. */

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
  const { court, context, factory } = world;
  const faults = await faultsOnceMended(world, cut);
  if (faults.length > 0) return faults;
  return faultsOfMoved(context, court.lift(), factory.id);
};

const runAgain = async (world: World, medium: MemoryDevice, owners?: Contents): Promise<string[]> => {
  const { court, context, factory, tree } = world;
  await repairOn(context, accessTo(medium), factory.id);
  const faults = owners === undefined ? court.faults(medium, tree) : court.faultsAfterOwner(medium, owners);
  return [...faults, ...(await faultsOfImages(context, medium, ['factory']))];
};

const afterOwner = async (world: World, cut: Cut): Promise<string[]> => {
  const { court } = world;
  if (court.needsUs(cut.device)) return [];
  court.faultsWhenMended(cut.device, world.tree);
  const tree = court.own(ownersWork);
  try {
    return await runAgain(world, court.lift(), tree);
  } catch (error) {
    if (!isHoldfastError(error, 'refused') || !court.isWayOutSaid(error) || court.canGoThatWay(error))
      throw error;
    return court.compare(tree);
  }
};

const ALL = [
  ['ext2', 'in place'],
  ['ext4 with a journal', 'as a copy'],
  ['FAT12', 'as a copy'],
  ['NTFS', 'as a copy'],
  ['ext4 with a journal', 'in place'],
  ['ext2', 'as a copy'],
  ['FAT12', 'in place'],
  ['FAT32', 'as a copy'],
  ['NTFS', 'in place'],
  ['NTFS with clusters of 512 bytes', 'as a copy'],
] as const satisfies readonly (readonly [VolumeName, string])[];

// Each medium costs seconds; what is left out differs in little but the file system's own journal or FAT's width.
for (const [volume, how] of DEPTH.unchecked ? ALL : ALL.slice(0, 4)) {
  test(`${CUTS} of a repair ${how}: ${volume}`, async (t) => {
    const context = new JobContext({ now: 1_800_000_000 });
    t.teardown(() => context.close());
    const world = await makeWorld(t, context, volume);
    const { factory } = world;
    const clusters = factory.homes.slotSize / openVolume(world.device).fileSystem.geometry.clusterSize;
    const before = world.device.snapshot();
    displaceOn(before, downInPieces(how === 'in place' ? clusters : clusters - 3));
    t.deepEqual(await faultsOfMoved(context, before, factory.id), []);
    const recorder = new Recorder(before.snapshot());
    const said = await repairOn(context, accessTo(recorder), factory.id);
    t.regex(said[0]!, how === 'in place' ? /say again where they lie/ : /written anew/);
    const log = new Log();
    const cuts = () => cutsOf(before, recorder.events, { everyFrom: 0, ...DEPTH });
    for (const cut of spreadOver(cuts, DEPTH.most)) {
      log.next(cut.what);
      log.add('after repair', await attempt(() => afterRepair(world, cut)));
      log.add('run again', await attempt(() => runAgain(world, cut.device.snapshot())));
      if (cut.torn && !DEPTH.unchecked) continue;
      log.add('owner in between', await attempt(() => afterOwner(world, cut)));
    }
    t.log(`${log.tried} media tried`);
    t.deepEqual(log.faults.slice(0, 20), []);
    t.true(log.tried >= enoughMedia(26));
  });
}
