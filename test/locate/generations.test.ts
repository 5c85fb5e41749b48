import test from 'ava';
import { Guard } from '../../rescue/device/guard.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { readCommit, writeCommit } from '../../rescue/image/commit.ts';
import { openImage } from '../../rescue/image/reader.ts';
import { planRelocation } from '../../rescue/image/relocation.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { selectImage } from '../../rescue/job/locating.ts';
import {
  beginGeneration,
  commitCopy,
  olderGeneration,
  oldGeneration,
  writeCopy,
} from '../../rescue/job/relocation.ts';
import { NO_BYSTANDERS } from '../../rescue/job/siblings.ts';
import { type Located, locate } from '../../rescue/locate/locate.ts';
import { type Extent, KIB, MIB } from '../../rescue/units.ts';
import { noiseSource } from '../support/noise.ts';
import { CLUSTER, captureInto } from './captured.ts';

const SIZE = 32 * MIB;

const look = (device: MemoryDevice, depth: 'quick' | 'full' = 'quick'): Located => {
  const ladder = locate({ device, diskOffset: MIB, table: undefined, depth, rotational: false });
  for (let step = ladder.next(); ; step = ladder.next()) if (step.done) return step.value;
};

const shown = ({ images }: Located): string[] =>
  images.map(({ image, state }) => `generation ${image.identity.generation}: ${state}`);

/** A partition without a file system, with an image that is copied from `from` to `to`; the medium after each write. */
const relocated = async (from: Extent, to: Extent) => {
  const device = new MemoryDevice(SIZE);
  device.write(0, noiseSource('generations')(MIB));
  const captured = captureInto(
    device,
    [{ start: 0, length: MIB / CLUSTER }],
    [from],
    { slotSize: 4096 },
    20 * KIB,
  );
  const image = openImage({ device, anchorHome: captured.homes.homeOf(0) });
  const context = new JobContext({ now: 1_800_000_000 });
  const guard = new Guard(device);
  const stages: { readonly name: string; readonly device: MemoryDevice }[] = [];
  const keep = (name: string) => stages.push({ name, device: device.snapshot() });
  keep('before');
  const old = oldGeneration(guard, image)!;
  const generation = beginGeneration(guard, old);
  keep('begun');
  const plan = planRelocation({
    image,
    generation,
    placement: { slotSize: 4096, extents: [to] },
    patchLength: () => 20 * KIB,
  });
  const copy = await writeCopy(context, guard, plan);
  keep('written');
  const committed = commitCopy(guard, { old, copy, others: [], beside: NO_BYSTANDERS, now: 1_800_000_000 });
  keep('superseded');
  await context.close();
  return { device, image, committed, stages };
};

const LOW = { start: 4 * MIB, length: 3 * MIB };
const HIGH = { start: 20 * MIB, length: 3 * MIB };

for (const [name, from, to] of [
  ['upwards', LOW, HIGH],
  ['downwards', HIGH, LOW],
] as const) {
  test(`of two generations the newest that was committed counts: moved ${name}`, async (t) => {
    const { stages, image, committed } = await relocated(from, to);
    const expected: Record<string, { readonly counts: number; readonly all: string[] }> = {
      before: { counts: 1, all: ['generation 1: committed'] },
      begun: { counts: 1, all: ['generation 1: committed'] },
      written: { counts: 1, all: ['generation 1: committed', 'generation 2: stale'] },
      superseded: { counts: 2, all: ['generation 2: committed', 'generation 1: stale'] },
    };
    for (const stage of stages) {
      const { counts, all } = expected[stage.name]!;
      for (const selector of ['latest', image.id, image.id.slice(0, 6), 'made up']) {
        const chosen = selectImage(look(stage.device), selector);
        t.is(chosen.image.identity.generation, counts, `${stage.name}, ${selector}`);
      }
      t.deepEqual(shown(look(stage.device, 'full')), all, stage.name);
    }
    t.is(committed.commit!.sequence, 1);
    t.is(olderGeneration(stages.at(-1)!.device, committed)?.state, 'superseded');
  });
}

test('cut off before the old generation says so, it is superseded all the same', async (t) => {
  for (const [from, to] of [
    [LOW, HIGH],
    [HIGH, LOW],
  ] as const) {
    const { device, image } = await relocated(from, to);
    // Its two records as they were before the last two writes: the copy is listed, the state is committed.
    const homes = image.mutableHomes!;
    const { commit } = readCommit(device, homes, image.identity.imageId)!;
    for (const _ of homes) writeCommit(device, homes, { ...commit, state: 'committed' });
    t.is(openImage({ device, anchorHome: image.homes.homeOf(0) }).state, 'committed');
    // Whichever of the two the quick scan meets first.
    t.is(selectImage(look(device), 'latest').image.identity.generation, 2);
    const located = look(device, 'full');
    t.deepEqual(shown(located), ['generation 2: committed', 'generation 1: stale']);
    t.regex(located.images[1]!.reason!, /newer copy .* generation 2/);
  }
});

test('a copy that is cut off and begun again never has the number of the first', async (t) => {
  const device = new MemoryDevice(SIZE);
  device.write(0, noiseSource('again')(MIB));
  const captured = captureInto(
    device,
    [{ start: 0, length: MIB / CLUSTER }],
    [LOW],
    { slotSize: 4096 },
    20 * KIB,
  );
  const guard = new Guard(device);
  const open = () => openImage({ device, anchorHome: captured.homes.homeOf(0) });
  t.is(beginGeneration(guard, oldGeneration(guard, open())!), 2);
  t.is(beginGeneration(guard, oldGeneration(guard, open())!), 3);
  t.like(open(), { state: 'committed', commit: { generation: 1, begunGeneration: 3 } });
});

test('an older generation is not protected by being found: what counts is one image', async (t) => {
  const { device, committed, image } = await relocated(LOW, HIGH);
  // The last anchor of the old generation is all that is left to be met first.
  const { images } = look(device, 'full');
  t.deepEqual(
    images.filter(({ state }) => state === 'committed').map((each) => each.image.extents),
    [committed.extents],
  );
  // Of the old generation most is overwritten: the copy is whole, and counts.
  for (const { start, length } of image.extents) device.write(start, new Uint8Array(length - 8192));
  t.is(selectImage(look(device, 'full'), 'latest').image.identity.generation, 2);
});
