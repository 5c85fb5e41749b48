import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { Recorder } from '../../../rescue/device/recorder.ts';
import type { JobContext } from '../../../rescue/job/context.ts';
import { selectImage } from '../../../rescue/job/locating.ts';
import { restoreTo } from '../../../rescue/job/restore.ts';
import { type Extent, MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { makeDisk, type PartitionPlace } from '../../support/disk.ts';
import { partitionTableSound } from '../../support/judges.ts';
import { noiseSource } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { ESP_TYPE, espFiles, espMustBeClean, makeEsp } from '../esp.ts';
import { makeImage as makeImageOn, restoreImage } from '../requests.ts';
import { type Contents, type Court, layFile, liftFile } from './court.ts';
import { faultsOfImages, sameExtents } from './images.ts';
import { attempt } from './report.ts';
import type { Scene } from './scene.ts';
import { courtOf, furnish, makeImage, type VolumeName } from './world.ts';
import { findAll, placeOn, shifted, wreckOf } from './wreck.ts';

/** A disk with ext2 in one partition, an EFI system partition in another, and a boot loader in the gap. */
export const GPT_DISK = 'disk with GPT';

/** A destroyed disk: noise everywhere but in its two images. */
interface Wreck {
  readonly court: Court;
  readonly disk: MemoryDevice;
  /** Where the partition is on it. */
  readonly partition: Extent;
  readonly tree: Contents;
  readonly hasTable: boolean;
  /** What was in front of the partition: boot code, table, boot gap. */
  readonly front: Uint8Array;
  readonly esp?: { readonly place: PartitionPlace; readonly files: ReturnType<typeof espFiles> };
}

const makeWreck = async (
  cleanup: Cleanup,
  context: JobContext,
  what: VolumeName | typeof GPT_DISK,
): Promise<Wreck> => {
  const hasTable = what === GPT_DISK;
  const court = courtOf(cleanup, what === GPT_DISK ? 'ext2' : what);
  const { size } = statSync(court.path);
  const place = { start: hasTable ? MIB : 0, length: size };
  const tree = court.own(furnish);
  if (hasTable) {
    const path = join(temporaryFolder(cleanup), 'disk');
    const partitions = [
      { start: MIB, size },
      { size: 2 * MIB, type: ESP_TYPE.gpt },
    ];
    const [, esp] = makeDisk(cleanup, path, { size: size + 4 * MIB, table: 'gpt', partitions });
    makeEsp(cleanup, path, esp!);
    const files = espFiles(cleanup, path, esp!);
    const file = openSync(path, 'r+');
    writeSync(file, readFileSync(court.path), 0, size, MIB);
    // Boot code, and a boot loader in the gap.
    const loader = noiseSource('loader');
    writeSync(file, loader(440), 0, 440, 0);
    writeSync(file, loader(MIB / 2), 0, MIB / 2, MIB / 4);
    closeSync(file);
    const front = Uint8Array.from(readFileSync(path).subarray(0, MIB));
    await makeImageOn(path, { kind: 'factory', minFree: 0 });
    await makeImageOn(path, { minFree: 0 });
    const disk = wreckOf(liftFile(path));
    return { court, disk, partition: place, tree, hasTable, front, esp: { place: esp!, files } };
  }
  const device = court.lift();
  await makeImage(context, device, 'factory');
  await makeImage(context, device, 'user');
  return { court, disk: wreckOf(device), partition: place, tree, hasTable, front: new Uint8Array(0) };
};

const recordRestore = async (context: JobContext, wreck: Wreck): Promise<Recorder> => {
  const recorder = new Recorder(wreck.disk.snapshot());
  const { images } = findAll(recorder);
  const chosen = selectImage({ images, newer: undefined, unusable: [] }, 'latest');
  const kept = images.filter(({ state }) => state === 'committed');
  const request = {
    target: 'wreck',
    salvage: false,
    verifyAfter: true,
    dryRun: false,
    confirm: async () => true,
  };
  await restoreTo(context, request, { chosen, kept, found: images }, placeOn(recorder, wreck, kept));
  return recorder;
};

const partitionOf = ({ partition }: Wreck, disk: MemoryDevice): MemoryDevice =>
  MemoryDevice.of(disk.read(partition.start, partition.length));

/** What a mount shows is whole, or there is no mount: not even after a repair that was said yes to. */
const afterCut = (wreck: Wreck, cut: MemoryDevice): string[] => {
  const { court, tree } = wreck;
  court.lay(partitionOf(wreck, cut));
  if (court.mounts()) return court.compare(tree).map((each) => `mounted, but ${each}`);
  court.repair();
  return court.mounts() ? court.compare(tree).map((each) => `repaired and mounted, but ${each}`) : [];
};

const runAgain = async (
  cleanup: Cleanup,
  context: JobContext,
  wreck: Wreck,
  cut: MemoryDevice,
  sealed: readonly Extent[],
): Promise<string[]> => {
  const { court, tree, hasTable } = wreck;
  const path = `${court.path}.disk`;
  layFile(path, cut);
  await restoreImage(path);
  const disk = liftFile(path);
  const faults: string[] = [];
  if (!sameExtents(disk, wreck.disk, { sealed })) faults.push('sealed slots changed');
  if (hasTable) {
    const verdict = partitionTableSound(path);
    if (!verdict.clean) faults.push(verdict.output);
    const front = disk.read(0, wreck.front.length);
    // A GPT whose LBA 0 alone is missing is repaired: the signature of an MBR, which it does not need, stays noise.
    const differs = front.findIndex((byte, at) => byte !== wreck.front[at] && !(at >= 440 && at < 446));
    if (differs >= 0) faults.push(`byte ${differs}, in front of the partition, is not what it was`);
    try {
      espMustBeClean(cleanup, path, wreck.esp!.place);
      const files = espFiles(cleanup, path, wreck.esp!.place);
      if (!isDeepStrictEqual(files, wreck.esp!.files)) faults.push('other files on the EFI system partition');
    } catch (error) {
      faults.push(String(error));
    }
  }
  const partition = partitionOf(wreck, disk);
  faults.push(...court.faults(partition, tree));
  faults.push(...(await faultsOfImages(context, partition, ['factory', 'user'])));
  return faults;
};

/** A `restore` of the newer of two images onto a destroyed volume or disk, on which nothing else is left. */
export const restoring = async (
  cleanup: Cleanup,
  context: JobContext,
  what: VolumeName | typeof GPT_DISK,
): Promise<Scene> => {
  const wreck = await makeWreck(cleanup, context, what);
  const sealed = findAll(wreck.disk).images.flatMap(({ image, start }) => shifted(image.sealed, start));
  const { events } = await recordRestore(context, wreck);
  return {
    before: wreck.disk,
    events,
    visible: 0,
    judge: async (cut, _owners, log) => {
      if (!sameExtents(cut.device, wreck.disk, { sealed }))
        log.add('after the cut', ['sealed slots changed']);
      log.add('after the cut', await attempt(() => afterCut(wreck, cut.device)));
      log.again += 1;
      log.add('run again', await attempt(() => runAgain(cleanup, context, wreck, cut.device, sealed)));
    },
  };
};
