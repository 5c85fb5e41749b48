import test from 'ava';
import { totalLength } from '../../rescue/bytes/runs.ts';
import type { MemoryDevice } from '../../rescue/device/memory.ts';
import { type DeviceEvent, Recorder } from '../../rescue/device/recorder.ts';
import { extDriver } from '../../rescue/fs/ext/ext.ts';
import { readJournal, writeJournal } from '../../rescue/image/journal.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { removeFrom } from '../../rescue/job/remove.ts';
import { MIB } from '../../rescue/units.ts';
import { faultsOfImages, imagesOn, sameExtents } from './power-cut/images.ts';
import { cutsOf } from './power-cut/medium.ts';
import { attempt, Log } from './power-cut/report.ts';
import { accessTo, makeImage, makeWorld, type World } from './power-cut/world.ts';

const WHOLE_WRITES = { seed: 1, tears: false, subsets: 0 };

/** The medium as it stands before event `cut`, everything written so far on it. */
const mediumBefore = (before: MemoryDevice, events: readonly DeviceEvent[], cut: number): MemoryDevice => {
  const device = before.snapshot();
  for (const event of events.slice(0, cut))
    if (event.type === 'write') device.write(event.offset, event.data);
  return device;
};

const isSuperblock = (event: DeviceEvent): boolean => event.type === 'write' && event.offset === 1024;

const recorded = async (
  before: MemoryDevice,
  job: (device: Recorder) => Promise<unknown>,
): Promise<DeviceEvent[]> => {
  const recorder = new Recorder(before.snapshot());
  await job(recorder);
  return recorder.events;
};

const removeFactory = (
  context: JobContext,
  device: MemoryDevice | Recorder,
  { factory }: World,
): Promise<void> => removeFrom(context, accessTo(device), { image: factory, state: 'committed' });

test('a journal left by one cut run is not finished over another that was cut', async (t) => {
  const context = new JobContext({ now: 1_800_000_000 });
  t.teardown(() => context.close());
  const world = await makeWorld(t, context, 'ext2');
  // A create whose journal counts, but of whose claim nothing was written.
  const creating = await recorded(world.device, (device) => makeImage(context, device, 'user'));
  const before = mediumBefore(world.device, creating, creating.findIndex(isSuperblock));
  const removing = await recorded(before, (device) => removeFactory(context, device, world));
  const log = new Log();
  const from = removing.findIndex(isSuperblock);
  for (const cut of cutsOf(before, removing, { from, ...WHOLE_WRITES })) {
    log.next(cut);
    log.add(
      'run again',
      await attempt(async () => {
        await removeFactory(context, cut.device, world);
        return [
          ...world.court.faults(cut.device, world.tree),
          ...imagesOn(cut.device).flatMap(({ id }) => (id === world.factory.id ? ['still there'] : [])),
        ];
      }),
    );
  }
  t.deepEqual(log.faults.slice(0, 5), []);
  t.true(log.tried > 5);
});

test('a journal that would write into another image is not finished', async (t) => {
  const context = new JobContext({ now: 1_800_000_000 });
  t.teardown(() => context.close());
  const world = await makeWorld(t, context, 'ext2');
  const creating = await recorded(world.device, (device) => makeImage(context, device, 'user'));
  const marked = creating.findIndex(isSuperblock) + 1;
  const finished = mediumBefore(world.device, creating, marked);
  await t.throwsAsync(() => makeImage(context, finished, 'factory'), { message: /factory image already/ });
  t.is(imagesOn(finished).length, 2, 'without the forgery the claim is finished');
  // The same medium, with one more write in the journal: into a sealed slot of the factory image.
  const medium = mediumBefore(world.device, creating, marked);
  const user = imagesOn(finished).find(({ control }) => control.kind === 'user')!;
  const entry = readJournal(medium, user.journal!)!;
  const { start: offset } = world.factory.sealed[0]!;
  const forged = { offset, before: medium.read(offset, 512), after: new Uint8Array(512).fill(0xa5) };
  const phases = entry.patch.phases.map((phase, index, { length }) =>
    index === length - 1 ? [...phase, forged] : phase,
  );
  writeJournal(medium, user.journal!, { ...entry, patch: { ...entry.patch, phases } });
  await t.throwsAsync(() => makeImage(context, medium, 'user'));
  t.true(sameExtents(world.device, medium, world.factory));
});

test('a replacing create that was cut between commit and removal ends right where a third image has no room', async (t) => {
  const context = new JobContext({ now: 1_800_000_000 });
  t.teardown(() => context.close());
  const world = await makeWorld(t, context, 'ext4 with a journal');
  const before = world.device.snapshot();
  await makeImage(context, before, 'user');
  const creating = await recorded(before, (device) => makeImage(context, device, 'user'));
  const two = creating
    .map((_, index) => index)
    .find((index) => imagesOn(mediumBefore(before, creating, index)).length === 3);
  const medium = mediumBefore(before, creating, two!);
  const { geometry, ...fileSystem } = extDriver.open(medium);
  const free = (geometry.clusterCount - totalLength(fileSystem.allocation())) * geometry.clusterSize;
  await makeImage(context, medium, 'user', { minFree: free - 1.5 * MIB });
  t.deepEqual(world.court.faults(medium, world.tree), []);
  t.deepEqual(await faultsOfImages(context, medium, ['factory', 'user']), []);
});
