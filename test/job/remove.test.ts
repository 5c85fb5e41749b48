import { createHash } from 'node:crypto';
import {
  closeSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { HoldfastError } from '../../rescue/errors.ts';
import { SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { hasSlotMagic, parseSlotHeader } from '../../rescue/image/slot.ts';
import { containerName } from '../../rescue/job/identity.ts';
import { MIB } from '../../rescue/units.ts';
import { makeDisk } from '../support/disk.ts';
import { duplicate } from '../support/duplicate.ts';
import { noiseSource, sameBytes } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { listImages, makeImage, removeImage } from './requests.ts';
import { fillStage, mountStage, type Stage, stageMustBeClean } from './stage.ts';

const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

const refusedUntouched = async (
  t: ExecutionContext,
  file: string,
  job: () => Promise<unknown>,
  code: string,
): Promise<void> => {
  const before = duplicate(file, `${file}.untouched`);
  const error = (await t.throwsAsync(job)) as HoldfastError;
  t.is(error.detail?.code, code, error.message);
  t.true(sameBytes(before, file), 'a refusal wrote something');
  rmSync(before);
};

test.serial('a file that took the place of a deleted container is not written into', async (t) => {
  const size = 48 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
  const stage: Stage = { file, start: 0, size };
  fillStage(t, stage, { size: MIB, entries: 60 }, (top) =>
    writeFileSync(join(top, 'noise'), noiseSource('noise')(10 * MIB)),
  );
  const { image } = await makeImage(file);
  // The owner deletes the container, and fills most of the room: from below, so that the first slots go.
  let mount = mountStage(t, stage);
  const container = join(mount.path, '.holdfast', `${containerName(image.kind, image.id)}.hfi`);
  mustRun('chattr', ['-i', container]);
  rmSync(container);
  const { bfree, bsize } = statfsSync(mount.path);
  const next = noiseSource('new');
  const digests = new Map<string, string>();
  for (let left = bfree * bsize - 6 * MIB; left > 0; left -= MIB) {
    const name = `new ${digests.size}`;
    writeFileSync(join(mount.path, name), next(MIB));
    digests.set(name, digest(join(mount.path, name)));
  }
  mount.unmount();
  const found = (await listImages(file, { depth: 'full' })).images.find(({ id }) => id === image.id);
  t.is(found?.state, 'stale', 'the test needs an image of which an anchor is left');
  await removeImage(file, { image: image.id });
  t.notThrows(() => stageMustBeClean(stage));
  mount = mountStage(t, stage, true);
  for (const [name, before] of digests) t.is(digest(join(mount.path, name)), before, name);
  mount.unmount();
});

test.serial('an image whose partition the table lists no more is not removed from another one', async (t) => {
  const file = join(temporaryFolder(t), 'disk');
  const [first, second] = makeDisk(t, file, {
    size: 80 * MIB,
    table: 'gpt',
    partitions: [{ size: 36 * MIB }, { size: 36 * MIB }],
  });
  for (const { start: offset, size } of [first!, second!])
    makeVolume(file, { offset, size, blockSize: 4096 });
  const { image } = await makeImage(file, { partition: 2 });
  mustRun('sfdisk', ['--delete', file, '2']);
  const job = () => removeImage(file, { image: image.id });
  await refusedUntouched(t, file, job, 'not-in-partition');
  await refusedUntouched(t, file, () => removeImage(file, { image: image.id, partition: 1 }), 'no-image');
});

test.serial('an image inside a disk of a virtual machine is not removed from around it', async (t) => {
  const folder = temporaryFolder(t);
  const inner = makeVolume(join(folder, 'inner'), { size: 24 * MIB, blockSize: 4096 });
  const { image } = await makeImage(inner);
  const size = 64 * MIB;
  const file = makeVolume(join(folder, 'volume'), { size, blockSize: 4096 });
  const stage: Stage = { file, start: 0, size };
  fillStage(t, stage, { size: MIB, entries: 60 }, (top) =>
    writeFileSync(join(top, 'machine'), readFileSync(inner)),
  );
  await refusedUntouched(t, file, () => removeImage(file, { image: image.id }), 'unusable');
});

test.serial(
  'what is left of an image whose anchors are gone, and that nothing lists, is removed',
  async (t) => {
    const size = 48 * MIB;
    const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096 });
    const stage: Stage = { file, start: 0, size };
    fillStage(t, stage, { size: MIB, entries: 60 });
    const { image } = await makeImage(file);
    const mount = mountStage(t, stage);
    const container = join(mount.path, '.holdfast', `${containerName(image.kind, image.id)}.hfi`);
    mustRun('chattr', ['-i', container]);
    rmSync(container);
    mount.unmount();
    // Both anchors and both commit slots.
    const handle = openSync(file, 'r+');
    for (const [start, length] of image.extents)
      for (let at = start; at < start + length; at += 4096) {
        const header = Buffer.alloc(SLOT_HEADER_SIZE);
        readSync(handle, header, 0, header.length, at);
        const kind = hasSlotMagic(header) ? parseSlotHeader(header, at).kind : undefined;
        if (kind === 'anchor' || kind === 'mutable') writeSync(handle, Buffer.alloc(512), 0, 512, at);
      }
    closeSync(handle);
    await removeImage(file, { image: image.id });
    const bytes = readFileSync(file);
    for (let at = 0; at < bytes.length; at += 4096)
      t.false(hasSlotMagic(bytes.subarray(at, at + 16)), `${at}`);
    t.notThrows(() => stageMustBeClean(stage));
  },
);
