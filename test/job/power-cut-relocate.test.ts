import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { intersect, totalLength } from '../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { Recorder } from '../../rescue/device/recorder.ts';
import type { Image } from '../../rescue/image/image.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { selectImage } from '../../rescue/job/locating.ts';
import { runsWithin } from '../../rescue/job/make-way.ts';
import { restoreTo } from '../../rescue/job/restore.ts';
import { type ByteOffset, MIB, type Run } from '../../rescue/units.ts';
import { placesOf, setNextFree } from '../fs/fat/patching.ts';
import { noiseSource } from '../support/noise.ts';
import { clustersOn, furnishTightly, makeRoomAbove } from './power-cut/collision.ts';
import type { Contents, Court } from './power-cut/court.ts';
import { CUTS, DEPTH, enoughMedia } from './power-cut/depth.ts';
import { cutsOf, spreadOver } from './power-cut/medium.ts';
import { attempt, Log } from './power-cut/report.ts';
import { findAll, placeOn, wreckOf } from './power-cut/restoring.ts';
import {
  courtOf,
  faultsOfImage,
  faultsOfImages,
  faultsOfSiblings,
  isFat,
  makeImage,
  ownersWork,
  type VolumeName,
} from './power-cut/world.ts';
import { restoreImage } from './requests.ts';

/** Each medium costs several restores: half as many as elsewhere. */
const MOST = Math.ceil(DEPTH.most / 2);

/** A volume on which restoring the factory image moves the user image out of the way. */
interface Scene {
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

const setScene = async (
  t: ExecutionContext,
  context: JobContext,
  volume: VolumeName,
  isWreck: boolean,
): Promise<Scene> => {
  const court = courtOf(t, volume);
  const early = furnishTightly(t, court, volume);
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
  t.true(totalLength(shared) > 0, 'the user image lies where the factory image has data');
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

const record = async (context: JobContext, { device, factory }: Scene): Promise<Recorder> => {
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
const imagesAfterCut = async (context: JobContext, { factory, user }: Scene, cut: MemoryDevice) => {
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
  faults.push(...faultsOfSiblings(cut, counting));
  return faults;
};

/** What a mount shows is one of the two states, whole, or there is no mount: not even after a repair that was said yes to. */
const mountedAfterCut = ({ court, early, late }: Scene, cut: MemoryDevice): string[] => {
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
const runAgain = async (context: JobContext, scene: Scene, both: boolean): Promise<string[]> => {
  const { court, volume, early, late, clusters, factory, user } = scene;
  await restoreImage(court.path, { image: factory.id });
  const faults = [];
  const inUse = JSON.stringify(clustersOn(court, volume));
  if (inUse !== JSON.stringify(clusters)) faults.push(`clusters in use: ${inUse}`);
  const again = MemoryDevice.of(readFileSync(court.path));
  faults.push(...court.faults(again, early));
  faults.push(...(await faultsOfImages(context, again, ['factory', 'user'])));
  if (!both) return faults;
  await restoreImage(court.path, { image: user.id });
  const back = MemoryDevice.of(readFileSync(court.path));
  faults.push(...court.faults(back, late).map((each) => `user's state: ${each}`));
  faults.push(...(await faultsOfImages(context, back, ['factory', 'user'])));
  return faults;
};

/**
 * Where the owner's system can mount what the cut left, it does, after its usual check on FAT, and works in it. `copy`: where the copy
 * of the moved image begins, or would.
 */
const ownerGoesOn = ({ court, volume }: Scene, copy: ByteOffset, cut: MemoryDevice): boolean => {
  court.lay(cut);
  if (!court.mounts()) return false;
  if (isFat(volume)) {
    court.repair();
    const { data, clusterSize } = placesOf(court.path);
    setNextFree(court.path, (copy - data) / clusterSize + 2);
  }
  court.own((folder) => {
    ownersWork(folder);
    writeFileSync(join(folder, 'much'), noiseSource('much')(2 * MIB));
  });
  return true;
};

for (const [volume, isWreck] of [
  ['ext4 with a journal', false],
  ['ext4 without a journal', false],
  ['ext4 without a journal', true],
  ['FAT32', false],
  ['NTFS', false],
] as const) {
  test(`${CUTS} of a restore that moves an image: ${volume}${isWreck ? ', destroyed' : ''}`, async (t) => {
    const context = new JobContext({ now: 1_800_000_000 });
    t.teardown(() => context.close());
    const scene = await setScene(t, context, volume, isWreck);
    const recorder = await record(context, scene);
    const moved = findAll(recorder).images.filter(
      ({ image, state }) => image.id === scene.user.id && state === 'committed',
    );
    t.deepEqual(
      moved.map(({ image }) => image.identity.generation),
      [2],
      'the user image was moved',
    );
    const copy = moved[0]!.image.extents[0]!.start;
    const log = new Log();
    let owned = 0;
    for (const cut of spreadOver(
      () => cutsOf(scene.device, recorder.events, { everyFrom: 0, ...DEPTH }),
      MOST,
    )) {
      log.next(cut.what);
      log.add('images', await attempt(() => imagesAfterCut(context, scene, cut.device)));
      if (!isWreck) log.add('mounted', await attempt(() => mountedAfterCut(scene, cut.device)));
      scene.court.lay(cut.device);
      log.add('run again', await attempt(() => runAgain(context, scene, log.tried % 3 === 0)));
      if (isWreck || !ownerGoesOn(scene, copy, cut.device)) continue;
      owned += 1;
      log.add('run again after the owner', await attempt(() => runAgain(context, scene, false)));
    }
    t.log(`${log.tried} media tried, ${owned} of them after the owner had gone on`);
    t.deepEqual(log.faults.slice(0, 20), []);
    t.true(log.tried >= Math.min(MOST, enoughMedia(60)));
    if (!isWreck) t.true(owned > 0);
  });
}
