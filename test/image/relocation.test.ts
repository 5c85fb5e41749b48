import test, { type ExecutionContext } from 'ava';
import { JoinedDevice } from '../../rescue/device/joined.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { Window } from '../../rescue/device/window.ts';
import { writeCommit } from '../../rescue/image/commit.ts';
import type { WrittenContainer } from '../../rescue/image/ending.ts';
import type { Image } from '../../rescue/image/image.ts';
import { SLOT_HEADER } from '../../rescue/image/layout.ts';
import { openImage } from '../../rescue/image/reader.ts';
import { checkRelocatable, planRelocation, writeRelocated } from '../../rescue/image/relocation.ts';
import { parseSlotHeader, payloadIntact } from '../../rescue/image/slot.ts';
import { Reassembly } from '../../rescue/locate/reassemble.ts';
import { type Extent, KIB, MIB } from '../../rescue/units.ts';
import { CLUSTER, captureInto } from '../locate/captured.ts';
import { codeOf } from '../support/code-of.ts';
import { noiseSource } from '../support/noise.ts';
import { contentOf } from './small-container.ts';

const drained = <T>(steps: Generator<number, T>): T => {
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
};

/** A partition with an image of `used` bytes of noise in it, from its start. */
const withImage = (size: number, used: number, extents: readonly Extent[], slotSize: number) => {
  const device = new MemoryDevice(size);
  device.write(0, noiseSource('relocation')(used));
  const captured = captureInto(
    device,
    [{ start: 0, length: used / CLUSTER }],
    extents,
    { slotSize },
    20 * KIB,
  );
  return { device, image: openImage({ device, anchorHome: captured.homes.homeOf(0) }) };
};

const relocate = (
  device: MemoryDevice,
  image: Image,
  extents: readonly Extent[],
  patchLength = 30 * KIB,
): WrittenContainer =>
  drained(
    writeRelocated(
      device,
      planRelocation({
        image,
        generation: 2,
        placement: { slotSize: image.homes.slotSize, extents },
        patchLength: () => patchLength,
      }),
    ),
  );

const commit = (device: MemoryDevice, image: Image, written: WrittenContainer): Image => {
  writeCommit(device, written.mutableHomes, {
    ...image.commit!,
    generation: 2,
    rootDigest: written.rootDigest,
  });
  return openImage({ device, anchorHome: written.homes.homeOf(0) });
};

/** Every slot of the copy says what it must; its data slots hold the log as it was. */
const slotsMustBeRight = (t: ExecutionContext, device: MemoryDevice, image: Image): void => {
  const { homes } = image;
  const wrong: number[] = [];
  for (let index = 0; index < homes.slotCount; index += 1) {
    const home = homes.homeOf(index);
    const slot = device.read(home, homes.slotSize);
    const header = parseSlotHeader(slot, home);
    const right =
      header.index === index &&
      header.home === home &&
      header.generation === 2 &&
      header.nextHome === (index + 1 < homes.slotCount ? homes.homeOf(index + 1) : home) &&
      header.anchorHome === homes.homeOf(index - (index % 1024)) &&
      payloadIntact(slot, header);
    if (!right) wrong.push(index);
  }
  t.deepEqual(wrong, []);
};

const one = (start: number, length: number): Extent[] => [{ start, length }];
/** Pieces of `length` bytes with gaps of the same length between. */
const scattered = (start: number, length: number, count: number): Extent[] =>
  Array.from({ length: count }, (_, index) => ({ start: start + 2 * index * length, length }));

const LAYOUTS = [
  {
    name: 'one piece to many',
    slotSize: 4096,
    from: one(8 * MIB, 8 * MIB),
    to: scattered(16 * MIB, 4096, 1900),
  },
  {
    name: 'many pieces to one',
    slotSize: 4096,
    from: scattered(8 * MIB, 4096, 2000),
    to: one(40 * MIB, 8 * MIB),
  },
  {
    name: 'slots of 64 KiB',
    slotSize: 65536,
    from: one(8 * MIB, 12 * MIB),
    to: scattered(20 * MIB, 65536, 160),
  },
] as const;

