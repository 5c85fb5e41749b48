import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isHoldfastError } from '../../rescue/errors.ts';
import { SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { parseSlotHeader, type SlotHeader } from '../../rescue/image/slot.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage } from './requests.ts';
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
