import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import {
  RECORD_HEADER,
  RECORD_MAGIC,
  SLOT_HEADER,
  SLOT_HEADER_SIZE,
  SLOT_KIND,
  STREAM,
} from '../../rescue/image/layout.ts';
import { parseSlotHeader } from '../../rescue/image/slot.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../support/volume.ts';
import { extentsOf, onlyNamedPlaces, onlyStatedChanges, treeMustBe } from './cycle.ts';
import { listImages, makeImage, restoreImage } from './requests.ts';
import { fillStage, type Stage, stageMustBeClean } from './stage.ts';

const SMALL_TREE = { size: MIB, entries: 60 };

const volume = (t: ExecutionContext, options: Partial<VolumeOptions> = {}): Stage => {
  const size = 48 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096, ...options });
  return { file, start: 0, size };
};

/** Gives a slot that was tampered with the checksums of its new content. */
const sum = (slot: Buffer): void => {
  const length = SLOT_HEADER.get(slot, 'payload_length');
  SLOT_HEADER.set(slot, 'payload_crc', crc32(slot.subarray(SLOT_HEADER_SIZE, SLOT_HEADER_SIZE + length)));
  SLOT_HEADER.set(slot, 'header_crc', crc32(slot.subarray(0, SLOT_HEADER_SIZE - 4)));
};

/**
 * Zeroes all anchors, and every record of the cluster map and its index wherever one starts. Gives their numbers. With `whole`
 * only their content goes and the slots around them stay valid; without, their headers go.
 */
const loseIndex = (file: string, image: ImageSummary, whole: boolean) => {
  const handle = openSync(file, 'r+');
  const lost = { anchors: 0, records: 0 };
  try {
    const [first] = image.extents;
    const header = Buffer.alloc(SLOT_HEADER_SIZE);
    readSync(handle, header, 0, header.length, first![0]);
    const { slotSize } = parseSlotHeader(header, first![0]);
    const slot = Buffer.alloc(slotSize);
    for (const [start, length] of image.extents) {
      for (let at = start; at < start + length; at += slotSize) {
        readSync(handle, slot, 0, slotSize, at);
        if (slot[29] === SLOT_KIND.anchor) {
          lost.anchors += 1;
          slot.fill(0);
        } else {
          for (let place = SLOT_HEADER_SIZE; place + RECORD_HEADER.size <= slotSize; place += 8) {
            if (slot.readUInt32LE(place) !== RECORD_MAGIC) continue;
            const record = slot.subarray(place, place + RECORD_HEADER.size);
            const stream = RECORD_HEADER.get(record, 'stream');
            if (stream !== STREAM.map && stream !== STREAM['map index']) continue;
            lost.records += 1;
            // Its header stays where the slot does, so that what comes behind it in the log can be reached.
            const content = place + RECORD_HEADER.size + 12 * RECORD_HEADER.get(record, 'run_count');
            if (whole) slot.fill(0, content, content + RECORD_HEADER.get(record, 'stored_length'));
            else slot.fill(0, place, content);
            if (whole) sum(slot);
          }
        }
        writeSync(handle, slot, 0, slotSize, at);
      }
    }
  } finally {
    closeSync(handle);
  }
  return lost;
};

test.serial('no anchor and no index is left: put together from single slots', async (t) => {
  const stage = volume(t);
  const tree = fillStage(t, stage, SMALL_TREE);
  const { image } = await makeImage(stage.file);
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  const lost = loseIndex(stage.file, image, true);
  t.true(lost.anchors >= 2 && lost.records >= 1, JSON.stringify(lost));
  const { images } = await listImages(stage.file);
  t.is(images.length, 1);
  t.like(images[0], { id: image.id, foundBy: 'reassembly' });
  const restored = await restoreImage(stage.file, { image: image.id, salvage: true });
  t.deepEqual(restored.lost, []);
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'reassembled');
});

test.serial('the headers of the index records are lost too: only a salvage goes past them', async (t) => {
  const stage = volume(t);
  const tree = fillStage(t, stage, SMALL_TREE);
  const { image } = await makeImage(stage.file);
  overwriteWithNoise(stage.file, extentsOf(image.extents));
  loseIndex(stage.file, image, false);
  const lost = duplicate(stage.file, `${stage.file}.lost`);
  const { images } = await listImages(stage.file);
  t.like(images[0], { id: image.id, foundBy: 'reassembly' });
  // Nobody knows that no data record was among what is lost.
  t.like(await t.throwsAsync(() => restoreImage(stage.file, { image: image.id })), {
    name: 'HoldfastError',
  });
  t.true(sameBytes(lost, stage.file), 'a restore that cannot succeed writes nothing');
  await restoreImage(stage.file, { image: image.id, salvage: true });
  t.notThrows(() => stageMustBeClean(stage));
  treeMustBe(t, stage, tree, 'salvaged');
});

for (const [feature, options] of [
  ['quota', { features: ['quota'] }],
  ['project', { features: ['project', 'quota'] }],
] as const)
  test.serial(`${feature}: refused by name, nothing written`, async (t) => {
    const stage = volume(t, options);
    const before = duplicate(stage.file, `${stage.file}.before`);
    const error = await t.throwsAsync(() => makeImage(stage.file));
    t.regex(error!.message, new RegExp(feature));
    t.like(error, { kind: 'unsupported' });
    t.true(sameBytes(before, stage.file));
  });

test.serial('the proof can fail: one byte that create had no business with', async (t) => {
  const stage = volume(t);
  fillStage(t, stage, SMALL_TREE);
  const before = duplicate(stage.file, `${stage.file}.before`);
  const { image } = await makeImage(stage.file);
  onlyStatedChanges(t, stage, before, image);
  const handle = openSync(stage.file, 'r+');
  // The last byte before the container: a free cluster, or somebody's data.
  writeSync(handle, Buffer.from([0xa5]), 0, 1, image.extents[0]![0] - 1);
  closeSync(handle);
  const named = await t.try((inner) => onlyNamedPlaces(inner, stage, before, image));
  named.discard();
  t.false(named.passed);
  const attempt = await t.try((inner) => onlyStatedChanges(inner, stage, before, image));
  const { passed } = attempt;
  attempt.discard();
  t.false(passed);
});
