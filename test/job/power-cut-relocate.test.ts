import { readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
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
import { KIB, MIB, type Run } from '../../rescue/units.ts';
import { noiseSource } from '../support/noise.ts';
import { mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { ownersClusters } from './owners-clusters.ts';
import { CUTS, DEPTH, enoughMedia } from './power-cut/depth.ts';
import { cutsOf, spreadOver } from './power-cut/medium.ts';
import { attempt, Log } from './power-cut/report.ts';
import { findAll, placeOn, wreckOf } from './power-cut/restoring.ts';
import {
  type Contents,
  Court,
  faultsOfImage,
  faultsOfImages,
  faultsOfSiblings,
  furnish,
  makeImage,
  ownersWork,
  VOLUMES,
} from './power-cut/world.ts';
import { restoreImage } from './requests.ts';

/** Each medium costs several restores: half as many as elsewhere. */
const MOST = Math.ceil(DEPTH.most / 2);

/** A volume on which restoring the factory image moves the user image out of the way. */
interface Scene {
  readonly court: Court;
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
  volume: keyof typeof VOLUMES,
  isWreck: boolean,
): Promise<Scene> => {
  const court = new Court(t);
  makeVolume(court.path, VOLUMES[volume]);
  const early = court.own((folder) => {
    furnish(folder);
    const fill = (name: string, free: number): void => {
      const { bavail, bsize } = statfsSync(folder);
      writeFileSync(join(folder, name), noiseSource(name)(bavail * bsize - free));
    };
    // Files fill a volume from below, images from above.
    fill('low', 2.5 * MIB);
    fill('large', 200 * KIB);
    rmSync(join(folder, 'low'));
  });
  const clusters = ownersClusters(court.path);
  let device = court.lift();
  await makeImage(context, device, 'factory');
  court.lay(device);
  const late = court.own((folder) => {
    rmSync(join(folder, 'large'));
    writeFileSync(join(folder, 'etc/later'), noiseSource('later')(200 * KIB));
  });
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
  return { court, device: isWreck ? wreckOf(device) : device, isWreck, early, late, clusters, factory, user };
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
const mountedAfterCut = (t: ExecutionContext, { court, early, late }: Scene, cut: MemoryDevice): string[] => {
  court.lay(cut);
  const folder = temporaryFolder(t);
  const mounts = (): boolean => {
    if (run('mount', ['-o', 'loop,ro', court.path, folder]).exit !== 0) return false;
    mustRun('umount', [folder]);
    return true;
  };
  const judged = (how: string): string[] => {
    const restored = court.compare(early);
    const before = court.compare(late);
    return restored.length === 0 || before.length === 0 ? [] : before.map((each) => `${how}, but ${each}`);
  };
  if (mounts()) return judged('mounted');
  run('e2fsck', ['-f', '-y', court.path]);
  return mounts() ? judged('repaired and mounted') : [];
};

/** What lies in the scratch file is restored again, to the factory state and then to the user's. */
const runAgain = async (context: JobContext, scene: Scene, both: boolean): Promise<string[]> => {
  const { court, early, late, clusters, factory, user } = scene;
  await restoreImage(court.path, { image: factory.id });
  const faults = [];
  const inUse = JSON.stringify(ownersClusters(court.path));
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

/** Where the owner's system can mount what the cut left, it does, and works in it. */
const ownerGoesOn = (t: ExecutionContext, { court }: Scene, cut: MemoryDevice): boolean => {
  court.lay(cut);
  const folder = temporaryFolder(t);
  if (run('mount', ['-o', 'loop', court.path, folder]).exit !== 0) return false;
  try {
    ownersWork(folder);
    writeFileSync(join(folder, 'much'), noiseSource('much')(2 * MIB));
  } finally {
    mustRun('umount', [folder]);
  }
  return true;
};

for (const [volume, isWreck] of [
  ['ext4 with a journal', false],
  ['ext4 without a journal', false],
  ['ext4 without a journal', true],
] as const) {
  test(`${CUTS} of a restore that moves an image: ${volume}${isWreck ? ', destroyed' : ''}`, async (t) => {
    const context = new JobContext({ now: 1_800_000_000 });
    t.teardown(() => context.close());
    const scene = await setScene(t, context, volume, isWreck);
    const recorder = await record(context, scene);
    const log = new Log();
    let owned = 0;
    for (const cut of spreadOver(
      () => cutsOf(scene.device, recorder.events, { everyFrom: 0, ...DEPTH }),
      MOST,
    )) {
      log.next(cut.what);
      log.add('images', await attempt(() => imagesAfterCut(context, scene, cut.device)));
      if (!isWreck) log.add('mounted', await attempt(() => mountedAfterCut(t, scene, cut.device)));
      scene.court.lay(cut.device);
      log.add('run again', await attempt(() => runAgain(context, scene, log.tried % 3 === 0)));
      if (isWreck || !ownerGoesOn(t, scene, cut.device)) continue;
      owned += 1;
      log.add('run again after the owner', await attempt(() => runAgain(context, scene, false)));
    }
    t.log(`${log.tried} media tried, ${owned} of them after the owner had gone on`);
    t.deepEqual(log.faults.slice(0, 20), []);
    t.true(log.tried >= Math.min(MOST, enoughMedia(60)));
    if (!isWreck) t.true(owned > 0);
  });
}
