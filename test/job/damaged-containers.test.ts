import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { isHoldfastError } from '../../rescue/errors.ts';
import {
  RECORD_HEADER,
  RECORD_MAGIC,
  SLOT_HEADER,
  SLOT_HEADER_SIZE,
  STREAM,
} from '../../rescue/image/layout.ts';
import { parseSlotHeader, type SlotHeader } from '../../rescue/image/slot.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { digestOf, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, type Stage, stageMustBeClean, treeOf } from './stage.ts';

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

/** Overwrites the headers of all records of a stream; the slots around them stay valid. */
const destroyRecords = (file: string, { extents }: ImageSummary, stream: number): number => {
  const handle = openSync(file, 'r+');
  let destroyed = 0;
  try {
    for (const { start, length } of extentsOf(extents)) {
      const header = new Uint8Array(SLOT_HEADER_SIZE);
      readSync(handle, header, 0, header.length, start);
      const { slotSize } = parseSlotHeader(header, start);
      for (let at = start; at < start + length; at += slotSize) {
        const slot = Buffer.alloc(slotSize);
        readSync(handle, slot, 0, slotSize, at);
        if (headerIn(slot)?.kind !== 'data') continue;
        for (let place = SLOT_HEADER_SIZE; place + RECORD_HEADER.size <= slotSize; place += 8) {
          if (slot.readUInt32LE(place) !== RECORD_MAGIC) continue;
          if (RECORD_HEADER.get(slot, 'stream', place) !== stream) continue;
          slot.fill(0, place, place + RECORD_HEADER.size);
          destroyed += 1;
        }
        const used = SLOT_HEADER.get(slot, 'payload_length');
        SLOT_HEADER.set(slot, 'payload_crc', crc32(slot.subarray(SLOT_HEADER_SIZE, SLOT_HEADER_SIZE + used)));
        SLOT_HEADER.set(slot, 'header_crc', crc32(slot.subarray(0, SLOT_HEADER_SIZE - 4)));
        writeSync(handle, slot, 0, slotSize, at);
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

/** The stage with an image of which the last data slot is zeroed: the index lies there, and the end of the data. */
const withoutIndex = async (t: ExecutionContext, anchorsToo: boolean) => {
  const stage = filled(t);
  const tree = treeOf(t, stage);
  const { image } = await makeImage(stage.file);
  let last = 0;
  destroySlots(stage.file, image, ({ kind, index }) => {
    if (kind === 'data') last = Math.max(last, index);
    return false;
  });
  t.is(
    destroySlots(stage.file, image, ({ index }) => index === last),
    1,
  );
  if (anchorsToo) destroySlots(stage.file, image, ({ kind }) => kind === 'anchor');
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  return { stage, tree, image };
};

for (const anchorsToo of [false, true])
  test.serial(`the slot with the index lost${anchorsToo ? ', and all anchors' : ''}`, async (t) => {
    const { stage, tree, image } = await withoutIndex(t, anchorsToo);
    const [listed] = (await listImages(stage.file)).images;
    t.like(listed, { id: image.id, state: anchorsToo ? 'damaged' : 'committed' });
    const before = digestOf(stage.file, [{ start: 0, length: stage.size }]);
    const refusal = await t.throwsAsync(() => restoreImage(stage.file, { image: image.id }));
    t.true(isHoldfastError(refusal) && ['corrupt', 'refused'].includes(refusal.kind), refusal?.message);
    t.is(digestOf(stage.file, [{ start: 0, length: stage.size }]), before, 'nothing written');

    const { problems } = await verifyImage(stage.file, { image: image.id });
    const codes = problems.map(({ code }) => code);
    t.true(codes.includes('index.bitmap'), codes.join());
    if (!anchorsToo) t.true(codes.includes('index.map'), codes.join());

    const restored = await restoreImage(stage.file, { image: image.id, salvage: true });
    t.true(restored.written);
    // What was in the slot itself is gone, and said; everything else is there.
    t.true(restored.lostFrames >= 1 && restored.lostFrames <= 2, JSON.stringify(restored.lost));
    run('e2fsck', ['-f', '-y', stage.file]);
    const damage = differences(tree, treeOf(t, stage));
    t.true(damage.length < tree.size / 10, `${damage.length}: ${damage.join()}`);
  });

test.serial('the map index is no record any more: the data records stand in for it', async (t) => {
  const stage = filled(t);
  const tree = treeOf(t, stage);
  const { image } = await makeImage(stage.file);
  t.is(destroyRecords(stage.file, image, STREAM['map index']), 1);
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  const { problems } = await verifyImage(stage.file, { image: image.id });
  t.true(problems.some(({ code }) => code === 'index.map'));
  const notes: string[] = [];
  const restored = await restoreImage(stage.file, {}, (event) => {
    if ('note' in event) notes.push(event.note);
  });
  t.true(
    notes.some((note) => note.includes('index of the image is damaged')),
    notes.join('\n'),
  );
  t.is(restored.lostFrames, 0);
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(differences(tree, treeOf(t, stage)), []);
});

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
