import { statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { intersect, totalLength } from '../../../rescue/bytes/runs.ts';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { Recorder } from '../../../rescue/device/recorder.ts';
import type { Image } from '../../../rescue/image/image.ts';
import type { JobContext } from '../../../rescue/job/context.ts';
import { selectImage } from '../../../rescue/job/locating.ts';
import { runsWithin } from '../../../rescue/job/make-way.ts';
import { restoreTo } from '../../../rescue/job/restore.ts';
import { type ByteOffset, MIB, type Run } from '../../../rescue/units.ts';
import { placesOf, setNextFree } from '../../fs/fat/patching.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { noiseSource } from '../../support/noise.ts';
import { restoreImage } from '../requests.ts';
import { clustersOn, furnishTightly, makeRoomAbove } from './collision.ts';
import type { Contents, Court } from './court.ts';
import { faultsOfGuard, faultsOfImage, faultsOfImages, faultsOfSiblings } from './images.ts';
import { attempt } from './report.ts';
import type { Scene } from './scene.ts';
import { courtOf, isFat, makeImage, ownersWork, type VolumeName } from './world.ts';
import { findAll, placeOn, wreckOf } from './wreck.ts';

/** A volume on which restoring the factory image moves the user image out of the way. */
interface Crossing {
  readonly court: Court;
  readonly volume: VolumeName;
  /** As the volume is before the restore. */
  readonly device: MemoryDevice;
  readonly isWreck: boolean;
  readonly early: Contents;
  readonly late: Contents;
  /** In use for anything but images when the factory image was made. */
  readonly clusters: readonly Run[];
  readonly factory: Image;
  readonly user: Image;
}

const cross = async (
  cleanup: Cleanup,
  context: JobContext,
  volume: VolumeName,
  isWreck: boolean,
): Promise<Crossing> => {
  const court = courtOf(cleanup, volume);
  const early = furnishTightly(cleanup, court, volume);
  const clusters = clustersOn(court, volume);
  let device = court.lift();
  await makeImage(context, device, 'factory');
  court.lay(device);
  const late = makeRoomAbove(court, volume);
  device = court.lift();
  await makeImage(context, device, 'user');
  const images = findAll(device).images.map(({ image }) => image);
  const factory = images.find(({ control }) => control.kind === 'factory')!;
  const user = images.find(({ control }) => control.kind === 'user')!;
  const shared = [
    ...intersect(
      factory.inUse(),
      runsWithin(user.extents, factory).sort((a, b) => a.start - b.start),
    ),
  ];
  if (totalLength(shared) === 0) throw new Error('the user image lies where the factory image has no data');
  return {
    court,
    volume,
    device: isWreck ? wreckOf(device) : device,
    isWreck,
    early,
    late,
    clusters,
    factory,
    user,
  };
};

const record = async (context: JobContext, { device, factory }: Crossing): Promise<Recorder> => {
  const recorder = new Recorder(device.snapshot());
  const { images } = findAll(recorder);
  const chosen = selectImage({ images, newer: undefined, unusable: [] }, factory.id);
  const kept = images.filter(({ state }) => state === 'committed');
  const request = {
    target: 'volume',
    salvage: false,
    verifyAfter: true,
    dryRun: false,
    confirm: async () => true,
  };
  const place = placeOn(recorder, { partition: { start: 0, length: device.size }, hasTable: false }, kept);
  await restoreTo(context, request, { chosen, kept, found: images }, place);
  return recorder;
};

/** Both images are there, one generation of each counts, it is whole, and the lists lead to it. */
const imagesAfterCut = async (context: JobContext, { factory, user }: Crossing, cut: MemoryDevice) => {
  const located = findAll(cut);
  const counting = located.images.filter(({ state }) => state === 'committed').map(({ image }) => image);
  const faults: string[] = [];
  if (
    counting
      .map(({ id }) => id)
      .sort()
      .join() !== [factory.id, user.id].sort().join()
  )
    faults.push(
      `images: ${located.images.map(({ image, state, reason }) => `${image.control.kind}/${image.identity.generation} ${state} (${reason})`).join(', ')}`,
    );
  for (const image of counting) faults.push(...(await faultsOfImage(context, image)));
  faults.push(...faultsOfSiblings(cut, counting), ...faultsOfGuard(cut, counting));
  return faults;
};

/** What a mount shows is one of the two states, whole, or there is no mount: not even after a repair that was said yes to. */
const mountedAfterCut = ({ court, early, late }: Crossing, cut: MemoryDevice): string[] => {
  court.lay(cut);
  const judged = (how: string): string[] => {
    const restored = court.compare(early);
    const before = court.compare(late);
    return restored.length === 0 || before.length === 0 ? [] : before.map((each) => `${how}, but ${each}`);
  };
  if (court.mounts()) return judged('mounted');
  court.repair();
  return court.mounts() ? judged('repaired and mounted') : [];
};

/** What lies in the scratch file is restored again, to the factory state and then to the user's. */
const runAgain = async (context: JobContext, crossing: Crossing, both: boolean): Promise<string[]> => {
  const { court, volume, early, late, clusters, factory, user } = crossing;
  await restoreImage(court.path, { image: factory.id });
  const faults = [];
  const inUse = JSON.stringify(clustersOn(court, volume));
  if (inUse !== JSON.stringify(clusters)) faults.push(`clusters in use: ${inUse}`);
  const again = court.lift();
  faults.push(...court.faults(again, early));
  faults.push(...(await faultsOfImages(context, again, ['factory', 'user'])));
  if (!both) return faults;
  await restoreImage(court.path, { image: user.id });
  const back = court.lift();
  faults.push(...court.faults(back, late).map((each) => `user's state: ${each}`));
  faults.push(...(await faultsOfImages(context, back, ['factory', 'user'])));
  return faults;
};

/**
 * Where the owner's system can mount what the cut left, it does, after its usual check on FAT, and works in it. `copy`: where the copy
 * of the moved image begins, or would.
 */
const ownerGoesOn = ({ court, volume }: Crossing, copy: ByteOffset, cut: MemoryDevice): boolean => {
  court.lay(cut);
  if (!court.mounts()) return false;
  if (isFat(volume)) {
    court.repair();
    const { data, clusterSize } = placesOf(court.path);
    setNextFree(court.path, (copy - data) / clusterSize + 2);
  }
  court.own((folder) => {
    ownersWork(folder);
    const { bavail, bsize } = statfsSync(folder);
    writeFileSync(join(folder, 'much'), noiseSource('much')(Math.min(2 * MIB, (bavail * bsize) / 2)));
  });
  return true;
};

/**
 * A `restore` of the factory image, which moves the user image out of its way: in place, or where all but the images was destroyed.
 * Throws unless the user image is moved.
 */
export const relocating = async (
  cleanup: Cleanup,
  context: JobContext,
  volume: VolumeName,
  isWreck: boolean,
): Promise<Scene> => {
  const crossing = await cross(cleanup, context, volume, isWreck);
  const { court, user, device } = crossing;
  const recorder = await record(context, crossing);
  const moved = findAll(recorder).images.find(
    ({ image, state }) => image.id === user.id && state === 'committed',
  );
  if (moved?.image.identity.generation !== 2) throw new Error('the user image was not moved');
  const copy = moved.image.extents[0]!.start;
  return {
    before: device,
    events: recorder.events,
    visible: 0,
    judge: async (cut, owners, log) => {
      log.add('images', await attempt(() => imagesAfterCut(context, crossing, cut.device)));
      if (!isWreck) log.add('mounted', await attempt(() => mountedAfterCut(crossing, cut.device)));
      court.lay(cut.device);
      log.again += 1;
      const both = log.tried % 3 === 0;
      log.add('run again', await attempt(() => runAgain(context, crossing, both)));
      if (isWreck || owners.length === 0 || !ownerGoesOn(crossing, copy, cut.device)) return;
      log.owned += 1;
      log.again += 1;
      log.add('run again after the owner', await attempt(() => runAgain(context, crossing, false)));
    },
  };
};
