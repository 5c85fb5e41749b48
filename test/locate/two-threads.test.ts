import { readdirSync, readFileSync, truncateSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { normalise } from '../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { list } from '../../rescue/job/list.ts';
import { type LocateOptions, locate } from '../../rescue/locate/locate.ts';
import type { LocateProgress } from '../../rescue/locate/rungs.ts';
import { GIB, MIB } from '../../rescue/units.ts';
import { listImages, makeImage, NOW } from '../job/requests.ts';
import { beside } from './beside.ts';
import { answerOf, extentsOf, imagedVolume, lift, smallVolume, wreckAllBut } from './climbing.ts';

/** Where the ladder finds the same with one thread and with two. `beside` has the second one on this thread; `list` starts it. */

const SECTOR = 512;

/** Everything that the ladder says, in its order. */
const watch = (device: MemoryDevice, readAhead: LocateOptions['readAhead']) => {
  const ladder = locate({
    device,
    diskOffset: 0,
    table: undefined,
    depth: 'full',
    rotational: false,
    exhaustive: true,
    readAhead,
  });
  const seen: LocateProgress[] = [];
  for (let step = ladder.next(); ; step = ladder.next()) {
    if (!step.done) {
      seen.push(step.value);
      continue;
    }
    const { steps, bytesCovered, unopened } = step.value;
    const found = steps.map((each) => [each.step, each.found, each.note]);
    return {
      said: { seen, found, bytesCovered, unopened, answer: answerOf(step.value) },
      located: step.value,
    };
  }
};

const scanned = ({ steps }: { readonly steps: readonly { step: string; bytesRead: number }[] }): number =>
  steps.find(({ step }) => step === 'scan')?.bytesRead ?? Number.NaN;

test.serial('images, copies and pieces of them, anywhere on a wrecked disk', async (t) => {
  const { file, image } = await imagedVolume(t);
  const volume = lift(file);
  const extents = extentsOf(image);
  const place = fc.nat((40 * MIB) / SECTOR).map((sector) => sector * SECTOR);
  /** Which extent, from where on, how much of it, and where it is put. */
  const piece = fc.record({
    which: fc.nat(extents.length - 1),
    skip: fc.nat(64).map((sectors) => sectors * SECTOR),
    share: fc.constantFrom(0.1, 0.5, 1),
    to: place,
  });
  const scene = fc.record({
    /** Where the volume's start is: the image is at home there, as far as nothing is put over it. */
    home: fc.option(place),
    pieces: fc.array(piece, { maxLength: 5 }),
    lateBy: fc.nat(2),
  });
  let images = 0;
  let stretches = 0;
  fc.assert(
    fc.property(scene, ({ home, pieces, lateBy }) => {
      const disk = new MemoryDevice(40 * MIB + volume.size);
      const put = (from: number, length: number, to: number): void =>
        disk.write(to, volume.read(from, length));
      for (const { start, length } of home === null ? [] : extents) put(start, length, (home ?? 0) + start);
      for (const { which, skip, share, to } of pieces) {
        const { start, length } = extents[which]!;
        const wanted = Math.floor((length * share) / SECTOR) * SECTOR - skip;
        if (wanted > 0) put(start + skip, Math.min(wanted, disk.size - to), to);
      }
      const one = watch(disk, undefined);
      const other = beside(disk, { lateBy });
      const two = watch(disk, other.readAhead);
      t.deepEqual(two.said, one.said);
      images += one.located.images.length;
      stretches += other.stretches();
      // Each image that is opened may make known what had been handed over before.
      const more = scanned(two.located) - scanned(one.located);
      t.true(more >= 0 && more <= one.located.images.length * 2 * MIB, `${more} bytes more`);
    }),
    { numRuns: 12 },
  );
  t.true(images > 0 && stretches > 100, `${images} images, ${stretches} stretches`);
});

test.serial('with everything but the image gone, and the image itself in pieces', async (t) => {
  const { file, image } = await imagedVolume(t);
  const extents = normalise(extentsOf(image));
  for (const keep of [extents, extents.map(({ start, length }) => ({ start, length: length / 2 }))]) {
    const device = wreckAllBut(lift(file), keep);
    const one = watch(device, undefined);
    t.deepEqual(watch(device, beside(device).readAhead).said, one.said);
  }
});

const threads = (): string[] =>
  readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim());

test.serial(
  'list on a file that is worth a thread says what one thread finds, and leaves no thread behind',
  async (t) => {
    const file = smallVolume(t);
    const { image } = await makeImage(file, { minFree: 0 });
    // The file goes on where the volume ends, with nothing.
    truncateSync(file, GIB);
    const { images, bytesCovered, steps, bytesRead } = await listImages(file, { depth: 'full' });
    t.deepEqual(
      images.map(({ id, state }) => [id, state]),
      [[image.id, 'committed']],
    );
    t.is(bytesCovered, GIB);
    const { bytesRead: byScan } = steps.find(({ step }) => step === 'scan')!;
    const held = extentsOf(image).reduce((sum, { length }) => sum + length, 0);
    t.is(byScan, GIB - held);
    t.true(bytesRead >= byScan, 'the device counts what the thread read');
    t.false(threads().includes('scan'));
  },
);

test.serial('a search that is stopped stops, with its thread', async (t) => {
  const file = smallVolume(t);
  truncateSync(file, 4 * GIB);
  const stop = new AbortController();
  let withThread = false;
  const error = await t.throwsAsync(
    list(
      { target: file, depth: 'full' },
      {
        now: NOW,
        signal: stop.signal,
        onEvent: (event) => {
          if (!('phase' in event)) return;
          withThread ||= threads().includes('scan');
          if (withThread && event.done > GIB) stop.abort();
        },
      },
    ),
  );
  t.true(isHoldfastError(error, 'cancelled'));
  t.true(withThread);
  t.false(threads().includes('scan'));
});
