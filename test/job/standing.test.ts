import test, { type ExecutionContext } from 'ava';
import { normalise, SpanSet } from '../../rescue/bytes/runs.ts';
import type { Device } from '../../rescue/device/device.ts';
import { FaultyDevice } from '../../rescue/device/faulty.ts';
import type { Image } from '../../rescue/image/image.ts';
import { SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { payloadCapacity } from '../../rescue/image/slot.ts';
import { dataSlotIndex } from '../../rescue/image/slot-order.ts';
import { JobContext } from '../../rescue/job/context.ts';
import type { Loss } from '../../rescue/job/losses.ts';
import { extentsOf, framesOf, type MappedFrame } from '../../rescue/job/mapped-frame.ts';
import { Standing } from '../../rescue/job/standing.ts';
import { verifyFrames } from '../../rescue/job/verify-image.ts';
import { writeFrames } from '../../rescue/job/write-image.ts';
import type { Extent } from '../../rescue/units.ts';
import { openAt, smallContainer } from '../image/small-container.ts';
import { CLUSTER } from '../locate/captured.ts';

const NOTHING = new SpanSet([]);

interface Looked {
  readonly image: Image;
  readonly standing: Standing;
  readonly losses: readonly Loss[];
  /** With content, of the partition. */
  readonly frames: readonly MappedFrame[];
}

const ownSpaces = ({ control }: Image) => control.spaces.filter((space) => space.of === 'partition');

const flip = (device: Device, at: number): void => {
  device.write(at, Uint8Array.of(device.read(at, 1)[0]! ^ 0xff));
};

/** Checks an image while it looks at the volume it was made of. */
const lookAt = async (image: Image, volume: Device, except = NOTHING): Promise<Looked> => {
  const context = new JobContext();
  const standing = new Standing(volume, except);
  const losses: Loss[] = [];
  try {
    await verifyFrames(context, image, image.control.spaces, (loss) => losses.push(loss), standing);
  } finally {
    await context.close();
  }
  const frames = [...framesOf(image, ownSpaces(image))].filter(({ zero }) => !zero);
  return { image, standing, losses, frames };
};

/** Restores to the volume; returns what was written of it. */
const write = async (t: ExecutionContext, { image, standing }: Looked, volume: Device): Promise<Extent[]> => {
  const context = new JobContext();
  const allowed = new SpanSet([{ start: 0, length: volume.size }]);
  const destinations = ownSpaces(image).map((space) => ({ space, device: volume, allowed }));
  try {
    const fail = (): void => t.fail();
    const written = await writeFrames(context, image, destinations, undefined, fail, standing);
    return normalise(written.get(volume)!.extents!.spans);
  } finally {
    await context.close();
  }
};

const opened = () => {
  const { device, captured } = smallContainer();
  return { device, image: openAt(device, captured.homes.homeOf(0)), homes: captured.homes };
};

test('what stands there already is neither decoded nor written', async (t) => {
  const { device, image } = opened();
  const looked = await lookAt(image, device);
  t.true(looked.frames.length >= 1);
  for (const frame of looked.frames) t.true(looked.standing.stands(frame));
  const before = device.snapshot();
  t.deepEqual(await write(t, looked, device), []);
  t.deepEqual(device.snapshot(), before);
  t.deepEqual(looked.losses, []);
});

test('a frame of which one bit differs is decoded, and what differs is written', async (t) => {
  const { device, image } = opened();
  const before = device.snapshot();
  flip(device, 5 * CLUSTER + 77);
  const looked = await lookAt(image, device);
  const differing = looked.frames.filter((frame) => !looked.standing.stands(frame));
  t.is(differing.length, 1);
  const written = await write(t, looked, device);
  t.is(written.length, 1);
  t.true(written[0]!.start <= 5 * CLUSTER + 77 && written[0]!.length <= 4096);
  t.deepEqual(device.snapshot(), before);
});

test('what is stored must be whole even where nothing of it is needed', async (t) => {
  const { device, image, homes } = opened();
  const { logOffset, recordLength } = (await lookAt(image, device)).frames[0]!.entries[0]!;
  const at = logOffset + recordLength - 8 - 1;
  const capacity = payloadCapacity(homes.slotSize);
  const home = homes.homeOf(dataSlotIndex(Math.floor(at / capacity)));
  flip(device, home + SLOT_HEADER_SIZE + (at % capacity));
  const { losses } = await lookAt(image, device);
  t.true(losses.length > 0);
});

test('what others write, what was written since, what lies outside and what cannot be read does not count', async (t) => {
  const { device, image } = opened();
  const place = extentsOf((await lookAt(image, device)).frames[0]!)[0]!;
  const isFirst = ({ standing, frames }: Looked) => standing.stands(frames[0]!);
  t.false(isFirst(await lookAt(image, device, new SpanSet([{ start: place.start, length: 1 }]))));
  const disturbed = await lookAt(image, device);
  t.true(isFirst(disturbed));
  disturbed.standing.disturb([{ start: place.start + place.length - 1, length: 1 }]);
  t.false(isFirst(disturbed));
  t.true(disturbed.standing.stood(disturbed.frames[0]!));
  const bad = new FaultyDevice(device, { badReads: [{ start: place.start, length: 512 }] });
  t.false(isFirst(await lookAt(image, bad)));
  const short = { ...disturbed.frames[0]!, space: { ...disturbed.frames[0]!.space, start: device.size } };
  t.false(new Standing(device, NOTHING).isWanted(short));
});

test('nobody looks on where most of it differs', async (t) => {
  const { device, image } = opened();
  const { frames } = await lookAt(image, device);
  const frame = { ...frames[0]!, length: 256 * 1024 };
  const noise = new Standing(device, NOTHING);
  let looked = 0;
  for (; noise.isWanted(frame); looked += 1) noise.note(frame, false);
  t.true(looked > 32 && looked < 128, `${looked} frames`);
  const tenth = new Standing(device, NOTHING);
  for (let index = 0; index < 10_000; index += 1) tenth.note(frame, index % 10 !== 0);
  t.true(tenth.isWanted(frame));
});
