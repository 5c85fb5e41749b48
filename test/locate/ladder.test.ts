import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { MemoryDevice } from '../../rescue/device/memory.ts';
import { parseSlotHeader } from '../../rescue/image/slot.ts';
import { info } from '../../rescue/job/info.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { aidOf, parseAid } from '../../rescue/locate/aid-file.ts';
import type { Located, LocateOptions } from '../../rescue/locate/locate.ts';
import { ROTATING_BREAK_EVEN, WINDOW } from '../../rescue/locate/scan.ts';
import { type Extent, KIB, MIB } from '../../rescue/units.ts';
import { listImages, makeImage, NOW } from '../job/requests.ts';
import { makeDisk } from '../support/disk.ts';
import { noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import {
  answerOf,
  climb,
  extentsOf,
  imagedVolume,
  lift,
  RECORD_AT,
  readAt,
  SECTOR,
  stepNames,
  wreckAllBut,
  writeAt,
} from './climbing.ts';

const SIZE = 96 * MIB;
const SLOT = 64 * KIB;
const BOOT: Extent = { start: 0, length: 1024 };
/** What it takes to open an image that is known: two anchors at most, and its two commit records. */
const OPENING = 3 * SLOT;

interface Scene {
  readonly file: string;
  readonly image: ImageSummary;
  readonly aid: NonNullable<LocateOptions['aid']>;
}

const cleanups: (() => void)[] = [];
test.after.always(() => {
  for (const body of cleanups.reverse()) body();
});

/** A volume with an image of some MiB and an aid for it. */
const makeScene = async (): Promise<Scene> => {
  const folder = temporaryFolder({ teardown: (undo) => void cleanups.push(undo) });
  const content = join(folder, 'content');
  mkdirSync(content);
  writeFileSync(join(content, 'noise'), noiseSource('content')(6 * MIB));
  const file = join(folder, 'volume');
  makeVolume(file, { size: SIZE, blockSize: 4096, more: ['-d', content] });
  const { image } = await makeImage(file);
  const path = join(folder, 'aid.txt');
  await info({ target: file, image: 'latest', aidOut: path }, { now: NOW });
  const document = parseAid(readFileSync(path));
  if ('fault' in document) throw new Error(document.fault);
  return { file, image, aid: aidOf(document) };
};

let made: Promise<Scene> | undefined;
/** Made once; nobody changes it. */
const scene = (): Promise<Scene> => {
  made ??= makeScene();
  return made;
};

const costOf = ({ steps }: Located, name: string): number =>
  steps.find(({ step }) => step === name)?.bytesRead ?? Number.NaN;

const foundBy = ({ images }: Located) => images.map((each) => [each.image.id, each.state, each.foundBy]);

test.serial('each rung finds the image when those above it are gone, and costs what it says', async (t) => {
  const { file, image, aid } = await scene();
  const whole = lift(file);
  const held = extentsOf(image);
  const largest = Math.max(...image.extents.map(([, length]) => length));
  const expected = answerOf(climb(whole));

  const intact = climb(whole, { aid });
  t.deepEqual(foundBy(intact), [[image.id, 'committed', 'filesystem']]);
  t.deepEqual(stepNames(intact), ['filesystem', 'aid'], 'an aid that is given is looked at');
  t.deepEqual(stepNames(climb(whole)), ['filesystem']);

  const boot = wreckAllBut(whole.snapshot(), [...held, BOOT]);
  const byRecord = climb(boot);
  t.deepEqual(foundBy(byRecord), [[image.id, 'committed', 'record']]);
  t.deepEqual(stepNames(byRecord), ['filesystem', 'record']);
  t.true(costOf(byRecord, 'record') <= 16 * KIB + OPENING, `${costOf(byRecord, 'record')}`);
  t.deepEqual(answerOf(byRecord), expected);

  const noise = wreckAllBut(whole.snapshot(), held);
  const byAid = climb(noise, { aid });
  t.deepEqual(foundBy(byAid), [[image.id, 'committed', 'aid']]);
  t.deepEqual(stepNames(byAid), ['filesystem', 'record', 'aid']);
  t.is(costOf(byAid, 'record'), 16 * KIB, 'nothing but the boot area');
  t.true(costOf(byAid, 'aid') <= OPENING, `${costOf(byAid, 'aid')}`);
  t.deepEqual(answerOf(byAid), expected);

  const byScan = climb(noise);
  t.deepEqual(foundBy(byScan), [[image.id, 'committed', 'scan']]);
  t.deepEqual(stepNames(byScan), ['filesystem', 'record', 'scan']);
  const bound = WINDOW * Math.ceil(SIZE / 2 ** Math.floor(Math.log2(largest)));
  t.true(costOf(byScan, 'scan') <= bound, `${costOf(byScan, 'scan')} of ${bound}`);
  t.deepEqual(answerOf(byScan), expected);

  const scattered = withoutAnchors(noise, held);
  const reassembled = climb(scattered, { aid });
  t.deepEqual(foundBy(reassembled), [[image.id, 'committed', 'reassembly']]);
  t.deepEqual(stepNames(reassembled), ['filesystem', 'record', 'aid', 'scan', 'reassembly']);
  const reassembly = reassembled.steps.at(-1)!;
  // Slots that follow one another are read once, for the scan and for gathering them.
  t.true(reassembly.bytesRead <= 2 * SIZE && reassembly.bytesCovered === SIZE);
  t.deepEqual(
    answerOf(reassembled).map((each) => ({ ...each, reason: undefined, extents: [] })),
    expected.map((each) => ({ ...each, reason: undefined, extents: [] })),
  );

  const nothing = climb(wreckAllBut(whole.snapshot(), []), { aid });
  t.deepEqual(foundBy(nothing), []);
  t.deepEqual(
    nothing.steps.map(({ found }) => found),
    [0, 0, 0, 0],
  );
  t.is(nothing.bytesCovered, SIZE);
});

/** Destroys every anchor of the image. */
const withoutAnchors = (device: MemoryDevice, held: readonly Extent[]): MemoryDevice => {
  const copy = device.snapshot();
  for (const { start, length } of held) {
    for (let at = start; at < start + length; at += SLOT) {
      if (parseSlotHeader(copy.read(at, SECTOR), at).kind === 'anchor') copy.write(at, new Uint8Array(SLOT));
    }
  }
  return copy;
};

test.serial('steps say what they read: together it is what was read of the device', async (t) => {
  const { file, image } = await scene();
  const listed = await listImages(file);
  t.deepEqual(stepNames(listed), ['filesystem']);
  const [step] = listed.steps;
  t.true(step!.bytesRead > 0 && step!.bytesRead <= listed.bytesRead);
  t.is(step!.bytesCovered, step!.bytesRead);
  t.like(listed.images[0], { id: image.id, foundBy: 'filesystem' });
});

test.serial(
  'on a rotating disk the scan turns sequential at the break-even stride, and says so',
  async (t) => {
    const { file, image } = await scene();
    const noise = wreckAllBut(lift(file), extentsOf(image));
    const sampled = climb(noise, { rotational: true });
    t.deepEqual(foundBy(sampled), [[image.id, 'committed', 'scan']]);
    t.notRegex(sampled.steps.at(-1)!.note!, /in order/, 'met before it came to that');
    // Nothing to be met: down to the stride one window each is read, then everything that is left, once.
    const empty = wreckAllBut(lift(file), []);
    const reads: Extent[] = [];
    const readInto = empty.readInto.bind(empty);
    empty.readInto = (start, target) => {
      reads.push({ start, length: target.length });
      readInto(start, target);
    };
    const full = climb(empty, { rotational: true });
    const scan = full.steps.at(-1)!;
    t.like(scan, { step: 'scan', found: 0, bytesRead: SIZE, bytesCovered: SIZE });
    t.is(scan.note, 'full depth, read in order where strides would be below 1.0 MiB');
    const windows = reads.filter(({ length }) => length === WINDOW);
    t.true(windows.length >= SIZE / ROTATING_BREAK_EVEN);
    const long = reads.filter(({ length }) => length === ROTATING_BREAK_EVEN - WINDOW);
    t.is(long.length, SIZE / ROTATING_BREAK_EVEN, 'long requests between the windows');
    const still = climb(wreckAllBut(lift(file), []), { rotational: false });
    t.is(still.steps.at(-1)!.note, 'full depth');
  },
);

/** A disk with an image in each of two partitions. */
const twoPartitions = async (t: Parameters<typeof temporaryFolder>[0], table: 'gpt' | 'mbr' = 'gpt') => {
  const file = join(temporaryFolder(t), 'disk');
  const size = 24 * MIB;
  const places = makeDisk(t, file, { size: 80 * MIB, table, partitions: [{ size }, { size }] });
  const images = [];
  for (const { number: partition, start: offset } of places) {
    makeVolume(file, {
      offset,
      size,
      blockSize: 4096,
      uuid: `0f8a7b6c-1d2e-4f30-9a5b-00000000000${partition}`,
    });
    images.push((await makeImage(file, { partition, minFree: 0 })).image);
  }
  return { file, places, images: [images[0]!, images[1]!] as const };
};

test.serial('a record ends no search while something else may hide images', async (t) => {
  const { file, places, images } = await twoPartitions(t);
  const disk = lift(file);
  const held = images.flatMap(extentsOf);
  const boots = places.map(({ start }): Extent => ({ start, length: 1024 }));
  const ids = images.map(({ id }) => id);
  const [first] = boots as [Extent, Extent];
  // No table, and one record: the other image is met by the scan.
  const wreck = wreckAllBut(disk.snapshot(), [...held, first]);
  const found = climb(wreck, { asDisk: true });
  t.deepEqual(foundBy(found), [
    [ids[0], 'committed', 'record'],
    [ids[1], 'committed', 'scan'],
  ]);
  t.true(costOf(found, 'scan') >= (disk.size / MIB - 30) * WINDOW, 'the rest of the disk is sampled');
  // The table is whole, and the file systems are not: a partition whose images are all named hides no more of them.
  const wholeTable = [
    { start: 0, length: MIB },
    { start: disk.size - MIB, length: MIB },
  ];
  const both = climb(wreckAllBut(disk.snapshot(), [...held, ...boots, ...wholeTable]), { asDisk: true });
  t.deepEqual(foundBy(both), [
    [ids[0], 'committed', 'record'],
    [ids[1], 'committed', 'record'],
  ]);
  const gap = disk.size - places[1]!.start - places[1]!.size;
  t.true(
    costOf(both, 'scan') <= (Math.ceil(gap / MIB) + 2) * WINDOW,
    'nothing but the end of the disk is sampled',
  );
  // One of the records is gone: its partition is looked through.
  const one = climb(wreckAllBut(disk.snapshot(), [...held, first, ...wholeTable]), { asDisk: true });
  t.deepEqual(foundBy(one), [
    [ids[0], 'committed', 'record'],
    [ids[1], 'committed', 'scan'],
  ]);
  // Full depth means every byte, whatever is known.
  const full = climb(wreckAllBut(disk.snapshot(), [...held, ...boots]), { asDisk: true, depth: 'full' });
  t.is(full.steps.at(-1)!.bytesCovered, disk.size);
  t.deepEqual(
    full.images.map(({ image }) => image.id),
    ids,
  );
});

test.serial('of a disk whose table is lost, the usual places are looked at', async (t) => {
  const { image, file } = await imagedVolume(t);
  const volume = wreckAllBut(lift(file), [...extentsOf(image), BOOT]);
  for (const start of [0, 63 * SECTOR, MIB, 2 * MIB]) {
    const path = `${file}.${start}`;
    writeFileSync(path, noiseSource('disk')(36 * MIB));
    writeAt(path, start, volume.read(0, volume.size));
    const { images, steps } = await listImages(path);
    t.like(images[0], { id: image.id, foundBy: 'record', partition: { offset: start } }, `at ${start}`);
    t.is(images.length, 1);
    t.true(steps.find(({ step }) => step === 'record')!.bytesRead < MIB);
  }
  // At any other place it is the scan that finds it, with the same result.
  const path = `${file}.elsewhere`;
  writeFileSync(path, noiseSource('disk')(36 * MIB));
  writeAt(path, 3 * MIB + SECTOR, volume.read(0, volume.size));
  t.like((await listImages(path)).images[0], { id: image.id, foundBy: 'scan', state: 'moved' });
  t.is(
    readAt(path, 3 * MIB + SECTOR + RECORD_AT, 16)
      .toString('latin1')
      .slice(1, 9),
    'HFLOCATE',
  );
});