for (const { name, slotSize, from, to } of LAYOUTS) {
  test(`a copy holds what the image held, and the old generation is untouched: ${name}`, (t) => {
    const { device, image } = withImage(64 * MIB, 5 * MIB, from, slotSize);
    const content = contentOf(image);
    const before = device.snapshot();
    const written = relocate(device, image, to);
    for (const { start, length } of image.extents)
      t.is(Buffer.compare(device.read(start, length), before.read(start, length)), 0);
    const prepared = openImage({ device, anchorHome: written.homes.homeOf(0) });
    t.is(prepared.state, 'prepared');
    const copy = commit(device, image, written);
    t.like(copy, { state: 'committed', id: image.id, usedBytes: image.usedBytes, rawBytes: image.rawBytes });
    t.deepEqual(copy.control, image.control);
    t.is(copy.commit!.sequence, image.commit!.sequence);
    t.is(copy.identity.generation, 2);
    t.true(contentOf(copy).equals(content));
    slotsMustBeRight(t, device, copy);
    const byOther = openImage({ device, anchorHome: written.homes.homeOf(written.homes.slotCount - 1) });
    t.deepEqual(byOther.extents, copy.extents);
    t.deepEqual(
      copy.streams.filter(({ stream }) => stream !== 'extents').map(({ digest }) => digest),
      image.streams.filter(({ stream }) => stream !== 'extents').map(({ digest }) => digest),
    );
    // Without an anchor of either: single slots of two generations lie side by side.
    for (const each of [image, copy]) {
      for (let index = 0; index < each.homes.slotCount; index += 1) {
        const isAnchor = index % 1024 === 0 || index === each.homes.slotCount - 1;
        if (isAnchor) device.write(each.homes.homeOf(index), new Uint8Array(512));
      }
    }
    const reassembly = new Reassembly({ device, within: { start: 0, length: device.size }, diskOffset: MIB });
    const steps = reassembly.run();
    while (steps.next().done !== true);
    const [assembled, ...more] = reassembly.images();
    t.is(more.length, 0);
    t.is(assembled!.image.state, 'committed', assembled!.image.reason);
    t.is(assembled!.image.identity.generation, 2);
    t.true(contentOf(assembled!.image).equals(content));
  });
}

test('a copy of a copy, back to where the first one was', (t) => {
  const { device, image } = withImage(32 * MIB, 2 * MIB, one(8 * MIB, 8 * MIB), 4096);
  const content = contentOf(image);
  const second = commit(device, image, relocate(device, image, one(20 * MIB, 8 * MIB), 100 * KIB));
  const plan = planRelocation({
    image: second,
    generation: 3,
    placement: { slotSize: 4096, extents: image.extents },
    patchLength: () => 10 * KIB,
  });
  const third = drained(writeRelocated(device, plan));
  const opened = openImage({ device, anchorHome: third.homes.homeOf(0) });
  t.true(contentOf(opened).equals(content));
  t.true(third.storedBytes < second.storedBytes, 'the journal is as long as it must be');
});

test('a container that is not where its slots say is copied through its file', (t) => {
  const { device, image } = withImage(32 * MIB, MIB, one(8 * MIB, 4 * MIB), 4096);
  const content = contentOf(image);
  // A defragmenter moves it in two pieces.
  const [{ start, length }] = image.extents as [Extent];
  const half = Math.floor(length / 8192) * 4096;
  device.write(16 * MIB, device.read(start + half, length - half));
  device.write(24 * MIB, device.read(start, half));
  device.write(start, new Uint8Array(length));
  const file = new JoinedDevice([
    new Window(device, { start: 24 * MIB, length: half }),
    new Window(device, { start: 16 * MIB, length: length - half }),
  ]);
  const asFile = openImage({ device: file, anchorHome: 0, asFile: true });
  const copy = commit(device, asFile, relocate(device, asFile, one(8 * MIB, 4 * MIB)));
  t.is(copy.state, 'committed');
  t.true(contentOf(copy).equals(content));
  slotsMustBeRight(t, device, copy);
});

test('an image with a lost slot is not copied, and that is known before anything is written', (t) => {
  for (const damage of [SLOT_HEADER.offsetOf('generation'), 300, 4000]) {
    const { device, image } = withImage(16 * MIB, MIB, one(8 * MIB, 4 * MIB), 4096);
    const home = image.homes.homeOf(100);
    const byte = device.read(home + damage, 1);
    device.write(home + damage, Uint8Array.of(byte[0]! ^ 1));
    const code = codeOf(() => drained(checkRelocatable(image) as Generator<number, void>));
    t.true(['corrupt:slot.lost', 'corrupt:slot.header-crc'].includes(code), code);
  }
  const { image } = withImage(16 * MIB, MIB, one(8 * MIB, 4 * MIB), 4096);
  t.notThrows(() => drained(checkRelocatable(image) as Generator<number, void>));
});

test('a copy that does not fit is refused with the numbers', (t) => {
  const { device, image } = withImage(16 * MIB, MIB, one(8 * MIB, 4 * MIB), 4096);
  t.is(
    codeOf(() => relocate(device, image, one(2 * MIB, 64 * KIB))),
    'refused:no-space',
  );
});
