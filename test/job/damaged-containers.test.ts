import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isHoldfastError } from '../../rescue/errors.ts';
import { SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { parseSlotHeader, type SlotHeader } from '../../rescue/image/slot.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { digestOf, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, restoreImage } from './requests.ts';
import { fillStage, type Stage, stageMustBeClean } from './stage.ts';

const filled = (t: ExecutionContext): Stage => {
  const size = 48 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
  const stage = { file, start: 0, size };
  fillStage(t, stage, { size: MIB, entries: 60 });
  return stage;
};

/** Overwrites the slots of an image that `which` says, header and payload, with zeros. */
const destroySlots = (
  file: string,
  { extents }: ImageSummary,
  which: (header: SlotHeader) => boolean,
): number => {
  const handle = openSync(file, 'r+');
  let destroyed = 0;
  try {
    for (const { start, length } of extentsOf(extents)) {
      for (let at = start; at < start + length; at += 4096) {
        const bytes = new Uint8Array(SLOT_HEADER_SIZE);
        readSync(handle, bytes, 0, bytes.length, at);
        const header = headerIn(bytes);
        if (header === undefined || !which(header)) continue;
        writeSync(handle, new Uint8Array(header.slotSize), 0, header.slotSize, at);
        destroyed += 1;
      }
    }
  } finally {
    closeSync(handle);
  }
  return destroyed;
};

const headerIn = (bytes: Uint8Array): SlotHeader | undefined => {
  try {
    return parseSlotHeader(bytes, 0);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

test.serial('one anchor or one commit slot lost: still an image, and replaced as such', async (t) => {
  for (const index of [0, 1]) {
    const stage = filled(t);
    const first = (await makeImage(stage.file)).image;
    t.is(
      destroySlots(stage.file, first, (header) => header.index === index),
      1,
    );
    const [listed] = (await listImages(stage.file)).images;
    t.like(listed, { id: first.id, state: 'committed', foundBy: 'filesystem' });
    const second = await makeImage(stage.file);
    t.deepEqual(second.replaced, [first.id]);
    t.notThrows(() => stageMustBeClean(stage));
  }
});

test.serial(
  'all anchors lost: create leaves the container alone, and it can still be put together',
  async (t) => {
    const stage = filled(t);
    const first = (await makeImage(stage.file)).image;
    t.is(
      destroySlots(stage.file, first, ({ kind }) => kind === 'anchor'),
      2,
    );
    const before = digestOf(stage.file, extentsOf(first.extents));
    const notes: string[] = [];
    const second = await makeImage(stage.file, {}, (event) => {
      if ('note' in event && event.severity === 'warning') notes.push(event.note);
    });
    t.deepEqual(second.replaced, []);
    t.true(
      notes.some((note) => note.includes(first.id.slice(0, 12)) && note.includes('left alone')),
      notes.join('\n'),
    );
    t.is(digestOf(stage.file, extentsOf(first.extents)), before);
    t.notThrows(() => stageMustBeClean(stage));
    overwriteWithNoise(stage.file, extentsOf(first.extents));
    const [found] = (await listImages(stage.file)).images;
    t.like(found, { id: first.id, foundBy: 'reassembly' });
  },
);

/** Overwrites both commit records, so that nothing tells whether the image was ever committed. */
const loseCommit = (file: string, image: ImageSummary): void => {
  const handle = openSync(file, 'r+');
  let lost = 0;
  try {
    for (const { start, length } of extentsOf(image.extents)) {
      for (let at = start; at < start + length; at += 512) {
        const bytes = Buffer.alloc(512);
        readSync(handle, bytes, 0, 512, at);
        if (bytes.subarray(0, 8).toString('latin1') !== 'HFCOMMIT') continue;
        bytes[508]! ^= 0xff;
        writeSync(handle, bytes, 0, 512, at);
        lost += 1;
      }
    }
  } finally {
    closeSync(handle);
  }
  if (lost !== 2) throw new Error(`${lost} commit records`);
};

const DAMAGE: Readonly<Record<string, (file: string, image: ImageSummary) => void>> = {
  'both commit records': loseCommit,
  'all anchors': (file, image) => destroySlots(file, image, ({ kind }) => kind === 'anchor'),
};

for (const [what, damage] of Object.entries(DAMAGE))
  for (const when of ['before', 'after'] as const)
    for (const wrecked of [false, true])
      test.serial(
        `${what} lost ${when} another image was made, ${wrecked ? 'volume wrecked' : 'volume whole'}: survives a restore`,
        async (t) => {
          const stage = filled(t);
          const first = (await makeImage(stage.file)).image;
          if (when === 'before') damage(stage.file, first);
          const second = (await makeImage(stage.file, { keepOld: true })).image;
          if (when === 'after') damage(stage.file, first);
          const held = extentsOf([...first.extents, ...second.extents]);
          if (wrecked) overwriteWithNoise(stage.file, held);
          const before = digestOf(stage.file, extentsOf(first.sealedExtents));
          const keeps: string[] = [];
          const restored = await restoreImage(stage.file, {
            image: second.id,
            confirm: async (intent) => {
              keeps.push(...intent.keeps);
              return true;
            },
          });
          t.deepEqual([...restored.imagesKept].sort(), [first.id, second.id].sort());
          t.true(keeps.some((line) => line.includes(first.id.slice(0, 8))));
          t.is(digestOf(stage.file, extentsOf(first.sealedExtents)), before);
          t.notThrows(() => stageMustBeClean(stage));
          // Restored once more, the lists still lead to it; and dropped, it is named.
          const loses: string[] = [];
          await restoreImage(stage.file, {
            image: second.id,
            drop: [first.id],
            confirm: async (intent) => {
              loses.push(...intent.loses);
              return true;
            },
          });
          t.true(
            loses.some((line) => line.includes(first.id.slice(0, 8))),
            loses.join('\n'),
          );
          t.notThrows(() => stageMustBeClean(stage));
        },
      );

test.serial('an image in pieces is not overwritten unless it is dropped', async (t) => {
  const stage = filled(t);
  const first = (await makeImage(stage.file)).image;
  const second = (await makeImage(stage.file, { keepOld: true })).image;
  destroySlots(stage.file, first, ({ kind, index }) => kind === 'anchor' || index === 7);
  const before = duplicate(stage.file, `${stage.file}.before`);
  const error = await t.throwsAsync(() => restoreImage(stage.file, { image: second.id }));
  t.true(isHoldfastError(error) && error.detail.code === 'image-in-pieces', error?.message);
  t.true(sameBytes(before, stage.file));
  await restoreImage(stage.file, { image: second.id, drop: [first.id.slice(0, 8)] });
  t.notThrows(() => stageMustBeClean(stage));
});
